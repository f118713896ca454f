#include "export_command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <cstdio>
#include <memory>
#include <optional>
#include <utility>

#include "arguments.h"
#include "base/clock.h"
#include "base/posix_file_system.h"
#include "base/status.h"
#include "base/thread_executor.h"
#include "change_export_command.h"
#include "export_flags.h"
#include "export_source.h"
#include "feed_place.h"
#include "interrupt_watch.h"
#include "offline_store.h"
#include "progress.h"
#include "shell.h"
#include "standard_streams/standard_streams.h"
#include "transfer/exporter.h"
#include "transfer/store_source.h"

namespace bandb::cli {

namespace {

using standard_streams::Print;

// For how long an export may be gone on with.
std::string StateHint(const ExportFlags& flags) {
  if (!flags.data.empty() || flags.no_snapshot) return "";
  return fmt::format(", within {}", flags.lease);
}

absl::Status WriteOut(std::string_view bytes) {
  if (std::fwrite(bytes.data(), 1, bytes.size(), stdout) == bytes.size()) return absl::OkStatus();
  return base::Error(absl::StatusCode::kInternal, "standard output could not be written");
}

// One export, from its source to its end.
class ExportRun {
 public:
  ExportRun(base::Clock* clock, const client::Target& target, const ExportFlags& flags)
      : clock_(clock),
        target_(target),
        flags_(flags),
        head_(flags.head),
        executor_(1),
        progress_(clock, 0, "entries"),
        begin_nanos_(clock->MonotonicNanos()) {}

  int Run() {
    const absl::Status status = Export();
    progress_.Finish(summary_.entries, 0);
    if (!status.ok()) {
      Print(stderr, "(error) {}\n", base::Message(status));
      if (flags_.out != "-" && !absl::IsAlreadyExists(status) && !absl::IsFailedPrecondition(status)) {
        Print(stderr, "to go on where it stopped: the same command with --resume{}\n", StateHint(flags_));
      }
      return kServerError;
    }
    // Standard output may be the export itself.
    std::FILE* const to = flags_.out == "-" ? stderr : stdout;
    const int64_t nanos = clock_->MonotonicNanos() - begin_nanos_;
    if (summary_.earlier_entries > 0) {
      Print(to, "{} entries were there already\n", Thousands(summary_.earlier_entries));
    }
    if (!token_.empty()) {
      Print(to, "what was written after it: bandb watch --from {}\n", token_);
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
    if (!flags_.no_snapshot) {
      BANDB_RETURN_IF_ERROR(TakeSnapshot(/*goes_on=*/begin != head_.begin));
    } else if (flags_.out != "-") {
      BANDB_RETURN_IF_ERROR(ForgetSource());
    }
    auto source = std::make_unique<ScanSource>(
        clock_, &executor_,
        ScanSourceOptions{.target = target_, .begin = begin, .limit = head_.limit, .snapshot = server_snapshot_.id});
    BANDB_RETURN_IF_ERROR(source->Begin());
    return std::unique_ptr<transfer::EntrySource>(std::move(source));
  }

  std::string SourcePath() const { return base::JoinPath(flags_.out, transfer::kSourceName); }

  // The snapshot that the export is of: the one that it was begun with, if it goes on.
  absl::Status TakeSnapshot(bool goes_on) {
    BANDB_ASSIGN_OR_RETURN(const std::unique_ptr<client::Client> client, client::Client::Connect(target_));
    if (goes_on) {
      BANDB_ASSIGN_OR_RETURN(server_snapshot_, ReadSource());
      const absl::Status renewed = client->RenewSnapshot(server_snapshot_.id, flags_.lease_ms);
      if (!absl::IsFailedPrecondition(renewed)) return renewed;
      return base::Error(absl::StatusCode::kFailedPrecondition,
                         "the state that this export was begun with is not kept any more ({}): begin it again in "
                         "another directory, with a longer --lease or with --no-snapshot",
                         base::Message(renewed));
    }
    BANDB_ASSIGN_OR_RETURN(server_snapshot_, client->TakeSnapshot(flags_.lease_ms));
    if (flags_.out == "-") return absl::OkStatus();
    std::string text = fmt::format("snapshot {:016x}\n", server_snapshot_.id);
    if (!server_snapshot_.token.empty()) text += fmt::format("token {}\n", ShowToken(server_snapshot_.token));
    return base::InstallFile(&files_, SourcePath(), text);
  }

  absl::Status ForgetSource() {
    BANDB_ASSIGN_OR_RETURN(const bool exists, files_.Exists(SourcePath()));
    return exists ? files_.Remove(SourcePath()) : absl::OkStatus();
  }

  // A file of before there were tokens in it has none.
  absl::StatusOr<client::TakenSnapshot> ReadSource() {
    constexpr uint64_t kBytesMax = 1000;
    constexpr std::string_view kWord = "snapshot ", kTokenWord = "token ";
    const absl::StatusOr<std::string> text = base::ReadFile(&files_, SourcePath(), kBytesMax);
    if (absl::IsNotFound(text.status())) {
      return base::Error(absl::StatusCode::kFailedPrecondition,
                         "{}: the export there was begun with --no-snapshot: give that again, or another directory",
                         flags_.out);
    }
    if (!text.ok()) return text.status();
    client::TakenSnapshot source;
    const std::string_view first = std::string_view(*text).substr(0, text->find('\n'));
    const std::string_view rest = std::string_view(*text).substr(first.size());
    const char* const end = first.data() + first.size();
    FeedPlaceText place;
    const bool has_token = rest.starts_with("\n") && rest.substr(1).starts_with(kTokenWord) && rest.ends_with('\n');
    if (has_token && ParseFeedPlace(rest.substr(1 + kTokenWord.size(), rest.size() - kTokenWord.size() - 2), &place)) {
      source.token = place.text;
    }
    if (first.starts_with(kWord) && (rest == "\n" || !source.token.empty())) {
      const auto [parsed, error] = std::from_chars(first.data() + kWord.size(), end, source.id, 16);
      if (error == std::errc() && parsed == end && source.id != 0) return source;
    }
    return base::Error(absl::StatusCode::kDataLoss, "{}: names no snapshot", SourcePath());
  }

  // The export is complete: nobody needs its state any more. If that can't be said the lease ends
  // it.
  void DropSnapshot() {
    if (server_snapshot_.id == 0) return;
    const absl::StatusOr<std::unique_ptr<client::Client>> client = client::Client::Connect(target_);
    if (client.ok()) (void)(*client)->DropSnapshot(server_snapshot_.id);
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
      token_ = ShowToken(server_snapshot_.token);
    } else {
      transfer::DirectoryExporter exporter(&files_, flags_.out, head_, tell);
      const absl::Status status = exporter.Run(flags_.resume, [this, &exporter](const std::string& begin) {
        auto source = Open(begin);
        exporter.NoteToken(ShowToken(server_snapshot_.token));
        return source;
      });
      summary_ = exporter.summary();
      token_ = exporter.token();
      BANDB_RETURN_IF_ERROR(status);
    }
    DropSnapshot();
    snapshot_ = Snapshot();
    return data_ == nullptr ? absl::OkStatus() : data_->Close();
  }

