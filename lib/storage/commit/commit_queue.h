// The queue that puts writes in order and makes groups of them.
//
// A writer that finds the queue idle becomes its leader and commits, group by group, until it is
// empty; every other one leaves its request and waits for the completion, or does not wait. So an
// uncontended write runs wholly on its caller's thread, and writers that meet share one log record.
// Nothing here waits: when a group cannot be committed because the store is stalled, the queue is
// parked with its requests, and Unpark has a background task go on with them.
#ifndef BANDB_STORAGE_COMMIT_COMMIT_QUEUE_H_
#define BANDB_STORAGE_COMMIT_COMMIT_QUEUE_H_

#include <atomic>
#include <cstdint>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "base/executor.h"
#include "base/mutex.h"
#include "kv/batch_format.h"

namespace bandb::storage {

struct IngestCommit;

// One write on its way. The bytes that it refers to must stay until it is committed or failed.
class WriteRequest {
 public:
  virtual ~WriteRequest() = default;
  // Called once, with the outcome, by whatever thread commits or syncs; never under a lock.
  virtual void Complete(absl::Status outcome) = 0;

  // What to write: `single` if it is one operation, else the encoded operations. Times to live are
  // not yet resolved.
  const kv::Operation* single = nullptr;
  std::string_view operations;
  uint32_t operation_count = 0;
  size_t payload_bytes = 0;
  bool has_time_to_live = false;
  std::string_view conditions;
  // Wait for durability.
  bool sync = false;
  // Fail with kUnavailable rather than wait while the store is stalled.
  bool fail_if_stalled = false;
  // Writes nothing: freezes the memtable.
  bool freeze = false;
  // Writes nothing: has tables become part of the database (engine/ingest_commit.h).
  IngestCommit* ingest = nullptr;
  // Operations and conditions are in the space of the system.
  bool system = false;

 private:
  friend class CommitQueue;
  WriteRequest* before_ = nullptr;
  WriteRequest* after_ = nullptr;
  bool queued_ = false;
};

class CommitQueue {
 public:
  using Group = std::vector<WriteRequest*>;

  // Commits groups, one at a time.
  class Committer {
   public:
    virtual ~Committer() = default;
    // Commits the requests and completes each of them, now or once it is durable. False: nothing
    // was done, since the store is stalled; the queue keeps those that may wait.
    virtual bool CommitGroup(const Group& group) = 0;
    // Whether committing the group may wait for a disk, or takes long.
    virtual bool MayBlock(const Group& group) = 0;
    // A background task has committed groups, perhaps of callers who now wait for durability.
    virtual void AfterBackgroundCommits() = 0;
  };

  // Requests with more payload or more operations than this together are not joined into one group.
  static constexpr size_t kGroupBytesMax = 1 << 20;
  static constexpr size_t kGroupOperationsMax = 16 << 10;
  // A caller who leads for this long, while others keep the queue filled, leaves the rest to a
  // background task.
  static constexpr int kGroupsLedMax = 32;

  CommitQueue(Committer* committer, base::Executor* executor) : committer_(committer), executor_(executor) {}

  // Takes the request, and commits what is queued if nobody else is doing that.
  void Submit(WriteRequest* request) ABSL_LOCKS_EXCLUDED(mutex_);
  // The same for callers who must not wait: a group that may block is left to a background task,
  // whichever caller's it is, and all that comes after it.
  void SubmitUnwaiting(WriteRequest* request) ABSL_LOCKS_EXCLUDED(mutex_);
  // Takes a request back that is still waiting for its turn. False: it is being committed, or is
  // already complete.
  bool Cancel(WriteRequest* request) ABSL_LOCKS_EXCLUDED(mutex_);
  // Goes on after a stall, in a background task. Harmless if there was none.
  void Unpark() ABSL_LOCKS_EXCLUDED(mutex_);
  // True while the queue is parked.
  bool Parked() const ABSL_LOCKS_EXCLUDED(mutex_);
  // Answers kFailedPrecondition to every request from now on, and runs `then` on the executor once
  // nothing is queued or being committed. After that nothing is posted any more: the executor may
  // be gone.
  void Close(base::Task then) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  enum class State : uint8_t { kIdle, kLeading, kParked };
  enum class Leader : uint8_t { kCaller, kUnwaitingCaller, kBackground };

  // OK if the request may be queued.
  absl::Status Refusal(const WriteRequest& request) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void SubmitTo(Leader leader, WriteRequest* request) ABSL_LOCKS_EXCLUDED(mutex_);
  void Push(WriteRequest* request) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Unlink(WriteRequest* request) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void TakeGroup(Group* group) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The group goes back to the front.
  void PutBack(Group* group) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Takes out those that must not wait while the store is stalled, wherever in the queue they are.
  void TakeImpatient(Group* refused) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Lead(Leader leader) ABSL_LOCKS_EXCLUDED(mutex_);
  // Puts the leader's group back after a stall. False: there is nothing left to wait for, or the
  // stall is over already.
  bool Park() ABSL_LOCKS_EXCLUDED(mutex_);
  void PostLead() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Committer* const committer_;
  base::Executor* const executor_;
  mutable base::Mutex mutex_;
  State state_ ABSL_GUARDED_BY(mutex_) = State::kIdle;
  // An Unpark came while a leader was at work, which may be about to park on what it saw before.
  bool unparked_ ABSL_GUARDED_BY(mutex_) = false;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  WriteRequest* front_ ABSL_GUARDED_BY(mutex_) = nullptr;
  WriteRequest* back_ ABSL_GUARDED_BY(mutex_) = nullptr;
  base::Task when_idle_ ABSL_GUARDED_BY(mutex_);
  // The leader's.
  Group group_;
};

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_COMMIT_COMMIT_QUEUE_H_
