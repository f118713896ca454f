// ChangeIndex: which of the entries in a node's log were commits, for readers of the change feed.
//
// The log has what was proposed. What became of it, which commands had an effect and which
// sequences their operations got, the log does not say, and it cannot be found out once the state
// has gone on. So the node notes it down for each entry that it applies, in files beside the log
// (change_file.h), with the place of the entry's record. All of it follows from the log, so that
// every member notes the same, but for the places.
//
// What was noted lies in memory until it is written. It must be durable before the engine makes
// durable what came of these entries, for after a crash only later ones are applied again; so the
// owner has the engine wait for `durable`. Where the disk is full, what is kept for readers goes
// first. Where it cannot be written all the same, nobody waits: what was noted is forgotten, and
// readers that are further back are told so. But for a descriptor it waits however long that takes,
// and forgets nothing: without any the engine would not go on, either.
//
// It reaches back as far as the log. Readers on other threads read its files and those of the log
// by themselves; they share with the node's thread no more than a mutex for a moment.
#ifndef BANDB_CLUSTER_CHANGE_INDEX_H_
#define BANDB_CLUSTER_CHANGE_INDEX_H_

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/executor.h"
#include "base/logger.h"
#include "base/mutex.h"
#include "base/random.h"
#include "changes/news.h"
#include "cluster/change_file.h"
#include "cluster/log_files.h"

namespace bandb::cluster {

// Thread safety: any thread, but where it says the node's. Lifetime: shared by the node, readers
// and what writes it; executor and logger outlive what is posted.
class ChangeIndex : public std::enable_shared_from_this<ChangeIndex> {
 public:
  struct Parts {
    LogDirectory directory;
    base::Executor* executor = nullptr;
    base::Logger* logger = nullptr;
    // Runs a task in a later turn of the node's thread; called from any thread.
    std::function<void(base::Task)> post;
    // On the node's thread, not from inside a call: all up to this entry is durable, or forgotten.
    std::function<void(raft::Index durable)> durable;
    // On the node's thread, from inside: there is no room for what was noted, or it is forgotten;
    // what is kept for readers is to go.
    std::function<void(std::string_view why)> let_go = [](std::string_view) {};
    // On the node's thread, from inside: nothing can be written, with kUnavailable for want of a
    // descriptor, and for long, or with kResourceExhausted for want of room, though what was kept
    // for readers is gone. `durable` is not told meanwhile. With OK, that is over.
    std::function<void(const absl::Status& status)> waits = [](const absl::Status&) {};
    base::Random random;
  };
  // How far a reader has come in which file.
  struct Spot {
    uint64_t number = 0;
    uint64_t offset = 0;
  };
  // So many entries a stretch has at the most that readers are given.
  static constexpr size_t kStretchMax = 512;

  // `state`: what is durably applied; `floor`: the entry after which the log begins. Waits for the
  // disk. What is there and cannot be used is forgotten. Errors: what the file system says.
  static absl::StatusOr<std::shared_ptr<ChangeIndex>> Open(Parts parts, const ChangeBound& state, raft::Index floor);

  // The node's thread: the next entry was applied.
  void Append(ChangeEntry entry) ABSL_LOCKS_EXCLUDED(mutex_);
  // The node's thread: `durable` is to be told of all that was appended.
  void MakeDurable() ABSL_LOCKS_EXCLUDED(mutex_);
  // The node's thread: another state has taken the place of the one before, and what led to it is
  // not known.
  void Restart(const ChangeBound& state) ABSL_LOCKS_EXCLUDED(mutex_);
  // The node's thread, before anything is deleted: the log begins after this entry.
  void SetFloor(raft::Index floor) ABSL_LOCKS_EXCLUDED(mutex_);
  // The node's thread: nothing is appended any more, and nobody told.
  void End() ABSL_LOCKS_EXCLUDED(mutex_);

  // All up to here can be read.
  ChangeBound applied() const ABSL_LOCKS_EXCLUDED(mutex_);
  bool ended() const { return ended_.load(std::memory_order_seq_cst); }
  // The sequence of applied(), for those that wait for news of it.
  uint64_t applied_sequence() const { return applied_sequence_.load(std::memory_order_seq_cst); }
  // Told when it has moved, and at the end.
  changes::News news;

