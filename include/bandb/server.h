// A store behind TCP.
//
//   auto db = bandb::Db::Open("/var/lib/app");
//   auto server = bandb::Server::Start(**db, {.listen = "127.0.0.1:8080"});
//   ...
//   (*server)->Drain();
#ifndef BANDB_SERVER_H_
#define BANDB_SERVER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "bandb/latency.h"
#include "bandb/server_hooks.h"
#include "bandb/store.h"

namespace bandb {

class Logger;

namespace server {
class Door;
}  // namespace server

// What an acknowledged write survives.
enum class Durability : int {
  kSync,  // power loss: fsync before every acknowledgement, shared by all writes that wait
  kOs,    // the death of the process, but not of the machine
};

// Something done to a server that somebody may have to account for.
struct AuditEvent {
  // "login refused", "administration denied", "administration" (SLOWLOG RESET), "users changed",
  // "clients closed" (by CLIENT KILL), "keys deleted" (all of them, by FLUSHALL or FLUSHDB),
  // "cursor dropped" or "cursor reset" (a named place in the change feed).
  std::string what{};
  std::string user{};     // who did it, or said to; empty: there are no users, or nobody is known
  std::string address{};  // from where; empty: from the server's own machine
  std::string detail{};   // for people; holds no key and no token
};
// Called by several threads at once, those of loops among them: it must not block. One that throws
// is contained, and the log has an error.
using Audit = std::function<void(const AuditEvent&)>;

// How to serve. The defaults suit a small machine; Start refuses settings that make no sense and
// names all of them.
struct ServerOptions {
  // HOST:PORT to listen on; HOST is a name or an address, in brackets if IPv6. Port 0 takes a free
  // one.
  std::string listen = "127.0.0.1:8080";
  // HOST:PORT on which clients of Redis are served, with the same hooks and limits; see
  // docs/redis.md. Default: nowhere.
  std::string redis_listen{};
  // A file of users, as `bandb user` writes it (docs/security.md): given, nothing is served without
  // a user and its token, and each does what it is allowed. Default: there are no users.
  std::string users_file{};
  // HOST:PORT on which clients speak TLS 1.3, with BanDB's protocol or that of Redis. Default:
  // nowhere.
  std::string tls_listen{};
  std::string redis_tls_listen{};
  // Paths of the certificate (the chain, its own first) and its key, in PEM; needed for these.
  std::string tls_certificate_file{};
  std::string tls_key_file{};
  // Given: clients that speak TLS need a certificate that one of those in this file signed.
  std::string tls_client_ca_file{};
  // Listen on addresses that other machines can reach although there are no users. Default: no.
  bool insecure = false;
  // A connection whose client has not logged in after this time is closed; until then it may send
  // 4 KiB at a time. 1 ms and more; default 5 s.
  absl::Duration login_timeout = absl::Seconds(5);

  // Default: fsync before every acknowledgement.
  Durability durability = Durability::kSync;

  // Threads that serve connections. 1 to 64; default 1, which is fastest on two cores.
  int loops = 1;
  // Threads for scans and for reads that wait for a disk; and as many for routes that ask for a
  // worker and for ServerHooks::administer, if there is either, and two more for the latter. 1 to
  // 64; default 2.
  int worker_threads = 2;
  // Answer GET on the loop if memory suffices for it, which is quickest. What must wait for a disk,
  // and if false every read, goes to a thread of its own, so that it holds nobody up. SCAN always
  // does. Default: yes.
  bool reads_inline = true;

  // The largest payload of a frame, both ways, in bytes. 64 to 65 MiB; default 16 MiB.
  uint32_t frame_bytes_max = 16u << 20;
  // Operations and conditions of one BATCH, and of every request to which hooks add operations; one
  // with more is refused. 1 to 1,000,000; default 10,000.
  int batch_operations_max = 10000;
  // Connections served at once; one more gets an error frame and is closed. 1 to 1,000,000; default
  // 10,000. Fewer if the process may not have so many files open (RLIMIT_NOFILE) and half of them,
  // 8,192 at the most, left for the store.
  int connections_max = 10000;
  // New connections taken in one turn of a loop, so that a storm of them does not starve the
  // others. 1 to 1,000; default 16.
  int accepts_per_turn_max = 16;

  // Per connection: requests that wait for the store, and their bytes. At either the connection is
  // not read until half of it is done. 1 to 1,000,000, default 1,024; 4 KiB to 1 GiB, default 4
  // MiB.
  int in_flight_requests_max = 1024;
  uint64_t in_flight_bytes_max = 4ull << 20;
  // Per connection: bytes of replies that the client has not taken. At this mark its requests wait
  // until half is gone. 4 KiB to 1 GiB; default 1 MiB.
  uint64_t output_bytes_max = 1ull << 20;
  // All connections together: bytes of frames not complete, requests in flight (until they are
  // done, also when their client is gone) and replies not taken. From three quarters on a
  // connection that holds much is not read, and a frame that would need much is answered
  // "overloaded"; at the limit every request of the store is. Beyond it, the connection that holds
  // most is closed if that is more than its fair share. At least four frames; default 256 MiB.
  uint64_t memory_bytes_max = 256ull << 20;

