#include "import_command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>
#include <system_error>
#include <utility>

#include "arguments.h"
#include "base/clock.h"
#include "base/input_stream.h"
#include "base/posix_file_system.h"
#include "base/status.h"
#include "base/thread_executor.h"
#include "import_target.h"
#include "interrupt_watch.h"
#include "offline_store.h"
#include "progress.h"
#include "shell.h"
#include "standard_streams/standard_streams.h"
#include "transfer/decompressor.h"
#include "transfer/importer.h"
#include "transfer/store_target.h"
#include "units/units.h"

namespace bandb::cli {

namespace {

using standard_streams::Print;

constexpr const char* kFooter =
    "A directory is an export: its manifest says which files it has, and each is verified before it is read. A file "
    "is\n"
    "of the format that its name ends in (.jsonl, .csv, .tsv, .raw, then .zst or .gz) or --format says.\n"
    "Entries are stored in order, over what their keys had. Records that are no entries, that have expired or that "
    "the\n"
    "server refuses are passed over and counted. With --resume FILE it keeps in FILE how far it came, and begins "
    "there\n"
    "the next time; the inputs must be the same.\n"
    "\n"
    "Exit codes: 0 all entries are stored; 2 usage; 3 something was passed over, or server, connection or disk error.\n"
    "What was passed over is kept in the FILE of --resume as well, so that every later run tells it and exits 3.\n"
    "\n"
    "Examples:\n"
    "  bandb import dump\n"
    "  bandb import --resume import.state dump\n"
    "  bandb import users.csv.gz\n"
    "  bandb --addr 10.0.0.1:8080 export --out - | bandb import -\n"
    "  bandb import --data /var/lib/bandb/new dump";

struct Flags {
  std::vector<std::string> inputs;
  std::string format;
  std::string state;
  std::string data;
  std::string retry_for = "30s";
};

void Declare(CLI::App* app, Flags* flags) {
  app->add_option("FILE", flags->inputs, "directories of exports, files, or - for standard input")
      ->required()
      ->type_name("");
  app->add_option("--format", flags->format, "jsonl, csv, tsv or raw [by name; of standard input jsonl]")
      ->type_name("F");
  app->add_option("--resume", flags->state, "keep in FILE how far it came, and begin there")->type_name("FILE");
  app->add_option("--data", flags->data, "import into the database in this directory, without a server")
      ->type_name("DIR");
  app->add_option("--retry-for", flags->retry_for, "give up after so long without progress [30s]")
      ->type_name("DURATION");
  app->footer(kFooter);
}

// What the name of a file says of its format; false if it says nothing.
bool FormatOfName(std::string name, transfer::Format* format) {
  std::filesystem::path path(std::move(name));
  if (path.extension() == ".zst" || path.extension() == ".gz") path = path.stem();
  const std::string extension = path.extension().string();
  return !extension.empty() && transfer::ParseFormat(std::string_view(extension).substr(1), format);
}

// Says what each input is; empty, or what is wrong.
std::string TakeInputs(const Flags& flags, std::vector<transfer::ImportInput>* inputs) {
  transfer::Format given = transfer::Format::kJsonLines;
  if (!flags.format.empty() && !transfer::ParseFormat(flags.format, &given)) {
    return fmt::format("--format takes jsonl, csv, tsv or raw, not {}", flags.format);
  }
  for (const std::string& path : flags.inputs) {
    std::error_code error;
    transfer::ImportInput input{.path = path, .directory = false, .format = given};
    input.directory = path != "-" && std::filesystem::is_directory(path, error);
    const bool told = !flags.format.empty() || path == "-" || input.directory;
    if (!told && !FormatOfName(path, &input.format)) {
      return fmt::format("the name of {} does not tell its format: say it by --format", path);
    }
    inputs->push_back(std::move(input));
  }
  return "";
}

absl::StatusOr<std::unique_ptr<transfer::ByteSource>> OpenInput(const std::string& path) {
  std::unique_ptr<base::InputStream> stream;
  if (path == "-") {
    stream = base::InputStream::StandardInput();
  } else {
    BANDB_ASSIGN_OR_RETURN(stream, base::InputStream::Open(path));
  }
  return std::unique_ptr<transfer::ByteSource>(std::make_unique<transfer::Decompressor>(
      std::make_unique<transfer::StreamSource>(std::move(stream)), path == "-" ? "standard input" : path, false));
}

int Report(const absl::Status& status, const transfer::ImportSummary& summary, int64_t nanos) {
  if (summary.earlier > 0) Print(stdout, "{} records were imported before\n", Thousands(summary.earlier));
  Print(stdout, "imported {} entries, {} bytes, in {:.1f} s: {} entries/s\n", Thousands(summary.entries),
        Thousands(summary.bytes), static_cast<double>(nanos) / 1e9, PerSecond(summary.entries, nanos));
  for (const auto& [reason, skipped] : summary.skipped) {
    Print(stderr, "{} passed over: {} (the first: {})\n", skipped.count, reason, skipped.first);
  }
  if (!status.ok()) Print(stderr, "(error) {}\n", base::Message(status));
  return status.ok() && summary.skipped.empty() ? kDone : kServerError;
}

// A target, and what it needs to live.
struct Destination {
  std::unique_ptr<OfflineStore> data;
  std::unique_ptr<transfer::ImportTarget> target;
};

absl::Status OpenDestination(const Flags& flags, ServerTargetOptions options, base::Clock* clock,
                             base::Executor* executor, Destination* destination) {
  if (!flags.data.empty()) {
    BANDB_ASSIGN_OR_RETURN(destination->data, OfflineStore::OpenToWrite(flags.data));
    destination->target = std::make_unique<transfer::StoreTarget>(destination->data->store());
    return absl::OkStatus();
  }
  auto target = std::make_unique<ServerTarget>(clock, executor, std::move(options));
  BANDB_RETURN_IF_ERROR(target->Begin());
  destination->target = std::move(target);
  return absl::OkStatus();
}

int Import(const Flags& flags, ServerTargetOptions options, const std::vector<transfer::ImportInput>& inputs) {
  // Before the first thread: see InterruptWatch.
  std::atomic<const transfer::Importer*> running = nullptr;
  const InterruptWatch interrupts([&flags, &running] {
    const transfer::Importer* const importer = running;
    const uint64_t skipped = importer == nullptr ? 0 : importer->skipped_so_far();
    Print(stderr, "\ninterrupted{}\n", flags.state.empty() ? "" : "; to go on: the same command");
    if (skipped > 0) Print(stderr, "{} records were passed over until then\n", Thousands(skipped));
    std::fflush(stderr);
  });
  base::SystemClock clock;
  base::PosixFileSystem files;
  base::ThreadExecutor executor(1);
  Progress progress(&clock, 0, "entries");
  const int64_t begin = clock.MonotonicNanos();
  Destination destination;
  absl::Status status = OpenDestination(flags, std::move(options), &clock, &executor, &destination);
  if (!status.ok()) return Report(status, {}, clock.MonotonicNanos() - begin);
  transfer::Importer importer(&files, &clock, destination.target.get(), flags.state, OpenInput,
                              [&progress](const transfer::ImportSummary& summary) {
                                constexpr uint64_t kRecordsBetween = 256;
                                if (summary.records % kRecordsBetween == 1) progress.Show(summary.entries, 0);
                              });
  running = &importer;
  status = importer.Run(inputs);
  running = nullptr;
  if (destination.data != nullptr) {
    const absl::Status closed = destination.data->Close();
    if (status.ok()) status = closed;
  }
  progress.Finish(importer.summary().entries, 0);
  return Report(status, importer.summary(), clock.MonotonicNanos() - begin);
}

}  // namespace

int RunImport(const client::Target& target, std::vector<std::string> arguments) {
  CLI::App app("Stores the entries of files, in order and many at a time, and goes on after the server was away.",
               "bandb import");
  Flags flags;
  Declare(&app, &flags);
  if (const std::optional<int> end = ParseArguments(&app, std::move(arguments)); end.has_value()) return *end;
  std::vector<transfer::ImportInput> inputs;
  std::string complaint = TakeInputs(flags, &inputs);
  // Seconds need no unit.
  std::optional<absl::Duration> retry_for = units::ParseDuration(flags.retry_for);
  if (!retry_for.has_value()) retry_for = units::ParseDuration(flags.retry_for + "s");
  if (!retry_for.has_value()) {
    complaint = fmt::format("--retry-for takes {}, not {}", units::kDurationHelp, flags.retry_for);
  }
  if (!complaint.empty()) {
    Print(stderr, "bandb import: {}\n", complaint);
    return kUsage;
  }
  return Import(flags, {.target = target, .retry_for_nanos = absl::ToInt64Nanoseconds(*retry_for)}, inputs);
}

}  // namespace bandb::cli
