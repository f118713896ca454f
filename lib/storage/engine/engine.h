// The storage engine: a log-structured merge tree (O'Neil et al., 1996) in the manner of LevelDB,
// step-driven.
//
// Writes go through the commit queue into the log and the memtable; a full memtable is frozen and
// flushed into a table of level 0; compactions keep the levels in shape; a manifest edit is the
// only thing that changes what the database consists of. Readers take a view of memtables and
// version without a lock.
//
// No call waits: what cannot be done now is left in a queue, and background work runs as jobs on
// the executor. Waiting is the façade's (db.cc). The parts:
//
//   engine.cc             opening, closing, stopping after an error; views; invariants
//   engine_write.cc       committing groups; freezing memtables
//   engine_read.cc        gets, iterators, snapshots; engine_range.cc what a range holds, about
//   engine_ingest.cc      committing tables
//   engine_background.cc  flushes, and what is begun when; engine_compaction.cc compactions
//   engine_job_end.cc     how they end, and what follows when they fail
//   engine_admin.cc       compacting on demand, checkpoint, verification, statistics
//   engine_changes.cc     what the change feed has of the engine: logs that are kept, cursors written down
//   engine_replica.cc     the same engine without a log of its own, in a node of a cluster
//   engine_install.cc     another state in place of a replica's own
//   engine_read_only.cc   the same engine over a database that it only reads
//   recovery.cc           what Open finds on disk
//
// Its state is kept by parts that know nothing of each other: Lifecycle the phases and what stopped
// writes, VersionSet what the database consists of, CompactionSchedule what runs in the background
// and comes next, CommitQueue the order of writes, LogSet the logs. Lock order: the engine's mutex
// before that of any part; a part calls out with none held.
#ifndef BANDB_STORAGE_ENGINE_ENGINE_H_
#define BANDB_STORAGE_ENGINE_ENGINE_H_

#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "bandb/event_listener.h"
#include "bandb/options.h"
#include "bandb/pinned_value.h"
#include "bandb/snapshot.h"
#include "bandb/stats.h"
#include "base/env.h"
#include "base/mutex.h"
#include "kv/host_code.h"
#include "kv/limits.h"
#include "storage/commit/commit_queue.h"
#include "storage/commit/log_set.h"
#include "storage/compaction/compaction_schedule.h"
#include "storage/compaction/snapshot_list.h"
#include "storage/compaction/table_merge.h"
#include "storage/engine/back_off.h"
#include "storage/engine/engine_counters.h"
#include "storage/engine/engine_feed.h"
#include "storage/engine/engine_lifecycle.h"
#include "storage/engine/feed_gate.h"
#include "storage/engine/job_end.h"
#include "storage/engine/read_only_recovery.h"
#include "storage/engine/recovery.h"
#include "storage/engine/replica_position.h"
#include "storage/engine/wake_up.h"
#include "storage/engine/work_pace.h"
#include "storage/log/log_reader.h"
#include "storage/read/db_iterator.h"
#include "storage/read/read_view.h"
#include "storage/version/version_set.h"

namespace bandb::internal {
class CheckpointSink;
}

namespace bandb::storage {

// Thread safety: every method may be called from any thread.
class Engine final : private CommitQueue::Committer, private VersionSet::Owner {
 public:
  // `options` have been validated. `replica`: only EngineReplica gives one, and is its only writer.
  // Errors: as Db::Open.
  static absl::StatusOr<std::unique_ptr<Engine>> Open(const base::Env& env, const std::string& dir,
                                                      const Options& options, const ReplicaStart* replica = nullptr);
  // A database that is only read; see Db::OpenReadOnly.
  static absl::StatusOr<std::unique_ptr<Engine>> OpenReadOnly(const base::Env& env, const std::string& dir,
                                                              const Options& options);
  // After Close has finished, or an Open that failed.
  ~Engine() override;

  // The clock that times to live are compared with. Never goes back, not even over a restart as far
  // as the manifest tells. A replica's is that of the log.
  uint64_t NowMs() const;

