#include "export_command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <optional>
#include <utility>

#include "arguments.h"
#include "base/clock.h"
#include "base/posix_file_system.h"
#include "base/status.h"
#include "base/thread_executor.h"
#include "export_source.h"
#include "interrupt_watch.h"
#include "offline_store.h"
#include "progress.h"
#include "shell.h"
#include "standard_streams/standard_streams.h"
#include "transfer/exporter.h"
#include "transfer/store_source.h"
#include "units/units.h"

namespace bandb::cli {

namespace {

using standard_streams::Print;

constexpr const char* kFooter =
    "Formats:\n"
    "  jsonl  a JSON object for each entry, with key and value; bytes that are not UTF-8 as {\"base64\": ...}\n"
    "  csv    columns key, value, expires; tsv: the same with tabs. Text only, unless keys and values are encoded\n"
    "  raw    lengths, bytes and checksums\n"
    "DIR gets files part-00000000.FORMAT and manifest.jsonl, which has the keys, size and checksum (xxhsum -H3) of "
    "each.\n"
    "The same entries make the same files. With --out - everything goes to standard output as one stream.\n"
    "From a server each piece of the export is the state of its own moment; with --data it is one state, and no "
    "server\n"
    "may be running on that directory.\n"
    "\n"
    "Exit codes: 0 done; 2 usage; 3 server, connection or disk error, or an entry that the format cannot hold.\n"
    "\n"
    "Examples:\n"
    "  bandb export --out dump --compress zstd\n"
    "  bandb export --out dump --compress zstd --resume\n"
    "  bandb export --prefix user: --format csv --out - > users.csv\n"
    "  bandb export --data /var/lib/bandb/checkpoint --format raw --out dump";

struct Flags {
  std::string out;
  std::optional<std::string> prefix;
  std::string format = "jsonl";
  std::string key_format = "utf8";
  std::string value_format = "utf8";
  std::string chunk_bytes = "32 MiB";
  std::string compression = "none";
  std::string data;
  bool resume = false;
};

void Declare(CLI::App* app, transfer::ManifestHead* head, Flags* flags) {
  app->add_option("--out", flags->out, "the directory that the files go into; - is standard output")
      ->required()
      ->type_name("DIR");
  app->add_option("--begin", head->begin, "first key of the range")->type_name("KEY");
  app->add_option("--limit", head->limit, "first key after the range")->type_name("KEY");
  app->add_option("--prefix", flags->prefix, "the range of keys that begin with TEXT")->type_name("TEXT");
  app->add_option("--format", flags->format, "jsonl, csv, tsv or raw [jsonl]")->type_name("F");
  app->add_option("--key-format", flags->key_format, "how keys are written: utf8, hex or base64 [utf8]")
      ->type_name("F");
  app->add_option("--value-format", flags->value_format, "how values are written: utf8, hex or base64 [utf8]")
      ->type_name("F");
  app->add_option("--chunk-bytes", flags->chunk_bytes, "size, uncompressed, at which a file is ended [32 MiB]")
      ->type_name("SIZE");
  app->add_option("--compress", flags->compression, "none or zstd [none]")->type_name("METHOD");
  app->add_flag("--resume", flags->resume, "go on with an export into DIR that was cut short");
  app->add_option("--data", flags->data, "export the database in this directory, without a server")->type_name("DIR");
  app->footer(kFooter);
}

// Puts the flags into the head; empty, or what is wrong.
std::string TakeFlags(const Flags& flags, transfer::ManifestHead* head) {
  if (!transfer::ParseFormat(flags.format, &head->layout.format)) {
    return fmt::format("--format takes jsonl, csv, tsv or raw, not {}", flags.format);
  }
  if (!transfer::ParseEncoding(flags.key_format, &head->layout.keys)) {
    return fmt::format("--key-format takes utf8, hex or base64, not {}", flags.key_format);
  }
  if (!transfer::ParseEncoding(flags.value_format, &head->layout.values)) {
    return fmt::format("--value-format takes utf8, hex or base64, not {}", flags.value_format);
  }
  // Bytes need no unit.
  std::optional<uint64_t> bytes = units::ParseSize(flags.chunk_bytes);
  if (!bytes.has_value()) bytes = units::ParseSize(flags.chunk_bytes + "B");
  if (!bytes.has_value() || *bytes < transfer::kChunkBytesMin || *bytes > transfer::kChunkBytesMax) {
    return fmt::format("--chunk-bytes takes 1 KiB to 1 GiB, not {}", flags.chunk_bytes);
  }
  head->chunk_bytes = *bytes;
  if (flags.compression != "none" && flags.compression != "zstd") {
    return fmt::format("--compress takes none or zstd, not {}", flags.compression);
  }
  head->compress = flags.compression == "zstd";
  if (flags.prefix.has_value()) {
    if (!head->begin.empty() || !head->limit.empty()) return "--prefix is a range, as --begin and --limit are";
    head->begin = *flags.prefix;
    head->limit = transfer::AfterPrefix(*flags.prefix);
  }
  if (flags.out == "-" && flags.resume) return "standard output cannot be resumed";
  return "";
}

absl::Status WriteOut(std::string_view bytes) {
  if (std::fwrite(bytes.data(), 1, bytes.size(), stdout) == bytes.size()) return absl::OkStatus();
  return base::Error(absl::StatusCode::kInternal, "standard output could not be written");
}

// One export, from its source to its end.
class ExportRun {
 public:
  ExportRun(base::Clock* clock, const client::Target& target, const Flags& flags, transfer::ManifestHead head)
      : clock_(clock),
        target_(target),
        flags_(flags),
        head_(std::move(head)),
        executor_(1),
        progress_(clock, 0, "entries"),
        begin_nanos_(clock->MonotonicNanos()) {}