  // A frame must be complete this long after its first byte. Default 30 s.
  absl::Duration frame_timeout = absl::Seconds(30);
  // A client must take some of its waiting replies within this time. Default 10 s.
  absl::Duration unread_timeout = absl::Seconds(10);
  // A connection without a request for this long is closed. Default: never.
  absl::Duration idle_timeout = absl::InfiniteDuration();
  // While the store is stalled writes wait, and connections that have some are not read, for this
  // long; then they are answered "overloaded". Default 1 s.
  absl::Duration stall_timeout = absl::Seconds(1);
  // How long a request waits for a store that cannot serve it for the time being: a cluster's node
  // that knows no leader. Then it is kDeadlineExceeded, not done, or kUnknown. A Db takes no notice
  // of it. At least 1 ms; default 4 s, since a client of the original waits for 5.
  absl::Duration store_timeout = absl::Seconds(4);
  // When TCP begins to probe a silent peer: 1 to 32767 s. Infinite: never. Default 300 s.
  absl::Duration keepalive = absl::Seconds(300);
  // Requests that take at least this long are kept in the slow log (Server::SlowRequests), which
  // has the last 128. Infinite: none. Default 100 ms.
  absl::Duration slow_log_threshold = absl::Milliseconds(100);
  // How much of its key is kept with each of them, in bytes; 0: nothing of any key. 0 to 32;
  // default 32.
  int slow_log_key_bytes = 32;
  // A hook, on_connect, on_disconnect or a route that is not on a worker, and that has not returned
  // after about this time, is counted (ServerStats::hook_overruns) and logged: until it returns its
  // loop serves nobody, and nothing can end it but the end of the process (see Server::IsAlive). At
  // least 1 ms; infinite: nobody looks. Default 1 s.
  absl::Duration hook_time_limit = absl::Seconds(1);
  // What Drain allows requests and replies before it closes what is left. Default 10 s.
  absl::Duration drain_timeout = absl::Seconds(10);

