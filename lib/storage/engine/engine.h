// The storage engine: a log-structured merge tree (O'Neil et al., 1996) in the manner of LevelDB, step-driven.
//
// Writes go through the commit queue into the log and the memtable; a full memtable is frozen and flushed into a table
// of level 0; compactions keep the levels in shape; a manifest edit is the only thing that changes what the database
// consists of. Readers take a view of memtables and version without a lock.
//
// No call waits: what cannot be done now is left in a queue, and background work runs as jobs on the executor. Waiting
// is the façade's (db.cc). The parts:
//
//   engine.cc             opening, closing, stopping after an error; views
//   engine_write.cc       committing groups; freezing memtables
//   engine_read.cc        gets, iterators, snapshots
//   engine_background.cc  flushes and compactions
//   engine_edits.cc       manifest edits, and manifests
//   engine_admin.cc       checkpoint, verification, statistics
//   recovery.cc           what Open finds on disk
#ifndef BANDB_STORAGE_ENGINE_ENGINE_H_
#define BANDB_STORAGE_ENGINE_ENGINE_H_

#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bandb/event_listener.h"
#include "bandb/options.h"
#include "bandb/pinned_value.h"
#include "bandb/snapshot.h"
#include "bandb/stats.h"
#include "base/env.h"
#include "base/mutex.h"
#include "kv/limits.h"
#include "storage/commit/commit_queue.h"
#include "storage/commit/log_set.h"
#include "storage/compaction/compaction_picker.h"
#include "storage/compaction/snapshot_list.h"
#include "storage/compaction/table_merge.h"
#include "storage/engine/recovery.h"
#include "storage/read/db_iterator.h"
#include "storage/read/read_view.h"
#include "storage/version/manifest.h"

namespace bandb::storage {

// Counters that the hot paths raise without a lock.
struct EngineCounters {
  std::atomic<uint64_t> operations{0}, batches{0}, user_bytes{0}, log_bytes{0};
  std::atomic<uint64_t> stalls{0}, stall_micros{0};
  std::atomic<uint64_t> gets{0}, tables_probed{0}, filter_negatives{0};
};

// Thread safety: every method may be called from any thread.
class Engine final : private CommitQueue::Committer {
 public:
  // `options` have been validated. Errors: as Db::Open.
  static absl::StatusOr<std::unique_ptr<Engine>> Open(const base::Env& env, const std::string& dir,
                                                      const Options& options);
  // After Close has finished, or an Open that failed.
  ~Engine() override;

  // Writing. The request is completed once, perhaps before this returns; in_background never commits on the calling
  // thread.
  void Submit(WriteRequest* request, bool in_background);
  bool Cancel(WriteRequest* request) { return queue_.Cancel(request); }
  // Syncs the log if somebody waits for that and nobody is at it.
  void SyncWaiting();
  // Has SyncWaiting called in the background if there is need.
  void SyncInBackground();
  // How long a writer of so many bytes should wait before it submits, so that compactions keep up; 0 if they do.
  int64_t WriteDelayNanos(uint64_t bytes) const;
  void CountStall(int64_t nanos);
  // True while no write can be committed.
  bool Stalled() const { return queue_.Parked(); }
  const kv::Limits& limits() const { return limits_; }

  // Reading.
  absl::Status Get(std::string_view key, const ReadOptions& options, PinnedValue* value);
  std::vector<absl::StatusOr<std::string>> MultiGet(absl::Span<const std::string_view> keys,
                                                    const ReadOptions& options);
  std::unique_ptr<Iterator> NewIterator(const ReadOptions& options);
  Snapshot GetSnapshot();

  // Keeps Close from finishing: for what runs on behalf of a caller in the background. False if the engine is closing.
  bool Retain() ABSL_LOCKS_EXCLUDED(mutex_);
  void Release() { EndActivity(); }

  // Administration. Each `done` is run once, on an executor thread or inside the call, without locks held.
  using Done = std::function<void(absl::Status)>;
  // Once everything in frozen memtables is in tables.
  void WhenFlushed(Done done);
  // Compacts level by level what holds keys of [begin, limit), and at last what was in the last level; empty:
  // unbounded.
  void CompactRange(std::string_view begin, std::string_view limit, Done done);
  absl::Status CreateCheckpoint(const std::string& dir);
  absl::Status VerifyChecksums();
  absl::Status Resume();
  Stats GetStats() const;

  // Refuses everything from now on and stops background work; `done` once nothing runs any more.
  void BeginClose(Done done);
  // After that: seals the log and closes the files.
  absl::Status FinishClose();