  base::Clock* const clock_;
  const client::Target target_;
  const ExportFlags flags_;
  transfer::ManifestHead head_;
  base::PosixFileSystem files_;
  base::ThreadExecutor executor_;
  Progress progress_;
  const int64_t begin_nanos_;
  std::unique_ptr<OfflineStore> data_;
  Snapshot snapshot_;                      // of data_
  client::TakenSnapshot server_snapshot_;  // its id is 0 if there is none
  transfer::ExportSummary summary_;
  std::string token_;  // of the place in the change feed, in hexadecimal digits
};

}  // namespace

int RunExport(const client::Target& target, std::vector<std::string> arguments) {
  CLI::App app("Writes the entries of a range into files, in the order of their keys, or what is written, as it is.",
               "bandb export");
  ExportFlags flags;
  DeclareExport(&app, &flags);
  if (const std::optional<int> end = ParseArguments(&app, std::move(arguments)); end.has_value()) return *end;
  if (const std::string complaint = TakeExportFlags(&flags); !complaint.empty()) {
    Print(stderr, "bandb export: {}\n", complaint);
    return kUsage;
  }
  if (flags.changes) return RunChangeExport(target, flags);
  // Before the first thread: see InterruptWatch.
  const InterruptWatch interrupts([&flags] {
    if (flags.out != "-")
      Print(stderr, "\ninterrupted; to go on: the same command with --resume{}\n", StateHint(flags));
    std::fflush(stderr);
  });
  base::SystemClock clock;
  return ExportRun(&clock, target, flags).Run();
}

}  // namespace bandb::cli
