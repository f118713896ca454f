#include "storage/table/block.h"

#include "storage/table/block_builder.h"
#include "storage/table/block_cursor.h"
#include "storage/table/table_fixture.h"
#include "support/catch.h"

namespace bandb::storage {

namespace {

std::string BuildBlock(const Entries& entries) {
  BlockBuilder builder;
  for (const auto& [key, value] : entries) builder.Add(key, value);
  REQUIRE(builder.bytes() >= entries.size() * kTrailerBytes);
  const size_t announced = builder.bytes();
  const std::string payload(builder.Finish());
  REQUIRE(payload.size() == announced);
  return payload;
}

// Memory of exactly the size that the contract asks for, so that a sanitizer sees a read beyond it.
class Payload {
 public:
  explicit Payload(std::string_view bytes) : memory_(new char[bytes.size() + kBlockSlackBytes]), bytes_(bytes.size()) {
    std::memcpy(memory_.get(), bytes.data(), bytes.size());
    std::memset(memory_.get() + bytes.size(), 0xff, kBlockSlackBytes);
  }
  std::string_view view() const { return std::string_view(memory_.get(), bytes_); }

 private:
  std::unique_ptr<char[]> memory_;
  size_t bytes_;
};

// Walks a block that Parse has accepted in every way there is. Whatever the bytes, each key is an
// internal key.
void Exercise(const Block& block, const Entries& targets) {
  BlockCursor cursor;
  cursor.Reset(block);
  bool good = true;
  for (cursor.SeekToFirst(); cursor.Valid(); cursor.Next()) good = good && IsInternalKey(cursor.key());
  for (cursor.SeekToLast(); cursor.Valid(); cursor.Prev()) good = good && IsInternalKey(cursor.key());
  for (const auto& [key, value] : targets) {
    cursor.Seek(key);
    if (cursor.Valid()) cursor.Next();
    cursor.SeekForPrev(key);
    if (cursor.Valid()) cursor.Prev();
    if (cursor.Valid()) cursor.Next();
    if (cursor.Valid()) good = good && IsInternalKey(cursor.key());
  }
  CHECK(good);
}

}  // namespace

TEST_CASE("a block yields its entries forward, backward and by seeking") {
  base::Random random(11);
  for (int round = 0; round < 100; ++round) {
    const Entries entries = RandomEntries(&random, random.Uniform(80));
    const Payload payload(BuildBlock(entries));
    const std::optional<Block> block = Block::Parse(payload.view(), Block::Trailers::kInternalKeys);
    REQUIRE(block.has_value());
    BlockCursor cursor;
    cursor.Reset(*block);
    CHECK_FALSE(cursor.Valid());
    Entries forward, backward;
    for (cursor.SeekToFirst(); cursor.Valid(); cursor.Next()) forward.emplace_back(cursor.key(), cursor.value());
    CHECK(forward == entries);
    for (cursor.SeekToLast(); cursor.Valid(); cursor.Prev()) backward.emplace_back(cursor.key(), cursor.value());
    std::reverse(backward.begin(), backward.end());
    CHECK(backward == entries);
    for (const auto& probe : RandomEntries(&random, 50)) {
      const std::string& key = probe.first;
      const auto at = std::find_if(entries.begin(), entries.end(),
                                   [&](const auto& entry) { return CompareInternalKeys(entry.first, key) >= 0; });
      cursor.Seek(key);
      REQUIRE(cursor.Valid() == (at != entries.end()));
      if (!cursor.Valid()) continue;
      CHECK(cursor.key() == at->first);
      CHECK(cursor.value() == at->second);
      const BlockMatch match = SeekInBlock(*block, key);
      CHECK(match.same_key == (SpacedKey(at->first) == SpacedKey(key)));
    }
  }
}

TEST_CASE("many versions of one key, over many restarts, are told apart") {
  Entries entries;
  for (Sequence sequence = 200; sequence > 0; sequence -= 2) entries.emplace_back(Key("k", sequence), "v");
  const Payload payload(BuildBlock(entries));
  const std::optional<Block> block = Block::Parse(payload.view(), Block::Trailers::kInternalKeys);
  REQUIRE(block.has_value());
  BlockCursor cursor;
  cursor.Reset(*block);
  for (Sequence sequence = 1; sequence <= 201; ++sequence) {
    cursor.Seek(SeekKey("k", sequence));
    const Sequence expected = std::min<Sequence>(200, sequence / 2 * 2);
    REQUIRE(cursor.Valid() == (expected > 0));
    if (!cursor.Valid()) continue;
    CHECK(TrailerSequence(Trailer(cursor.key())) == expected);
    CHECK(SeekInBlock(*block, SeekKey("k", sequence)).same_key);
  }
}

TEST_CASE("a block builder can be used again, and again yields the same bytes") {
  base::Random random(12);
  const Entries entries = RandomEntries(&random, 50);
  BlockBuilder builder;
  std::string first;
  for (int round = 0; round < 2; ++round) {
    for (const auto& [key, value] : entries) builder.Add(key, value);
    const std::string payload(builder.Finish());
    if (round == 0) first = payload;
    CHECK(payload == first);
    builder.Reset();
    CHECK(builder.empty());
  }
}

TEST_CASE("an empty block is well-formed and has no entries") {
  const Payload payload(BuildBlock({}));
  const std::optional<Block> block = Block::Parse(payload.view(), Block::Trailers::kInternalKeys);
  REQUIRE(block.has_value());
  CHECK(block->empty());
  BlockCursor cursor;
  cursor.Reset(*block);
  cursor.SeekToFirst();
  CHECK_FALSE(cursor.Valid());
  cursor.SeekToLast();
  CHECK_FALSE(cursor.Valid());
  cursor.SeekForPrev(SeekKey("a"));
  CHECK_FALSE(cursor.Valid());
}

TEST_CASE("a block that was cut or changed is refused or harmless") {
  base::Random random(13);
  for (int round = 0; round < 30; ++round) {
    const Entries entries = RandomEntries(&random, 1 + random.Uniform(40));
    const Entries targets = RandomEntries(&random, 10);
    const std::string good = BuildBlock(entries);
    for (size_t bytes = 0; bytes < good.size(); ++bytes) {
      const Payload cut(good.substr(0, bytes));
      CHECK_FALSE(Block::Parse(cut.view(), Block::Trailers::kInternalKeys).has_value());
    }
    for (int change = 0; change < 300; ++change) {
      std::string bad = good;
      for (uint64_t n = 0; n <= random.Uniform(3); ++n) {
        bad[random.Uniform(bad.size())] = static_cast<char>(random.OneIn(3) ? 0xff : random.Next());
      }
      const Payload payload(bad);
      const std::optional<Block> block = Block::Parse(payload.view(), Block::Trailers::kInternalKeys);
      if (block) Exercise(*block, targets);
    }
  }
}

TEST_CASE("the example in docs/table-format.md is what is written") {
  const unsigned char expected[] = {1,   0,   0,  0,                                                     //
                                    12,  0,   0,  0,   41,  0,   0,   0,                                 //
                                    0,   6,   3,  1,   'a', 'p', 'p', 'l', 'e', 1, 1, 0, 0, 0, 0, 0, 0,  //
                                    5,   1,   0,  'y', 1,   1,   0,   0,   0,   0, 0, 0,                 //
                                    'r', 'e', 'd'};
  CHECK(BuildBlock({{Key("apple", 1), "red"}, {Key("apply", 1), ""}}) ==
        std::string(reinterpret_cast<const char*>(expected), sizeof(expected)));
}

TEST_CASE("only an index may hold separators that are no internal keys") {
  const Payload payload(BuildBlock({{MakeInternalKey(MakeSpacedKey(Space::kUser, "s"), kSeparatorTrailer), "handle"}}));
  CHECK(Block::Parse(payload.view(), Block::Trailers::kSeparators).has_value());
  CHECK_FALSE(Block::Parse(payload.view(), Block::Trailers::kInternalKeys).has_value());
}

TEST_CASE("lengths that take more bytes than they need are refused") {
  // One entry: shared 0, unshared 1, value 0; then the same with the last length in two bytes.
  const std::string trailer("\x01\x01\0\0\0\0\0\0", 8);
  const auto block_of = [&](const std::string& lengths) {
    std::string bytes;
    base::PutFixed32(&bytes, 1);
    base::PutFixed32(&bytes, 12);
    base::PutFixed32(&bytes, static_cast<uint32_t>(12 + lengths.size() + 1 + 8));
    return bytes + lengths + "\x01" + trailer;
  };
  const Payload good(block_of(std::string("\0\x01\0", 3)));
  CHECK(Block::Parse(good.view(), Block::Trailers::kInternalKeys).has_value());
  const Payload bad(block_of(std::string("\0\x01\x80\0", 4)));
  CHECK_FALSE(Block::Parse(bad.view(), Block::Trailers::kInternalKeys).has_value());
}

}  // namespace bandb::storage
