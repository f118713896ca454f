// bandb_server: a database behind TCP.
//
//   bandb_server [--config FILE] [--listen HOST:PORT] [--data DIR] [--check-config] [--version] [--help]
//
// Flags override the file. Exit codes: 0 ended in order, 1 could not open, listen or close, 2 usage or configuration.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <string>

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
  bool check_config = false;
};

// An empty path or address is a variable that somebody forgot to set.
std::string RefuseEmpty(const std::string& text) { return text.empty() ? "it is empty" : ""; }

void Declare(CLI::App* app, Flags* flags) {
  app->add_option("--config", flags->config, "a TOML file; docs/operations.md describes every key")->check(RefuseEmpty);
  app->add_option("--listen", flags->listen, "HOST:PORT to listen on, port 0 for a free one [127.0.0.1:8080]")
      ->check(RefuseEmpty);
  app->add_option("--data", flags->data, "the directory of the database [./bandb-data]")->check(RefuseEmpty);
  app->add_flag("--check-config", flags->check_config, "say whether the configuration is good, and exit");
  app->set_version_flag("--version", "bandb_server " BANDB_VERSION);
}

absl::StatusOr<Config> Configure(const Flags& flags) {
  base::PosixFileSystem files;
  BANDB_ASSIGN_OR_RETURN(const Config config,
                         ReadConfig(&files, flags.config, {.listen = flags.listen, .data = flags.data}));
  // A misspelt host must not leave a new database where nobody wanted one.
  BANDB_RETURN_IF_ERROR(CheckHosts(config));
  return config;
}

int Run(int argc, char** argv) {
  CLI::App app("A database behind TCP.", "bandb_server");
  Flags flags;
  Declare(&app, &flags);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kDone : kUsage;
  }
  const absl::StatusOr<Config> config = Configure(flags);
  if (!config.ok()) {
    Print(stderr, "{}\n", base::Message(config.status()));
    return kUsage;
  }
  if (flags.check_config) {
    Print(stdout, "the configuration is good\n");
    return kDone;
  }
  return Serve(*config, [&flags] { return Configure(flags); });
}

}  // namespace

}  // namespace bandb::server_program

int main(int argc, char** argv) {
  bandb::standard_streams::HoldNumbers();
  return bandb::server_program::Run(argc, argv);
}
