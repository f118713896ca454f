#include "base/checksum.h"
#include "storage/table/table_cursor.h"
#include "storage/table/table_fixture.h"
#include "support/catch.h"

namespace bandb::storage {

namespace {

struct Sample {
  Entries entries;
  std::vector<RangeTombstone> tombstones;
  std::string content;
};

// With partitions of some three blocks, or without.
Sample MakeSample(Compression compression, bool in_partitions = false) {
  Sample sample;
  for (Sequence i = 0; i < 60; ++i) {
    sample.entries.emplace_back(Key("key" + std::to_string(100 + i), i + 1), "value value value " + std::to_string(i));
  }
  sample.tombstones.push_back({MakeSpacedKey(Space::kUser, "a"), MakeSpacedKey(Space::kUser, "b"), 99});
  TableOptions options;
  options.block_bytes = 256;
  options.compression = compression;
  if (in_partitions) options.partition_index_bytes = 64, options.partition_blocks_min = 1;
  sample.content = BuildTable(sample.entries, options, sample.tombstones);
  return sample;
}

void RequireDataLoss(const absl::Status& status) {
  REQUIRE_CODE(status, kDataLoss);
  REQUIRE(base::Message(status).find("dir/7.tbl: offset ") == 0);
}

void RequireRefused(const absl::Status& status) {
  REQUIRE_CODE(status, kInternal);
  REQUIRE(base::Message(status).find("dir/7.tbl: offset ") == 0);
}

// Every read of a damaged table gives the right answer or kDataLoss with path and offset. True if
// damage was noticed.
bool CheckReads(const Sample& sample, const std::string& content) {
  BlockCache cache(1 << 20);
  auto table = OpenTable(content, &cache);
  if (!table.ok()) {
    RequireDataLoss(table.status());
    return true;
  }
  bool noticed = false;
  REQUIRE((*table)->tombstones().tombstones() == sample.tombstones);
  GetResult result;
  for (const auto& [key, value] : sample.entries) {
    const absl::Status status = (*table)->Get(key, true, &result, FilterHash(SpacedKey(key)));
    if (status.ok()) {
      REQUIRE_FALSE(result.filtered);
      REQUIRE(result.found);
      REQUIRE(result.value == value);
    } else {
      RequireDataLoss(status);
      noticed = true;
    }
  }
  for (const bool forward : {true, false}) {
    const auto cursor = NewTableCursor(**table);
    forward ? cursor->SeekToFirst() : cursor->SeekToLast();
    Entries walked = Collect(cursor.get(), forward);
    if (!forward) std::reverse(walked.begin(), walked.end());
    if (cursor->status().ok()) {
      REQUIRE(walked == sample.entries);
    } else {
      RequireDataLoss(cursor->status());
      REQUIRE(walked.size() < sample.entries.size());
      const Entries part(
          forward ? sample.entries.begin() : sample.entries.end() - static_cast<ptrdiff_t>(walked.size()),
          forward ? sample.entries.begin() + static_cast<ptrdiff_t>(walked.size()) : sample.entries.end());
      REQUIRE(walked == part);
      noticed = true;
    }
  }
  const absl::Status verified = (*table)->VerifyChecksums();
  if (!verified.ok()) RequireDataLoss(verified);
  REQUIRE(verified.ok() != noticed);
  return noticed;
}

}  // namespace

TEST_CASE("a table with any one byte changed answers rightly or with kDataLoss") {
  const std::pair<Compression, bool> kinds[] = {
      {Compression::kNone, false}, {Compression::kLz4, false}, {Compression::kZstd, false}, {Compression::kNone, true}};
  for (const auto& [compression, in_partitions] : kinds) {
    const Sample sample = MakeSample(compression, in_partitions);
    REQUIRE_FALSE(CheckReads(sample, sample.content));
    for (size_t at = 0; at < sample.content.size(); ++at) {
      std::string content = sample.content;
      content[at] = static_cast<char>(content[at] ^ (at % 2 == 0 ? 0x01 : 0xff));
      // Every byte is under a checksum, so each change is noticed by a reader of all there is.
      REQUIRE(CheckReads(sample, content));
    }
  }
}

TEST_CASE("a table of any other length is refused") {
  const Sample sample = MakeSample(Compression::kNone);
  for (size_t bytes = 0; bytes < sample.content.size(); ++bytes) {
    const std::string content = sample.content.substr(0, bytes);
    BlockCache cache(0);
    RequireDataLoss(OpenTable(content, &cache).status());
  }
  for (const std::string& more : {std::string("x"), std::string(4096, '\0'), sample.content}) {
    BlockCache cache(0);
    const std::string content = sample.content + more;
    RequireDataLoss(OpenTable(content, &cache).status());
  }
}

TEST_CASE("a stretch of zeros, and a block in the place of another, are noticed") {
  const Sample sample = MakeSample(Compression::kNone);
  for (size_t at = 0; at + 512 < sample.content.size(); at += 97) {
    std::string content = sample.content;
    content.replace(at, 512, 512, '\0');
    REQUIRE(CheckReads(sample, content));
  }
  // Blocks of equal size in each other's place: only their offsets tell.
  BlockCache cache(0);
  auto table = OpenTable(sample.content, &cache);
  REQUIRE_OK(table.status());
  const std::vector<BlockHandle> blocks = DataBlocksOf(**table);
  int swapped = 0;
  for (size_t i = 1; i < blocks.size(); ++i) {
    const BlockHandle a = blocks[i - 1], b = blocks[i];
    if (a.payload_bytes != b.payload_bytes) continue;
    std::string content = sample.content;
    content.replace(a.offset, a.end() - a.offset, sample.content, b.offset, b.end() - b.offset);
    REQUIRE(CheckReads(sample, content));
    ++swapped;
  }
  REQUIRE(swapped > 0);
}

TEST_CASE("a device that refuses to read is the operating system's error, and a walk that failed can begin anew") {
  const Sample sample = MakeSample(Compression::kNone);
  BlockCache cache(0);
  StringView::State state;
  auto table = OpenTable(sample.content, &cache, &state);
  REQUIRE_OK(table.status());
  state.fails = true;
  GetResult result;
  RequireRefused((*table)->Get(sample.entries[5].first, true, &result));
  CHECK_FALSE(result.found);
  const auto cursor = NewTableCursor(**table);
  cursor->SeekToFirst();
  CHECK_FALSE(cursor->Valid());
  RequireRefused(cursor->status());
  RequireRefused(OpenTable(sample.content, &cache, &state).status());
  RequireRefused((*table)->VerifyChecksums());
  state.fails = false;
  cursor->SeekToFirst();
  CHECK(Collect(cursor.get()) == sample.entries);
  CHECK_OK(cursor->status());
}

TEST_CASE("a table of a newer release is refused by name") {
  const Sample sample = MakeSample(Compression::kNone);
  const auto with_checksum = [](std::string header) {
    header.resize(kFileHeaderBytes - sizeof(uint64_t));
    base::PutFixed64(&header, base::Hash64(header));
    return header;
  };
  BlockCache cache(0);
  const std::pair<size_t, std::string> fields[] = {
      {8, "format version 3 "}, {12, "file header of 81 bytes "}, {16, "incompatible features 0x1 "}};
  for (const auto& [at, named] : fields) {
    std::string header = sample.content.substr(0, kFileHeaderBytes);
    header[at] = static_cast<char>(header[at] + 1);
    std::string content = sample.content;
    content.replace(0, kFileHeaderBytes, with_checksum(header));
    const absl::Status refused = OpenTable(content, &cache).status();
    CHECK_CODE(refused, kFailedPrecondition);
    CHECK(base::Message(refused).find(named) != std::string::npos);
  }
}

TEST_CASE("a block of a layout or compression to come is refused by name") {
  const Sample sample = MakeSample(Compression::kNone);
  for (const uint8_t type : {0x10, 0x0f}) {
    BlockCache cache(0);
    auto table = OpenTable(sample.content, &cache);
    REQUIRE_OK(table.status());
    const BlockHandle handle = DataBlocksOf(**table)[0];
    std::string content = sample.content;
    content[handle.offset + handle.payload_bytes] = static_cast<char>(type);
    const std::string_view checked = std::string_view(content).substr(handle.offset, handle.payload_bytes + 1);
    base::StoreFixed<uint64_t>(content.data() + handle.end() - sizeof(uint64_t),
                               base::BlockChecksum((*table)->header().checksum_seed(), handle.offset, checked));
    table = OpenTable(content, &cache);
    REQUIRE_OK(table.status());
    GetResult result;
    CHECK_CODE((*table)->Get(sample.entries[0].first, true, &result), kFailedPrecondition);
  }
}

TEST_CASE("a range tombstone whose limit is longer than any key may be is damage") {
  for (const size_t bytes : {size_t{kSpacedKeyBytesMax}, size_t{kSpacedKeyBytesMax} + 1, size_t{200} << 10}) {
    const std::string limit = "\x01" + std::string(bytes - 1, 'z');
    const std::string content = BuildTable({{Key("a", 1), "1"}}, {},
                                           {{"\x01"
                                             "b",
                                             limit, 2}});
    BlockCache cache(1 << 20);
    const absl::Status opened = OpenTable(content, &cache).status();
    CHECK(opened.code() == (bytes > kSpacedKeyBytesMax ? absl::StatusCode::kDataLoss : absl::StatusCode::kOk));
  }
}

}  // namespace bandb::storage
