// A way into a server for requests that are not bytes on a connection of BanNet's: those of gRPC.
//
// Such a request is one operation. It meets the same hooks, limits, account of memory and counters
// as the requests of connections, and its write joins the group of their turn.
#ifndef BANDB_SERVER_DOOR_H_
#define BANDB_SERVER_DOOR_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "bandb/server.h"
#include "base/executor.h"
#include "net/quota.h"
#include "server/commands.h"
#include "server/session.h"

namespace bandb::server {

// A request on its way. Whoever makes it fills it in, enters it, and leaves it alone until it ends.
class DoorCall {
 public:
  virtual ~DoorCall() = default;

  // A get, put or delete, of views that live as long as this.
  Operation operation{};
  // For hooks: a number of its connection's that is never used twice, and HOST:PORT.
  uint64_t connection = 0;
  std::string_view peer{};
  // Of Door::NewSession. A call of nobody, where there are users, fails after the time that a wrong
  // login takes.
  Session session{};
  // Of a call of nobody: whom it said it was.
  std::string_view claimed_user{};
  // When its client gives up, in monotonic time. What has not been handed to the store by then is
  // not done.
  int64_t deadline_nanos = base::kForever;
  // Once it has ended.
  Outcome outcome{};

  // On a loop, once. Must not block; the call may be gone when it returns.
  virtual void End() = 0;
};

class DoorQueue;

// Thread safety: any thread. Lifetime: that of its server.
class Door {
 public:
  Door(std::vector<DoorQueue*> queues, net::Quota* quota, UserRegistry* users, const ServerOptions& options)
      : queues_(std::move(queues)), quota_(quota), users_(users), options_(options) {}

  static Door* Of(Server* server);

  // False if the server has ended: then nothing becomes of the call.
  bool Enter(DoorCall* call);
  // What a caller holds of the memory that ServerOptions::memory_bytes_max bounds, besides the
  // operations that it has entered.
  void AddMemory(int64_t bytes) { quota_->AddMemory(bytes); }
  bool MemoryIsTight() const;
  // A call was answered "overloaded" and not entered.
  void CountOverloaded() { overloaded_.fetch_add(1, std::memory_order_relaxed); }
  void AddTo(ServerStats* stats) const;
  // Takes a place among ServerOptions::connections_max; false: there is none.
  bool AddConnection();
  void DropConnection();

  Session NewSession() const { return Session(users_); }

  const ServerOptions& options() const { return options_; }

 private:
  const std::vector<DoorQueue*> queues_;
  net::Quota* const quota_;
  UserRegistry* const users_;
  const ServerOptions options_;
  std::atomic<uint64_t> overloaded_{0};
};

}  // namespace bandb::server

#endif  // BANDB_SERVER_DOOR_H_
