// Commands of Redis about clients: asked of all loops, answered once each of them has.
//
// Of one loop one inquiry is under way at a time, so that what they gather is bounded; the others
// wait. A loop that is held up makes an inquiry fail within seconds, and what it was asked to do is
// not done later.
#ifndef BANDB_SERVER_CLIENTS_ENDPOINT_H_
#define BANDB_SERVER_CLIENTS_ENDPOINT_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "bandb/logger.h"
#include "base/event_loop.h"
#include "net/quota.h"
#include "server/client_roster.h"
#include "server/redis_clients.h"
#include "server/request.h"

namespace bandb::server {

// What an inquiry gathers on all loops: bounded in sum, and on the account of memory until it is
// given back, or has ended. Thread safety: any thread. Lifetime: borrows the account until then; a
// task that nobody runs any more may keep this for longer.
class ClientTally {
 public:
  struct Limits {
    size_t rows_max = SIZE_MAX;
    size_t bytes_max = SIZE_MAX;
    int64_t memory_bytes_max = INT64_MAX;  // of the account
  };
  ClientTally(net::Quota* quota, const Limits& limits) : quota_(quota), limits_(limits) {}
  ~ClientTally() { GiveBack(); }
  ClientTally(const ClientTally&) = delete;
  ClientTally& operator=(const ClientTally&) = delete;

  // Counts one more. Errors: kResourceExhausted they are too many, or too long; kUnavailable the
  // account is full.
  absl::Status Add(const RedisClientRow& row);
  void GiveBack() {
    if (const int64_t bytes = bytes_.exchange(0); bytes != 0) quota_->AddMemory(-bytes);
  }
  // It has its answer: nothing more is on the account for it.
  void End() {
    ended_ = true;
    GiveBack();
  }
  // After what a loop has added.
  void GiveBackIfEnded() {
    if (ended_) GiveBack();
  }

 private:
  net::Quota* const quota_;
  const Limits limits_;
  std::atomic<size_t> rows_{0};
  std::atomic<int64_t> bytes_{0};
  std::atomic<bool> ended_{false};
};

// Thread safety: the loop's thread. Lifetime: borrows everything; to be destroyed when idle.
class ClientsEndpoint {
 public:
  // `roster`: of all loops; null: there is no other than this one. `own`: those of this loop.
  ClientsEndpoint(base::EventLoop* loop, const RequestContext& context, const ClientRoster* roster, LoopClients* own,
                  Logger* logger);
  ~ClientsEndpoint();

  void Run(Request& request, ClientsCommand* command);
  // What other loops have not answered yet fails: they may have ended.
  void Close();
  bool idle() const { return current_ == nullptr && waiting_.empty(); }

 private:
  // What one loop had to say.
  struct Part {
    std::vector<RedisClientRow> rows;
    absl::Status status;
  };
  struct Question;
  struct Inquiry;

  // On the loop of `clients`.
  static Part Ask(LoopClients* clients, Question* question);
  void StartNext();
  void AskLoops();
  void Take(const std::shared_ptr<Question>& question, Part part);
  void OnTimer();
  // Answers the current one.
  void Finish();
  void RecordKilled(const Question& question, const std::vector<RedisClientRow>& rows) const;

  base::EventLoop* const loop_;
  const RequestContext& context_;
  const ClientRoster* const roster_;
  LoopClients* const own_;
  Logger* const logger_;
  std::deque<std::unique_ptr<Inquiry>> waiting_;
  std::unique_ptr<Inquiry> current_;
  base::TimerId timer_ = base::kNoTimer;  // of the current one
  bool starting_ = false;
  bool closed_ = false;
};

}  // namespace bandb::server

#endif  // BANDB_SERVER_CLIENTS_ENDPOINT_H_
