#include "disk_watch.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/status.h"

namespace bandb::server_program {

namespace {

constexpr int64_t kSecondNanos = 1'000'000'000;
constexpr int64_t kPauseFirstNanos = kSecondNanos;
constexpr int64_t kPauseMaxNanos = 300 * kSecondNanos;
// As long as writes must last to be called accepted.
constexpr int64_t kProvenNanos = 5 * kSecondNanos;
// Less is the noise of other programs.
constexpr uint64_t kMoreBytes = 1 << 20;

}  // namespace

DiskWatch::DiskWatch(base::FileSystem* files, base::Clock* clock, std::string directory)
    : files_(files), clock_(clock), directory_(std::move(directory)), pause_nanos_(kPauseFirstNanos) {}

void DiskWatch::OnBackgroundError(const absl::Status& status) {
  if (absl::IsResourceExhausted(status)) {
    full_ = true;
  } else {
    stopped_for_good_ = true;
  }
}

absl::Status DiskWatch::Ready() const {
  if (stopped_for_good_) return absl::FailedPreconditionError("an error has stopped the writes; the log tells which");
  if (full_) return absl::ResourceExhaustedError("the disk is full: writes are refused until there is space");
  return absl::OkStatus();
}

void DiskWatch::Look(const std::function<absl::Status()>& resume, Logger* logger) {
  const int64_t now = clock_->MonotonicNanos();
  if (!full_) {
    if (!proving_ || now - resumed_nanos_ < kProvenNanos) return;
    proving_ = false;
    pause_nanos_ = kPauseFirstNanos;
    next_try_nanos_ = 0;
    said_.clear();
    logger->Log(LogSeverity::kInfo, "there is space again: writes are accepted");
    return;
  }
  if (std::exchange(proving_, false)) {
    next_try_nanos_ = now + pause_nanos_;
    pause_nanos_ = std::min(2 * pause_nanos_, kPauseMaxNanos);
    least_free_bytes_ = UINT64_MAX;
    // Half-written files of the attempt may not be removed yet: the space is looked at next time.
    return;
  }
  if (WorthTrying(now)) Try(resume, logger, now);
}

bool DiskWatch::WorthTrying(int64_t now_nanos) {
  if (now_nanos >= next_try_nanos_) return true;
  const absl::StatusOr<uint64_t> free_bytes = files_->FreeBytes(directory_);
  if (!free_bytes.ok()) return false;
  const bool more = least_free_bytes_ != UINT64_MAX && *free_bytes >= least_free_bytes_ + kMoreBytes;
  least_free_bytes_ = std::min(least_free_bytes_, *free_bytes);
  return more;
}

void DiskWatch::Try(const std::function<absl::Status()>& resume, Logger* logger, int64_t now_nanos) {
  // Before the attempt: if that fails at once, the store says so while it still runs.
  full_ = false;
  const absl::Status status = resume();
  if (status.ok()) {
    proving_ = true;
    resumed_nanos_ = now_nanos;
    return;
  }
  // Stopped for good, or closed. All else may pass, also that the disk does not tell what is free.
  const bool final = absl::IsFailedPrecondition(status);
  if (!final) full_ = true;
  if (absl::IsResourceExhausted(status) || said_ == base::Message(status)) return;
  said_ = base::Message(status);
  logger->Log(LogSeverity::kError, fmt::format("writes {} refused: {}", final ? "stay" : "are still", said_));
}

}  // namespace bandb::server_program
