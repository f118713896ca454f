// bandb: the client of bandb_server, for people and scripts.
//
//   bandb [--addr HOST:PORT] [--tls-ca FILE] [--user NAME --token-file FILE] [--raw] COMMAND ...
//
// COMMAND is one of command.h, load, export, import, watch, cursors, top, latency, clients,
// slowlog, clock, backup, cluster, user, config show or help. Without a command bandb reads
// commands from standard input, at a terminal with line editing and history. Exit codes: 0 done, 1
// not found or the condition of cas did not hold, 2 usage, 3 server or connection error, or
// standard output could not be written; of a script the highest of its commands.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "backup_command.h"
#include "bandb_server/config.h"
#include "base/clock.h"
#include "base/posix_file_system.h"
#include "base/status.h"
#include "base/thread_executor.h"
#include "cluster_command.h"
#include "command.h"
#include "cursors_command.h"
#include "export_command.h"
#include "import_command.h"
#include "interrupt_watch.h"
#include "latency_command.h"
#include "load.h"
#include "net/address.h"
#include "operator_command.h"
#include "quoting.h"
#include "shell.h"
#include "standard_streams/standard_streams.h"
#include "target_flags.h"
#include "top_command.h"
#include "units/units.h"
#include "user_command.h"
#include "watch_command.h"

