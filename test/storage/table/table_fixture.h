// Tables in memory, for the tests of the table layer.
#ifndef BANDB_TEST_STORAGE_TABLE_TABLE_FIXTURE_H_
#define BANDB_TEST_STORAGE_TABLE_TABLE_FIXTURE_H_

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/file_system.h"
#include "base/random.h"
#include "base/status.h"
#include "storage/key/internal_key.h"
#include "storage/table/block_cache.h"
#include "storage/table/table_builder.h"
#include "storage/table/table_cursor.h"
#include "storage/table/table_reader.h"

namespace bandb::storage {

// Appends to a string.
class StringFile final : public base::AppendableFile {
 public:
  explicit StringFile(std::string* content) : content_(*content) {}
  absl::Status Reserve(uint64_t) override { return absl::OkStatus(); }
  absl::Status Append(std::string_view bytes) override {
    if (content_.size() + bytes.size() > bytes_max_) {
      return base::Error(absl::StatusCode::kResourceExhausted, "string file full");
    }
    content_.append(bytes);
    return absl::OkStatus();
  }
  absl::Status Sync() override { return absl::OkStatus(); }
  absl::Status Close() override { return absl::OkStatus(); }
  uint64_t Size() const override { return content_.size(); }
  // Appends beyond this fail as on a full disk.
  void LimitTo(size_t bytes_max) { bytes_max_ = bytes_max; }

 private:
  std::string& content_;
  size_t bytes_max_ = SIZE_MAX;
};

// Reads a string that its owner may change meanwhile, and counts the reads.
class StringView final : public base::RandomAccessFile {
 public:
  struct State {
    uint64_t reads = 0;
    bool fails = false;  // as a device does
  };
  StringView(const std::string* content, State* state) : content_(*content), state_(state) {}
  absl::StatusOr<size_t> Read(uint64_t offset, absl::Span<char> to) const override {
    if (state_ != nullptr) {
      ++state_->reads;
      if (state_->fails) return base::Error(absl::StatusCode::kInternal, "input/output error");
    }
    if (offset >= content_.size()) return size_t{0};
    const size_t bytes = std::min<size_t>(to.size(), content_.size() - offset);
    std::memcpy(to.data(), content_.data() + offset, bytes);
    return bytes;
  }
  void Prefetch(uint64_t, uint64_t) const override {}
  uint64_t Size() const override { return content_.size(); }

 private:
  const std::string& content_;
  State* const state_;
};

using Entries = std::vector<std::pair<std::string, std::string>>;

inline FileHeader TestHeader(uint64_t seed = 1) {
  base::Random random(seed);
  FileHeader header;
  header.type = FileType::kTable;
  header.database_id = RandomUuid(&random);
  header.file_id = RandomUuid(&random);
  return header;
}

inline std::string Key(std::string_view user_key, Sequence sequence, Kind kind = Kind::kPut) {
  return MakeInternalKey(MakeSpacedKey(Space::kUser, user_key), MakeTrailer(sequence, kind));
}
inline std::string SeekKey(std::string_view user_key, Sequence sequence = kSequenceMax) {
  return MakeInternalKey(MakeSpacedKey(Space::kUser, user_key), SeekTrailer(sequence));
}

// A table's bytes.
inline std::string BuildTable(const Entries& entries, const TableOptions& options = {},
                              const std::vector<RangeTombstone>& tombstones = {}, TableSummary* summary = nullptr,
                              uint32_t format_version = 0) {
  std::string content;
  StringFile file(&content);
  FileHeader header = TestHeader();
  header.format_version = format_version;
  TableBuilder builder(&file, header, options);
  for (const auto& [key, value] : entries) builder.Add(key, value);
  for (const RangeTombstone& tombstone : tombstones) {
    builder.AddRangeTombstone(tombstone.begin, tombstone.limit, tombstone.sequence);
  }
  absl::StatusOr<TableSummary> finished = builder.Finish();
  BANDB_ASSERT(finished.ok());
  if (summary != nullptr) *summary = *finished;
  return content;
}

inline absl::StatusOr<std::unique_ptr<TableReader>> OpenTable(const std::string& content, BlockCache* cache,
                                                              StringView::State* state = nullptr) {
  return TableReader::Open(std::make_unique<StringView>(&content, state), "dir/7.tbl", cache);
}

// Whether the filter lets the key through; it must be readable.
inline bool MayContain(const TableReader& table, std::string_view internal_key) {
  const size_t k = table.meta().FindPartition(internal_key);
  if (k == table.meta().partitions()) return false;
  const absl::StatusOr<PartitionRef> entered = table.Enter(k);
  BANDB_ASSERT(entered.ok());
  return TableReader::At(*entered).MayContain(FilterHash(SpacedKey(internal_key)));
}

// Where the data blocks of a table lie; it must be readable.
inline std::vector<BlockHandle> DataBlocksOf(const TableReader& table) {
  std::vector<BlockHandle> blocks;
  for (size_t k = 0; k < table.meta().partitions(); ++k) {
    const absl::StatusOr<PartitionRef> entered = table.Enter(k);
    BANDB_ASSERT(entered.ok());
    const TableIndex& index = TableReader::At(*entered).index();
    for (size_t i = 0; i < index.size(); ++i) blocks.push_back(index.block(i));
  }
  return blocks;
}

// Entries with random user keys of few bytes, so that prefixes, versions and neighbours of all
// sorts come up.
inline Entries RandomEntries(base::Random* random, size_t count) {
  std::map<std::string, std::string> sorted;  // by an encoding whose bytes order like internal keys
  for (size_t i = 0; i < count; ++i) {
    std::string user_key;
    const uint64_t length = random->Uniform(random->OneIn(20) ? 300 : 6);
    for (uint64_t n = 0; n < length; ++n) {
      user_key.push_back(static_cast<char>(random->OneIn(8) ? random->Next() : 'a' + random->Uniform(3)));
    }
    const Sequence sequence = 1 + random->Uniform(1000);
    const Kind kind = random->OneIn(4) ? Kind::kDelete : Kind::kPut;
    const std::string value(kind == Kind::kDelete ? 0 : random->Uniform(random->OneIn(30) ? 5000 : 40), 'v');
    sorted[Key(user_key, sequence, kind)] = value;
  }
  Entries entries(sorted.begin(), sorted.end());
  std::sort(entries.begin(), entries.end(),
            [](const auto& a, const auto& b) { return CompareInternalKeys(a.first, b.first) < 0; });
  return entries;
}

// The entries that a cursor yields from where it is to an end.
inline Entries Collect(Cursor* cursor, bool forward = true) {
  Entries entries;
  while (cursor->Valid()) {
    entries.emplace_back(cursor->key(), cursor->value());
    forward ? cursor->Next() : cursor->Prev();
  }
  return entries;
}

}  // namespace bandb::storage

#endif  // BANDB_TEST_STORAGE_TABLE_TABLE_FIXTURE_H_
