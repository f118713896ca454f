// Proposals: the writes that were not passed on yet, in their order, and what makes entries of
// them.
//
// All that a turn finds here becomes one entry, as far as that is not too large: nothing ever waits
// for more to come.
#ifndef BANDB_CLUSTER_PROPOSALS_H_
#define BANDB_CLUSTER_PROPOSALS_H_

#include <cstdint>
#include <deque>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "cluster/client_write.h"

namespace bandb::cluster {

// An entry stops growing at this size; a larger write is one by itself.
inline constexpr uint64_t kEntryBytes = 1 << 20;

// Thread safety: the node's thread.
class Proposals {
 public:
  struct Batch {
    std::string payload;
    // In the order of its commands. All of them are passed on.
    std::vector<ClientWritePtr> writes;
  };

  void Add(ClientWritePtr write);
  // Whether a command of a kind may be in the log now, or why not.
  using Check = absl::FunctionRef<absl::Status(CommandKind kind)>;
  static absl::Status Any(CommandKind) { return absl::OkStatus(); }

  // The next entry; nothing if no write waits. Malformed writes end with kInvalidArgument, those
  // that may not be in the log with what `check` says of them; those that were withdrawn or are
  // past their deadline are dropped.
  std::optional<Batch> TakeBatch(const EntryTime& time, int64_t now_nanos, Check check = Any);
  // The next one; null if there is none.
  const ClientWrite* front() const { return queue_.empty() ? nullptr : queue_.front().get(); }
  ClientWritePtr TakeOne();
  // Certainly not done: they come first from now on.
  void PutBack(std::vector<ClientWritePtr> writes);

  // Ends those past their deadline with kDeadlineExceeded, which names `why` they waited.
  void Expire(int64_t now_nanos, std::string_view why);
  // Ends all of them.
  void FailAll(const absl::Status& status);
  // Ends those that peers have forwarded, which look for another leader.
  void FailForwarded(const absl::Status& status);
  // Ends those that were not to wait.
  void FailImpatient(const absl::Status& status);

  // Whether one waits that a peer has forwarded under this number.
  bool HasForwarded(uint64_t session, uint64_t number) const { return forwarded_.count({session, number}) != 0; }

  bool empty() const { return queue_.empty(); }
  size_t size() const { return queue_.size(); }
  uint64_t bytes() const { return bytes_; }

 private:
  template <typename Which>
  void EndIf(const Which& which, const absl::Status& status);

  void Count(const ClientWrite& write);
  void Discount(const ClientWrite& write);

  std::deque<ClientWritePtr> queue_;
  uint64_t bytes_ = 0;
  // Session and number of those in the queue that peers have forwarded.
  std::multiset<std::pair<uint64_t, uint64_t>> forwarded_;
};

}  // namespace bandb::cluster

#endif  // BANDB_CLUSTER_PROPOSALS_H_
