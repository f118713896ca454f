#include "import_target.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/assert.h"
#include "base/status.h"
#include "proto/message_id.h"
#include "proto/request.h"

namespace bandb::cli {

namespace {

constexpr size_t kBatchEntries = 500;
constexpr uint64_t kBatchBytes = 128 << 10;
constexpr size_t kBatchesPending = 16;
constexpr uint64_t kPendingBytes = 4 << 20;
constexpr uint64_t kEntryOverheadBytes = 16;
constexpr int64_t kBackOffFirstNanos = 50'000'000;
constexpr int64_t kBackOffMaxNanos = 1'000'000'000;

// Errors after which sending the same again may succeed. An outcome that is not known is settled by
// putting again.
bool WorthRetrying(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsResourceExhausted(status) || absl::IsDeadlineExceeded(status) ||
         absl::IsUnknown(status);
}

// Errors of one entry, not of the server.
bool ConcernsTheEntry(const proto::Reply& reply, const absl::Status& status) {
  return reply.code == proto::ToCode(proto::ErrorCode::kTooLarge) || absl::IsInvalidArgument(status) ||
         absl::IsAborted(status) || absl::IsPermissionDenied(status);
}

std::string Reason(const proto::Reply& reply) {
  if (reply.code >= proto::kFirstHookErrorCode) return fmt::format("code {} of a hook: {}", reply.code, reply.message);
  return std::string(reply.message);
}

}  // namespace

absl::Status ServerTarget::Begin() {
  last_progress_nanos_ = clock_->MonotonicNanos();
  BANDB_ASSIGN_OR_RETURN(client_, client::Client::Connect(options_.target));
  return absl::OkStatus();
}

void ServerTarget::Send(const Batch& batch) {
  proto::BatchBuilder builder;
  for (const transfer::ImportEntry& entry : batch.entries) {
    builder.Add({.kind = entry.expires_ms == 0 ? proto::BatchKind::kPut : proto::BatchKind::kPutUntil,
                 .key = entry.key,
                 .value = entry.value,
                 .expires_ms = entry.expires_ms});
  }
  builder.AppendTo(client_->output());
  ++outstanding_;
}

void ServerTarget::Close() {
  if (filling_.entries.empty()) return;
  pending_bytes_ += filling_.bytes;
  pending_.push_back(std::exchange(filling_, {}));
  if (!sending_again_) Send(pending_.back());
}

absl::Status ServerTarget::Add(transfer::ImportEntry entry, transfer::ImportSummary* summary) {
  const uint64_t bytes = entry.key.size() + entry.value.size() + kEntryOverheadBytes;
  if (bytes > proto::kFrameBytesHardMax - proto::kFrameHeaderBytes - kEntryOverheadBytes) {
    summary->Skip("longer than any frame", entry.where);
    return absl::OkStatus();
  }
  // A large entry is a batch by itself, which may be as long as a frame.
  if (filling_.bytes + bytes > kBatchBytes) Close();
  filling_.bytes += bytes;
  filling_.entries.push_back(std::move(entry));
  if (filling_.entries.size() >= kBatchEntries || filling_.bytes >= kBatchBytes) Close();
  return AdvanceWhile([this] { return pending_.size() >= kBatchesPending || pending_bytes_ >= kPendingBytes; },
                      summary);
}

absl::Status ServerTarget::Finish(transfer::ImportSummary* summary) {
  Close();
  return AdvanceWhile([this] { return !pending_.empty(); }, summary);
}

absl::Status ServerTarget::AdvanceWhile(const std::function<bool()>& is_needed, transfer::ImportSummary* summary) {
  // Before, it was the input that was waited for.
  if (is_needed()) last_progress_nanos_ = clock_->MonotonicNanos();
  while (is_needed()) BANDB_RETURN_IF_ERROR(Advance(summary));
  return absl::OkStatus();
}

absl::Status ServerTarget::Advance(transfer::ImportSummary* summary) {
  absl::Status status = client_->Exchange();
  // What arrived before the connection broke still counts.
  const absl::Status taken = TakeReplies(summary);
  if (status.ok()) status = taken;
  if (status.ok()) {
    if (!sending_again_ || outstanding_ > 0) return status;
    if (!last_failure_.ok()) BANDB_RETURN_IF_ERROR(BackOff(last_failure_));
    SendAgain();
    return absl::OkStatus();
  }
  if (!absl::IsUnavailable(status) && !absl::IsUnknown(status)) return status;
  last_failure_ = status;
  return Connect();
}

absl::Status ServerTarget::Connect() {
  while (true) {
    client_.reset();
    BANDB_RETURN_IF_ERROR(BackOff(last_failure_));
    absl::StatusOr<std::unique_ptr<client::Client>> client = client::Client::Connect(options_.target);
    if (client.ok()) {
      client_ = *std::move(client);
      ++reconnections_;
      SendAgain();
      return absl::OkStatus();
    }
    last_failure_ = client.status();
  }
}

absl::Status ServerTarget::BackOff(const absl::Status& cause) {
  if (clock_->MonotonicNanos() - last_progress_nanos_ > options_.retry_for_nanos) return cause;
  back_off_nanos_ = std::clamp(back_off_nanos_ * 2, kBackOffFirstNanos, kBackOffMaxNanos);
  base::Event never;
  executor_->Wait(&never, back_off_nanos_);
  return absl::OkStatus();
}

void ServerTarget::SendAgain() {
  outstanding_ = 0;
  sending_again_ = false;
  last_failure_ = absl::OkStatus();
  for (const Batch& batch : pending_) Send(batch);
}

absl::Status ServerTarget::TakeReplies(transfer::ImportSummary* summary) {
  while (true) {
    proto::Reply reply;
    BANDB_ASSIGN_OR_RETURN(const bool got, client_->Next(&reply));
    if (!got) return absl::OkStatus();
    BANDB_RETURN_IF_ERROR(OnReply(reply, summary));
  }
}

void ServerTarget::Settle() {
  last_progress_nanos_ = clock_->MonotonicNanos();
  back_off_nanos_ = 0;
  pending_bytes_ -= pending_.front().bytes;
  pending_.pop_front();
}

void ServerTarget::Refuse(const proto::Reply& reply, transfer::ImportSummary* summary) {
  Batch refused = std::move(pending_.front());
  Settle();
  if (refused.entries.size() == 1) {
    summary->Skip(Reason(reply), refused.entries.front().where);
    return;
  }
  while (!refused.entries.empty()) {
    Batch single;
    single.bytes = refused.entries.back().key.size() + refused.entries.back().value.size() + kEntryOverheadBytes;
    single.entries.push_back(std::move(refused.entries.back()));
    refused.entries.pop_back();
    pending_bytes_ += single.bytes;
    pending_.push_front(std::move(single));
  }
  sending_again_ = true;
}

absl::Status ServerTarget::OnReply(const proto::Reply& reply, transfer::ImportSummary* summary) {
  if (outstanding_ == 0) {
    // A server that is full or about to stop says so unasked, and closes.
    return reply.ok ? base::Error(absl::StatusCode::kDataLoss, "a reply without a request") : reply.ToStatus();
  }
  --outstanding_;
  if (sending_again_) return absl::OkStatus();
  BANDB_ASSERT(!pending_.empty());
  if (!reply.ok) {
    const absl::Status status = reply.ToStatus();
    if (ConcernsTheEntry(reply, status)) {
      Refuse(reply, summary);
      return absl::OkStatus();
    }
    if (!WorthRetrying(status)) return status;
    sending_again_ = true;
    last_failure_ = status;
    return absl::OkStatus();
  }
  for (const transfer::ImportEntry& entry : pending_.front().entries) {
    ++summary->entries;
    summary->bytes += entry.key.size() + entry.value.size();
  }
  Settle();
  return absl::OkStatus();
}

}  // namespace bandb::cli
