#include "reload.h"

#include "base/status.h"
#include "settings.h"
#include "support/catch.h"
#include "support/memory_logger.h"

namespace bandb::server_program {
namespace {

Config Parsed(std::string_view text) {
  const absl::StatusOr<Config> config = ParseConfig(text, "file");
  REQUIRE_OK(config.status());
  return *config;
}

bool Says(const test::MemoryLogger& lines, const std::string& text) {
  return lines.Text().find(text) != std::string::npos;
}

// All there are, in their order.
constexpr const char* kEverySetting = R"([server]
mode = "standalone"
listen = "[::1]:0"
tls_listen = "127.0.0.1:8443"
insecure = true
durability = "os"
loops = 3
worker_threads = 2
reads_inline = false
frame_max = "1 MiB"
batch_operations_max = 10000
connections_max = 10000
accepts_per_turn_max = 16
in_flight_requests_max = 1024
in_flight_max = "4 MiB"
output_max = "1 MiB"
memory_max = "256 MiB"
frame_timeout = "30 s"
unread_timeout = "10 s"
idle_timeout = "never"
stall_timeout = "1 s"
store_timeout = "4 s"
keepalive = "5 min"
slow_log_threshold = "100 ms"
slow_log_key_bytes = 32
drain_timeout = "10 s"

[tls]
certificate = "/etc/bandb/server.crt"
key = "/etc/bandb/server.key"
client_ca = ""

[users]
file = "/etc/bandb/users.toml"
login_timeout = "3 s"

[redis]
tls_listen = "127.0.0.1:6380"
listen = "127.0.0.1:6379"

[grpc]
listen = "127.0.0.1:50051"
tls_listen = ""

[cluster]
listen = ""
advertise = ""
client_address = ""
name = "a"
join = []
bootstrap = false
replaces = ""
join_as_learner = false
insecure = false
tls_ca = "ca.crt"
tls_cert = "node.crt"
tls_key = "node.key"
tls_crl = "node.crl"
tls_names = [".db.example"]
election_timeout = "1 s"
heartbeat_interval = "100 ms"
priority = 10
lease_reads = false
log_file = "64 MiB"
log_retained = "64 MiB"

[storage]
data = "/srv/\u0001\"\\"
backups = "/srv/backups"
backup_logs = false
create_if_missing = true
memory_budget = "0 B"
background_threads = 2
write_buffer = "64 MiB"
block_cache = "64 MiB"
block = "4 KiB"
bloom_bits_per_key = 10
compression = "none"
table = "32 MiB"
level0_tables = 4
level_base = "256 MiB"
changes_keep_bytes = "1 GiB"
changes_keep_for = "168 h"

[admin]
listen = "127.0.0.1:9100"
insecure = true

[log]
level = "error"
file = "/var/log/bandb.log"
format = "json"
audit_file = "/var/log/bandb-audit.log"
)";

TEST_CASE("every setting is shown as a file says it") {
  CHECK(ShowConfig(Parsed(kEverySetting)) == kEverySetting);
  const std::string node = "[cluster]\nlisten = \"a:1\"\njoin = [\"b:1\", \"c:1\"]\n";
  CHECK(ShowConfig(Parsed(node)).find("\njoin = [\"b:1\", \"c:1\"]\n") != std::string::npos);
  const std::string defaults = ShowConfig(Config{});
  CHECK(ShowConfig(Parsed(defaults)) == defaults);
}

TEST_CASE("a reload takes over what is live, names what needs a restart, and is refused whole if anything is wrong") {
  test::MemoryLogger lines;
  LoggerBridge logger(&lines, LogSeverity::kInfo);
  Config running = Parsed("");
  logger.Log(LogSeverity::kDebug, "not yet");
  CHECK(lines.Text().empty());

  Reload(Parsed("[log]\nlevel = \"debug\"\n[server]\nloops = 2\n"), &running, &logger);
  CHECK(Says(lines, "reloaded: log.level = \"debug\""));
  CHECK(Says(lines, "these need a restart to change: server.loops = 2"));
  CHECK(running.server.loops == 1);
  logger.Log(LogSeverity::kDebug, "now");
  CHECK(Says(lines, "now"));

  Reload(Parsed("[log]\nlevel = \"debug\"\n[server]\nslow_log_threshold = \"never\"\nslow_log_key_bytes = 0\n"),
         &running, &logger);
  CHECK(Says(lines, "reloaded: server.slow_log_threshold = \"never\", server.slow_log_key_bytes = 0"));
  CHECK(running.server.slow_log_threshold == absl::InfiniteDuration());
  CHECK(running.server.slow_log_key_bytes == 0);

  Reload(ParseConfig("[log]\nlevel = \"error\"\nx = 1\ny = 1\n", "file"), &running, &logger);
  CHECK(Says(lines, "reload refused: file:3: there is no log.x"));
  CHECK(Says(lines, "reload refused: file:4: there is no log.y"));
  logger.Log(LogSeverity::kDebug, "still");
  CHECK(Says(lines, "still"));

  Reload(running, &running, &logger);
  CHECK(Says(lines, "nothing that the configuration says has changed"));
}

}  // namespace
}  // namespace bandb::server_program