  // Writing. The request is completed once, perhaps before this returns.
  void Submit(WriteRequest* request) { queue_.Submit(request); }
  // The calling thread commits nothing that may wait for a disk, or takes long.
  void SubmitUnwaiting(WriteRequest* request) { queue_.SubmitUnwaiting(request); }
  bool Cancel(WriteRequest* request) { return queue_.Cancel(request); }
  // Syncs the log if a write waits for that and no sync is running.
  void SyncWaiting();
  // Schedules SyncWaiting if a write waits.
  void SyncInBackground();
  // How long a writer of so many bytes should wait, so that compactions keep up; 0 if they do.
  int64_t WriteDelayNanos(uint64_t bytes) const;
  void CountStall(int64_t nanos);
  // True while no write can be committed.
  bool Stalled() const { return queue_.Parked(); }
  const kv::WriteLimits& limits() const { return limits_; }

  // Reading.
  absl::Status Get(std::string_view key, const ReadOptions& options, PinnedValue* value);
  std::vector<absl::StatusOr<std::string>> MultiGet(absl::Span<const std::string_view> keys,
                                                    const ReadOptions& options);
  std::unique_ptr<Iterator> NewIterator(const ReadOptions& options);
  Snapshot GetSnapshot();
  // See Db::ApproximateSize.
  struct RangeFigures {
    uint64_t bytes = 0;
    uint64_t keys = 0;
  };
  absl::StatusOr<RangeFigures> Approximate(std::string_view begin, std::string_view limit);

  // Memory that counts, of what is on its way to the engine: added and taken away by its owner.
  std::atomic<uint64_t>* working_bytes() { return tables_->cache()->working_bytes(); }

  // Keeps Close from finishing: for what runs on behalf of a caller in the background. False if the
  // engine is closing.
  bool Enter() { return lifecycle_.Enter(); }
  void Leave() { lifecycle_.Leave(); }

  // The change feed. Not of a replica, which has no log.
  EngineFeed& feed() { return feed_; }
  const std::shared_ptr<FeedGate>& feed_gate() const { return feed_gate_; }
  // Writes down the cursors that have moved, within a second.
  void WriteCursorsSoon() ABSL_LOCKS_EXCLUDED(mutex_);
  // Removes the files of logs that were let go.
  void RemoveLogs(const std::vector<uint64_t>& numbers);
  // Has what was appended synced in the background, for readers who may see only what is durable;
  // now and then, however often it is called: in so many nanoseconds it may be done again.
  int64_t SyncForReaders() ABSL_LOCKS_EXCLUDED(mutex_);
  const base::Env& env() const { return env_; }
  // Errors: kFailedPrecondition it was opened for reading only, and so no cursor can be written.
  absl::Status CheckCursorsWritable() const { return read_only_ ? lifecycle_.MayWrite() : absl::OkStatus(); }
  // Errors: kFailedPrecondition the logs were left aside, for somebody else writes them.
  absl::Status CheckFeed() const;
  // Until the database closes.
  bool MayContinue() const { return !lifecycle_.IsClosing(); }

  // Administration. Each `done` is run once, on an executor thread or inside the call, without
  // locks held.
  using Done = Lifecycle::Done;
  // Once everything in frozen memtables is in tables.
  void WhenFlushed(Done done);
  // Compacts level by level what holds keys of [begin, limit), and at last what was in the last
  // level; empty: unbounded.
  void CompactRange(std::string_view begin, std::string_view limit, Done done);
  // See Db::PauseCompactions.
  absl::Status PauseCompactions();
  absl::Status ContinueCompactions() ABSL_LOCKS_EXCLUDED(mutex_);
  absl::Status CreateCheckpoint(const std::string& dir, internal::CheckpointSink* sink = nullptr, uint64_t cut_ms = 0);
  absl::Status VerifyChecksums();
  absl::Status Resume();
  // See Db::AcceptClock. Not of a replica, whose time is the log's.
  void AcceptClock(Done done);
  Stats GetStats() const;
  // Code of the application threw, and the exception ended here.
  void NoteException(std::string_view code);

  // Refuses everything from now on and stops background work; `done` once nothing runs any more.
  void BeginClose(Done done);
  // After that: seals the log and closes the files.
  absl::Status FinishClose();

  // For tests, before the first write.
  void SetLogBytesMax(uint64_t bytes) { log_bytes_max_ = bytes; }
  // Between two steps of a simulation, while no call runs. Errors: kInternal what contradicts what.
  absl::Status CheckInvariants() ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  friend class EngineReplica;
  friend class EngineIngest;
  struct FlushWaiter {
    uint64_t log_number = 0;  // memtables of logs below this
    Done done;
  };
  // What a get does about blocks that are not in the cache; see ReadOptions.
  struct BlockPolicy {
    bool fill_cache = true;
    bool only_cached = false;
  };
  // kRefused: nothing was changed, and only the caller is told. kFailed: writes stop.
  enum class Room : uint8_t { kYes, kStalled, kRefused, kFailed };
  // Background work; see engine_background.cc and engine_changes.cc.
  class Work;
  class FlushWork;
  class CompactionWork;
  class ClockEdit;
  class WorkJob;
  class DurableLogs;
  class CursorWrite;
  class ReaderSync;

