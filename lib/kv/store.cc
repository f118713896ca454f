#include "bandb/store.h"

#include <algorithm>
#include <utility>

#include "bandb/db.h"
#include "kv/change_feed.h"
#include "kv/write_outcome.h"

namespace bandb {

namespace {

absl::Status NoFeed() { return absl::UnimplementedError("this store has no change feed"); }

}  // namespace

absl::Status Store::Put(std::string_view key, std::string_view value, const WriteOptions& options) {
  return DoPut(key, value, options);
}

absl::Status Store::PutWithTtl(std::string_view key, std::string_view value, absl::Duration ttl,
                               const WriteOptions& options) {
  WriteBatch batch;
  batch.PutWithTtl(key, value, ttl);
  return DoWrite(batch, options);
}

absl::Status Store::PutUntil(std::string_view key, std::string_view value, absl::Time expiry,
                             const WriteOptions& options) {
  WriteBatch batch;
  batch.PutUntil(key, value, expiry);
  return DoWrite(batch, options);
}

absl::Status Store::Delete(std::string_view key, const WriteOptions& options) { return DoDelete(key, options); }

absl::Status Store::Write(const WriteBatch& batch, const WriteOptions& options) { return DoWrite(batch, options); }

void Store::WriteAsync(WriteBatch batch, const WriteOptions& options, WriteCallback done) {
  DoWriteAsync(std::move(batch), options, std::move(done));
}

void Store::WriteAsyncOrReturn(WriteBatch batch, const WriteOptions& options, ReturningWriteCallback done) {
  DoWriteAsyncOrReturn(std::move(batch), options, std::move(done));
}

void Store::DoWriteAsyncOrReturn(WriteBatch batch, const WriteOptions& options, ReturningWriteCallback done) {
  WriteBatch kept = batch;
  DoWriteAsync(std::move(batch), options,
               [kept = std::move(kept), done = std::move(done)](absl::Status status) mutable {
                 if (!kv::WasNotDone(status)) kept = WriteBatch();
                 std::move(done)(std::move(status), std::move(kept));
               });
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

absl::StatusOr<Entry> Store::GetEntry(std::string_view key, const ReadOptions& options) {
  PinnedValue value;
  absl::Status status = DoGet(key, &value, options);
  if (!status.ok()) return status;
  return Entry{.value = std::string(value.value()), .expiry = value.expiry(), .version = value.version()};
}

std::vector<absl::StatusOr<std::string>> Store::MultiGet(absl::Span<const std::string_view> keys,
                                                         const ReadOptions& options) {
  return DoMultiGet(keys, options);
}

std::unique_ptr<Iterator> Store::NewIterator(const ReadOptions& options) { return DoNewIterator(options); }

std::string PrefixLimit(std::string_view prefix) {
  while (!prefix.empty() && prefix.back() == '\xff') prefix.remove_suffix(1);
  std::string limit(prefix);
  if (!limit.empty()) limit.back() = static_cast<char>(static_cast<unsigned char>(limit.back()) + 1);
  return limit;
}

std::unique_ptr<Iterator> Store::NewPrefixIterator(std::string_view prefix, const ReadOptions& options) {
  ReadOptions bounded = options;
  std::string limit = PrefixLimit(prefix);
  if (bounded.lower_bound < prefix) bounded.lower_bound = std::string(prefix);
  if (!limit.empty() && (bounded.upper_bound.empty() || limit < bounded.upper_bound)) {
    bounded.upper_bound = std::move(limit);
  }
  return DoNewIterator(bounded);
}

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

absl::StatusOr<uint64_t> Db::ApproximateSize(std::string_view begin, std::string_view limit) const {
  const absl::StatusOr<RangeFigures> figures = DoApproximate(begin, limit);
  return figures.ok() ? absl::StatusOr<uint64_t>(figures->bytes) : figures.status();
}

absl::StatusOr<uint64_t> Db::ApproximateCount(std::string_view begin, std::string_view limit) {
  // So few are counted.
  constexpr uint64_t kCountedMax = 256;
  ReadOptions options;
  options.lower_bound = begin;
  options.upper_bound = limit;
  options.skips_max = 4 * kCountedMax;
  const std::unique_ptr<Iterator> keys = NewIterator(options);
  uint64_t counted = 0;
  for (keys->SeekToFirst(); keys->Valid() && counted < kCountedMax; keys->Next()) ++counted;
  if (!keys->Valid() && keys->status().ok()) return counted;
  const absl::StatusOr<RangeFigures> figures = DoApproximate(begin, limit);
  return figures.ok() ? absl::StatusOr<uint64_t>(std::max(figures->keys, counted)) : figures.status();
}

absl::StatusOr<uint64_t> Db::Ingest(IngestSource next, const IngestOptions& options) { return DoIngest(next, options); }

absl::StatusOr<uint64_t> Db::DoIngest(IngestSource /*next*/, const IngestOptions& /*options*/) {
  return absl::UnimplementedError("this database ingests no tables");
}

absl::StatusOr<Db::RangeFigures> Db::DoApproximate(std::string_view /*begin*/, std::string_view /*limit*/) const {
  return absl::UnimplementedError("this database tells no figures of a range");
}

absl::Status Db::DoCheckpoint(const std::filesystem::path& /*dir*/, internal::CheckpointSink* /*sink*/) {
  return absl::UnimplementedError("this database makes no backups");
}

}  // namespace bandb
