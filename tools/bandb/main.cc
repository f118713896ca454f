// bandb: the client of bandb_server, for people and scripts.
//
//   bandb [--addr HOST:PORT] [--raw] [--history FILE] COMMAND ...
//
// COMMAND is one of command.h, load, config show or help. Without a command bandb reads commands from standard input,
// at a terminal with line editing and history. Exit codes: 0 done, 1 not found or the condition of cas did not hold, 2
// usage, 3 server or connection error, or standard output could not be written; of a script the highest of its
// commands.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/posix_file_system.h"
#include "base/status.h"
#include "base/thread_executor.h"
#include "command.h"
#include "config.h"
#include "load.h"
#include "net/address.h"
#include "shell.h"
#include "standard_streams/standard_streams.h"

namespace bandb::cli {

namespace {

using standard_streams::Print;
using standard_streams::Write;

constexpr std::string_view kOtherCommands =
    "  load [OPTIONS] FILE...                    store every line of files; bandb load --help says how\n"
    "  config show [--config FILE]               print every setting of the server and its value\n"
    "  help [COMMAND]                            this text, or all about one command\n";

constexpr std::string_view kRest =
    "A key or value that begins with two dashes comes after --: bandb put -- --key --value\n"
    "Without a command: commands from standard input, at a terminal with a prompt and history.\n"
    "\n"
    "Exit codes: 0 done; 1 not found, or the condition of cas did not hold; 2 usage; 3 server or connection error, or\n"
    "the output could not be written. The exit code of a script is the highest of its commands.\n"
    "\n"
    "Examples:\n"
    "  bandb put greeting hello world\n"
    "  bandb get greeting\n"
    "  bandb --addr 10.0.0.1:8080 scan --prefix line: --count 10\n"
    "  bandb load --prefix syslog: /var/log/syslog\n"
    "  printf 'put a 1\\nget a\\n' | bandb";

std::string Footer() { return fmt::format("Commands:\n{}{}{}", CommandList(), kOtherCommands, kRest); }

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

// bandb config show.
int ShowConfig(std::vector<std::string> arguments) {
  CLI::App app("Prints every setting of bandb_server and its value: the defaults, and what a file changes.",
               "bandb config");
  app.require_subcommand(1);
  CLI::App* show = app.add_subcommand("show", "print the configuration, as a file that makes the same");
  std::string path;
  show->add_option("--config", path, "a configuration file; without it the defaults are printed");
  std::reverse(arguments.begin(), arguments.end());
  try {
    app.parse(arguments);
  } catch (const CLI::ParseError& error) {
    return Explain(app, error);
  }
  base::PosixFileSystem files;
  const absl::StatusOr<server_program::Config> config = server_program::ReadConfig(&files, path, {});
  if (!config.ok()) {
    Print(stderr, "{}\n", base::Message(config.status()));
    return kUsage;
  }
  Write(stdout, server_program::ShowConfig(*config));
  return kDone;
}

// CLI11 knows nothing of the commands.
class UsageFormatter final : public CLI::Formatter {
 public:
  std::string make_usage(const CLI::App* /*app*/, std::string /*name*/) const override {
    return "Usage: bandb [OPTIONS] [COMMAND ...]\n";
  }
};

// What the program was asked for before the command.
struct Flags {
  std::string address = "127.0.0.1:8080";
  std::string history;
  bool raw = false;
};

void Declare(CLI::App* app, Flags* flags) {
  app->formatter(std::make_shared<UsageFormatter>());
  app->add_option("--addr", flags->address, "HOST:PORT of the server [127.0.0.1:8080]");
  app->add_flag("--raw", flags->raw, "print values as they are, without quotes and line end");
  app->add_option("--history", flags->history, "where the session keeps its history [~/.bandb_history]");
  app->footer(Footer());
  app->set_version_flag("--version", "bandb " BANDB_VERSION);
  // What follows the command is its own, dashes included.
  app->prefix_command();
}

int Complain(std::string_view complaint) {
  Print(stderr, "bandb: {}\nbandb help lists the commands.\n", complaint);
  return kUsage;
}

// "help", "help put", "put --help": prints what is asked for; false if nothing is.
bool Help(const CLI::App& app, const std::vector<std::string>& arguments) {
  Verb verb = Verb::kGet;
  const bool wants_one = arguments.size() == 2 && (arguments[1] == "--help" || arguments[1] == "-h");
  if (wants_one && ParseVerb(arguments[0], &verb)) {
    Write(stdout, HelpOf(verb));
  } else if (arguments[0] != "help") {
    return false;
  } else if (arguments.size() == 2 && ParseVerb(arguments[1], &verb)) {
    Write(stdout, HelpOf(verb));
  } else {
    Write(stdout, app.help());
  }
  return true;
}

int Run(int argc, char** argv) {
  CLI::App app("A client of bandb_server.", "bandb");
  Flags flags;
  Declare(&app, &flags);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return Explain(app, error);
  }
  std::vector<std::string> arguments = app.remaining();
  if (!arguments.empty() && arguments[0] == "--") arguments.erase(arguments.begin());
  if (!net::IsAddress(flags.address)) {
    Print(stderr, "bandb: --addr takes HOST:PORT, not {}\n", flags.address);
    return kUsage;
  }
  base::SystemClock clock;
  Shell shell(&clock, flags.address, flags.raw);
  if (arguments.empty()) return shell.Interact(flags.history);
  if (arguments.size() == 2 && arguments[0] == "help" && arguments[1] == "load") arguments = {"load", "--help"};
  if (Help(app, arguments)) return kDone;
  const std::vector<std::string> rest(arguments.begin() + 1, arguments.end());
  if (arguments[0] == "load") return Load(flags.address, rest);
  if (arguments[0] == "config") return ShowConfig(rest);
  Command command;
  std::string complaint;
  if (!ParseArguments(arguments, &command, &complaint)) return Complain(complaint);
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
