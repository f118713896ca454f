// The configuration of bandb_server: a TOML file, every key of which is described in
// docs/operations.md.
//
// A mistake is never passed over: an unknown key, a value of the wrong type or without its unit, a
// number out of range, and values that do not go together are refused, all of them at once, each
// with file and line and, where a name is wrong, the nearest right one.
#ifndef BANDB_TOOLS_BANDB_SERVER_CONFIG_H_
#define BANDB_TOOLS_BANDB_SERVER_CONFIG_H_

#include <cstddef>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "bandb/cluster_options.h"
#include "bandb/logger.h"
#include "bandb/options.h"
#include "bandb/server.h"
#include "base/file_system.h"

namespace bandb::server_program {

// What is served.
enum class Mode : uint8_t {
  kCluster,     // a node of a cluster: of one voter, if nothing else is said
  kStandalone,  // a Db
};

struct Config {
  Mode mode = Mode::kCluster;
  std::string data = "./bandb-data";
  std::string backups{};  // the repository; empty: none
  bool backup_logs = false;
  LogSeverity log_level = LogSeverity::kInfo;
  // Where lines of the log go; empty: to standard error.
  std::string log_file;
  // Whether they are JSON.
  bool log_json = false;
  // Where it is recorded who changed something; empty: nowhere.
  std::string audit_file{};
  Options storage;
  ServerOptions server;
  // As the file says it; ClusterOptionsOf (cluster_config.h) adds what follows from the rest.
  ClusterOptions cluster;
  bool cluster_insecure = false;
  // All of them, or none: no TLS between nodes.
  PeerTlsFiles cluster_tls;
  // HOST:PORT of the listener for an operator's programs; empty: there is none.
  std::string admin_listen;
  bool admin_insecure = false;
  // HOST:PORT of the listener for clients of gRPC; empty: there is none.
  std::string grpc_listen;
  // Likewise for those that speak TLS.
  std::string grpc_tls_listen;
  // The file, and the line of each setting that it makes ("storage.write_buffer"), for messages; 0
  // if the command line makes it.
  std::string file{};
  std::map<std::string, size_t, std::less<>> lines{};
};

// What the command line says, which overrides the file; empty: nothing.
struct Overrides {
  std::string listen{};
  std::string data{};
  // "section.key=value" each: the value as in the file, or a text without its quotes.
  std::vector<std::string> settings{};
};

// Reads the configuration from `text`, which messages call `name`.
// Errors: kInvalidArgument, one line for each mistake, "NAME:LINE: what is wrong" where the file
// makes it.
absl::StatusOr<Config> ParseConfig(std::string_view text, std::string_view name, const Overrides& overrides = {});

// The same from a file; an empty path is an empty file. Errors: also those of reading it.
absl::StatusOr<Config> ReadConfig(base::FileSystem* files, const std::string& path, const Overrides& overrides);

// Every setting with its value, as a file that makes the same configuration.
std::string ShowConfig(const Config& config);

// Looks up the hosts to listen on; may block for as long as the system looks for a name.
// Errors: kInvalidArgument there is no such host, two listeners have one address, or others can
// reach a listener that is not meant for them; with file and line where the file names it.
absl::Status CheckHosts(const Config& config);

}  // namespace bandb::server_program

#endif  // BANDB_TOOLS_BANDB_SERVER_CONFIG_H_
