// The connections that are open: what hooks call each of them, and which do nothing but harm.
#ifndef BANDB_GRPC_CONNECTIONS_H_
#define BANDB_GRPC_CONNECTIONS_H_

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "bandb/server.h"
#include "base/clock.h"
#include "base/mutex.h"
#include "server/door.h"

namespace bandb::grpc {

// Thread safety: any thread. Lifetime: borrows the door, which shows its connections to operators.
class Connections final : private server::DoorClients {
 public:
  // `tls`: they speak it.
  Connections(server::Door* door, bool tls);
  ~Connections() override;
  Connections(const Connections&) = delete;
  Connections& operator=(const Connections&) = delete;

  // Gives the connection from HOST:PORT its number, which is never used twice. `descriptor` is its
  // until it is removed.
  uint64_t Add(const std::string& peer, int descriptor) ABSL_LOCKS_EXCLUDED(mutex_);
  // The peer may be back by now, with another number.
  void Remove(const std::string& peer, uint64_t number) ABSL_LOCKS_EXCLUDED(mutex_);
  // A call of the store begins, of a user or, without a name, of a client that is not known. The
  // number of its connection; that of one which is gone is a new one.
  uint64_t BeginCall(std::string_view peer, const server::Session& session, OperationKind kind)
      ABSL_LOCKS_EXCLUDED(mutex_);
  // Once for each.
  void EndCall(std::string_view peer, uint64_t number) ABSL_LOCKS_EXCLUDED(mutex_);
  // The descriptor of the oldest on which no client that is known has had a call; -1: there is
  // none.
  int OldestStranger() const ABSL_LOCKS_EXCLUDED(mutex_);
  // A call was cancelled before its message was there. Many in a row end the connection: the
  // limit on calls under way does not bound them, and gRPC keeps memory for each.
  void CountReset(std::string_view peer) ABSL_LOCKS_EXCLUDED(mutex_);
  // Ends those that have had no call: gRPC would wait for their first bytes.
  void CutSilent() ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  struct Connection {
    uint64_t number = 0;
    int descriptor = -1;
    int resets = 0;  // since it last had a whole message
    bool had_calls = false;
    bool is_known = false;
    int64_t opened_nanos = 0;
    int64_t last_nanos = 0;  // likewise, while it had no call
    std::string user{};
    std::string_view last_operation{};
    uint64_t in_flight = 0;
  };

  void List(size_t count_max, ClientList* list) const override ABSL_LOCKS_EXCLUDED(mutex_);
  std::string Kill(uint64_t connection) override ABSL_LOCKS_EXCLUDED(mutex_);

  server::Door* const door_;
  const bool tls_;
  mutable base::SystemClock clock_;
  mutable base::Mutex mutex_;
  std::map<std::string, Connection, std::less<>> open_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace bandb::grpc

#endif  // BANDB_GRPC_CONNECTIONS_H_