  Engine(const base::Env& env, std::string dir, const Options& options, std::shared_ptr<DatabaseFiles> files,
         bool is_replica);

  // engine.cc
  absl::Status Start(RecoveredDatabase recovered);
  // Puts the records of a recovered log on disk for good: what recovery accepts must not be lost
  // later, when writes that come after it are durable. A second sync of the file would not do: if
  // the first one failed, the kernel has forgotten which pages it still owes, and answers OK. In
  // place, so that a database opens on a full disk, too.
  absl::Status RewriteLog(const RecoveredDatabase::FoundLog& log);
  // Begins a log and a manifest, with which the database is open. Until the second counts, an error
  // leaves on disk what was there.
  absl::Status StartFiles(uint64_t log_number, ManifestState state, std::vector<std::string>* orphans);
  FileHeader Header(FileType type, base::Random* random) const;
  void InstallView(ViewHolder::Retired* retired) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  class ReadersCharge;
  // Has the memory of memtables that leave the view counted for as long as readers keep them.
  void ChargeViewed(const ReadView& view) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Whether the budget has room for what one more iterator keeps.
  absl::Status CheckRoomForIterator() const;
  // `resumes_seen`: from before the error. A full disk of before a Resume stops nothing.
  void StopWrites(const absl::Status& status, uint64_t resumes_seen) ABSL_LOCKS_EXCLUDED(mutex_);
  // A full disk stops the writes of a buffer: what is due to be forgotten goes all the same.
  bool IsFullBuffer() const;
  void DropSome() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Tells the listener, if there is one.
  template <typename Tell>
  void TellListener(const Tell& tell) ABSL_LOCKS_EXCLUDED(mutex_);
  // Takes the waiters whose background work has not started and will not be done now.
  void TakeWaiters(std::vector<Done>* waiters) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  static uint64_t WallMs(base::Clock* clock);
  // How far NowMs, as far as it is known, is ahead of the system's clock.
  uint64_t AheadMs() const;
  // What merges go by: a replica's is that of the position in the manifest.
  uint64_t EditTimeMs() const override;
  void UpdateStall() ABSL_LOCKS_EXCLUDED(mutex_);
  absl::Status CheckMemtables() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Has all requests that wait for room try again.
  void Unpark() ABSL_LOCKS_EXCLUDED(mutex_);

  // engine_read_only.cc
  absl::Status StartReading(ReadOnlyDatabase database);
  // What the manifest says of the feed, of which nothing is let go.
  void StartFeedToRead(RecoveredDatabase* recovered);
  absl::Status VerifyManifestRead() const;

  // engine_changes.cc
  // What the manifest will say of epochs and of logs that are kept.
  EngineFeed::Flushed FlushedSequences() const;
  void StartFeed(const RecoveredDatabase& recovered, ManifestState* state);
  // `recovered_some`: logs held operations of the system.
  void LoadCursors(bool recovered_some);
  // Without reading a table.
  bool MayHaveCursors() const;
  absl::Status ReadCursors();
  // The edit of a flush, applied once the logs that it makes unneeded are durable, if kept.
  void ApplyFlush(PendingEdit edit) ABSL_LOCKS_EXCLUDED(mutex_);
  // What it says of the logs that are kept from then on.
  void KeepLogs(const ManifestState& present, VersionEdit* edit) const;
  void WriteCursors() ABSL_LOCKS_EXCLUDED(mutex_);
  // After that; `again`: if some have moved meanwhile, they are written down, too.
  void CursorsWritten(bool again) ABSL_LOCKS_EXCLUDED(mutex_);
  // Lets kept logs go until so much is free, or none is left.
  absl::StatusOr<uint64_t> FreeBytesOf(uint64_t wanted_bytes);

