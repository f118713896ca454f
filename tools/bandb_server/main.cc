// bandb_server: serves a database over TCP.
//
//   bandb_server [--config FILE] [--listen HOST:PORT] [--data DIR] [--set KEY=VALUE]... [--check-config]
//                [--show-config] [--version] [--help]
//
// Flags override the file. Exit codes: 0 ended in order, 1 failed, 2 usage or configuration, 3 its
// directory was lost; kFooter says it in full.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "base/posix_file_system.h"
#include "base/status.h"
#include "config.h"
#include "service.h"
#include "standard_streams/standard_streams.h"

namespace bandb::server_program {

namespace {

using standard_streams::Print;

struct Flags {
  std::string config;
  std::string listen;
  std::string data;
  std::vector<std::string> settings;
  bool check_config = false;
  bool show_config = false;
};

constexpr const char* kFooter =
    "Without a [cluster] section it is a cluster of one, which others can join once cluster.listen is set.\n"
    "\n"
    "SIGTERM or SIGINT ends the server in order, a second one at once; SIGHUP reads the configuration again, "
    "SIGUSR1 opens log.file and log.audit_file again.\n"
    "\n"
    "Exit codes: 0 ended in order; 1 could not open or close the database or bind the address, or an error had stopped "
    "the\n"
    "writes, or it ended at once; 2 usage or configuration, nothing was touched; 3 its directory was lost while it "
    "served:\n"
    "bring it back before the next start, which would begin another database.\n"
    "\n"
    "Examples:\n"
    "  bandb_server --data /var/lib/bandb\n"
    "  bandb_server --data /var/lib/bandb --set cluster.listen=10.0.0.2:7400 --set cluster.join=10.0.0.1:7400\n"
    "  bandb_server --config /etc/bandb/server.toml --listen 127.0.0.1:9000\n"
    "  bandb_server --config /etc/bandb/server.toml --check-config\n"
    "  bandb_server --show-config > server.toml";

// An empty path or address is a variable that was never set.
std::string RefuseEmpty(const std::string& text) { return text.empty() ? "it is empty" : ""; }

void Declare(CLI::App* app, Flags* flags) {
  app->add_option("--config", flags->config, "a TOML file; docs/operations.md describes every key")
      ->check(RefuseEmpty)
      ->type_name("FILE");
  app->add_option("--listen", flags->listen, "address to listen on, port 0 for a free one [127.0.0.1:8080]")
      ->check(RefuseEmpty)
      ->type_name("HOST:PORT");
  app->add_option("--data", flags->data, "directory of the database [./bandb-data]")
      ->check(RefuseEmpty)
      ->type_name("DIR");
  app->add_option("--set", flags->settings, "a setting as in the file, such as log.level=debug; may be repeated")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
  app->add_flag("--check-config", flags->check_config, "check the configuration, and exit");
  app->add_flag("--show-config", flags->show_config, "print every setting and its value as a TOML file, and exit");
  app->set_version_flag("--version", "bandb_server " BANDB_VERSION);
  app->footer(kFooter);
}

absl::StatusOr<Config> Configure(const Flags& flags) {
  base::PosixFileSystem files;
  BANDB_ASSIGN_OR_RETURN(
      const Config config,
      ReadConfig(&files, flags.config, {.listen = flags.listen, .data = flags.data, .settings = flags.settings}));
  // A misspelt host must not leave a new database in a wrong place.
  BANDB_RETURN_IF_ERROR(CheckHosts(config));
  return config;
}

// The exit code of a run that was asked for a text alone.
int Told() {
  if (standard_streams::Arrived()) return kDone;
  Print(stderr, "bandb_server: standard output could not be written\n");
  return kFailed;
}

int Run(int argc, char** argv) {
  CLI::App app("Serves a database over TCP.", "bandb_server");
  Flags flags;
  Declare(&app, &flags);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? Told() : kUsage;
  }
  const absl::StatusOr<Config> config = Configure(flags);
  if (!config.ok()) {
    Print(stderr, "{}\n", base::Message(config.status()));
    return kUsage;
  }
  if (flags.check_config) {
    Print(stdout, "configuration OK\n");
    return Told();
  }
  if (flags.show_config) {
    Print(stdout, "{}", ShowConfig(*config));
    return Told();
  }
  return Serve(*config, [&flags] { return Configure(flags); });
}

}  // namespace

}  // namespace bandb::server_program

int main(int argc, char** argv) { return bandb::server_program::Run(argc, argv); }
