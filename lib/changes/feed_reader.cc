#include "changes/feed_reader.h"

#include <algorithm>

#include "base/status.h"
#include "kv/batch_format.h"

namespace bandb::changes {

namespace {

// A call that has passed over so many bytes in vain comes back with nothing.
constexpr uint64_t kPassedBytesMax = 16 << 20;

absl::Time FromMs(uint64_t ms) { return absl::FromUnixMillis(static_cast<int64_t>(std::min<uint64_t>(ms, INT64_MAX))); }

int64_t Nanos(absl::Duration wait) {
  if (wait >= absl::Hours(24 * 365)) return INT64_MAX;
  return std::max<int64_t>(absl::ToInt64Nanoseconds(wait), 0);
}

// A time of the log, as readers are shown it. The last one that there is stays that.
absl::Time Shown(uint64_t ms, uint64_t ahead_ms) { return FromMs(ms >= INT64_MAX ? ms : ms - std::min(ms, ahead_ms)); }

Change ToChange(const kv::Operation& operation, uint64_t ahead_ms) {
  Change change;
  change.key = operation.key;
  switch (operation.kind) {
    case kv::Kind::kDelete:
      change.kind = ChangeKind::kDelete;
      break;
    case kv::Kind::kRangeDelete:
      change.kind = ChangeKind::kDeleteRange;
      change.limit = operation.value;
      break;
    default:
      change.value = operation.value;
      if (operation.kind == kv::Kind::kPutWithExpiry) change.expiry = Shown(operation.expiry_ms, ahead_ms);
  }
  return change;
}

}  // namespace

absl::Status FeedReader::Pick(const LoggedCommit& logged, Commit* commit) const {
  kv::OperationReader reader(logged.operations);
  kv::Operation operation;
  while (reader.Next(&operation)) {
    if (filter_.Wants(operation)) commit->changes.push_back(ToChange(operation, logged.ahead_ms));
  }
  if (!reader.ok()) {
    return base::Error(absl::StatusCode::kDataLoss, "the commit of sequence {} is malformed", logged.first_sequence);
  }
  commit->first_sequence = logged.first_sequence;
  commit->last_sequence = logged.last_sequence;
  commit->time = Shown(logged.commit_time_ms, logged.ahead_ms);
  return absl::OkStatus();
}

absl::StatusOr<bool> FeedReader::Read(Commit* commit, uint64_t* passed_bytes) {
  commit->changes.clear();
  while (true) {
    LoggedCommit logged;
    BANDB_ASSIGN_OR_RETURN(const bool found, source_->Next(&logged));
    if (found) {
      looked_bytes_ += logged.operations.size();
      // What follows the first is given, whatever was made of the clock in between.
      if (logged.commit_time_ms >= not_before_ms_) not_before_ms_ = 0;
      if (not_before_ms_ == 0) BANDB_RETURN_IF_ERROR(Pick(logged, commit));
      if (!commit->empty()) return false;
      *passed_bytes += logged.operations.size();
      if (*passed_bytes < kPassedBytesMax) continue;
      // A reader that has nothing may take its time.
      source_->Release();
    }
    commit->first_sequence = commit->last_sequence = source_->place().sequence;
    commit->time = absl::UnixEpoch();
    return found;
  }
}

absl::Status FeedReader::Look(Commit* commit) {
  uint64_t passed_bytes = 0;
  return Read(commit, &passed_bytes).status();
}

absl::Status FeedReader::Next(Commit* commit, absl::Duration wait) {
  int64_t nanos = Nanos(wait);
  uint64_t passed_bytes = 0;
  while (true) {
    BANDB_ASSIGN_OR_RETURN(const bool passed, Read(commit, &passed_bytes));
    if (passed || !commit->empty()) return absl::OkStatus();
    const bool last = nanos == 0;
    BANDB_RETURN_IF_ERROR(source_->Wait(&nanos));
    if (last) return absl::OkStatus();
  }
}

}  // namespace bandb::changes
