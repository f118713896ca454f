#include "server/client_roster.h"

#include <algorithm>
#include <atomic>
#include <iterator>
#include <utility>

#include "base/executor.h"
#include "base/status.h"
#include "server/host_hooks.h"

namespace bandb::server {

absl::Status LoopIsSilent(std::string_view what) {
  return base::Error(absl::StatusCode::kDeadlineExceeded, "a loop of the server did not answer within 2 s{}", what);
}

absl::StatusOr<ClientList> ClientRoster::List(size_t count_max) const {
  // Shared with the loops, which may answer late.
  struct Answer {
    base::Event done;
    ClientList list;  // written before done is set
  };
  std::vector<std::shared_ptr<Answer>> answers;
  for (const Member& member : members_) {
    answers.push_back(std::make_shared<Answer>());
    member.loop->Post([clients = member.clients, count_max, answer = answers.back()] {
      clients->ListClients(count_max, &answer->list);
      answer->done.Set();
    });
  }
  ClientList all;
  for (const std::shared_ptr<Answer>& answer : answers) {
    if (!answer->done.BlockUntilSet(kLoopPatienceNanos)) return LoopIsSilent();
    all.omitted += answer->list.omitted;
    std::move(answer->list.clients.begin(), answer->list.clients.end(), std::back_inserter(all.clients));
  }
  return all;
}

absl::StatusOr<std::string> ClientRoster::Kill(uint64_t id) const {
  enum class Step : uint8_t { kAsked, kBegun, kGivenUp };
  struct Answer {
    std::atomic<Step> step = Step::kAsked;
    base::Event done;
    std::string address;  // likewise
  };
  const size_t loop = ToConnection(id).index >> 24;
  const absl::Status none = base::Error(absl::StatusCode::kNotFound, "there is no client {}", id);
  if (loop >= members_.size()) return none;
  const auto answer = std::make_shared<Answer>();
  members_[loop].loop->Post([clients = members_[loop].clients, id, answer] {
    Step asked = Step::kAsked;
    if (!answer->step.compare_exchange_strong(asked, Step::kBegun)) return;
    answer->address = clients->KillClient(id);
    answer->done.Set();
  });
  if (!answer->done.BlockUntilSet(kLoopPatienceNanos)) {
    Step asked = Step::kAsked;
    // What nobody waits for any more must not be done later.
    if (answer->step.compare_exchange_strong(asked, Step::kGivenUp)) return LoopIsSilent(": nothing was closed");
    if (!answer->done.BlockUntilSet(kLoopPatienceNanos)) return LoopIsSilent(": the client is being closed");
  }
  if (answer->address.empty()) return none;
  return answer->address;
}

}  // namespace bandb::server
