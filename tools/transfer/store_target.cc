#include "transfer/store_target.h"

#include <algorithm>
#include <utility>

#include "absl/time/time.h"
#include "base/status.h"

namespace bandb::transfer {

namespace {

constexpr size_t kBatchEntries = 1000;
constexpr uint64_t kBatchBytes = 256 << 10;
constexpr uint64_t kBytesPerSync = 16 << 20;
constexpr uint64_t kOverheadBytes = 32;

void AddTo(const ImportEntry& entry, WriteBatch* batch) {
  if (entry.expires_ms == 0) {
    batch->Put(entry.key, entry.value);
  } else {
    const auto expires_ms = static_cast<int64_t>(std::min(entry.expires_ms, uint64_t{INT64_MAX}));
    batch->PutUntil(entry.key, entry.value, absl::FromUnixMillis(expires_ms));
  }
}

void Count(const ImportEntry& entry, ImportSummary* summary) {
  ++summary->entries;
  summary->bytes += entry.key.size() + entry.value.size();
}

}  // namespace

absl::Status StoreTarget::WriteSingly(ImportSummary* summary) {
  for (const ImportEntry& entry : pending_) {
    WriteBatch batch;
    AddTo(entry, &batch);
    const absl::Status status = store_->Write(batch);
    if (status.ok()) {
      Count(entry, summary);
    } else if (absl::IsInvalidArgument(status)) {
      summary->Skip(std::string(base::Message(status)), entry.where);
    } else {
      return status;
    }
  }
  return absl::OkStatus();
}

absl::Status StoreTarget::Flush(bool sync, ImportSummary* summary) {
  if (pending_.empty() && !(sync && unsynced_ > 0)) return absl::OkStatus();
  WriteBatch batch;
  for (const ImportEntry& entry : pending_) AddTo(entry, &batch);
  absl::Status status = store_->Write(batch, {.sync = sync});
  if (absl::IsInvalidArgument(status)) {
    BANDB_RETURN_IF_ERROR(WriteSingly(summary));
    status = sync ? store_->Write(WriteBatch(), {.sync = true}) : absl::OkStatus();
  } else if (status.ok()) {
    for (const ImportEntry& entry : pending_) Count(entry, summary);
  }
  BANDB_RETURN_IF_ERROR(status);
  unsynced_ = sync ? 0 : unsynced_ + pending_bytes_;
  pending_.clear();
  pending_bytes_ = 0;
  return absl::OkStatus();
}

absl::Status StoreTarget::Add(ImportEntry entry, ImportSummary* summary) {
  pending_bytes_ += entry.key.size() + entry.value.size() + kOverheadBytes;
  pending_.push_back(std::move(entry));
  if (pending_.size() < kBatchEntries && pending_bytes_ < kBatchBytes) return absl::OkStatus();
  return Flush(unsynced_ + pending_bytes_ >= kBytesPerSync, summary);
}

absl::Status StoreTarget::Finish(ImportSummary* summary) { return Flush(true, summary); }

}  // namespace bandb::transfer