  // Receives log messages. May be null. Lifetime: must outlive the server.
  Logger* logger = nullptr;
  // Told who did what. May be null.
  Audit audit{};
};

// Errors: kInvalidArgument names every setting that is out of range.
absl::Status Validate(const ServerOptions& options);

// Counters since the start, but for the gauges, which are marked (now).
struct ServerStats {
  uint64_t connections_open = 0;  // (now)
  uint64_t connections_accepted = 0;
  uint64_t connections_refused = 0;    // over connections_max, or by on_connect
  uint64_t connections_evicted = 0;    // closed for memory_bytes_max
  uint64_t connections_timed_out = 0;  // frame, unread and idle timeouts
  uint64_t accept_failures = 0;        // out of file descriptors, mostly
  uint64_t bytes_read = 0;
  uint64_t bytes_written = 0;
  uint64_t frames_read = 0;
  uint64_t replies = 0;
  uint64_t error_replies = 0;
  uint64_t malformed_frames = 0;  // too long or of an unknown message id
  uint64_t read_calls = 0;
  uint64_t write_calls = 0;
  uint64_t turns = 0;
  uint64_t pauses = 0;         // connections not read for a while, for backpressure
  uint64_t hook_failures = 0;  // hooks and handlers that threw, or whose verdict made no sense
  uint64_t hook_overruns = 0;  // calls that took longer than hook_time_limit, or their route's
  uint64_t workers_lost = 0;   // (now) threads of routes that took longer, and have not returned
  uint64_t hook_drops = 0;
  uint64_t hook_rejections = 0;
  uint64_t hook_routes = 0;       // operations that a hook gave another key
  uint64_t hook_emissions = 0;    // operations that hooks added
  uint64_t write_groups = 0;      // batches handed to the store
  uint64_t write_operations = 0;  // PUT, DELETE and BATCH in them
  uint64_t reads = 0;             // GET and SCAN
  uint64_t overloaded = 0;        // requests answered "overloaded"
  uint64_t failed_logins = 0;     // wrong names or tokens
  uint64_t denials = 0;           // requests of clients not known, or not allowed to
  uint64_t slow_requests = 0;     // that took slow_log_threshold or longer
  uint64_t tls_failures = 0;      // TLS connections that did not come about
  uint64_t snapshots_open = 0;    // (now) snapshots that clients hold by number
  uint64_t memory_bytes = 0;      // (now) what memory_bytes_max bounds
  uint64_t in_flight = 0;         // (now) requests that wait for the store
};

// How long things took since the start, over all loops.
struct ServerLatencies {
  // From when a request was there to be read, or waited to be let on, to when its reply was handed
  // to the system. Requests that wait because they ask for it, as those for changes do, and logins
  // are left out.
  std::vector<OperationLatency> operations;
  // Of each hook but on_connect and on_disconnect. Of one that is quick one call in eight is timed,
  // which counts for the others; so up to seven of each loop are missing.
  std::vector<HookLatency> hooks;
};

// A client as it is now.
struct ClientInfo {
  uint64_t id = 0;  // as ServerRequest::connection
  std::string address;
  std::string user;      // empty: there are no users, or it has not logged in
  std::string name;      // that it gave itself, as clients of Redis may; else empty
  std::string protocol;  // "bandb", "redis" or "grpc"
  bool tls = false;
  absl::Duration age;
  absl::Duration idle;         // since its last request
  std::string last_operation;  // empty: it has asked for nothing
  uint64_t in_flight = 0;      // requests without an answer
  // Not known of clients of gRPC, and 0: it counts none.
  uint64_t bytes_read = 0;
  uint64_t bytes_written = 0;
  uint64_t output_bytes = 0;  // of replies that it has not taken
};
// Some of them, and how many more there are.
struct ClientList {
  std::vector<ClientInfo> clients;  // the oldest first
  uint64_t omitted = 0;             // further ones
};

// A request that took long. Its parts are `waiting` and: `hooks`, as far as their calls were timed
// (see ServerLatencies), and `storage`, from when the store got it to when it was done.
struct SlowRequest {
  uint64_t number = 0;  // counts up from 1
  absl::Time time;      // when it was answered
  absl::Duration duration;
  absl::Duration waiting;  // in the server
  absl::Duration hooks;
  absl::Duration storage;
  std::string protocol;    // as OperationLatency
  std::string operation;   // likewise
  std::string key;         // of its first key as much as is kept
  uint64_t key_bytes = 0;  // of the whole key; 0: it has none, or nothing of keys is kept
  std::string user;
  std::string client_name;  // as ClientInfo::name
  std::string address;      // empty: it was gone
};

// Serves the protocol of docs/protocol.md on one address.
//
// Thread safety: every method may be called from any thread, but none from a hook or a route.
// Lifetime: the store, the logger and what the hooks use must outlive the server. The destructor
// stops it.
class Server {
 public:
  // Listens and serves when it returns. Errors: kInvalidArgument the options, the hooks or the
  // users make no sense, or others can reach an address without users · kUnimplemented this build
  // has no users · kFailedPrecondition the address is in use · kPermissionDenied the address may
  // not be taken · kInternal the operating system refused.
  static absl::StatusOr<std::unique_ptr<Server>> Start(Store& store, const ServerOptions& options,
                                                       ServerHooks hooks = {});
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // HOST:PORT that clients can connect to, with the port that was taken.
  std::string Address() const;
  // Likewise for clients of Redis; empty without redis_listen.
  std::string RedisAddress() const;
  // Likewise for clients that speak TLS.
  std::string TlsAddress() const;
  // Likewise for clients of Redis that do.
  std::string RedisTlsAddress() const;
  // Reads the files of users, certificate and key again. What is wrong with them is told, and then
  // nothing changes; else new connections get the new certificate, and connections of users that
  // are gone, or have another token, are nobody's from their next request on. Errors: those of
  // Start.
  absl::Status Reload();
  // The sums over all loops, each counter read by itself.
  ServerStats Stats() const;
  // Likewise.
  ServerLatencies Latencies() const;

  // The clients; no more than `count_max`. Errors: kDeadlineExceeded a loop did not answer within 2
  // s.
  absl::StatusOr<ClientList> Clients(size_t count_max) const;
  // Closes the connection of a client; what it has on its way may or may not be done. Errors:
  // kNotFound there is none of this id; kDeadlineExceeded as Clients: then it is left alone, unless
  // the message says that it is being closed.
  absl::Status KillClient(uint64_t id);

  // The last slow requests, the last one first; no more than `count_max`. Of many that are slow in
  // one turn some are kept; ServerStats::slow_requests counts all.
  std::vector<SlowRequest> SlowRequests(size_t count_max) const;
  // Likewise, as this user may see them: of keys that it may not read nothing is told, as if
  // nothing were kept of them. Where there are no users everybody may read everything.
  std::vector<SlowRequest> SlowRequestsFor(std::string_view user, size_t count_max) const;
  // Forgets them.
  void ClearSlowRequests();
  // From now on, in the place of the options of these names; of keys that are kept already no more
  // is left.
  void SetSlowLog(absl::Duration threshold, int key_bytes);

  // Whether every thread that serves connections has come back to its loop since this was last
  // called. For a watchdog, which asks every few seconds: a hook that does not return, say, holds
  // up all that its thread serves.
  bool IsAlive();

  // Ends in order: takes no more connections and requests, answers those it has, lets clients take
  // their replies, closes. After drain_timeout what is left is closed; clients that only did not
  // take their replies are no error, and are logged.
  // Errors: kDeadlineExceeded requests were still unanswered after drain_timeout.
  absl::Status Drain();
  // Closes every connection at once and returns when nothing of the server runs any more. Writes
  // that the store has already taken may take effect. Idempotent. A route that has not returned
  // from its worker within drain_timeout is abandoned: what it uses of the server is never freed,
  // and what it uses of the host must live on.
  void Stop();

 private:
  friend class server::Door;
  class Impl;
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace bandb

#endif  // BANDB_SERVER_H_
