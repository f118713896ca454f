#include "storage/key/range_tombstones.h"

#include <algorithm>
#include <functional>

#include "base/random.h"
#include "support/catch.h"

namespace bandb::storage {

namespace {

bool Covers(const RangeTombstone& tombstone, std::string_view key) {
  return tombstone.begin <= key && key < tombstone.limit;
}

Sequence CoveringDumb(const std::vector<RangeTombstone>& tombstones, std::string_view key, Sequence snapshot) {
  Sequence newest = 0;
  for (const RangeTombstone& tombstone : tombstones) {
    if (Covers(tombstone, key) && tombstone.sequence <= snapshot) newest = std::max(newest, tombstone.sequence);
  }
  return newest;
}

std::vector<Sequence> SequencesDumb(const std::vector<RangeTombstone>& tombstones, std::string_view key) {
  std::vector<Sequence> all;
  for (const RangeTombstone& tombstone : tombstones) {
    if (Covers(tombstone, key)) all.push_back(tombstone.sequence);
  }
  std::sort(all.begin(), all.end(), std::greater<Sequence>());
  return all;
}

std::string RandomKey(base::Random* random) {
  std::string key("\x01");
  for (uint64_t n = random->Uniform(4); n > 0; --n) key.push_back(static_cast<char>('a' + random->Uniform(4)));
  return key;
}

}  // namespace

TEST_CASE("fragments answer as the list of tombstones does") {
  base::Random random(21);
  for (int round = 0; round < 300; ++round) {
    std::vector<RangeTombstone> tombstones;
    const uint64_t count = random.Uniform(30);
    for (Sequence sequence = 1; sequence <= count; ++sequence) {
      tombstones.push_back({RandomKey(&random), RandomKey(&random), sequence});
    }
    for (size_t i = tombstones.size(); i > 1; --i) std::swap(tombstones[i - 1], tombstones[random.Uniform(i)]);
    const FragmentedTombstones fragments(tombstones);
    for (int probe = 0; probe < 60; ++probe) {
      const std::string key = RandomKey(&random);
      const Sequence snapshot = random.OneIn(3) ? kSequenceMax : random.Uniform(count + 2);
      REQUIRE(fragments.CoveringSequence(key, snapshot) == CoveringDumb(tombstones, key, snapshot));
      size_t first = 0;
      while (first < fragments.fragment_count() && fragments.limit(first) <= key) ++first;
      REQUIRE(fragments.FirstFrom(key) == first);
      const size_t fragment = fragments.Find(key);
      REQUIRE(fragments.SequenceAt(fragment, snapshot) == CoveringDumb(tombstones, key, snapshot));
      if (fragment == fragments.fragment_count()) continue;
      REQUIRE(fragments.begin(fragment) <= key);
      REQUIRE(key < fragments.limit(fragment));
      // Each of those that cover it is found by a reader that is older than all after it.
      Sequence before = kSequenceMax;
      for (const Sequence sequence : SequencesDumb(tombstones, key)) {
        REQUIRE(fragments.SequenceAt(fragment, before) == sequence);
        before = sequence - 1;
      }
      REQUIRE(fragments.SequenceAt(fragment, before) == 0);
    }
    for (size_t i = 1; i < fragments.fragment_count(); ++i) REQUIRE(fragments.limit(i - 1) == fragments.begin(i));
  }
}

TEST_CASE("no tombstones, and tombstones that cover nothing, cover nothing") {
  const FragmentedTombstones none;
  CHECK(none.empty());
  CHECK(none.fragment_count() == 0);
  CHECK(none.CoveringSequence("\x01k", kSequenceMax) == 0);
  CHECK(none.Find("\x01k") == 0);
  const FragmentedTombstones hollow({{"\x01k", "\x01k", 5}, {"\x01z", "\x01\x61", 6}});
  CHECK(hollow.empty());
  CHECK(hollow.CoveringSequence("\x01k", kSequenceMax) == 0);
}

TEST_CASE("moved fragments still answer") {
  FragmentedTombstones first({{"\x01\x61", "\x01k", 5}});
  const FragmentedTombstones second = std::move(first);
  CHECK(second.CoveringSequence("\x01\x62", kSequenceMax) == 5);
  CHECK(second.begin(0) == "\x01\x61");
}

TEST_CASE("nested tombstones take memory in proportion to their number") {
  std::vector<RangeTombstone> tombstones;
  const auto key = [](int i) { return "\x01" + std::to_string(1'000'000 + i); };
  tombstones.reserve(20'000);
  for (int i = 0; i < 20'000; ++i) tombstones.push_back({key(i), key(99'999 - i), static_cast<Sequence>(i + 1)});
  const FragmentedTombstones fragments(std::move(tombstones));
  // A list for each fragment would hold 400 million sequences.
  CHECK(fragments.memory_bytes() < 20'000 * 1'000);
  CHECK(fragments.CoveringSequence(key(50'000), kSequenceMax) == 20'000);
  CHECK(fragments.CoveringSequence(key(50'000), 777) == 777);
  CHECK(fragments.CoveringSequence(key(10'000), kSequenceMax) == 10'001);
}

}  // namespace bandb::storage
