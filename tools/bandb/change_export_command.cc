#include "change_export_command.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "base/clock.h"
#include "base/posix_file_system.h"
#include "base/status.h"
#include "base/thread_executor.h"
#include "change_feed.h"
#include "feed_place.h"
#include "interrupt_gate.h"
#include "interrupt_watch.h"
#include "offline_store.h"
#include "progress.h"
#include "shell.h"
#include "standard_streams/standard_streams.h"
#include "transfer/change_exporter.h"

namespace bandb::cli {

namespace {

using standard_streams::Print;

// So long one request waits for changes; well within the patience of a client for a reply.
constexpr int64_t kReadWaitMsMax = 5000;
constexpr uint32_t kCommitsPerRead = 1000;
// With --once: so long what is not synced yet may take, once.
constexpr uint32_t kSettleMs = 300;
constexpr int64_t kServerPatienceNanos = int64_t{60} * 1'000'000'000;
// So long an interruption waits for the file that is being written.
constexpr int64_t kInterruptPatienceNanos = int64_t{60} * 1'000'000'000;

transfer::ChangesHead HeadOf(const ExportFlags& flags) {
  return {.layout = flags.head.layout,
          .compress = flags.head.compress,
          .begin = flags.head.begin,
          .limit = flags.head.limit,
          .part = flags.part_number,
          .parts = flags.parts,
          .cursor = flags.cursor};
}

// Reads the feed on the thread of Run, with no lock held, and writes what came with the right to do
// so: an interruption takes that, and finishes in its place.
class ChangeExportRun {
 public:
  ChangeExportRun(const client::Target& target, const ExportFlags& flags)
      : target_(target),
        flags_(flags),
        executor_(1),
        cursor_client_(&clock_, &executor_, target, flags.cursor, kServerPatienceNanos),
        exporter_(&files_, flags.out, HeadOf(flags), flags.head.chunk_bytes,
                  [this](std::string_view token) { return Acknowledge(token); }),
        progress_(&clock_, 0, "changes"),
        begin_nanos_(clock_.MonotonicNanos()) {}

  absl::Status Run() {
    // Of an interruption before there was anything to do, too.
    if (!gate_.Enter()) return absl::OkStatus();
    absl::Status status = Open();
    gate_.Leave();
    if (status.ok()) status = Follow();
    // What was away for so long need not come back for the rest.
    if (absl::IsUnavailable(status)) cursor_client_.Hurry();
    if (!gate_.Enter()) return absl::OkStatus();
    const absl::Status closed = exporter_.Close();
    if (status.ok()) status = closed;
    if (data_ != nullptr) {
      feed_.reset();
      const absl::Status data_closed = data_->Close();
      if (status.ok()) status = data_closed;
    }
    gate_.Leave();
    return status;
  }

  // On the thread that is told of an interruption.
  void Interrupt() {
    cursor_client_.Hurry();
    gate_.Close(kInterruptPatienceNanos, [this](bool is_idle) {
      if (!is_idle) {
        Print(stderr, "\ninterrupted while a file was written; to go on: the same command\n");
      } else if (const absl::Status status = exporter_.Close(); !status.ok()) {
        Print(stderr, "\n(error) {}\n", base::Message(status));
      } else {
        Report();
      }
      std::fflush(stdout);
      std::fflush(stderr);
    });
  }

  // Known once Run has come back.
  bool cursor_is_unknown() const { return cursor_is_unknown_; }

  void Report() {
    const transfer::ChangesSummary& summary = exporter_.summary();
    progress_.Finish(summary.changes, 0);
    const int64_t nanos = clock_.MonotonicNanos() - begin_nanos_;
    if (summary.earlier_files > 0) {
      Print(stdout, "{} files of {} changes were there already\n", Thousands(summary.earlier_files),
            Thousands(summary.earlier_changes));
    }
    Print(stdout, "exported {} changes of {} commits into {} files, in {:.1f} s: {} changes/s\n",
          Thousands(summary.changes), Thousands(summary.commits), Thousands(summary.files),
          static_cast<double>(nanos) / 1e9, PerSecond(summary.changes, nanos));
  }

 private:
  // What the server has said of it.
  absl::Status NoteCursor(absl::Status status) {
    if (!flags_.cursor.empty() && absl::IsNotFound(status)) cursor_is_unknown_ = true;
    return status;
  }

  absl::Status Acknowledge(std::string_view token) {
    if (flags_.cursor.empty()) return absl::OkStatus();
    const absl::Status status = NoteCursor(cursor_client_.Acknowledge(token));
    return base::Annotate(status, fmt::format("acknowledging cursor \"{}\"", flags_.cursor));
  }

