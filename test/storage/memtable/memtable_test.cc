#include "storage/memtable/memtable.h"

#include "storage/engine/engine_fixture.h"

namespace bandb::storage {

namespace {

std::string ValueAt(const Memtable& memtable, std::string_view key, Sequence sequence) {
  const LookupKey lookup(Space::kUser, key, sequence);
  const MemtableHit hit = memtable.Get(lookup.internal_key(), FilterHash(lookup.spaced_key()));
  return hit.found ? fmt::format("{}:{}:{}", static_cast<int>(hit.kind), hit.sequence, hit.value) : "none";
}

}  // namespace

TEST_CASE("a memtable gives the newest version that a reader may see") {
  Memtable memtable(Memtable::TakeRegion(nullptr, 64 << 10), 7);
  CHECK(memtable.empty());
  memtable.Add(10, Space::kUser, PutOperation("a", "one"));
  memtable.Add(11, Space::kUser, PutOperation("ab", "other"));
  memtable.Add(12, Space::kUser, {.kind = Kind::kDelete, .key = "a", .value = {}});
  memtable.Add(13, Space::kUser, PutOperation("a", ""));
  memtable.Add(14, Space::kSystem, PutOperation("s", "system"));
  CHECK(ValueAt(memtable, "a", 9) == "none");
  CHECK(ValueAt(memtable, "a", 10) == "1:10:one");
  CHECK(ValueAt(memtable, "a", 12) == "0:12:");
  CHECK(ValueAt(memtable, "a", kSequenceMax) == "1:13:");
  CHECK(ValueAt(memtable, "ab", 100) == "1:11:other");
  CHECK(ValueAt(memtable, "", 100) == "none");
  CHECK(ValueAt(memtable, "s", 100) == "none");
  CHECK(memtable.operations() == 5);
  CHECK(memtable.largest_sequence() == 14);
  CHECK(memtable.log_number() == 7);
}

TEST_CASE("the value of a put with expiry begins with its time") {
  Memtable memtable(Memtable::TakeRegion(nullptr, 64 << 10), 1);
  memtable.Add(1, Space::kUser, {.kind = Kind::kPutWithExpiry, .key = "k", .value = "v", .expiry_ms = 0x0102});
  CHECK(ValueAt(memtable, "k", 1) == std::string("2:1:\x02\x01\0\0\0\0\0\0v", 13));
}

TEST_CASE("range deletes of a memtable cover their keys for those who may see them, the newest first") {
  Memtable memtable(Memtable::TakeRegion(nullptr, 64 << 10), 1);
  const auto add = [&](Sequence sequence, std::string_view begin, std::string_view limit) {
    memtable.Add(sequence, Space::kUser, {.kind = Kind::kRangeDelete, .key = begin, .value = limit});
  };
  CHECK(memtable.tombstones().empty());
  add(5, "b", "d");
  add(6, "z", "a");  // inverted: covers nothing
  add(9, "c", "f");
  CHECK(memtable.CoveringTombstone(Spaced("c"), 9) == 0);
  memtable.EndGroup(1'000);
  CHECK_FALSE(memtable.tombstones().empty());
  CHECK(memtable.CoveringTombstone(Spaced("c"), 4) == 0);
  CHECK(memtable.CoveringTombstone(Spaced("c"), 8) == 5);
  CHECK(memtable.CoveringTombstone(Spaced("c"), 9) == 9);
  CHECK(memtable.CoveringTombstone(Spaced("b"), 9) == 5);
  CHECK(memtable.CoveringTombstone(Spaced("d"), 8) == 0);
  CHECK(memtable.CoveringTombstone(Spaced("f"), 9) == 0);
  CHECK(memtable.CoveringTombstone(MakeSpacedKey(Space::kSystem, "c"), 9) == 0);
  std::vector<RangeTombstone> collected;
  memtable.tombstones().Collect(8, &collected);
  CHECK(collected == std::vector<RangeTombstone>{{Spaced("b"), Spaced("d"), 5}});
  CHECK(memtable.largest_sequence() == 9);
}

TEST_CASE("a range delete covers keys that the memtable has no entry of") {
  Memtable memtable(Memtable::TakeRegion(nullptr, 64 << 10), 1);
  memtable.Add(3, Space::kUser, {.kind = Kind::kRangeDelete, .key = "a", .value = "m"});
  memtable.Add(4, Space::kUser, PutOperation("b", "new"));
  memtable.EndGroup(1'000);
  CHECK(ValueAt(memtable, "c", 9) == "none");
  CHECK(memtable.CoveringTombstone(Spaced("c"), 9) == 3);
  CHECK(ValueAt(memtable, "b", 9) == "1:4:new");
  CHECK(ValueAt(memtable, "b", 3) == "none");
}

TEST_CASE("a memtable finds every key that came, staged or not, through its filter") {
  Memtable memtable(Memtable::TakeRegion(nullptr, 1 << 20), 1);
  Sequence sequence = 0;
  for (int i = 0; i < 2000; ++i) memtable.Stage(++sequence, Space::kUser, PutOperation(fmt::format("s{}", i), "v"));
  memtable.InsertStaged();
  for (int i = 0; i < 2000; ++i) memtable.Add(++sequence, Space::kUser, PutOperation(fmt::format("a{}", i), "v"));
  for (int i = 0; i < 2000; ++i) {
    REQUIRE(ValueAt(memtable, fmt::format("s{}", i), sequence) == fmt::format("1:{}:v", i + 1));
    REQUIRE(ValueAt(memtable, fmt::format("a{}", i), sequence) == fmt::format("1:{}:v", 2001 + i));
    REQUIRE(ValueAt(memtable, fmt::format("x{}", i), sequence) == "none");
  }
}

TEST_CASE("a memtable filled with staged operations holds what one filled in their order holds") {
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    base::Random random(seed);
    Memtable added(Memtable::TakeRegion(nullptr, 1 << 20), 1);
    Memtable staged(Memtable::TakeRegion(nullptr, 1 << 20), 1);
    // Keys that share nothing, or more than a word; equal ones, prefixes of one another, and zeros
    // at their ends.
    const std::string shared(random.Uniform(20), 's');
    const uint64_t letters = 1 + random.Uniform(3);
    Sequence sequence = 0;
    for (int round = 0; round < 2; ++round) {
      for (uint64_t left = random.Uniform(300); left > 0; --left) {
        std::string key = shared;
        for (uint64_t i = random.Uniform(12); i > 0; --i)
          key.push_back(std::string_view("\0a\xff", 3)[random.Uniform(letters)]);
        const std::string value = fmt::format("value {}", sequence);
        kv::Operation operation = PutOperation(key, value);
        if (random.OneIn(5)) operation = {.kind = Kind::kRangeDelete, .key = key, .value = "\xff\xff"};
        added.Add(++sequence, Space::kUser, operation);
        staged.Stage(sequence, Space::kUser, operation);
      }
      staged.InsertStaged();
    }
    added.EndGroup(1);
    staged.EndGroup(1);
    const std::unique_ptr<Cursor> wanted = added.NewCursor();
    const std::unique_ptr<Cursor> got = staged.NewCursor();
    wanted->SeekToFirst();
    got->SeekToFirst();
    for (; wanted->Valid(); wanted->Next(), got->Next()) {
      REQUIRE(got->Valid());
      REQUIRE(got->key() == wanted->key());
      REQUIRE(got->value() == wanted->value());
    }
    CHECK_FALSE(got->Valid());
    CHECK(staged.operations() == added.operations());
    CHECK(staged.largest_sequence() == added.largest_sequence());
    CHECK(staged.tombstones().count() == added.tombstones().count());
  }
}

TEST_CASE("a memtable of the capacity for some operations takes them, whatever they are") {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    base::Random random(seed);
    std::string payload;
    const uint64_t count = 1 + random.Uniform(20);
    for (uint64_t i = 0; i < count; ++i) {
      kv::Operation operation = PutOperation({}, {});
      const std::string key(random.Uniform(30), 'k');
      const std::string value(random.Uniform(100), 'v');
      operation.key = key;
      if (random.OneIn(3)) operation.kind = Kind::kPutWithExpiry;
      if (random.OneIn(3)) operation.kind = Kind::kDelete;
      if (operation.kind != Kind::kDelete) operation.value = value;
      kv::AppendOperation(&payload, operation);
    }
    Memtable memtable(Memtable::TakeRegion(nullptr, Memtable::CapacityFor(count, payload.size())), 1);
    kv::OperationReader cursor(payload);
    kv::Operation operation;
    // An assertion of the tree ends the process if there is no room.
    for (Sequence sequence = 1; cursor.Next(&operation); ++sequence) memtable.Add(sequence, Space::kUser, operation);
    REQUIRE(memtable.operations() == count);
  }
}

TEST_CASE("a memtable that is full, or has many range deletes, has no room") {
  Memtable memtable(Memtable::TakeRegion(nullptr, 64 << 10), 1);
  CHECK(memtable.HasRoomFor(1, 1000));
  CHECK_FALSE(memtable.HasRoomFor(1, 64 << 10));
  Sequence sequence = 0;
  while (memtable.HasRoomFor(1, 1010))
    memtable.Add(++sequence, Space::kUser, PutOperation("k", std::string(1000, 'v')));
  CHECK(sequence > 50);
  CHECK(sequence < 65);
  Memtable ranges(Memtable::TakeRegion(nullptr, 64 << 10), 1);
  for (sequence = 1; ranges.HasRoomFor(1, 4); ++sequence) {
    REQUIRE(sequence <= Memtable::kRangeTombstonesLeast + 1);
    ranges.Add(sequence, Space::kUser, {.kind = Kind::kRangeDelete, .key = "a", .value = "b"});
  }
  CHECK(sequence > Memtable::kRangeTombstonesLeast / 2);
}

TEST_CASE("a memtable takes range deletes in proportion to its size") {
  Memtable memtable(Memtable::TakeRegion(nullptr, 32 << 20), 1);
  Sequence sequence = 0;
  while (memtable.HasRoomFor(1, 40)) {
    REQUIRE(sequence < 10'000);
    const std::string begin = "key" + std::to_string(10'000 + sequence);
    memtable.Add(++sequence, Space::kUser, {.kind = Kind::kRangeDelete, .key = begin, .value = begin + "x"});
    memtable.EndGroup(1);
  }
  CHECK(sequence > 4000);
  CHECK(memtable.memory_bytes() < 16 << 20);
}

TEST_CASE("the cursor of a memtable walks it in order, both ways, from wherever it is put") {
  base::Random random(3);
  Entries entries;
  const auto memtable = RandomMemtable(&random, 1, 150, &entries);
  Sort(&entries);
  const auto cursor = memtable->NewCursor();
  WalkAtRandom(cursor.get(), entries, &random, 5000);
}

}  // namespace bandb::storage