 private:
  // What stopped writes, if anything did.
  struct Stop {
    absl::Status status;
    bool resumable = false;
  };
  struct PendingEdit {
    VersionEdit edit;
    std::vector<TablePtr> added;
    // The oldest frozen memtables that the edit puts into tables.
    size_t flushed_memtables = 0;
    Done done;
    // What the edit makes of the present state.
    ManifestState result;
  };
  struct ManualCompaction {
    std::string begin;  // spaced keys
    std::string end;
    // It waits for those that run when it is asked for: they don't know which snapshots have gone since they began.
    bool begun = false;
    // Tables from this number on were written since it began.
    uint64_t first_new_number = 0;
    int level = 0;
    bool running = false;
    Done done;
  };
  struct FlushWaiter {
    uint64_t log_number = 0;  // memtables of logs below this
    Done done;
  };
  // What a get does about blocks that are not in the cache; see ReadOptions.
  struct BlockPolicy {
    bool fill_cache = true;
    bool only_cached = false;
  };
  enum class Room : uint8_t { kYes, kStalled, kFailed };
  class FlushJob;
  class CompactionJob;

  Engine(const base::Env& env, std::string dir, const Options& options, RecoveredDatabase recovered);

  // engine.cc
  absl::Status Start(RecoveredDatabase* recovered);
  void InstallView(ViewHolder::Retired* retired) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Of all memtables that exist, in the present view or not.
  uint64_t LiveMemtableBytes() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void StopWrites(const absl::Status& status) ABSL_LOCKS_EXCLUDED(mutex_);
  absl::Status StopStatus() const ABSL_LOCKS_EXCLUDED(mutex_);
  absl::Status StopStatusLocked() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  uint64_t NewFileNumber() { return next_file_number_.fetch_add(1, std::memory_order_relaxed); }
  // The time that times to live go by. Never goes back, not even over a restart as far as the manifest tells.
  uint64_t NowMs() const;
  void BeginActivity() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { ++activities_; }
  void EndActivity() ABSL_LOCKS_EXCLUDED(mutex_);
  void UpdateStall() ABSL_LOCKS_EXCLUDED(mutex_);

  // engine_write.cc
  bool CommitGroup(const CommitQueue::Group& group) override;
  void AfterBackgroundCommits() override { SyncInBackground(); }
  Room MakeRoom(uint64_t operations, uint64_t payload_bytes, absl::Status* failure);
  // Freezes the memtable and begins one of this capacity, unless too much is frozen already.
  Room FreezeIfRoom(size_t capacity_bytes, absl::Status* failure);
  absl::Status Freeze(size_t capacity_bytes);
  absl::Status CheckConditions(std::string_view conditions);
  absl::Status AppendToLog(const CommitQueue::Group& group, const RecordHead& head);
  void InsertGroup(const CommitQueue::Group& group, Sequence first, uint64_t now_ms);

  // engine_edits.cc
  void ApplyEdit(PendingEdit edit) ABSL_LOCKS_EXCLUDED(mutex_);
  absl::Status WriteEdit(PendingEdit* edit) ABSL_LOCKS_EXCLUDED(mutex_);
  void InstallEdit(PendingEdit* edit) ABSL_LOCKS_EXCLUDED(mutex_);
  // Begins a new manifest when the present one has grown. Called by whoever applies edits.
  void RollManifest() ABSL_LOCKS_EXCLUDED(mutex_);
  // The size at which a manifest that began with so many bytes is rolled over.
  uint64_t ManifestLimit(uint64_t begun_bytes) const;

  // engine_admin.cc
  // Asked by what takes long on behalf of a caller: an error once the database is closing.
  absl::Status GoOn() const ABSL_LOCKS_EXCLUDED(mutex_);
  absl::Status VerifyFiles();
  // Every byte of every log that counts. What is appended meanwhile is not looked at.
  absl::Status VerifyLogs() ABSL_LOCKS_EXCLUDED(mutex_);
  absl::Status VerifyManifest() ABSL_LOCKS_EXCLUDED(mutex_);

  // engine_read.cc
  absl::Status ResolveSnapshot(const ReadOptions& options, Sequence* sequence, uint64_t* now_ms) const;
  absl::Status GetAt(const ViewRef& view, const LookupKey& lookup, uint64_t now_ms, BlockPolicy blocks,
                     PinnedValue* value);
  absl::Status GetFromTables(const ReadView& view, const LookupKey& lookup, Sequence covering, uint64_t now_ms,
                             BlockPolicy blocks, PinnedValue* value);
  absl::Status ProbeTable(const LiveTable& table, const LookupKey& lookup, uint64_t hash, BlockPolicy blocks,
                          Sequence* covering, GetResult* result);

