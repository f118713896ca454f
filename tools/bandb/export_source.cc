#include "export_source.h"

#include <algorithm>

#include "base/status.h"
#include "proto/message_id.h"
#include "proto/request.h"
#include "proto/response.h"

namespace bandb::cli {

namespace {

constexpr uint32_t kPieceEntries = 65'536;
constexpr int64_t kBackOffFirstNanos = 50'000'000;
constexpr int64_t kBackOffMaxNanos = 1'000'000'000;

// A scan changes nothing, so that it may be asked again whatever became of it.
bool WorthRetrying(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsResourceExhausted(status) || absl::IsDeadlineExceeded(status) ||
         absl::IsUnknown(status);
}

}  // namespace

absl::Status ScanSource::Connect() {
  BANDB_ASSIGN_OR_RETURN(client_, client::Client::Connect(options_.target));
  return Ask();
}

absl::Status ScanSource::Begin() {
  BANDB_RETURN_IF_ERROR(Connect());
  asked_ = true;
  return absl::OkStatus();
}

absl::Status ScanSource::Ask() {
  proto::AppendScan(client_->output(), {.expiries = true,
                                        .entries_max = kPieceEntries,
                                        .bytes_max = bytes_max_,
                                        .begin = options_.begin,
                                        .limit = options_.limit,
                                        .cursor = cursor_,
                                        .snapshot = options_.snapshot});
  return client_->Write();
}

absl::Status ScanSource::TryTakePiece() {
  if (client_ == nullptr) BANDB_RETURN_IF_ERROR(Connect());
  proto::Reply reply;
  while (true) {
    BANDB_ASSIGN_OR_RETURN(const bool got, client_->Next(&reply));
    if (!got) {
      BANDB_RETURN_IF_ERROR(client_->Exchange());
      continue;
    }
    const bool too_large = !reply.ok && reply.code == proto::ToCode(proto::ErrorCode::kTooLarge);
    if (!too_large || bytes_max_ == UINT32_MAX) break;
    // An entry that does not fit into a usual piece: as many bytes as the server sends.
    bytes_max_ = UINT32_MAX;
    BANDB_RETURN_IF_ERROR(Ask());
  }
  bytes_max_ = kPieceBytes;
  BANDB_RETURN_IF_ERROR(reply.ToStatus());
  body_ = reply.body;
  entries_.clear();
  next_ = 0;
  proto::ScanBodyReader body(body_, /*expiries=*/true);
  for (proto::ScanEntry entry; body.Next(&entry);) entries_.push_back({entry.key, entry.value, entry.expires_ms});
  if (!body.Complete()) return base::Error(absl::StatusCode::kDataLoss, "the reply to a SCAN does not add up");
  cursor_ = body.next_cursor();
  return absl::OkStatus();
}

absl::Status ScanSource::TakePiece() {
  const int64_t begin_nanos = clock_->MonotonicNanos();
  int64_t back_off_nanos = 0;
  while (true) {
    const absl::Status status = TryTakePiece();
    if (status.ok()) break;
    if (!WorthRetrying(status) || clock_->MonotonicNanos() - begin_nanos > options_.retry_for_nanos) return status;
    client_.reset();
    back_off_nanos = std::clamp(back_off_nanos * 2, kBackOffFirstNanos, kBackOffMaxNanos);
    base::Event never;
    executor_->Wait(&never, back_off_nanos);
  }
  asked_ = !cursor_.empty();
  // While this piece is written down the server makes the next one. A failure shows when that is
  // taken.
  if (asked_ && !Ask().ok()) client_.reset();
  return absl::OkStatus();
}

absl::StatusOr<bool> ScanSource::Next(transfer::Entry* entry) {
  // A piece may be empty and yet not the last.
  while (next_ == entries_.size()) {
    if (!asked_) return false;
    BANDB_RETURN_IF_ERROR(TakePiece());
  }
  *entry = entries_[next_++];
  return true;
}

}  // namespace bandb::cli