  int Run() {
    const absl::Status status = Export();
    progress_.Finish(summary_.entries, 0);
    if (!status.ok()) {
      Print(stderr, "(error) {}\n", base::Message(status));
      if (flags_.out != "-" && !absl::IsAlreadyExists(status) && !absl::IsFailedPrecondition(status)) {
        Print(stderr, "to go on where it stopped: the same command with --resume\n");
      }
      return kServerError;
    }
    // Standard output may be the export itself.
    std::FILE* const to = flags_.out == "-" ? stderr : stdout;
    const int64_t nanos = clock_->MonotonicNanos() - begin_nanos_;
    if (summary_.earlier_entries > 0) {
      Print(to, "{} entries were there already\n", Thousands(summary_.earlier_entries));
    }
    Print(to, "exported {} entries, {} bytes, in {:.1f} s: {} entries/s\n", Thousands(summary_.entries),
          Thousands(summary_.bytes), static_cast<double>(nanos) / 1e9, PerSecond(summary_.entries, nanos));
    return kDone;
  }

 private:
  absl::Status OpenData() {
    if (flags_.data.empty()) return absl::OkStatus();
    BANDB_ASSIGN_OR_RETURN(data_, OfflineStore::OpenToRead(flags_.data));
    snapshot_ = data_->store()->GetSnapshot();
    head_.state = fmt::format("sequence {}", data_->GetStats().last_sequence);
    return absl::OkStatus();
  }

  absl::StatusOr<std::unique_ptr<transfer::EntrySource>> Open(const std::string& begin) {
    if (data_ != nullptr) return transfer::MakeStoreSource(data_->store(), &snapshot_, begin, head_.limit);
    auto source = std::make_unique<ScanSource>(
        clock_, &executor_, ScanSourceOptions{.target = target_, .begin = begin, .limit = head_.limit});
    BANDB_RETURN_IF_ERROR(source->Begin());
    return std::unique_ptr<transfer::EntrySource>(std::move(source));
  }

  absl::Status Export() {
    BANDB_RETURN_IF_ERROR(OpenData());
    const transfer::TellExport tell = [this](const transfer::ExportSummary& summary) {
      constexpr uint64_t kEntriesBetween = 256;
      if (summary.entries % kEntriesBetween == 1) progress_.Show(summary.entries, 0);
    };
    if (flags_.out == "-") {
      BANDB_ASSIGN_OR_RETURN(const std::unique_ptr<transfer::EntrySource> source, Open(head_.begin));
      BANDB_ASSIGN_OR_RETURN(summary_, transfer::ExportToStream(head_, source.get(), WriteOut, tell));
    } else {
      transfer::DirectoryExporter exporter(&files_, flags_.out, head_, tell);
      const absl::Status status = exporter.Run(flags_.resume, [this](const std::string& begin) { return Open(begin); });
      summary_ = exporter.summary();
      BANDB_RETURN_IF_ERROR(status);
    }
    snapshot_ = Snapshot();
    return data_ == nullptr ? absl::OkStatus() : data_->Close();
  }

  base::Clock* const clock_;
  const client::Target target_;
  const Flags flags_;
  transfer::ManifestHead head_;
  base::PosixFileSystem files_;
  base::ThreadExecutor executor_;
  Progress progress_;
  const int64_t begin_nanos_;
  std::unique_ptr<OfflineStore> data_;
  Snapshot snapshot_;
  transfer::ExportSummary summary_;
};

}  // namespace

int RunExport(const client::Target& target, std::vector<std::string> arguments) {
  CLI::App app("Writes the entries of a range into files, in the order of their keys.", "bandb export");
  transfer::ManifestHead head;
  Flags flags;
  Declare(&app, &head, &flags);
  if (const std::optional<int> end = ParseArguments(&app, std::move(arguments)); end.has_value()) return *end;
  if (const std::string complaint = TakeFlags(flags, &head); !complaint.empty()) {
    Print(stderr, "bandb export: {}\n", complaint);
    return kUsage;
  }
  // Before the first thread: see InterruptWatch.
  const InterruptWatch interrupts([&flags] {
    if (flags.out != "-") Print(stderr, "\ninterrupted; to go on: the same command with --resume\n");
    std::fflush(stderr);
  });
  base::SystemClock clock;
  return ExportRun(&clock, target, flags, std::move(head)).Run();
}

}  // namespace bandb::cli