  // engine_background.cc
  void MaybeScheduleWork() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // For each iterator. When so many have merged level 0 with what lies below as would pay for compacting it, it is
  // compacted, however few tables it has (LevelDB's seek compactions, for iterators alone: filters spare gets).
  void CountIterator() ABSL_LOCKS_EXCLUDED(mutex_);
  // Begins to count anew: when level 0 gets its first table, and when a compaction has taken tables out of it. A wanted
  // compaction that waits for its turn meanwhile stays wanted.
  void RenewReadAllowance() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void StartCompaction(Compaction compaction, std::shared_ptr<ManualCompaction> manual)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ScheduleManual() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool ManualIsWaiting() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return !manual_.empty() && !manual_.front()->begun;
  }
  MergeOutputs OutputsFor(uint64_t table_bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void FinishFlush(const absl::Status& status, const FlushInfo& info) ABSL_LOCKS_EXCLUDED(mutex_);
  // Puts the records of a recovered log on disk for good: what recovery accepts must not be lost later, when
  // writes that come after it are durable. In place, so that a full disk keeps nobody from opening the database.
  absl::Status RewriteLog(const RecoveredDatabase::FoundLog& log);
  // Those who wait for background work that will not be done now, as far as it is not running.
  void TakeWaiters(std::vector<Done>* waiters) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void FinishCompaction(const Compaction& compaction, const std::shared_ptr<ManualCompaction>& manual,
                        const absl::Status& status, const CompactionInfo& info) ABSL_LOCKS_EXCLUDED(mutex_);
  void RemoveLogs(const std::vector<uint64_t>& numbers);
  void TakeFlushWaiters(std::vector<Done>* ready) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // Constant after construction.
  // Its files are files_.
  const base::Env env_;
  const std::string dir_;
  const std::string engine_dir_;
  const Options options_;
  const kv::Limits limits_;
  const CompactionSettings settings_;
  const Uuid database_id_;
  // Bound to the directory, which it keeps locked until the engine is closed. Shared with removals that come later.
  const std::shared_ptr<DatabaseFiles> files_;
  // Shared with tables that readers still hold after the database has closed.
  const std::shared_ptr<TableStore> tables_;
  // Shared with snapshots, likewise.
  const std::shared_ptr<SnapshotList> snapshots_;
  // Shared with iterators, likewise.
  const std::shared_ptr<std::atomic<bool>> closed_;
  const size_t memtable_bytes_;
  const uint64_t epoch_;
  const uint64_t recovered_records_;
  const uint64_t dropped_log_bytes_;

  std::atomic<uint64_t> next_file_number_;
  // What readers may see.
  std::atomic<Sequence> last_sequence_;
  std::atomic<uint64_t> last_commit_time_ms_;
  // The largest time that anybody was told: what has expired for one reader has expired for all who come later,
  // whatever becomes of the clock.
  mutable std::atomic<uint64_t> latest_ms_;
  std::atomic<bool> stopped_{false};
  // 0 to 1000: how near level 0 is to the point where writes stop.
  std::atomic<uint32_t> pressure_permille_{0};
  std::atomic<bool> level0_full_{false};
  EngineCounters counters_;
  // Iterators that are left until level 0 is compacted for their sake.
  std::atomic<int64_t> read_allowance_{0};
  ViewHolder views_;
  LogSet logs_;
  CommitQueue queue_;

  // The committing thread's; one at a time, handed on through the queue's mutex.
  std::shared_ptr<Memtable> memtable_;
  base::Random commit_random_;

  mutable base::Mutex mutex_;
  // As memtable_, for building views.
  std::shared_ptr<Memtable> active_ ABSL_GUARDED_BY(mutex_);
  // Oldest first.
  std::deque<std::shared_ptr<Memtable>> frozen_ ABSL_GUARDED_BY(mutex_);
  // Every memtable that a view was made with, as long as it lives: iterators and pinned values keep some that were
  // flushed long ago, and their memory counts as well.
  std::vector<std::weak_ptr<const Memtable>> viewed_ ABSL_GUARDED_BY(mutex_);
  ManifestState state_ ABSL_GUARDED_BY(mutex_);
  base::Random job_random_ ABSL_GUARDED_BY(mutex_);
  std::optional<Stop> stop_ ABSL_GUARDED_BY(mutex_);
  bool closing_ ABSL_GUARDED_BY(mutex_) = false;
  Done when_closed_ ABSL_GUARDED_BY(mutex_);
  // Closing has come so far that nothing may begin any more.
  bool at_rest_ ABSL_GUARDED_BY(mutex_) = false;
  int activities_ ABSL_GUARDED_BY(mutex_) = 0;
  bool sync_posted_ ABSL_GUARDED_BY(mutex_) = false;
  bool flushing_ ABSL_GUARDED_BY(mutex_) = false;
  int compacting_ ABSL_GUARDED_BY(mutex_) = 0;
  bool level0_wanted_ ABSL_GUARDED_BY(mutex_) = false;
  RunningCompactions running_ ABSL_GUARDED_BY(mutex_);
  // Shared with the compaction job that works for it.
  std::deque<std::shared_ptr<ManualCompaction>> manual_ ABSL_GUARDED_BY(mutex_);
  std::vector<FlushWaiter> flush_waiters_ ABSL_GUARDED_BY(mutex_);
  std::deque<PendingEdit> edits_ ABSL_GUARDED_BY(mutex_);
  bool applying_ ABSL_GUARDED_BY(mutex_) = false;
  StallState stall_ ABSL_GUARDED_BY(mutex_) = StallState::kNone;
  std::vector<LevelStats> level_work_ ABSL_GUARDED_BY(mutex_);
  uint64_t flushes_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t compactions_ ABSL_GUARDED_BY(mutex_) = 0;

  // Of whoever applies edits, one thread at a time; replaced under the mutex, so that others may take a share of it
  // there.
  std::shared_ptr<Manifest> manifest_;
  uint64_t manifest_limit_bytes_ = 0;
};

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_ENGINE_ENGINE_H_
