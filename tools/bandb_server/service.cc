#include "service.h"

#include <fmt/format.h>

#include <csignal>
#include <cstdio>
#include <ctime>
#include <memory>
#include <string>

#include "bandb/db.h"
#include "base/clock.h"
#include "base/posix_file_system.h"
#include "base/status.h"
#include "base/stream_logger.h"
#include "disk_watch.h"
#include "logger_bridge.h"
#include "standard_streams/standard_streams.h"

namespace bandb::server_program {

namespace {

using standard_streams::Print;

// SIGTERM and SIGINT, taken one after the other by the thread that waits for them instead of interrupting one that
// works.
class EndSignals {
 public:
  EndSignals() {
    sigemptyset(&signals_);
    sigaddset(&signals_, SIGTERM);
    sigaddset(&signals_, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
    // A client that goes away while it is written to is an error of that write.
    std::signal(SIGPIPE, SIG_IGN);
  }

  // True if one came within a second.
  bool Wait() const {
    const timespec second{1, 0};
    return sigtimedwait(&signals_, nullptr, &second) > 0;
  }

 private:
  sigset_t signals_{};
};

// As many descriptors as connections_max and the tables of the database need, if the system allows so many: it gives
// 1,024 to begin with, for the sake of programs that use select.
void RaiseFileLimit(const ServerOptions& options) {
  constexpr uint64_t kForTheStore = 8192 + 1024;
  base::PosixFileSystem().RaiseOpenFilesMax(static_cast<uint64_t>(options.connections_max) + kForTheStore);
}

int Fail(std::string_view what, const absl::Status& status) {
  Print(stderr, "bandb_server: {}: {}: {}\n", what, absl::StatusCodeToString(status.code()), base::Message(status));
  return kFailed;
}

bool IsLoopback(std::string_view address) { return address.starts_with("127.") || address.starts_with("[::1]"); }

void Announce(const Config& config, const Server& server, Logger* logger) {
  if (config.server.durability == Durability::kOs) {
    logger->Log(LogSeverity::kWarning,
                "durability is \"os\": acknowledged writes survive the death of this process, not of the machine");
  }
  if (!IsLoopback(server.Address())) {
    logger->Log(LogSeverity::kWarning, "there are no users and permissions yet: whoever reaches this port may do all");
  }
  Print(stdout, "listening on {}\n", server.Address());
  std::fflush(stdout);
}

}  // namespace

int Serve(const Config& config) {
  const EndSignals signals;
  RaiseFileLimit(config.server);
  base::SystemClock clock;
  const auto lines = base::StreamLogger::ToStderr(&clock, {.level = static_cast<base::LogLevel>(config.log_level)});
  LoggerBridge logger(lines.get());
  base::PosixFileSystem files;
  DiskWatch disk_watch(&files, &clock, config.data);
  Options storage = config.storage;
  storage.logger = &logger;
  storage.listener = &disk_watch;
  absl::StatusOr<std::unique_ptr<Db>> db = Db::Open(config.data, storage);
  if (!db.ok()) return Fail(fmt::format("cannot open {}", config.data), db.status());

  ServerOptions options = config.server;
  options.logger = &logger;
  absl::StatusOr<std::unique_ptr<Server>> server = Server::Start(**db, options);
  if (!server.ok()) return Fail(fmt::format("cannot listen on {}", options.listen), server.status());
  Announce(config, **server, &logger);
  while (!signals.Wait()) disk_watch.Look([&db] { return (*db)->Resume(); }, &logger);

  logger.Log(LogSeverity::kInfo, "told to end: draining");
  const absl::Status drained = (*server)->Drain();
  server->reset();
  const absl::Status closed = (*db)->Close();
  if (!closed.ok()) return Fail("closing the database", closed);
  if (!drained.ok()) return Fail("draining", drained);
  logger.Log(LogSeverity::kInfo, "closed");
  return kDone;
}

}  // namespace bandb::server_program
