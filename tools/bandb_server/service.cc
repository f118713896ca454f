#include "service.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "admin/http_listener.h"
#include "administration.h"
#include "audit_log.h"
#include "base/clock.h"
#include "base/line_file.h"
#include "base/posix_file_system.h"
#include "base/status.h"
#include "base/stream_logger.h"
#include "base/thread.h"
#include "base/thread_executor.h"
#include "bounded_end.h"
#include "data_store.h"
#include "directory_watch.h"
#include "grpc/listener.h"
#include "logger_bridge.h"
#include "net/address.h"
#include "processes/notify_socket.h"
#include "reload.h"
#include "signals.h"
#include "standard_streams/standard_streams.h"

namespace bandb::server_program {

namespace {

using standard_streams::Print;

constexpr int64_t kEndLookNanos = 20'000'000;
// For closing the database, after the drain.
constexpr absl::Duration kCloseTimeout = absl::Seconds(30);

// As many descriptors as connections_max and the tables of the database need, if the system allows
// so many: it gives 1,024 to begin with, for the sake of programs that use select.
void RaiseFileLimit(const ServerOptions& options) {
  constexpr uint64_t kForTheStore = 8192 + 1024;
  base::PosixFileSystem().RaiseOpenFilesMax(static_cast<uint64_t>(options.connections_max) + kForTheStore);
}

int Fail(std::string_view what, const absl::Status& status) {
  Print(stderr, "bandb_server: {}: {}: {}\n", what, absl::StatusCodeToString(status.code()), base::Message(status));
  return kFailed;
}

// Null: there is none.
absl::StatusOr<std::unique_ptr<base::LineFile>> OpenAudit(const Config& config) {
  if (config.audit_file.empty()) return nullptr;
  return base::LineFile::Open(config.audit_file);
}

absl::StatusOr<std::unique_ptr<base::StreamLogger>> OpenLog(const Config& config, base::Clock* clock) {
  // What is severe enough is the bridge's to say, which can change it.
  const base::StreamLoggerOptions options{.level = base::LogLevel::kDebug, .json = config.log_json};
  if (!config.log_file.empty()) return base::StreamLogger::ToFile(config.log_file, clock, options);
  return base::StreamLogger::ToStderr(clock, options);
}

// Of a listener; none has no address.
bool IsBeyondLoopback(const std::string& address) {
  const absl::StatusOr<net::SocketAddress> parsed = net::ParseAddress(address);
  return parsed.ok() && !net::IsLoopback(*parsed);
}

// `tls_asks`: clients of TLS need a certificate.
void Announce(const Server& server, const grpc::Listener* grpc, const grpc::Listener* grpc_tls,
              const admin::HttpListener* admin, bool has_users, bool tls_asks, Logger* logger) {
  const std::string grpc_address = grpc == nullptr ? "" : grpc->Address();
  const std::string grpc_tls_address = grpc_tls == nullptr ? "" : grpc_tls->Address();
  std::vector<std::string> open = {server.Address(), server.RedisAddress(), grpc_address};
  if (!tls_asks) open.insert(open.end(), {server.TlsAddress(), server.RedisTlsAddress(), grpc_tls_address});
  if (!has_users && std::any_of(open.begin(), open.end(), IsBeyondLoopback)) {
    logger->Log(LogSeverity::kWarning, "no authentication: anyone who can reach this port has full access");
  }
  if (!server.RedisAddress().empty()) Print(stdout, "redis on {}\n", server.RedisAddress());
  if (!server.TlsAddress().empty()) Print(stdout, "tls on {}\n", server.TlsAddress());
  if (!server.RedisTlsAddress().empty()) Print(stdout, "redis tls on {}\n", server.RedisTlsAddress());
  if (!grpc_tls_address.empty()) Print(stdout, "grpc tls on {}\n", grpc_tls_address);
  if (!grpc_address.empty()) Print(stdout, "grpc on {}\n", grpc_address);
  if (admin != nullptr) Print(stdout, "admin on {}\n", admin->Address());
  Print(stdout, "listening on {}\n", server.Address());
  std::fflush(stdout);
}

// What runs while the server serves, and how it ends.
class ServerLife {
 public:
  // `audit_lines` may be null.
  ServerLife(Config config, base::Clock* clock, base::StreamLogger* lines, base::LineFile* audit_lines,
             LoggerBridge* logger, processes::NotifySocket* manager)
      : config_(std::move(config)),
        clock_(clock),
        lines_(lines),
        audit_lines_(audit_lines),
        audit_({.append = [audit_lines](std::string_view line) { return audit_lines->Append(line); },
                .clock = clock,
                .logger = logger,
                .json = config_.log_json}),
        logger_(logger),
        manager_(manager),
        start_seconds_(clock->WallMillis() / 1000) {}

