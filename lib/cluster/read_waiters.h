// ReadWaiters: reads that wait until this node may serve them as consistently as was asked.
//
// All that wait at the end of a turn share one question to the core. Its answer is an index: once
// that is applied here, a local read sees all that was acknowledged before the question. The asker
// may have them wait for a later entry, too: one that tells the time, and is on its way.
#ifndef BANDB_CLUSTER_READ_WAITERS_H_
#define BANDB_CLUSTER_READ_WAITERS_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string_view>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "base/executor.h"
#include "raft/output.h"
#include "raft/types/ids.h"

namespace bandb::cluster {

struct ClientRead {
  // Run once, on the node's thread; it does not read again. OK: read now. Otherwise
  // kDeadlineExceeded, or why the node serves no more.
  using Done = absl::AnyInvocable<void(absl::Status) &&>;

  int64_t deadline_nanos = base::kForever;
  Done done;
};

// Thread safety: the node's thread.
class ReadWaiters {
 public:
  void Add(ClientRead read);
  // The id of a question for all that wait; nothing if none do, or if the last one was refused and
  // nothing has changed since. They are served once `entry` is applied, too.
  std::optional<uint64_t> Ask(raft::Index entry = 0);
  // Whether Ask would give one.
  bool HasQuestion() const { return !waiting_.empty() && may_ask_; }
  // The core has not taken the question.
  void Refused(uint64_t id);
  // It may be asked again what it refused.
  void MayAsk() { may_ask_ = true; }
  // The core's answer. `applied`: how far this node is.
  void Answered(const raft::ReadResult& result, raft::Index applied);
  void AppliedTo(raft::Index applied);
  // The entries that questions named may never be applied: nobody waits for them any more, and
  // those that might are asked for once more.
  void ForgetEntries();

  // Ends those past their deadline with kDeadlineExceeded, which names `why` they waited.
  void Expire(int64_t now_nanos, std::string_view why);
  void FailAll(const absl::Status& status);

  // Whether Expire may ever end one: some have a deadline.
  bool may_expire() const { return with_deadline_ > 0; }
  bool empty() const { return waiting_.empty() && asked_.empty() && by_index_.empty(); }

 private:
  using Group = std::vector<ClientRead>;
  struct Question {
    raft::Index entry = 0;
    Group group{};
  };

  // Ahead of what came later.
  void WaitAgain(Group group);
  void End(Group* group, const absl::Status& status);
  void ExpireIn(Group* group, int64_t now_nanos, const absl::Status& status);

  Group waiting_;
  std::map<uint64_t, Question> asked_;
  std::multimap<raft::Index, Group> by_index_;
  size_t with_deadline_ = 0;
  uint64_t last_id_ = 0;
  bool may_ask_ = true;
};

}  // namespace bandb::cluster

#endif  // BANDB_CLUSTER_READ_WAITERS_H_
