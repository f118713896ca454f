// bandb::Server: threads for the loops, and waiting for them.
#include "bandb/server.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <memory>
#include <utility>
#include <vector>

#include "bandb/logger.h"
#include "base/clock.h"
#include "base/mutex.h"
#include "base/posix_file_system.h"
#include "base/random.h"
#include "base/secret_file.h"
#include "base/status.h"
#include "base/thread.h"
#include "base/thread_executor.h"
#include "kv/limits.h"
#include "net/socket_loop.h"
#include "server/client_roster.h"
#include "server/door.h"
#include "server/hook_watch.h"
#include "server/host_hooks.h"
#include "server/loop_server.h"
#include "server/redis_command.h"
#include "server/route_workers.h"
#include "server/server_options.h"
#include "server/server_stats.h"
#include "server/slow_log.h"
#include "server/snapshot_leases.h"
#include "server/users.h"
#include "tls/context.h"
#include "tls/token.h"

namespace bandb {

namespace {

// What operators ask for may take long, a compaction and a backup at once; threads for these, so
// that the rest does not wait for them.
constexpr int kLongCommandsMax = 2;

int64_t DeadlineNanos(int64_t now_nanos, absl::Duration timeout) {
  const int64_t timeout_nanos = absl::ToInt64Nanoseconds(timeout);
  return timeout_nanos > base::kForever - now_nanos ? base::kForever : now_nanos + timeout_nanos;
}

// Null if `audit` is.
Audit Contained(Audit audit, Logger* logger) {
  if (audit == nullptr) return nullptr;
  return [audit = std::move(audit), logger](const AuditEvent& event) {
    try {
      audit(event);
    } catch (...) {
      if (logger == nullptr) return;
      logger->Log(LogSeverity::kError, fmt::format("the host's audit has thrown, and may not have: {}", event.what));
    }
  };
}

}  // namespace

class Server::Impl {
 public:
  Impl(Store* store, const ServerOptions& options, size_t refused_max, ServerHooks hooks)
      : store_(store),
        options_(options),
        refused_max_(refused_max),
        hooks_(std::move(hooks)),
        readers_(options.worker_threads) {}
  ~Impl() { Stop(); }

  absl::Status Start();
  const std::string& address() const { return address_; }
  const std::string& redis_address() const { return redis_address_; }
  const std::string& tls_address() const { return loops_[0].loop_server->tls_address(); }
  const std::string& redis_tls_address() const { return loops_[0].loop_server->redis_tls_address(); }
  ServerStats Stats() const;
  ServerLatencies Latencies() const;
  absl::StatusOr<ClientList> Clients(size_t count_max) const;
  absl::Status KillClient(uint64_t id);
  server::SlowLog* slow_log() { return &slow_log_; }
  const server::UserRegistry* users() const { return users_.get(); }
  absl::Status Reload();
  bool IsAlive();
  absl::Status Drain() ABSL_LOCKS_EXCLUDED(ending_);
  void Stop() ABSL_LOCKS_EXCLUDED(ending_);
  server::Door* door() { return door_.get(); }
  // Once stopped: a worker did not come back, so that nothing of this may be destroyed.
  bool abandoned() const { return abandoned_; }

 private:
  // A loop, its thread and what runs on it.
  struct ServingLoop {
    std::shared_ptr<net::SocketLoop> loop;  // shared with responders, see server/host_hooks.h
    std::unique_ptr<server::LoopServer> loop_server;
    std::unique_ptr<base::Thread> thread;
    std::unique_ptr<base::Event> ended = std::make_unique<base::Event>();
    // It has taken the turn that IsAlive asked for.
    std::shared_ptr<std::atomic<bool>> came_back = std::make_shared<std::atomic<bool>>(true);
  };

  void SetUpRedis();
  absl::Status SetUpUsers();
  absl::Status SetUpTls();
  absl::StatusOr<std::shared_ptr<tls::Context>> ReadTls() const;
  absl::Status ListenForTls(const std::vector<server::LoopServer*>& others);
  absl::StatusOr<server::UserTable> ReadUsers() const;
  absl::Status AddLoop(int number);
  bool WantsWatch() const {
    const bool has_hooks = !hooks_.before.empty() || !hooks_.after.empty() || !hooks_.before_operations.empty() ||
                           !hooks_.after_operations.empty() || !hooks_.routes.empty() || hooks_.on_connect != nullptr ||
                           hooks_.on_disconnect != nullptr;
    return has_hooks && options_.hook_time_limit != absl::InfiniteDuration();
  }
  bool WantsWorkers() const {
    return hooks_.administer != nullptr ||
           std::any_of(hooks_.routes.begin(), hooks_.routes.end(), [](const auto& r) { return r.options.on_worker; });
  }
  void Log(LogSeverity severity, std::string_view message) {
    if (options_.logger != nullptr) options_.logger->Log(severity, message);
  }