  int Run(const Signals& signals, const std::function<absl::StatusOr<Config>()>& reread) {
    if (const int code = Start(signals); code != kDone) return code;
    if (data_ == nullptr) return kDone;
    const DirectoryWatch directory(config_.data);
    Announce(*server_, grpc_.get(), grpc_tls_.get(), admin_.get(), !config_.server.users_file.empty(),
             !config_.server.tls_client_ca_file.empty(), logger_);
    TellReady();
    while (true) {
      if (TakeSignal(signals, manager_->look_nanos())) break;
      // While a loop does not come back from what it does, the watchdog of the manager runs out.
      manager_->Look(server_->IsAlive());
      if (std::exchange(reload_is_due_, false)) {
        manager_->TellReloading();
        ReloadAll(reread());
        TellReady();
      }
      lost_ = directory.Look();
      const absl::Status failed = lost_.ok() ? data_->Look() : lost_;
      if (!failed.ok()) {
        // That the directory went may have been what failed.
        if (lost_.ok()) lost_ = directory.Look();
        logger_->Log(LogSeverity::kError, fmt::format("stopping: {}", base::Message(failed)));
        break;
      }
    }
    return End(signals);
  }

 private:
  void TellReady() { manager_->TellReady(fmt::format("listening on {}", server_->Address())); }

  // Does what the next signal asks for, if one comes within this time; a reload is only noted.
  // True: it is to end.
  bool TakeSignal(const Signals& signals, int64_t timeout_nanos) {
    const int signal = signals.Wait(timeout_nanos);
    if (signal == SIGUSR1) ReopenLog();
    if (signal == SIGHUP) reload_is_due_ = true;
    return TellsToEnd(signal);
  }

  // Done, and nothing to serve, if it was told to end before.
  int Start(const Signals& signals) {
    // A node may wait to be let in for long.
    const DataStoreParts parts{.files = &files_, .clock = clock_, .logger = logger_, .told_to_end = [this, &signals] {
                                 return TakeSignal(signals, 0);
                               }};
    if (!config_.cluster_tls.ca.empty()) {
      absl::StatusOr<std::shared_ptr<PeerTls>> tls = PeerTls::Load(config_.cluster_tls);
      if (!tls.ok()) return Fail("no TLS between nodes", tls.status());
      config_.cluster.tls = *std::move(tls);
    }
    absl::StatusOr<std::unique_ptr<DataStore>> data = OpenDataStore(config_, parts);
    if (absl::IsCancelled(data.status())) {
      logger_->Log(LogSeverity::kInfo, base::Message(data.status()));
      return kDone;
    }
    if (!data.ok()) return Fail(fmt::format("cannot open {}", config_.data), data.status());
    data_ = *std::move(data);
    ServerOptions options = config_.server;
    // A change of leader costs clients time and nothing else.
    if (!config_.cluster.listen.empty() && config_.lines.count("server.stall_timeout") == 0) {
      options.stall_timeout = options.store_timeout;
    }
    options.logger = logger_;
    if (audit_lines_ != nullptr) {
      options.audit = [this](const AuditEvent& event) { audit_.Record(event); };
    }
    ServerHooks hooks;
    hooks.administer = [this](const AdministrationRequest& request) {
      Server* const server = serving_;
      if (server == nullptr) return absl::StatusOr<std::string>(absl::UnavailableError("the server is starting"));
      absl::StatusOr<std::string> answer = Administer({.data = data_.get(),
                                                       .backups = &backups_,
                                                       .is_compacting = &is_compacting_,
                                                       .server = server,
                                                       .report = [this] { return TakeReport(); }},
                                                      request);
      if (audit_lines_ != nullptr) audit_.RecordAdministration(request, answer.status());
      return answer;
    };
    absl::StatusOr<std::unique_ptr<Server>> server = Server::Start(data_->store(), options, std::move(hooks));
    if (!server.ok()) return Fail(fmt::format("cannot listen on {}", options.listen), server.status());
    server_ = *std::move(server);
    serving_ = server_.get();
    if (const int code = StartGrpc(); code != kDone) return code;
    return StartAdmin();
  }

