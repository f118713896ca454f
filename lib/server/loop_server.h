// One loop's share of a server: BanNet's frame server with BanDB's service and the host's code
// above it.
//
// Knows no thread and no socket: it runs on whatever loop it is given, the simulator's too.
#ifndef BANDB_SERVER_LOOP_SERVER_H_
#define BANDB_SERVER_LOOP_SERVER_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "bandb/server.h"
#include "base/event_loop.h"
#include "base/executor.h"
#include "net/acceptor.h"
#include "net/frame_server.h"
#include "server/client_roster.h"
#include "server/door_queue.h"
#include "server/frame_codec.h"
#include "server/host_hooks.h"
#include "server/redis_codec.h"
#include "server/route_workers.h"
#include "server/service.h"
#include "server/snapshot_leases.h"
#include "tls/handshakes.h"

namespace bandb::server {

// Thread safety: the loop's thread, or before the loop runs; AddTo from any thread.
// Lifetime: borrows the store, hooks, executor and quota. To be destroyed when it said that it
// ended.
class LoopServer final : public LoopClients, private net::FrameServerObserver {
 public:
  struct Parts {
    std::shared_ptr<base::EventLoop> loop;  // shared with the responders, see HostHooks
    Store* store = nullptr;
    const ServerHooks* hooks = nullptr;
    base::Executor* executor = nullptr;  // for routes on workers
    RouteWorkers* workers = nullptr;     // what counts those that are lost; may be null
    base::Executor* readers = nullptr;   // for reads that may wait for a disk
    net::Quota* quota = nullptr;
    uint8_t number = 0;
    size_t refused_max = 64;  // see net::ServerLimits
    base::Clock* clock = nullptr;
    const RedisEnvironment* redis = nullptr;
    SnapshotLeases* snapshots = nullptr;
    SlowLog* slow_log = nullptr;               // may be null
    const ClientRoster* roster = nullptr;      // of all loops; null: there is no other
    UserRegistry* users = nullptr;             // null: everybody may do everything
    const tls::CurrentContext* tls = nullptr;  // for the listeners of TLS
    std::function<std::string()> stats;
  };
  LoopServer(const Parts& parts, const ServerOptions& options);
  ~LoopServer() override;

  // Takes connections from this address, for itself and the `others`. For one loop of a server.
  // Errors: as Server::Start.
  absl::Status Listen(const std::string& address, const std::vector<LoopServer*>& others = {});
  const std::string& address() const { return acceptor_.address(); }
  // Likewise for clients of Redis, and for those that speak TLS.
  absl::Status ListenForRedis(const std::string& address, const std::vector<LoopServer*>& others = {});
  absl::Status ListenForTls(const std::string& address, const std::vector<LoopServer*>& others = {});
  absl::Status ListenForRedisTls(const std::string& address, const std::vector<LoopServer*>& others = {});
  const std::string& redis_address() const { return redis_acceptor_.address(); }
  const std::string& tls_address() const { return tls_acceptor_.address(); }
  const std::string& redis_tls_address() const { return redis_tls_acceptor_.address(); }
  // For calls that come by other ways. Lifetime: that of this.
  DoorQueue* door_queue() { return &door_queue_; }

  // Takes nobody any more; see net::FrameServer::Drain.
  void Drain(net::DrainCallback done);
  // Closes every connection, and runs `ended` on the loop once nothing is under way, in the store
  // either.
  void End(absl::AnyInvocable<void() &&> ended);
  // Makes End wait no longer for workers. What they still run must find everything as it is.
  void AbandonWorkers();
  // A worker still runs something of this. Once ended, from any thread.
  bool HasWorkers() const { return frames_.work_on_workers() > 0; }

  void AddTo(ServerStats* stats) const;
  void ListClients(size_t count_max, ClientList* list) const override;
  std::string KillClient(uint64_t id) override;
  void ForEachRedisClient(const std::function<void(const RedisClientRow& row)>& tell) const override;
  bool FindRedisClient(uint64_t id, RedisClientRow* row) const override;
  const HookSpot* hook_spot() const { return &hook_spot_; }
  // From any thread.
  void AddTo(ServerLatencies* latencies) const { service_.AddTo(latencies); }

 private:
  net::HookDecision OnConnect(net::ConnectionId id, std::string_view peer) override;
  void OnDisconnect(net::ConnectionId id) override;
  void OnTurn() override;
  void OnEvict(std::string_view peer, int64_t bytes) override;
  void OnDenial(const net::RequestView& request, const net::Denial& denial) override;
  void OnOverrun(const net::AnswerLimits::Overrun& overrun) override;
  void OnWorkerBack(uint32_t message_id) override;

  const Parts parts_;
  const ServerOptions options_;
  base::ListenOptions ListenOn(const std::string& address) const;
  // A taker of this and of each of the others, as `make` makes it.
  using MakeTaker = net::Acceptor::Taker (*)(LoopServer* server);
  absl::Status ListenWith(net::Acceptor* acceptor, const std::string& address, const std::vector<LoopServer*>& others,
                          MakeTaker make);
  void CloseAcceptors();
  RedisClientRow RowOf(const net::ConnectionView& view) const;

  const FrameProtocol protocol_;
  net::Router router_;
  const RedisProtocol redis_protocol_;
  net::Router redis_router_;
  net::FrameServer frames_;
  net::Acceptor acceptor_;
  net::Acceptor redis_acceptor_;
  // Handshakes cost time: one new one a turn.
  net::Acceptor tls_acceptor_;
  net::Acceptor redis_tls_acceptor_;
  tls::Handshakes handshakes_;
  DoorQueue door_queue_;
  HookSpot hook_spot_;
  Service service_;
  HostHooks host_hooks_;
  net::Counter connect_hook_failures_;
  net::Counter route_overruns_;
  int64_t evict_logged_nanos_ = 0;
  uint64_t evicted_unlogged_ = 0;
  absl::AnyInvocable<void() &&> ended_;
  bool workers_abandoned_ = false;
};

}  // namespace bandb::server

#endif  // BANDB_SERVER_LOOP_SERVER_H_
