#include "bandb/store.h"

#include <utility>

#include "bandb/db.h"
#include "kv/change_feed.h"

namespace bandb {

namespace {

absl::Status NoFeed() { return absl::UnimplementedError("this store has no change feed"); }

}  // namespace

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

absl::StatusOr<std::unique_ptr<ChangeReader>> Store::ReadChanges(const ChangesOptions& options) {
  internal::ChangeFeed* const feed = DoChangeFeed();
  if (feed == nullptr) return NoFeed();
  return feed->ReadChanges(options);
}

absl::Status Store::CreateCursor(std::string_view name, const ChangesFrom& from) {
  internal::ChangeFeed* const feed = DoChangeFeed();
  return feed == nullptr ? NoFeed() : feed->CreateCursor(name, from);
}

absl::Status Store::ResetCursor(std::string_view name, const ChangesFrom& from) {
  internal::ChangeFeed* const feed = DoChangeFeed();
  return feed == nullptr ? NoFeed() : feed->ResetCursor(name, from);
}

absl::Status internal::ChangeFeed::ResetCursor(std::string_view /*name*/, const ChangesFrom& /*from*/) {
  return NoFeed();
}

absl::Status Store::Acknowledge(std::string_view name, std::string_view token) {
  internal::ChangeFeed* const feed = DoChangeFeed();
  return feed == nullptr ? NoFeed() : feed->Acknowledge(name, token);
}

absl::Status Store::DropCursor(std::string_view name) {
  internal::ChangeFeed* const feed = DoChangeFeed();
  return feed == nullptr ? NoFeed() : feed->DropCursor(name);
}

absl::StatusOr<std::vector<CursorInfo>> Store::ListCursors() {
  internal::ChangeFeed* const feed = DoChangeFeed();
  if (feed == nullptr) return NoFeed();
  return feed->ListCursors();
}

absl::Status Db::DoCheckpoint(const std::filesystem::path& /*dir*/, internal::CheckpointSink* /*sink*/) {
  return absl::UnimplementedError("this database makes no backups");
}

}  // namespace bandb
