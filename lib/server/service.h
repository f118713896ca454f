// Commands over a Store: what BanNet calls for every request of BanDB's, whatever its protocol.
#ifndef BANDB_SERVER_SERVICE_H_
#define BANDB_SERVER_SERVICE_H_

#include <functional>
#include <memory>
#include <string>

#include "bandb/server.h"
#include "bandb/store.h"
#include "base/event_loop.h"
#include "net/router.h"
#include "server/changes_endpoint.h"
#include "server/clients_endpoint.h"
#include "server/commands.h"
#include "server/cursor_endpoint.h"
#include "server/door_queue.h"
#include "server/durable_replies.h"
#include "server/login_endpoint.h"
#include "server/operation_hooks.h"
#include "server/read_endpoint.h"
#include "server/request.h"
#include "server/scan_endpoint.h"
#include "server/snapshot_endpoint.h"
#include "server/transaction_path.h"
#include "server/write_endpoint.h"

namespace bandb::server {

struct ServiceOptions {
  bool sync = true;
  bool reads_inline = true;
  uint32_t in_flight_requests_max = 0;
  uint32_t batch_operations_max = 0;
  int64_t memory_bytes_max = 0;
  int64_t stall_timeout_nanos = 0;
  absl::Duration store_timeout = absl::InfiniteDuration();
};

struct ServiceParts {
  Store* store = nullptr;
  const ServerHooks* hooks = nullptr;
  base::EventLoop* loop = nullptr;
  base::Clock* clock = nullptr;
  net::Completions* completions = nullptr;
  net::Quota* quota = nullptr;
  base::Executor* readers = nullptr;     // for reads that may wait for a disk
  SnapshotLeases* snapshots = nullptr;   // of all loops
  SlowLog* slow_log = nullptr;           // likewise; may be null
  std::function<std::string()> stats{};  // the text of STATS
  Logger* logger = nullptr;              // may be null
  HookSpot* hook_spot = nullptr;
  const Audit* audit = nullptr;          // may be null
  const ClientRoster* roster = nullptr;  // of all loops; null: there is no other
  LoopClients* clients = nullptr;        // of this one
};

// Thread safety: the loop's thread. Lifetime: borrows everything; to be destroyed when idle.
class Service final : private net::Handler {
 public:
  Service(const ServiceParts& parts, const ServiceOptions& options);
  ~Service() override;

  // The messages of BanDB's own protocol, the classes of commands of Redis', and calls of a door.
  void AddMessagesTo(net::Router* router);
  void AddRedisTo(net::Router* router);
  void AddTo(DoorQueue* queue) { queue->SetService(this, &writes_); }
  // Hands on what the turn collected.
  void EndTurn();
  // Nothing waits from now on but for the store.
  void Close() {
    logins_.Close();
    changes_.Close();
    snapshots_.Close();
    transactions_.Close();
    clients_.Close();
  }
  // Nobody waits for changes any more: what is owed is to be answered soon.
  void Drain() { changes_.Close(); }
  bool idle() const {
    return writes_.idle() && reads_.idle() && scans_.idle() && snapshots_.idle() && changes_.idle() &&
           cursors_.idle() && transactions_.idle() && durable_.idle() && logins_.idle() && clients_.idle();
  }
  const ServiceCounters& counters() const { return counters_; }
  uint64_t slow_requests() const { return times_.slow_requests(); }
  // From any thread.
  void AddTo(ServerLatencies* latencies) const {
    times_.AddTo(&latencies->operations);
    hooks_.AddTo(&latencies->hooks);
  }

 private:
  void Handle(net::Call& call) override;
  // What its user did, or was not allowed, if that is what operators do.
  void Record(Request& request) const;

  void Run(Request& request, SingleCommand* command);
  void Run(Request& request, BatchCommand* command);
  void Run(Request& request, ScanCommand* command);
  void Run(Request& request, SnapshotCommand* command);
  void Run(Request& request, ChangesCommand* command);
  void Run(Request& request, AcknowledgeCommand* command);
  void Run(Request& request, CursorsCommand* command);
  void Run(Request& request, TransactionCommand* command);
  void Run(Request& request, ReadyCommand* command);
  void Run(Request& request, LoginCommand* command);
  void Run(Request& request, HelloCommand* command);
  void Run(Request& request, PingCommand* command);
  void Run(Request& request, StatsCommand* command);
  void Run(Request& request, ClientsCommand* command) { clients_.Run(request, command); }

  HelloAnswer HelloOf(Request& request) const;

  const ServiceOptions options_;
  const std::function<std::string()> stats_;
  ServiceCounters counters_;
  OperationHooks hooks_;
  RequestTimes times_;
  const RequestContext context_;
  DurableReplies durable_;
  WriteEndpoint writes_;
  ReadEndpoint reads_;
  ScanEndpoint scans_;
  SnapshotEndpoint snapshots_;
  ChangesEndpoint changes_;
  CursorEndpoint cursors_;
  TransactionPath transactions_;
  LoginEndpoint logins_;
  ClientsEndpoint clients_;
};

}  // namespace bandb::server

#endif  // BANDB_SERVER_SERVICE_H_
