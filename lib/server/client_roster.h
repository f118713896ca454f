// The clients of all loops: lists of them, and the end of one from outside.
#ifndef BANDB_SERVER_CLIENT_ROSTER_H_
#define BANDB_SERVER_CLIENT_ROSTER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "bandb/server.h"
#include "base/event_loop.h"
#include "server/redis_clients.h"

namespace bandb::server {

// How long a loop may be busy with something else, and the error then: kDeadlineExceeded, with
// `what` at its end.
inline constexpr int64_t kLoopPatienceNanos = int64_t{2} * 1000000000;
absl::Status LoopIsSilent(std::string_view what = "");

// Those of one loop. Thread safety: its thread.
class LoopClients {
 public:
  virtual ~LoopClients() = default;
  // What it tells of up to `count_max` of them; the others are counted.
  virtual void ListClients(size_t count_max, ClientList* list) const = 0;
  // Closes a connection. Its address; empty: there is none.
  virtual std::string KillClient(uint64_t id) = 0;
  // Of each that speaks Redis' protocol.
  virtual void ForEachRedisClient(const std::function<void(const RedisClientRow& row)>& tell) const = 0;
  // Of one of these; false: there is none.
  virtual bool FindRedisClient(uint64_t id, RedisClientRow* row) const = 0;
};

// Thread safety: any thread but a loop's, once all loops are added. Lifetime: borrows the clients.
class ClientRoster {
 public:
  // `loop` is shared, so that what is asked of one that has ended finds it.
  struct Member {
    std::shared_ptr<base::EventLoop> loop;
    LoopClients* clients = nullptr;
  };

  void Add(Member member) { members_.push_back(std::move(member)); }
  const std::vector<Member>& members() const { return members_; }

  // Errors: kDeadlineExceeded a loop did not answer in time.
  absl::StatusOr<ClientList> List(size_t count_max) const;
  // The address of the client that it closed. Errors: kNotFound there is none; kDeadlineExceeded
  // its loop did not answer in time: then the client is left alone, or, as the message says, is
  // being closed.
  absl::StatusOr<std::string> Kill(uint64_t id) const;

 private:
  std::vector<Member> members_;
};

}  // namespace bandb::server

#endif  // BANDB_SERVER_CLIENT_ROSTER_H_