namespace bandb::cli {

namespace {

using standard_streams::Print;
using standard_streams::Write;

constexpr std::string_view kOtherCommands =
    "  load [OPTIONS] FILE...                    store every line of files; bandb load --help says how\n"
    "  export [OPTIONS] --out DIR                write entries into files; bandb export --help says how\n"
    "  import [OPTIONS] FILE...                  store the entries of files; bandb import --help says how\n"
    "  watch [OPTIONS] [PREFIX]                  print what is written, as it is written; bandb watch --help says how\n"
    "  cursors list|create|drop|reset ...        places that watch goes on from; bandb cursors --help says how\n"
    "  backup create|list|verify|prune|restore|copy   backups of a database; bandb backup --help says how\n"
    "  top [--once]                              a screen that shows what a server does; bandb top --help says how\n"
    "  clients [--json] | clients kill ID        who is connected; bandb clients --help says how\n"
    "  slowlog [--count N] [--reset]             what took long; bandb slowlog --help says how\n"
    "  clock accept                              go by the clock as it is now; bandb clock --help says when\n"
    "  latency [--watch DURATION]                how long requests and hooks take; bandb latency --help says how\n"
    "  cluster try --dir DIR [OPTIONS]           run a cluster on this machine; bandb cluster try --help says how\n"
    "  cluster describe|recover ...              when a majority is lost for good; bandb cluster --help says how\n"
    "  config show [--config FILE]               print every setting of the server and its value\n"
    "  user add|list|revoke ...                  who may use a server; bandb user --help says how\n"
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

// What CLI11 cannot put into LoadOptions by itself.
struct LoadFlags {
  std::vector<std::string> files;
  std::string delimiter;
  std::string retry_for = "30s";
  bool as_is = false;
};

constexpr const char* kLoadFooter =
    "Without --delimiter the key of a line is PREFIX and its number. Where such a key holds another value, as that of\n"
    "another file would, it stops before that line; choose another --prefix, or say --overwrite, which is quicker, "
    "too.\n"
    "Files that gzip or zstd compressed are decompressed. Pipes are files, too.\n"
    "When it is interrupted, or the server stays away, it prints the --skip to go on with, and which lines before "
    "that\n"
    "were refused: a run that skips them says nothing of them.\n"
    "\n"
    "Exit codes: 0 all lines are stored; 2 usage, or a file cannot be read; 3 a line was refused, or the server or "
    "the\n"
    "connection failed.\n"
    "\n"
    "Examples:\n"
    "  bandb load --prefix syslog: /var/log/syslog.2.gz /var/log/syslog.1 /var/log/syslog\n"
    "  bandb load --delimiter '\\t' table.tsv\n"
    "  journalctl -o cat | bandb load --prefix journal: -";

void DeclareLoad(CLI::App* app, LoadOptions* options, LoadFlags* flags) {
  app->add_option("FILE", flags->files, "files whose lines are the values; - is standard input")
      ->required()
      ->type_name("");
  app->add_option("--prefix", options->prefix, "keys are TEXT and a number of twelve digits [line:]")
      ->type_name("TEXT");
  // CLI11 takes -1 for the largest number, and one that is too large for it.
  const CLI::Validator number = CLI::Range(0.0, 1e15).description("");
  app->add_option("--first", options->first_number, "number of the first line [1]")->check(number)->type_name("N");
  app->add_option("--delimiter", flags->delimiter,
                  "split each line where TEXT first occurs: the key precedes it, the value follows; \\t is a tab")
      ->type_name("TEXT");
  app->add_option("--skip", options->skip_lines, "skip this many lines; they keep their numbers")
      ->check(number)
      ->type_name("N");
  app->add_flag("--crlf", options->crlf, "lines end in CR LF; neither is stored");
  app->add_flag("--overwrite", options->overwrite, "replace other values that the keys of the lines have");
  app->add_flag("--as-is", flags->as_is, "do not decompress");
  app->add_option("--window", options->window_lines, "lines under way at once [1024]")
      ->check(CLI::Range(1, 1'000'000).description(""))
      ->type_name("N");
  app->add_option("--retry-for", flags->retry_for, "give up after so long without progress [30s]")
      ->type_name("DURATION");
  app->footer(kLoadFooter);
}

// Checks what CLI11 did not, and puts it into the options; empty, or what is wrong.
std::string TakeFlags(const LoadFlags& flags, LoadOptions* options) {
  // Seconds need no unit.
  std::optional<absl::Duration> retry_for = units::ParseDuration(flags.retry_for);
  if (!retry_for.has_value()) retry_for = units::ParseDuration(flags.retry_for + "s");
  if (!retry_for.has_value()) {
    return fmt::format("--retry-for takes {}, not {}", units::kDurationHelp, flags.retry_for);
  }
  options->retry_for_nanos = absl::ToInt64Nanoseconds(*retry_for);
  if (!Unescape(flags.delimiter, &options->delimiter)) {
    return fmt::format("--delimiter takes text with the escapes \\\\ \\t \\n \\r \\xHH, not {}", flags.delimiter);
  }
  return "";
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

int RunLoad(base::Clock* clock, LoadOptions options, uint64_t total_bytes, LineSource* source) {
  // Before the first thread: see InterruptWatch.
  std::atomic<const Loader*> running = nullptr;
  const InterruptWatch interrupts([&running] {
    const Loader* const loader = running;
    if (loader != nullptr) Print(stderr, "\ninterrupted; to go on: {}\n", loader->HowToGoOn());
    std::fflush(stderr);
  });
  base::ThreadExecutor executor(1);
  Progress progress(clock, total_bytes);
  const int64_t begin = clock->MonotonicNanos();
  Loader loader(clock, &executor, &progress, std::move(options));
  running = &loader;
  const absl::Status status = loader.Run(source);
  running = nullptr;
  const LoadSummary& summary = loader.summary();
  progress.Finish(summary.acknowledged_lines, source->bytes_read());
  const int code = Report(status, summary, clock->MonotonicNanos() - begin);
  if (!status.ok() && !absl::IsAlreadyExists(status)) {
    Print(stderr, "to go on where it stopped: {}\n", loader.HowToGoOn());
  }
  return code;
}

int Load(const client::Target& target, std::vector<std::string> arguments) {
  CLI::App app("Stores every line of the files, in order and many at a time, and goes on after the server was away.",
               "bandb load");
  LoadOptions options;
  options.target = target;
  LoadFlags flags;
  DeclareLoad(&app, &options, &flags);
  // CLI11 takes arguments last first.
  std::reverse(arguments.begin(), arguments.end());
  try {
    app.parse(arguments);
  } catch (const CLI::ParseError& error) {
    return Explain(app, error);
  }
  if (const std::string complaint = TakeFlags(flags, &options); !complaint.empty()) {
    Print(stderr, "bandb load: {}\n", complaint);
    return kUsage;
  }
  base::SystemClock clock;
  LineSource source(flags.files, flags.as_is);
  const absl::StatusOr<uint64_t> total = source.TotalBytes();
  if (!total.ok()) {
    Print(stderr, "(error) {}\n", base::Message(total.status()));
    return kUsage;
  }
  return RunLoad(&clock, std::move(options), *total, &source);
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
  TargetFlags target;
};

void Declare(CLI::App* app, Flags* flags) {
  app->formatter(std::make_shared<UsageFormatter>());
  app->add_option("--addr", flags->address, "HOST:PORT of the server [127.0.0.1:8080]");
  DeclareTarget(app, &flags->target);
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

bool HasHelpOfItsOwn(std::string_view command) {
  constexpr std::string_view kNames[] = {"backup",  "cluster", "load",    "export",  "import", "user", "watch",
                                         "cursors", "latency", "clients", "slowlog", "top",    "clock"};
  return std::find(std::begin(kNames), std::end(kNames), command) != std::end(kNames);
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
  absl::StatusOr<client::Target> target = TakeTarget(flags.address, flags.target);
  if (!target.ok()) {
    Print(stderr, "bandb: {}\n", base::Message(target.status()));
    return kUsage;
  }
  Shell shell(&clock, *target, flags.raw);
  if (arguments.empty()) return shell.Interact(flags.history);
  if (arguments.size() == 2 && arguments[0] == "help" && HasHelpOfItsOwn(arguments[1])) {
    arguments = {arguments[1], "--help"};
  }
  if (Help(app, arguments)) return kDone;
  const std::vector<std::string> rest(arguments.begin() + 1, arguments.end());
  if (arguments[0] == "load") return Load(*target, rest);
  if (arguments[0] == "export") return RunExport(*target, rest);
  if (arguments[0] == "import") return RunImport(*target, rest);
  if (arguments[0] == "watch") return RunWatch(*target, rest);
  if (arguments[0] == "cursors") return RunCursors(*target, rest);
  if (arguments[0] == "clients") return RunClients(*target, rest);
  if (arguments[0] == "slowlog") return RunSlowLog(*target, rest);
  if (arguments[0] == "clock") return RunClock(*target, rest);
  if (arguments[0] == "top") return RunTop(*target, rest);
  if (arguments[0] == "latency") return RunLatency(*target, rest);
  if (arguments[0] == "backup") return RunBackup(*target, rest);
  if (arguments[0] == "cluster") return RunCluster(rest);
  if (arguments[0] == "user") return RunUser(rest);
  if (arguments[0] == "config") return ShowConfig(rest);
  Command command;
  std::string complaint;
  if (!ParseArguments(arguments, &command, &complaint)) return Complain(complaint);
  return shell.Run(command);
}

}  // namespace

}  // namespace bandb::cli

int main(int argc, char** argv) {
  const int code = bandb::cli::Run(argc, argv);
  if (bandb::standard_streams::Arrived()) return code;
  bandb::standard_streams::Write(stderr, "bandb: standard output could not be written\n");
  return code == bandb::cli::kDone ? bandb::cli::kServerError : code;
}
