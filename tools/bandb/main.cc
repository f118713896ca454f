// bandb: the client of bandb_server, for people and scripts.
//
//   bandb [--addr HOST:PORT] put KEY VALUE | get KEY | delete KEY | load FILE... | help
//
// Without a command it reads commands from standard input, at a terminal with line editing and history.
// Exit codes: 0 done, 1 not found, 2 usage, 3 server or connection error, or standard output could not be written.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cmath>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/posix_file_system.h"
#include "base/status.h"
#include "base/thread_executor.h"
#include "load.h"
#include "net/address.h"
#include "shell.h"
#include "standard_streams/standard_streams.h"

namespace bandb::cli {

namespace {

using standard_streams::Print;
using standard_streams::Write;

constexpr const char* kFooter =
    "Commands:\n"
    "  put KEY VALUE    store VALUE under KEY; the words of VALUE are joined by spaces\n"
    "  get KEY          print the value of KEY\n"
    "  delete KEY       remove KEY\n"
    "  load FILE...     store every line of the files (- is standard input); bandb load --help says how\n"
    "  help             this text\n"
    "Without a command: interactive mode. A key that begins with a dash stands behind --: get -- --key\n"
    "\n"
    "Exit codes: 0 done, 1 not found, 2 usage, 3 server or connection error, or the output could not be written.";

// Prints the help or the complaint that parsing ended with, and returns the exit code.
int Explain(const CLI::App& app, const CLI::ParseError& error) { return app.exit(error) == 0 ? kDone : kUsage; }

void DeclareLoad(CLI::App* app, LoadOptions* options, double* retry_seconds, std::vector<std::string>* files) {
  app->add_option("FILE", *files, "files whose lines are the values; - is standard input")->required();
  app->add_option("--prefix", options->prefix, "keys are this and a number of twelve digits")->capture_default_str();
  // CLI11 takes -1 for the largest number, and one that is too large for it.
  const CLI::Range number(0.0, 1e15);
  app->add_option("--first", options->first_number, "number of the first line")->check(number)->capture_default_str();
  app->add_option("--delimiter", options->delimiter,
                  "split each line at the first occurrence: the key in front, the value behind");
  app->add_option("--skip", options->skip_lines, "pass over so many lines; they keep their numbers")->check(number);
  app->add_option("--window", options->window_lines, "lines under way at once")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  app->add_option("--retry-for", *retry_seconds, "seconds without progress after which to give up")
      ->check(CLI::Range(0.0, 1e6))
      ->capture_default_str();
}

int Report(const absl::Status& status, const LoadSummary& summary, int64_t nanos) {
  Print(stdout, "loaded {} lines, {} bytes, in {:.1f} s: {} lines/s\n", Thousands(summary.acknowledged_lines),
        Thousands(summary.acknowledged_bytes), static_cast<double>(nanos) / 1e9,
        PerSecond(summary.acknowledged_lines, nanos));
  if (summary.reconnections > 0) Print(stdout, "reconnected {} times\n", summary.reconnections);
  if (summary.refused_lines > 0) {
    Print(stderr, "{} lines were refused; the first: {}\n", summary.refused_lines, summary.first_refusal);
  }
  if (!status.ok()) Print(stderr, "(error) {}\n", base::Message(status));
  return status.ok() && summary.refused_lines == 0 ? kDone : kServerError;
}

int Load(const std::string& address, std::vector<std::string> arguments) {
  CLI::App app("Stores every line of the files, in order and many at a time, and goes on after the server was away.",
               "bandb load");
  LoadOptions options;
  options.address = address;
  double retry_seconds = static_cast<double>(options.retry_for_nanos) / 1e9;
  std::vector<std::string> paths;
  DeclareLoad(&app, &options, &retry_seconds, &paths);
  // CLI11 takes arguments last first.
  std::reverse(arguments.begin(), arguments.end());
  try {
    app.parse(arguments);
  } catch (const CLI::ParseError& error) {
    return Explain(app, error);
  }
  options.retry_for_nanos = std::isnan(retry_seconds) ? 0 : static_cast<int64_t>(retry_seconds * 1e9);

  base::SystemClock clock;
  base::PosixFileSystem files;
  base::ThreadExecutor executor(1);
  LineSource source(&files, paths);
  const absl::StatusOr<uint64_t> total = source.TotalBytes();
  if (!total.ok()) {
    Print(stderr, "(error) {}\n", base::Message(total.status()));
    return kUsage;
  }
  Progress progress(&clock, *total);
  const int64_t begin = clock.MonotonicNanos();
  Loader loader(&clock, &executor, &progress, std::move(options));
  const absl::Status status = loader.Run(&source);
  const LoadSummary& summary = loader.summary();
  progress.Finish(summary.acknowledged_lines, source.bytes_read());
  const int code = Report(status, summary, clock.MonotonicNanos() - begin);
  if (!status.ok()) Print(stderr, "to go on where it stopped: --skip {}\n", loader.settled_lines());
  return code;
}

int Run(int argc, char** argv) {
  CLI::App app("A client of bandb_server.", "bandb");
  std::string address = "127.0.0.1:8080";
  std::string history;
  bool raw = false;
  app.add_option("--addr", address, "HOST:PORT of the server")->capture_default_str();
  app.add_flag("--raw", raw, "print values as they are, without quotes and a line end");
  app.add_option("--history", history, "where interactive mode keeps its history [~/.bandb_history]");
  app.footer(kFooter);
  app.set_version_flag("--version", "bandb " BANDB_VERSION);
  // What stands behind the command is its own, dashes included.
  app.prefix_command();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return Explain(app, error);
  }
  std::vector<std::string> arguments = app.remaining();
  if (!arguments.empty() && arguments[0] == "--") arguments.erase(arguments.begin());
  if (!net::IsAddress(address)) {
    Print(stderr, "bandb: --addr takes HOST:PORT, not {}\n", address);
    return kUsage;
  }
  base::SystemClock clock;
  Shell shell(&clock, address, raw);
  if (arguments.empty()) return shell.Interact(history);
  if (arguments[0] == "help" || AsksForHelp(arguments)) {
    Write(stdout, app.help());
    return kDone;
  }
  if (arguments[0] == "load") return Load(address, {arguments.begin() + 1, arguments.end()});
  Command command;
  std::string complaint;
  if (!ParseArguments(arguments, &command, &complaint)) {
    Print(stderr, "bandb: {}\nbandb help lists the commands.\n", complaint);
    return kUsage;
  }
  return shell.Run(command);
}

}  // namespace

}  // namespace bandb::cli

int main(int argc, char** argv) {
  bandb::standard_streams::HoldNumbers();
  const int code = bandb::cli::Run(argc, argv);
  if (bandb::standard_streams::Arrived()) return code;
  bandb::standard_streams::Write(stderr, "bandb: standard output could not be written\n");
  return code == bandb::cli::kDone ? bandb::cli::kServerError : code;
}