  int StartGrpc() {
    const int code = StartGrpc({.listen = config_.grpc_listen}, &grpc_);
    return code != kDone ? code
                         : StartGrpc({.listen = config_.grpc_tls_listen,
                                      .tls_certificate_file = config_.server.tls_certificate_file,
                                      .tls_key_file = config_.server.tls_key_file,
                                      .tls_client_ca_file = config_.server.tls_client_ca_file},
                                     &grpc_tls_);
  }

  int StartGrpc(const grpc::ListenerOptions& options, std::unique_ptr<grpc::Listener>* started) {
    if (options.listen.empty()) return kDone;
    absl::StatusOr<std::unique_ptr<grpc::Listener>> listener = grpc::Listener::Start(server_.get(), options);
    if (!listener.ok()) return Fail("cannot listen for clients of gRPC", listener.status());
    *started = *std::move(listener);
    return kDone;
  }

  int StartAdmin() {
    if (config_.admin_listen.empty()) return kDone;
    absl::StatusOr<std::unique_ptr<admin::HttpListener>> listener =
        admin::HttpListener::Start({.listen = config_.admin_listen,
                                    .insecure = config_.admin_insecure,
                                    .report = [this] { return TakeReport(); },
                                    .ready = [this] { return Ready(); }});
    if (!listener.ok()) return Fail("cannot listen for operators", listener.status());
    admin_ = *std::move(listener);
    return kDone;
  }

  void ReloadAll(const absl::StatusOr<Config>& fresh) {
    // The files may have changed though the configuration is as it was; they are taken over whole,
    // or not at all.
    const absl::Status files = fresh.ok() ? ReloadFiles() : absl::OkStatus();
    if (audit_lines_ != nullptr) {
      const bool taken = fresh.ok() && files.ok();
      audit_.Record({.what = "configuration reloaded", .detail = taken ? "by SIGHUP" : "by SIGHUP: refused"});
    }
    if (!files.ok()) {
      logger_->Log(LogSeverity::kError, fmt::format("reload refused: {}", base::Message(files)));
    } else {
      Reload(fresh, &config_, logger_);
      server_->SetSlowLog(config_.server.slow_log_threshold, config_.server.slow_log_key_bytes);
    }
  }

  // All of it is read before anything changes.
  absl::Status ReloadFiles() {
    std::shared_ptr<PeerTls> peers;
    if (config_.cluster.tls != nullptr) {
      BANDB_ASSIGN_OR_RETURN(peers, PeerTls::Load(config_.cluster_tls));
    }
    BANDB_RETURN_IF_ERROR(server_->Reload());
    if (peers == nullptr) return absl::OkStatus();
    config_.cluster.tls->Replace(*peers);
    logger_->Log(LogSeverity::kInfo, "reloaded the certificate for other nodes");
    return absl::OkStatus();
  }

  void ReopenLog() {
    // First, so that what is told of the other is in the one that is read from now on.
    const absl::Status reopened = lines_->Reopen();
    if (reopened.ok()) {
      logger_->Log(LogSeverity::kInfo, "the log was reopened");
    } else {
      logger_->Log(LogSeverity::kError, fmt::format("the log goes on where it was: {}", base::Message(reopened)));
    }
    const absl::Status audit = audit_lines_ == nullptr ? absl::OkStatus() : audit_lines_->Reopen();
    if (audit.ok()) return;
    logger_->Log(LogSeverity::kError, fmt::format("the audit log goes on where it was: {}", base::Message(audit)));
  }

  admin::Report TakeReport() const {
    admin::Report report{.version = BANDB_VERSION,
                         .start_seconds = start_seconds_,
                         .server = server_->Stats(),
                         .store = data_->GetStats(),
                         .latencies = server_->Latencies()};
    if (audit_lines_ != nullptr) report.audit = {.lines_lost = audit_.lines_lost()};
    if (Cluster* const cluster = data_->cluster(); cluster != nullptr) report.cluster = cluster->GetStatus();
    return report;
  }

  absl::Status Ready() const {
    if (ending_) return absl::UnavailableError("the server is ending");
    return data_->Ready();
  }