  Store* const store_;
  const ServerOptions options_;
  const size_t refused_max_;
  const ServerHooks hooks_;
  base::SystemClock clock_;
  server::SlowLog slow_log_{options_.slow_log_threshold, options_.slow_log_key_bytes};
  server::SnapshotLeases snapshots_{&clock_, base::SeedFromOs()};
  net::Quota quota_;
  base::ThreadExecutor readers_;
  std::unique_ptr<server::RouteWorkers> workers_;
  std::vector<ServingLoop> loops_;  // does not change once Start returned
  server::ClientRoster roster_;     // likewise
  server::HookWatch hook_watch_{options_.hook_time_limit, options_.logger};
  std::unique_ptr<server::HookWatchThread> hook_watcher_;  // null: there is nothing to watch
  std::unique_ptr<server::Door> door_;
  std::string address_;
  std::string redis_address_;
  server::RedisEnvironment redis_;
  std::unique_ptr<server::UserRegistry> users_;  // null: there are none
  std::unique_ptr<tls::CurrentContext> tls_;     // null: nobody speaks it

  // Held while ending, so that one thread ends the server and others wait for it.
  base::Mutex ending_;
  bool drained_ ABSL_GUARDED_BY(ending_) = false;
  bool stopped_ ABSL_GUARDED_BY(ending_) = false;
  bool abandoned_ = false;  // written once, by Stop
};

absl::Status Server::Impl::AddLoop(int number) {
  BANDB_ASSIGN_OR_RETURN(std::unique_ptr<net::SocketLoop> loop, net::SocketLoop::Create(&clock_));
  ServingLoop serving;
  serving.loop = std::move(loop);
  serving.loop_server = std::make_unique<server::LoopServer>(
      server::LoopServer::Parts{.loop = serving.loop,
                                .store = store_,
                                .hooks = &hooks_,
                                .executor = workers_ == nullptr ? nullptr : workers_->executor(),
                                .workers = workers_.get(),
                                .readers = &readers_,
                                .quota = &quota_,
                                .number = static_cast<uint8_t>(number),
                                .refused_max = refused_max_,
                                .clock = &clock_,
                                .redis = &redis_,
                                .snapshots = &snapshots_,
                                .slow_log = &slow_log_,
                                .roster = &roster_,
                                .users = users_.get(),
                                .tls = tls_.get(),
                                .stats = [this] { return server::ToText(Stats()); }},
      options_);
  hook_watch_.Add(serving.loop_server->hook_spot());
  roster_.Add({serving.loop, serving.loop_server.get()});
  loops_.push_back(std::move(serving));
  return absl::OkStatus();
}

void Server::Impl::SetUpRedis() {
  redis_.value_bytes_max = std::min<size_t>(kv::kValueBytesMax, options_.frame_bytes_max);
  // As what a client may leave untaken of other replies: a quarter of all that there is.
  redis_.reply_bytes_max = static_cast<size_t>(options_.memory_bytes_max / 4);
  redis_.users = users_.get();
  redis_.slow_log = &slow_log_;
  redis_.keys_are_final = hooks_.before.empty() && hooks_.before_operations.empty();
  redis_.sync = options_.durability == Durability::kSync;
  redis_.stats = [this] { return server::ToText(Stats()); };
  redis_.now_ms = [this] { return clock_.WallMillis(); };
  redis_.started_ms = clock_.WallMillis();
  redis_.clients_max = options_.connections_max;
}

absl::StatusOr<server::UserTable> Server::Impl::ReadUsers() const {
  constexpr uint64_t kUsersBytesMax = 16 << 20;
  BANDB_ASSIGN_OR_RETURN(const std::string text, base::ReadSecretFile(options_.users_file, kUsersBytesMax));
  return server::UserTable::Parse(text, options_.users_file);
}

absl::Status Server::Impl::SetUpUsers() {
  BANDB_RETURN_IF_ERROR(server::CheckReach(options_, options_.listen));
  if (!options_.redis_listen.empty()) BANDB_RETURN_IF_ERROR(server::CheckReach(options_, options_.redis_listen));
  if (options_.users_file.empty()) return absl::OkStatus();
  BANDB_RETURN_IF_ERROR(tls::CheckAvailable());
  BANDB_ASSIGN_OR_RETURN(server::UserTable users, ReadUsers());
  users_ = std::make_unique<server::UserRegistry>(std::move(users));
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<tls::Context>> Server::Impl::ReadTls() const {
  return tls::Context::ForServer(
      {.certificate = options_.tls_certificate_file, .key = options_.tls_key_file, .ca = options_.tls_client_ca_file});
}

absl::Status Server::Impl::SetUpTls() {
  for (const std::string& address : {options_.tls_listen, options_.redis_tls_listen}) {
    if (!address.empty()) BANDB_RETURN_IF_ERROR(server::CheckTlsReach(options_, address));
  }
  if (options_.tls_certificate_file.empty()) return absl::OkStatus();
  BANDB_RETURN_IF_ERROR(tls::CheckAvailable());
  BANDB_ASSIGN_OR_RETURN(std::shared_ptr<tls::Context> context, ReadTls());
  tls_ = std::make_unique<tls::CurrentContext>(std::move(context));
  return absl::OkStatus();
}

absl::Status Server::Impl::ListenForTls(const std::vector<server::LoopServer*>& others) {
  server::LoopServer* const first = loops_[0].loop_server.get();
  if (!options_.tls_listen.empty()) {
    BANDB_RETURN_IF_ERROR(first->ListenForTls(options_.tls_listen, others));
    Log(LogSeverity::kInfo, fmt::format("serving TLS on {}", first->tls_address()));
  }
  if (options_.redis_tls_listen.empty()) return absl::OkStatus();
  BANDB_RETURN_IF_ERROR(first->ListenForRedisTls(options_.redis_tls_listen, others));
  redis_.tls_address = first->redis_tls_address();
  Log(LogSeverity::kInfo, fmt::format("serving clients of Redis, with TLS, on {}", first->redis_tls_address()));
  return absl::OkStatus();
}

absl::Status Server::Impl::Reload() {
  // All of it is read before anything changes.
  server::UserTable users;
  std::shared_ptr<tls::Context> context;
  if (users_ != nullptr) {
    BANDB_ASSIGN_OR_RETURN(users, ReadUsers());
  }
  if (tls_ != nullptr) {
    BANDB_ASSIGN_OR_RETURN(context, ReadTls());
  }
  const size_t count = users.users().size();
  if (users_ != nullptr) {
    const server::UserTable replaced = users_->Replace(users);
    for (const std::string& change : server::DescribeChanges(replaced, users)) {
      if (options_.audit != nullptr) options_.audit({.what = "users changed", .detail = change});
    }
    Log(LogSeverity::kInfo, fmt::format("reloaded {} users", count));
  }
  if (tls_ != nullptr) {
    tls_->Set(std::move(context));
    Log(LogSeverity::kInfo, "reloaded the certificate");
  }
  return absl::OkStatus();
}

absl::Status Server::Impl::Start() {
  BANDB_RETURN_IF_ERROR(SetUpUsers());
  BANDB_RETURN_IF_ERROR(SetUpTls());
  SetUpRedis();
  const int for_operators = hooks_.administer == nullptr ? 0 : kLongCommandsMax;
  if (WantsWorkers()) {
    workers_ = std::make_unique<server::RouteWorkers>(options_.worker_threads + for_operators, options_.worker_threads,
                                                      options_.logger);
  }
  for (int i = 0; i < options_.loops; ++i) BANDB_RETURN_IF_ERROR(AddLoop(i));
  std::vector<server::DoorQueue*> door_queues;
  for (ServingLoop& serving : loops_) door_queues.push_back(serving.loop_server->door_queue());
  door_ = std::make_unique<server::Door>(std::move(door_queues), &quota_, users_.get(), options_);
  // One socket for all loops: the first accepts and deals out.
  std::vector<server::LoopServer*> others;
  for (size_t i = 1; i < loops_.size(); ++i) others.push_back(loops_[i].loop_server.get());
  BANDB_RETURN_IF_ERROR(loops_[0].loop_server->Listen(options_.listen, others));
  address_ = loops_[0].loop_server->address();
  if (!options_.redis_listen.empty()) {
    BANDB_RETURN_IF_ERROR(loops_[0].loop_server->ListenForRedis(options_.redis_listen, others));
    redis_address_ = loops_[0].loop_server->redis_address();
    redis_.address = redis_address_;
    redis_.port = std::atoi(redis_address_.c_str() + redis_address_.rfind(':') + 1);
  }
  BANDB_RETURN_IF_ERROR(ListenForTls(others));
  if (WantsWatch()) {
    hook_watcher_ = std::make_unique<server::HookWatchThread>(&hook_watch_, &clock_, options_.hook_time_limit);
  }
  for (ServingLoop& serving : loops_) {
    serving.thread = std::make_unique<base::Thread>([loop = serving.loop.get()] { loop->Run(); });
  }
  Log(LogSeverity::kInfo, fmt::format("serving on {}", address_));
  if (!redis_address_.empty()) Log(LogSeverity::kInfo, fmt::format("serving clients of Redis on {}", redis_address_));
  if (options_.durability == Durability::kOs) {
    Log(LogSeverity::kWarning, "durability os: acknowledged writes survive the process, but not the machine");
  }
  return absl::OkStatus();
}

ServerStats Server::Impl::Stats() const {
  ServerStats stats;
  for (const ServingLoop& serving : loops_) serving.loop_server->AddTo(&stats);
  if (door_ != nullptr) door_->AddTo(&stats);
  if (users_ != nullptr) {
    stats.failed_logins = users_->failed_logins.load(std::memory_order_relaxed);
    stats.denials = users_->denials.load(std::memory_order_relaxed);
  }
  stats.snapshots_open = snapshots_.size();
  stats.hook_overruns += hook_watch_.overruns();
  if (workers_ != nullptr) stats.workers_lost = workers_->lost();
  stats.connections_open = static_cast<uint64_t>(quota_.connections.load(std::memory_order_relaxed));
  stats.memory_bytes = static_cast<uint64_t>(std::max<int64_t>(0, quota_.memory_bytes.load(std::memory_order_relaxed)));
  return stats;
}

bool Server::Impl::IsAlive() {
  bool all = true;
  for (ServingLoop& serving : loops_) {
    if (!serving.came_back->exchange(false)) {
      all = false;
      continue;
    }
    serving.loop->Post([came_back = serving.came_back] { came_back->store(true); });
  }
  return all;
}

ServerLatencies Server::Impl::Latencies() const {
  ServerLatencies latencies;
  for (const ServingLoop& serving : loops_) serving.loop_server->AddTo(&latencies);
  return latencies;
}

absl::StatusOr<ClientList> Server::Impl::Clients(size_t count_max) const {
  BANDB_ASSIGN_OR_RETURN(ClientList all, roster_.List(count_max));
  door_->ListClients(count_max, &all);
  std::stable_sort(all.clients.begin(), all.clients.end(),
                   [](const ClientInfo& a, const ClientInfo& b) { return a.age > b.age; });
  if (all.clients.size() > count_max) {
    all.omitted += all.clients.size() - count_max;
    all.clients.resize(count_max);
  }
  return all;
}

absl::Status Server::Impl::KillClient(uint64_t id) {
  std::string address;
  if (id < server::Door::kFirstId) {
    BANDB_ASSIGN_OR_RETURN(address, roster_.Kill(id));
  } else if (address = door_->KillClient(id); address.empty()) {
    return base::Error(absl::StatusCode::kNotFound, "there is no client {}", id);
  }
  Log(LogSeverity::kInfo, fmt::format("closed client {} from {}, as an operator asked", id, address));
  return absl::OkStatus();
}

absl::Status Server::Impl::Drain() {
  base::MutexLock lock(&ending_);
  if (stopped_ || drained_) return absl::OkStatus();
  drained_ = true;
  Log(LogSeverity::kInfo, "draining");
  struct Result {
    base::Event done;
    net::DrainOutcome outcome;  // written before done is set
  };
  std::vector<std::unique_ptr<Result>> results;
  for (ServingLoop& serving : loops_) {
    results.push_back(std::make_unique<Result>());
    serving.loop->Post([loop_server = serving.loop_server.get(), result = results.back().get()] {
      loop_server->Drain([result](const net::DrainOutcome& outcome) {
        result->outcome = outcome;
        result->done.Set();
      });
    });
  }
  int unanswered = 0, unread = 0;
  for (const auto& result : results) {
    result->done.BlockUntilSet(base::kForever);
    unanswered += result->outcome.unanswered;
    unread += result->outcome.unread;
  }
  if (unread > 0) {
    Log(LogSeverity::kWarning,
        fmt::format("closed {} connections whose clients did not take their replies within the drain timeout", unread));
  }
  if (unanswered == 0) return absl::OkStatus();
  return base::Error(absl::StatusCode::kDeadlineExceeded,
                     "the drain timeout passed: {} connections were closed with requests on their way", unanswered);
}

void Server::Impl::Stop() {
  base::MutexLock lock(&ending_);
  if (std::exchange(stopped_, true)) return;
  for (ServingLoop& serving : loops_) {
    if (serving.thread == nullptr) continue;
    serving.loop->Post([&serving] {
      serving.loop_server->End([&serving] {
        serving.loop->Stop();
        serving.ended->Set();
      });
    });
  }
  // The store always answers; what a route does on a worker is another matter.
  const int64_t deadline_nanos = DeadlineNanos(clock_.MonotonicNanos(), options_.drain_timeout);
  for (ServingLoop& serving : loops_) {
    if (serving.thread == nullptr) continue;
    const int64_t left_nanos =
        deadline_nanos == base::kForever ? deadline_nanos : deadline_nanos - clock_.MonotonicNanos();
    if (!serving.ended->BlockUntilSet(std::max<int64_t>(0, left_nanos))) {
      serving.loop->Post([loop_server = serving.loop_server.get()] { loop_server->AbandonWorkers(); });
    }
    serving.thread->Join();
    abandoned_ = abandoned_ || serving.loop_server->HasWorkers();
  }
  snapshots_.Clear();
  hook_watcher_.reset();
  if (abandoned_) {
    return Log(LogSeverity::kError, "a route did not return from its worker: ending without it; its memory is lost");
  }
  // Workers have given everything back by now; what they might still do is to let go of responders.
  workers_.reset();
}

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Server::~Server() {
  impl_->Stop();
  if (impl_->abandoned()) (void)impl_.release();
}

absl::StatusOr<std::unique_ptr<Server>> Server::Start(Store& store, const ServerOptions& options, ServerHooks hooks) {
  BANDB_RETURN_IF_ERROR(Validate(options));
  BANDB_RETURN_IF_ERROR(server::Validate(hooks));
  const uint64_t files_max = base::PosixFileSystem().OpenFilesMax();
  const server::ConnectionRoom room = server::RoomFor(options, files_max);
  ServerOptions fitting = options;
  fitting.connections_max = room.connections_max;
  fitting.audit = Contained(options.audit, options.logger);
  if (options.logger != nullptr && room.connections_max < options.connections_max) {
    options.logger->Log(LogSeverity::kWarning,
                        fmt::format("connections_max is {}, but the {} files that this process may have open (ulimit "
                                    "-n) leave room for {} connections",
                                    options.connections_max, files_max, room.connections_max));
  }
  auto impl = std::make_unique<Impl>(&store, fitting, room.refused_max, std::move(hooks));
  BANDB_RETURN_IF_ERROR(impl->Start());
  return std::unique_ptr<Server>(new Server(std::move(impl)));
}

server::Door* server::Door::Of(Server* server) { return server->impl_->door(); }

std::string Server::Address() const { return impl_->address(); }

std::string Server::RedisAddress() const { return impl_->redis_address(); }

ServerStats Server::Stats() const { return impl_->Stats(); }

ServerLatencies Server::Latencies() const { return impl_->Latencies(); }

absl::StatusOr<ClientList> Server::Clients(size_t count_max) const { return impl_->Clients(count_max); }

absl::Status Server::KillClient(uint64_t id) { return impl_->KillClient(id); }

std::vector<SlowRequest> Server::SlowRequests(size_t count_max) const { return impl_->slow_log()->List(count_max); }

std::vector<SlowRequest> Server::SlowRequestsFor(std::string_view user, size_t count_max) const {
  return impl_->slow_log()->List(count_max, impl_->users(), user);
}

void Server::ClearSlowRequests() { impl_->slow_log()->Clear(); }

void Server::SetSlowLog(absl::Duration threshold, int key_bytes) { impl_->slow_log()->Set(threshold, key_bytes); }

std::string Server::TlsAddress() const { return impl_->tls_address(); }

std::string Server::RedisTlsAddress() const { return impl_->redis_tls_address(); }

absl::Status Server::Reload() { return impl_->Reload(); }
bool Server::IsAlive() { return impl_->IsAlive(); }

absl::Status Server::Drain() { return impl_->Drain(); }

void Server::Stop() { impl_->Stop(); }

}  // namespace bandb