  absl::Status Open() {
    // One that is not there at the beginning is not waited for.
    if (flags_.data.empty()) BANDB_RETURN_IF_ERROR(client::Client::Connect(target_).status());
    BANDB_RETURN_IF_ERROR(exporter_.Begin());
    FeedPlaceText place{.from = proto::FeedFrom::kCursor, .text = flags_.cursor};
    if (!exporter_.token().empty()) {
      place = {.from = proto::FeedFrom::kToken, .text = exporter_.token()};
    } else if (flags_.cursor.empty()) {
      ParseFeedPlace(flags_.from, &place);
    }
    const FeedSelection selection{flags_.head.begin, flags_.head.limit, flags_.part_number, flags_.parts};
    if (!flags_.data.empty()) {
      BANDB_ASSIGN_OR_RETURN(data_, OfflineStore::OpenToRead(flags_.data));
      BANDB_ASSIGN_OR_RETURN(feed_, StoreFeed::Open(data_->store(), selection, place));
      return absl::OkStatus();
    }
    feed_ =
        std::make_unique<ServerFeed>(&clock_, &executor_, target_, selection, std::move(place), kServerPatienceNanos);
    return absl::OkStatus();
  }

  // Nothing is written to a store that no server has.
  bool ends_at_end() const { return flags_.once || data_ != nullptr; }

  absl::Status Follow() {
    // Before a directory has a place of its own, a file can only begin where a reply does.
    bool has_place = !exporter_.token().empty();
    bool settled = false;
    uint32_t wait_ms = 0;
    FeedPiece piece;
    while (!flags_.count.has_value() || commits_ < *flags_.count) {
      const uint64_t left = flags_.count.has_value() ? *flags_.count - commits_ : kCommitsPerRead;
      const uint64_t most = has_place ? kCommitsPerRead : 1;
      BANDB_RETURN_IF_ERROR(NoteCursor(feed_->Read(wait_ms, static_cast<uint32_t>(std::min(left, most)), &piece)));
      if (!gate_.Enter()) return absl::OkStatus();
      const absl::Status taken = Take(piece);
      gate_.Leave();
      BANDB_RETURN_IF_ERROR(taken);
      has_place = !exporter_.token().empty();
      const bool at_end = !piece.moved && piece.commits.empty();
      if (!ends_at_end()) {
        wait_ms = WaitMs();
      } else if (at_end && settled) {
        return absl::OkStatus();
      } else {
        wait_ms = at_end ? kSettleMs : 0;
        settled = settled || at_end;
      }
    }
    return absl::OkStatus();
  }

  // Until there may be something to do.
  uint32_t WaitMs() {
    if (!due_nanos_.has_value()) return kReadWaitMsMax;
    const int64_t left_ms = (*due_nanos_ - clock_.MonotonicNanos()) / 1'000'000 + 1;
    return static_cast<uint32_t>(std::clamp<int64_t>(left_ms, 0, kReadWaitMsMax));
  }

  absl::Status Take(const FeedPiece& piece) {
    for (const transfer::ChangeCommit& commit : piece.commits) {
      const uint64_t files = exporter_.summary().files;
      const uint64_t pending = exporter_.pending_changes();
      BANDB_RETURN_IF_ERROR(exporter_.Add(commit));
      const bool was_ended = exporter_.summary().files != files;
      // Of what is in files already a new run may be given some again.
      if (was_ended || exporter_.pending_changes() != pending) ++commits_;
      if (was_ended) due_nanos_.reset();
    }
    BANDB_RETURN_IF_ERROR(exporter_.Passed(piece.token));
    progress_.Show(exporter_.summary().changes + exporter_.pending_changes(), 0);
    if (exporter_.pending_changes() == 0 && !exporter_.has_moved()) {
      due_nanos_.reset();
      return absl::OkStatus();
    }
    const int64_t now = clock_.MonotonicNanos();
    if (!due_nanos_.has_value()) due_nanos_ = now + flags_.every_nanos;
    if (now < *due_nanos_) return absl::OkStatus();
    due_nanos_.reset();
    return exporter_.Finish();
  }

  base::SystemClock clock_;
  base::PosixFileSystem files_;
  const client::Target target_;
  const ExportFlags flags_;
  base::ThreadExecutor executor_;
  CursorClient cursor_client_;
  std::unique_ptr<OfflineStore> data_;
  std::unique_ptr<ChangeFeed> feed_;
  // These belong to the thread that has entered.
  transfer::ChangeExporter exporter_;
  Progress progress_;
  const int64_t begin_nanos_;
  uint64_t commits_ = 0;
  std::atomic<bool> cursor_is_unknown_ = false;
  std::optional<int64_t> due_nanos_;  // when what is pending is to be a file
  InterruptGate gate_;
};

}  // namespace

int RunChangeExport(const client::Target& target, const ExportFlags& flags) {
  std::unique_ptr<ChangeExportRun> run;
  base::Mutex mutex;
  absl::Status status;
  {
    // It ends the process as the signal would have.
    const InterruptWatch interrupts([&run, &mutex] {
      base::MutexLock lock(&mutex);
      if (run != nullptr) run->Interrupt();
    });
    {
      base::MutexLock lock(&mutex);
      run = std::make_unique<ChangeExportRun>(target, flags);
    }
    status = run->Run();
  }
  if (status.ok()) {
    run->Report();
    return kDone;
  }
  Print(stderr, "(error) {}\n", base::Message(status));
  if (absl::IsOutOfRange(status)) {
    Print(stderr, "what is in {} is whole; to go on after what is gone: {}another directory\n", flags.out,
          flags.cursor.empty() ? "" : "bandb cursors reset, and ");
  }
  return run->cursor_is_unknown() ? kNotFound : kServerError;
}

}  // namespace bandb::cli