  int End(const Signals& signals) {
    ending_ = true;
    manager_->TellEnding();
    backups_.End();
    base::ThreadExecutor executor(1);
    const absl::Duration drain_timeout = config_.server.drain_timeout;
    const auto told_again = [&] {
      // This takes only so long.
      manager_->Look(true);
      const bool again = TakeSignal(signals, kEndLookNanos);
      if (again) logger_->Log(LogSeverity::kWarning, "told to stop once more: stopping at once");
      return again;
    };
    const EndOutcome outcome = RunBounded(
        &executor, clock_, [this] { Close(); }, absl::ToInt64Nanoseconds(drain_timeout + kCloseTimeout), told_again);
    if (outcome == EndOutcome::kTookTooLong) {
      logger_->Log(LogSeverity::kError, "the server does not end: giving up; acknowledged writes are on disk");
    }
    // What still runs must not lose what it uses: no destructor, and acknowledged writes need none.
    if (outcome != EndOutcome::kDone) ::_exit(lost_.ok() ? kFailed : kLost);
    return Report();
  }

  // Ends what serves and what stores. Runs beside the thread that takes signals.
  void Close() {
    // Without its directory nothing that is still acknowledged would last.
    if (lost_.ok()) drained_ = Drain();
    grpc_.reset();
    grpc_tls_.reset();
    server_->Stop();
    // It tells of both.
    admin_.reset();
    closed_ = data_->Close();
  }

  // All doors at once, so that it takes one drain_timeout.
  absl::Status Drain() {
    absl::Status of_grpc, of_grpc_tls;
    base::Thread grpc([&] {
      if (grpc_ != nullptr) of_grpc = grpc_->Drain();
    });
    base::Thread grpc_tls([&] {
      if (grpc_tls_ != nullptr) of_grpc_tls = grpc_tls_->Drain();
    });
    absl::Status drained = server_->Drain();
    grpc.Join();
    grpc_tls.Join();
    drained.Update(of_grpc);
    drained.Update(of_grpc_tls);
    return drained;
  }

  int Report() {
    if (!lost_.ok()) return kLost;
    if (!closed_.ok()) return Fail("closing the database", closed_);
    if (!drained_.ok()) return Fail("draining", drained_);
    if (data_->stopped_for_good()) {
      logger_->Log(LogSeverity::kError, "closed; an error had stopped the writes, see above");
      return kFailed;
    }
    logger_->Log(LogSeverity::kInfo, "closed");
    return kDone;
  }

  Config config_;
  BackupMaker backups_{config_.backups, config_.backup_logs};
  std::atomic<bool> is_compacting_ = false;
  base::Clock* const clock_;
  base::StreamLogger* const lines_;
  base::LineFile* const audit_lines_;  // null: nothing is recorded
  AuditLog audit_;
  LoggerBridge* const logger_;
  processes::NotifySocket* const manager_;
  const uint64_t start_seconds_;
  base::PosixFileSystem files_;
  std::unique_ptr<DataStore> data_;
  std::unique_ptr<Server> server_;
  std::atomic<Server*> serving_ = nullptr;  // server_, once it may be used by any thread
  std::unique_ptr<grpc::Listener> grpc_;
  std::unique_ptr<grpc::Listener> grpc_tls_;
  std::unique_ptr<admin::HttpListener> admin_;
  bool reload_is_due_ = false;
  std::atomic<bool> ending_ = false;
  absl::Status lost_;  // of the directory
  absl::Status drained_;
  absl::Status closed_;
};

}  // namespace

int Serve(Config config, const std::function<absl::StatusOr<Config>()>& reread) {
  const Signals signals;
  RaiseFileLimit(config.server);
  base::SystemClock clock;
  processes::NotifySocket manager(&clock);
  absl::StatusOr<std::unique_ptr<base::StreamLogger>> lines = OpenLog(config, &clock);
  if (!lines.ok()) return Fail("cannot open the log", lines.status());
  const absl::StatusOr<std::unique_ptr<base::LineFile>> audit_lines = OpenAudit(config);
  if (!audit_lines.ok()) return Fail("cannot open the audit log", audit_lines.status());
  LoggerBridge logger(lines->get(), config.log_level);
  return ServerLife(std::move(config), &clock, lines->get(), audit_lines->get(), &logger, &manager)
      .Run(signals, reread);
}

}  // namespace bandb::server_program