  // engine_replica.cc
  // Has the position that was found, or that a replica begins with, in `state`.
  void StartPosition(const ReplicaStart& start, ManifestState* state);
  absl::Status CheckPositions() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Up to which a replica's entries are in frozen memtables or tables.
  uint64_t FrozenIndex() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Of frozen_, from the front on. Not those with what the log of a replica's owner may forget.
  size_t FlushableMemtables() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // engine_install.cc
  // `edit` has replaced all tables: has memory follow.
  void ReplaceState(const VersionEdit& edit, std::vector<Done>* abandoned) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // engine_write.cc
  bool CommitGroup(const CommitQueue::Group& group) override;
  bool MayBlock(const CommitQueue::Group& group) override;
  void AfterBackgroundCommits() override { SyncInBackground(); }
  // In the memtable, and in its log.
  bool HasRoomFor(uint64_t operations, uint64_t payload_bytes) const;
  Room MakeRoom(uint64_t operations, uint64_t payload_bytes, absl::Status* failure);
  // Freezes the memtable and begins one of this capacity, unless too much is frozen already; or, if
  // nobody asks for a flush while compactions are paused, unless level 0 is full.
  Room FreezeIfRoom(size_t capacity_bytes, bool is_asked, absl::Status* failure);
  bool MayFreeze(bool is_asked) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Room Freeze(size_t capacity_bytes, absl::Status* failure);
  // OK while writes that find no room may wait for a flush. Else why none succeeds.
  absl::Status FlushFailure() const ABSL_LOCKS_EXCLUDED(mutex_);
  // The time to commit at, at which the conditions hold.
  absl::StatusOr<uint64_t> CommitTime(Space space, std::string_view conditions);
  // `until` becomes the expiry of the value for which it holds, if that is earlier.
  absl::StatusOr<bool> HoldsNow(Space space, const kv::Condition& condition, absl::Time* until);
  absl::Status AppendToLog(const CommitQueue::Group& group, const RecordHead& head);
  // What was appended to the log, for all to see.
  void PublishGroup(const CommitQueue::Group& group, Sequence first, Sequence last, uint64_t now_ms);
  void InsertGroup(const CommitQueue::Group& group, Sequence first, uint64_t now_ms);

  // engine_ingest.cc
  // The edit is durable: the log goes on after what it adds. Returns the logs that go.
  std::vector<uint64_t> SkipLogs(const VersionEdit& edit) ABSL_LOCKS_EXCLUDED(mutex_);
  // And it is installed: what it adds is there for all to see.
  void PublishIngest(const VersionEdit& edit) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // engine_admin.cc
  // NowMs goes by the clock again.
  void ForgetAhead();
  absl::Status VerifyFiles();
  // Every byte of every log that is needed, or only kept; not what is appended meanwhile.
  absl::Status VerifyLogs(bool kept) ABSL_LOCKS_EXCLUDED(mutex_);
  absl::Status VerifyManifest() ABSL_LOCKS_EXCLUDED(mutex_);

  // engine_read.cc
  class ReadTime;
  absl::Status GetIn(Space space, std::string_view key, const ReadOptions& options, PinnedValue* value);
  // `sequence` becomes that of what was read.
  absl::Status GetOnce(Space space, std::string_view key, const ReadOptions& options, ReadTime* time,
                       Sequence* sequence, PinnedValue* value);
  std::unique_ptr<Iterator> NewIteratorIn(Space space, const ReadOptions& options);
  // Within the bounds of `options`, whose snapshot is left aside, and whatever the memory budget
  // has room for: for a caller that lets go of it soon.
  std::unique_ptr<Iterator> NewIteratorAt(ViewRef view, Space space, Sequence sequence, uint64_t now_ms,
                                          const ReadOptions& options);
  absl::Status ResolveSnapshot(const ReadOptions& options, const ReadView& view, Sequence* sequence,
                               ReadTime* time) const;
  // The present view, or the one that the snapshot keeps.
  ViewRef ViewFor(const ReadOptions& options);
  absl::StatusOr<Sequence> SnapshotSequence(const Snapshot& snapshot);
  // `newest` is the sequence of the entry in a memtable that decided; 0 if it was none.
  absl::Status GetAt(const ViewRef& view, const LookupKey& lookup, ReadTime* time, BlockPolicy blocks,
                     PinnedValue* value, Sequence* newest);
  absl::Status GetFromTables(const ReadView& view, const LookupKey& lookup, uint64_t hash, Sequence covering,
                             ReadTime* time, BlockPolicy blocks, PinnedValue* value);
  struct TableProbe;
  class ProbeCount;
  absl::Status ProbeTable(TableProbe* probe, const LookupKey& lookup, uint64_t hash, BlockPolicy blocks,
                          Sequence* covering, GetResult* result) const;

