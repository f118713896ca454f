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
#include "base/mutex.h"
#include "net/quota.h"
#include "server/commands.h"
#include "server/session.h"

namespace bandb::server {

// A request on its way. Its owner fills it in, enters it, and leaves it alone until it ends.
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
  // Of a call of no known user: which one it said it was of.
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

// The connections of the clients that make such calls. Thread safety: any thread.
class DoorClients {
 public:
  virtual ~DoorClients() = default;
  // As Server::Clients, without an order.
  virtual void List(size_t count_max, ClientList* list) const = 0;
  // Ends this one. Its address; empty: there is none.
  virtual std::string Kill(uint64_t connection) = 0;
};

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

  // For a connection, never used twice.
  uint64_t NextConnection() { return connections_.fetch_add(1, std::memory_order_relaxed) + 1; }
  // What hooks and operators call it. Those of BanNet's connections are smaller.
  static constexpr uint64_t kFirstId = uint64_t{1} << 63;
  static uint64_t IdOf(uint64_t connection) { return kFirstId | connection; }
  // From here on they are told of, until they are dropped.
  void AddClients(DoorClients* clients) ABSL_LOCKS_EXCLUDED(mutex_);
  void DropClients(DoorClients* clients) ABSL_LOCKS_EXCLUDED(mutex_);
  void ListClients(size_t count_max, ClientList* list) const ABSL_LOCKS_EXCLUDED(mutex_);
  // Its address; empty: there is none.
  std::string KillClient(uint64_t id) ABSL_LOCKS_EXCLUDED(mutex_);

  const ServerOptions& options() const { return options_; }

 private:
  const std::vector<DoorQueue*> queues_;
  net::Quota* const quota_;
  UserRegistry* const users_;
  const ServerOptions options_;
  std::atomic<uint64_t> overloaded_{0};
  std::atomic<uint64_t> connections_{0};
  // Before that of the clients.
  mutable base::Mutex mutex_;
  std::vector<DoorClients*> clients_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace bandb::server

#endif  // BANDB_SERVER_DOOR_H_
