// The logs of an open database: the one that is written, older ones whose memtables are not
// flushed, those that are kept for the change feed, and who waits for a sync.
//
// Logs are synced in order, older ones first and the directory with them, so that what is durable
// is always a prefix of what was written. One thread syncs at a time and serves all who wait;
// requests that come meanwhile are served by the next round.
#ifndef BANDB_STORAGE_COMMIT_LOG_SET_H_
#define BANDB_STORAGE_COMMIT_LOG_SET_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "base/env.h"
#include "base/mutex.h"
#include "storage/commit/commit_queue.h"
#include "storage/file/file_header.h"
#include "storage/log/kept_log.h"
#include "storage/log/log_writer.h"

namespace bandb::storage {

class LogSet {
 public:
  LogSet(base::FileSystem* files, std::string engine_dir) : files_(files), engine_dir_(std::move(engine_dir)) {}

  // The committing thread's.
  // Creates the log `number` and writes to it from now on; ends the one before. The commit time of
  // `end_head` is the last one so far.
  // Errors: what the file system says. If the old log could not be ended, it is poisoned.
  // `*unmade`, if given, is set where the new one could not be made though the disk is not full:
  // then nothing was changed, and the next call may find it otherwise.
  absl::Status StartLog(uint64_t number, const FileHeader& header, const RecordHead& end_head, bool* unmade = nullptr)
      ABSL_LOCKS_EXCLUDED(mutex_);
  LogWriter* current() const { return current_writer_; }
  uint64_t number() const { return number_.load(std::memory_order_acquire); }
  // Everything up to this sequence was appended; `durable` if it is so from an earlier life of the
  // database.
  void NoteAppended(uint64_t sequence, bool durable = false) {
    appended_sequence_.store(sequence, std::memory_order_release);
    if (durable) NoteDurable(sequence);
  }
  // Everything up to this sequence is durable, here or in tables.
  void NoteDurable(uint64_t sequence) {
    uint64_t durable = durable_sequence_.load(std::memory_order_relaxed);
    // See changes::News::Tell.
    while (durable < sequence &&
           !durable_sequence_.compare_exchange_weak(durable, sequence, std::memory_order_seq_cst)) {
    }
  }
  // Nothing was appended to the present log, and what comes next has the sequence after this one,
  // and no earlier time: all up to it is in tables, and in no log what was between.
  void SkipTo(uint64_t sequence, uint64_t time_ms) ABSL_LOCKS_EXCLUDED(mutex_);
  // What was appended is a commit of users.
  void CountCommit() { commits_.store(commits_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed); }
  // Completes the request once what was appended so far is durable.
  void AddWaiter(WriteRequest* request) ABSL_LOCKS_EXCLUDED(mutex_);

  // Any thread's.
  // Everything up to this sequence is durable. See changes::News::Tell.
  uint64_t durable_sequence() const { return durable_sequence_.load(std::memory_order_seq_cst); }
  // True if a request waits and no sync is running.
  bool SyncNeeded() const ABSL_LOCKS_EXCLUDED(mutex_);
  // Syncs once and completes every request that it covered. Does nothing and answers OK if another
  // thread is syncing, or no request waits. Errors: the sync failed. All who waited were completed
  // with kUnknown, and so will be all who come.
  absl::Status SyncWaiting() ABSL_LOCKS_EXCLUDED(mutex_);
  // Logs of an earlier life of the database, found at recovery and already durable; oldest first,
  // those that are kept before those that are needed.
  void AddRecovered(const KeptLog& log, bool needed) ABSL_LOCKS_EXCLUDED(mutex_);
  // Logs below `needed_from`, whose content is in tables, are not needed. Those of them that hold
  // something and are durable are kept as long as the policy says; the numbers of all others are
  // returned, so that their files can be removed: this is the only place that lets a log go.
  std::vector<uint64_t> LetGo(uint64_t needed_from, const KeepPolicy& policy) ABSL_LOCKS_EXCLUDED(mutex_);
  // The logs from the first one that is kept up to below `number`, which have ended, and hold
  // something; as KeptLog has it if they are durable.
  std::vector<KeptLog> Describe(uint64_t number) const ABSL_LOCKS_EXCLUDED(mutex_);
  // Syncs everything, seals the current log and closes it. Called when nothing is written any more.
  // `bytes` is the length of the sealed log.
  absl::Status Seal(const RecordHead& seal_head, uint64_t* bytes) ABSL_LOCKS_EXCLUDED(mutex_);

  // How much of each log has been written, or was recovered.
  struct Extent {
    uint64_t number = 0;
    uint64_t bytes = 0;
  };
  // Of those that are needed, or only kept.
  std::vector<Extent> Extents() const ABSL_LOCKS_EXCLUDED(mutex_);
  std::vector<KeptLog> kept() const ABSL_LOCKS_EXCLUDED(mutex_);

  // For readers of the feed.
  // The log that has the operation of this sequence, or will have it; nothing if it is gone.
  std::optional<Extent> Find(uint64_t sequence) const ABSL_LOCKS_EXCLUDED(mutex_);
  // What can be read is from this sequence on.
  uint64_t OldestSequence() const ABSL_LOCKS_EXCLUDED(mutex_);
  // All logs, the present one last: as far as it was written, its last sequence left out.
  std::vector<KeptLog> All() const ABSL_LOCKS_EXCLUDED(mutex_);
  uint64_t TotalBytes() const ABSL_LOCKS_EXCLUDED(mutex_);
  // Errors: kInternal the logs do not follow one another.
  absl::Status CheckInvariants() const ABSL_LOCKS_EXCLUDED(mutex_);
  uint64_t syncs() const { return syncs_.load(std::memory_order_relaxed); }

 private:
  struct Log {
    // Of the present one the end is not known.
    KeptLog what;
    // Shared with a sync that is under way when the log is dropped. Null for a recovered log.
    std::shared_ptr<LogWriter> writer;
    bool durable = false;  // wholly, and never written again
  };

  KeptLog Describe(const Log& log) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status SyncLogs(const std::vector<std::shared_ptr<LogWriter>>& writers, bool entries);

  base::FileSystem* const files_;
  const std::string engine_dir_;
  LogWriter* current_writer_ = nullptr;
  std::atomic<uint64_t> number_{0};
  std::atomic<uint64_t> syncs_{0};
  std::atomic<uint64_t> appended_sequence_{0};
  std::atomic<uint64_t> durable_sequence_{0};
  // Of users, in the present log.
  std::atomic<uint64_t> commits_{0};

  // Whether waiting_ holds anybody, for those who ask often.
  std::atomic<bool> anybody_waits_{false};

  mutable base::Mutex mutex_;
  // Oldest first; the last is the current one.
  std::vector<Log> logs_ ABSL_GUARDED_BY(mutex_);
  // Older than all of these, oldest first.
  std::vector<KeptLog> kept_ ABSL_GUARDED_BY(mutex_);
  bool entries_synced_ ABSL_GUARDED_BY(mutex_) = true;
  bool syncing_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);
  std::vector<WriteRequest*> waiting_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_COMMIT_LOG_SET_H_