  // Reads that wait for the disk; `directory` is what the log is read with, too. Errors:
  // kOutOfRange what comes next is gone; kDataLoss damaged; what the file system says.
  const LogDirectory& directory() const { return parts_.directory; }
  // The entries after an index, at least one, which there are.
  absl::StatusOr<ChangeStretch> AfterIndex(raft::Index index, Spot* spot) const ABSL_LOCKS_EXCLUDED(mutex_);
  // Those from the first one on that goes beyond a sequence.
  absl::StatusOr<ChangeStretch> AfterSequence(uint64_t sequence, Spot* spot) const ABSL_LOCKS_EXCLUDED(mutex_);
  // The oldest place from which one can read on. It is looked for in a file once, for each floor.
  absl::StatusOr<ChangeBound> Oldest() const ABSL_LOCKS_EXCLUDED(mutex_);
  // One before which no entry is as late, as near as can be told without a search.
  ChangeBound Before(uint64_t time_ms) const ABSL_LOCKS_EXCLUDED(mutex_);
  // Whether entries up to this one may be gone.
  bool IsGone(raft::Index index) const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  struct File {
    uint64_t number = 0;
    ChangeBound before;
    raft::Index last = 0;  // what it says of entries after that does not count
  };
  struct Output;
  struct Round;
  class Recovery;
  using Passed = std::function<bool(const ChangeBound&)>;

  explicit ChangeIndex(Parts parts) : parts_(std::move(parts)) {}

  absl::Status Recover(const ChangeBound& state) ABSL_LOCKS_EXCLUDED(mutex_);
  std::string PathOf(uint64_t number) const { return base::JoinPath(parts_.directory.path, ChangeFileName(number)); }
  // The stretch whose first entry is the first that has passed a place. Empty: the place is before
  // all that is known, or at the end of it.
  absl::StatusOr<ChangeStretch> Find(const Passed& passed, Spot* spot) const ABSL_LOCKS_EXCLUDED(mutex_);
  // False: it is in this file.
  bool FindInMemory(const Passed& passed, ChangeStretch* stretch, File* file) const ABSL_LOCKS_EXCLUDED(mutex_);
  absl::StatusOr<ChangeStretch> FindInFile(const File& file, const Passed& passed, Spot* spot) const;
  absl::StatusOr<ChangeStretch> FindKept(const Passed& passed, Spot* spot) const ABSL_LOCKS_EXCLUDED(mutex_);

  void WriteSome() ABSL_LOCKS_EXCLUDED(mutex_);
  static absl::Status Write(const ChangeIndex& index, Round* round);
  void FinishWrite(const std::shared_ptr<Round>& round) ABSL_LOCKS_EXCLUDED(mutex_);
  // Whether a write that has failed is to be made again, and has it made.
  bool TryAgain(const Round& round);
  // The owner is told what it waits for, and in EndWait that it waits no more.
  void TellWait(const absl::Status& status, std::string_view what);
  void EndWait();
  void Forget(const ChangeBound& state) ABSL_LOCKS_EXCLUDED(mutex_);
  void Remove(const std::vector<uint64_t>& numbers) const;

  Parts parts_;
  std::atomic<uint64_t> applied_sequence_{0};
  std::atomic<bool> ended_{false};

  // The node's thread alone.
  std::shared_ptr<Output> output_;  // the present file; none before the next write
  bool writing_ = false;
  int tries_ = 0;
  int waits_ = 0;  // writes in a row that found no descriptor
  bool wait_told_ = false;
  uint64_t generation_ = 0;  // one more each time that all is forgotten
  uint64_t next_number_ = 1;
  raft::Index wanted_ = 0;   // is to be durable
  raft::Index written_ = 0;  // is durable, or forgotten
  bool begins_ = true;       // the next file voids those before it

  mutable base::Mutex mutex_;
  ChangeBound begin_ ABSL_GUARDED_BY(mutex_);  // nothing is known of what came before
  raft::Index floor_ ABSL_GUARDED_BY(mutex_) = 0;
  // That of an index in a file, as Oldest has found it last.
  mutable ChangeBound oldest_ ABSL_GUARDED_BY(mutex_);
  std::vector<File> files_ ABSL_GUARDED_BY(mutex_);
  // In memory: what is not written, and a little of what is.
  ChangeBound tail_before_ ABSL_GUARDED_BY(mutex_);
  std::deque<ChangeEntry> tail_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace bandb::cluster

#endif  // BANDB_CLUSTER_CHANGE_INDEX_H_
