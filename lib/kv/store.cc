#include "bandb/store.h"

#include <utility>

namespace bandb {

absl::Status Store::Put(std::string_view key, std::string_view value, const WriteOptions& options) {
  return DoPut(key, value, options);
}

absl::Status Store::Delete(std::string_view key, const WriteOptions& options) { return DoDelete(key, options); }

absl::Status Store::Write(const WriteBatch& batch, const WriteOptions& options) { return DoWrite(batch, options); }

void Store::WriteAsync(WriteBatch batch, const WriteOptions& options, WriteCallback done) {
  DoWriteAsync(std::move(batch), options, std::move(done));
}

absl::StatusOr<std::string> Store::Get(std::string_view key, const ReadOptions& options) {
  PinnedValue value;
  absl::Status status = DoGet(key, &value, options);
  if (!status.ok()) return status;
  return std::string(value.value());
}

absl::Status Store::GetPinned(std::string_view key, PinnedValue* value, const ReadOptions& options) {
  absl::Status status = DoGet(key, value, options);
  if (!status.ok()) value->Reset();
  return status;
}

std::vector<absl::StatusOr<std::string>> Store::MultiGet(absl::Span<const std::string_view> keys,
                                                         const ReadOptions& options) {
  return DoMultiGet(keys, options);
}

std::unique_ptr<Iterator> Store::NewIterator(const ReadOptions& options) { return DoNewIterator(options); }

Snapshot Store::GetSnapshot() { return DoGetSnapshot(); }

void Store::ReadBarrierAsync(const ReadOptions& options, ReadCallback ready) {
  DoReadBarrierAsync(options, std::move(ready));
}

}  // namespace bandb