  // engine_space.cc
  // Has it looked again for space to give back when a table has expired, or a snapshot is gone.
  void AwaitSpace(uint64_t now_ms) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void LookForSpace(WakeUp::Timer timer) ABSL_LOCKS_EXCLUDED(mutex_);
  // In the background; then it looks for space once more: see PickForSpace.
  void OpenTables(std::vector<TablePtr> tables) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // engine_background.cc
  void MaybeScheduleWork() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void StartFlush() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void StartCompaction(Compaction compaction, uint64_t now_ms) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // For each iterator; see ReadAllowance.
  void CountIterator() ABSL_LOCKS_EXCLUDED(mutex_);
  // Of tables of a level.
  MergeOutputs OutputsFor(int level) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  FileHeader NewHeader(FileType type) override ABSL_LOCKS_EXCLUDED(mutex_);
  absl::Status MayWriteEdit() const override { return lifecycle_.StopCause(); }
  void InstallEdit(PendingEdit* edit) override ABSL_LOCKS_EXCLUDED(mutex_);
  void ManifestFailed(const absl::Status& status) override { StopWrites(status, lifecycle_.resumes()); }

  // engine_job_end.cc
  // `generation` and `take_backs`: as they were when the damage was looked for; verdicts of before
  // do not count.
  void SetAside(const std::vector<TableDamage>& damaged, uint64_t generation, uint64_t take_backs)
      ABSL_LOCKS_EXCLUDED(mutex_);
  void FinishFlush(const JobEnd& end, const FlushInfo& info) ABSL_LOCKS_EXCLUDED(mutex_);
  void FinishCompaction(Compaction compaction, const JobEnd& end, const CompactionInfo& info)
      ABSL_LOCKS_EXCLUDED(mutex_);
  void TakeFlushWaiters(std::vector<Done>* ready) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // What becomes of the database when a job of the background fails.
  void JobFailed(const JobEnd& end, bool is_flush) ABSL_LOCKS_EXCLUDED(mutex_);
  // Another try has failed: runs TryAgain(timer) after a while.
  void WaitThenTry(BackOff* back_off, WakeUp::Timer timer) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void TryAgain(WakeUp::Timer timer) ABSL_LOCKS_EXCLUDED(mutex_);
  void Wake(WakeUp::Timer timer) ABSL_LOCKS_EXCLUDED(mutex_);

  // Constant after construction.
  const bool is_replica_;
  // Its files are files_.
  const base::Env env_;
  const std::string dir_;
  const std::string engine_dir_;
  const Options options_;
  const kv::WriteLimits limits_;
  const CompactionSettings settings_;
  const size_t memtable_bytes_;
  // Bound to the directory, which it keeps locked until the engine is closed. Shared with removals
  // that come later.
  const std::shared_ptr<DatabaseFiles> files_;
  // The end of a snapshot is news for the picker, which has not been told yet.
  std::atomic<bool> waits_for_snapshot_{true};
  const std::shared_ptr<WakeUp> wake_up_;
  WorkPace pace_;
  // Shared with snapshots, which may outlive the database.
  const std::shared_ptr<SnapshotList> snapshots_;

  // Constant once Start has run.
  Uuid database_id_;
  // Shared with tables that readers still hold after the database has closed.
  std::shared_ptr<TableStore> tables_;
  uint64_t epoch_ = 0;
  uint64_t recovered_records_ = 0;
  uint64_t dropped_log_bytes_ = 0;
  // Only read: then nothing of the directory is locked or changed, and the memtables stay. What was
  // read, and what the memtables take beyond the write buffer, which the cache does without.
  bool read_only_ = false;
  bool as_of_last_flush_ = false;
  std::string read_manifest_;
  uint64_t read_manifest_bytes_ = 0;
  uint64_t kept_memtable_bytes_ = 0;
  BlockCache::PinnedCharge kept_memtable_charge_;

  // What readers may see.
  std::atomic<Sequence> last_sequence_{0};
  std::atomic<uint64_t> last_commit_time_ms_{0};
  // The largest time that anybody was told: what has expired for one reader has expired for all who
  // come later, whatever becomes of the clock.
  mutable std::atomic<uint64_t> latest_ms_{0};
  // As PressureOf has it for the present version.
  std::atomic<uint32_t> pressure_permille_{0};
  std::atomic<bool> level0_full_{false};
  EngineCounters counters_;
  ReadAllowance read_allowance_;
  Lifecycle lifecycle_;
  ViewHolder views_;
  LogSet logs_;
  EngineFeed feed_;
  const std::shared_ptr<FeedGate> feed_gate_;
  CommitQueue queue_;
  VersionSet versions_;
  // Counts the states that have taken the place of another; changes under the mutex. Shared with
  // views, which iterators may keep for longer than the engine lives.
  const std::shared_ptr<std::atomic<uint64_t>> generation_ = std::make_shared<std::atomic<uint64_t>>(0);

  // The committing thread's; one at a time, handed on through the queue's mutex.
  base::Random commit_random_;
  // A log that has so many bytes ends, however little of them its memtable holds: far below what
  // Open reads of one.
  uint64_t log_bytes_max_ = kLogFileBytesMax / 2;
  // The memtable that is written. Replaced by the committing thread alone, or by an install for
  // which a replica's writer waits, under the mutex: so that thread may use it without the mutex,
  // and any other under it.
  std::shared_ptr<Memtable> memtable_;
  // Of an install that is under way: what will take the place of memtable_.
  std::shared_ptr<Memtable> installed_memtable_;
  // Of a replica, its writer's: what all memtables and tables together hold.
  ReplicaPosition applied_;

  mutable base::Mutex mutex_;
  // Oldest first.
  std::deque<std::shared_ptr<Memtable>> frozen_ ABSL_GUARDED_BY(mutex_);
  // Of a replica: how far each of frozen_ goes, by its log number; the index up to which its
  // owner's log is durable; and the requests that wait for room.
  std::map<uint64_t, ReplicaPosition> frozen_positions_ ABSL_GUARDED_BY(mutex_);
  uint64_t durable_log_index_ ABSL_GUARDED_BY(mutex_) = 0;
  std::function<void()> room_waiter_ ABSL_GUARDED_BY(mutex_);
  // The memtables of the present view.
  std::vector<std::weak_ptr<const Memtable>> viewed_ ABSL_GUARDED_BY(mutex_);
  base::Random job_random_ ABSL_GUARDED_BY(mutex_);
  // The last sequence that was reserved for an ingest.
  Sequence reserved_sequence_ ABSL_GUARDED_BY(mutex_) = 0;
  bool sync_posted_ ABSL_GUARDED_BY(mutex_) = false;
  // A timer will have cursors written down, or they are being written: by one write at a time.
  bool cursors_due_ ABSL_GUARDED_BY(mutex_) = false;
  // Before that no sync is made for readers.
  int64_t reader_sync_due_nanos_ ABSL_GUARDED_BY(mutex_) = INT64_MIN;
  // While they wait, no flush and no compaction is begun, and nothing is taken back.
  BackOff flush_back_off_ ABSL_GUARDED_BY(mutex_){100'000'000, 6};
  BackOff compaction_back_off_ ABSL_GUARDED_BY(mutex_){100'000'000, 6};
  BackOff take_back_back_off_ ABSL_GUARDED_BY(mutex_){1'000'000'000, 6};
  // Of so many flushes in a row that nobody is to wait for the next.
  absl::Status flush_failure_ ABSL_GUARDED_BY(mutex_);
  // The tables that the listener knows to be set aside, from the last Resume on.
  std::set<uint64_t> told_damaged_ ABSL_GUARDED_BY(mutex_);
  CompactionSchedule schedule_ ABSL_GUARDED_BY(mutex_);
  // What the last timer of AwaitSpace waits for; UINT64_MAX: it has come. Those before it do
  // nothing.
  uint64_t expiry_timer_ms_ ABSL_GUARDED_BY(mutex_) = UINT64_MAX;
  WakeUp::Timer last_timer_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<FlushWaiter> flush_waiters_ ABSL_GUARDED_BY(mutex_);
  StallState stall_ ABSL_GUARDED_BY(mutex_) = StallState::kNone;
  std::vector<LevelStats> level_work_ ABSL_GUARDED_BY(mutex_);
  uint64_t flushes_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t compactions_ ABSL_GUARDED_BY(mutex_) = 0;
};

template <typename Tell>
void Engine::TellListener(const Tell& tell) {
  if (options_.listener == nullptr) return;
  if (!kv::RunContained([&]() { tell(options_.listener); })) NoteException("the listener");
}

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_ENGINE_ENGINE_H_
