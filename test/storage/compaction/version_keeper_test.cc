// What a merge keeps, against the one thing that matters: that nobody who may still read sees a
// difference.
#include "storage/compaction/version_keeper.h"

#include <fmt/format.h>

#include <optional>

#include "storage/engine/engine_fixture.h"

namespace bandb::storage {

namespace {

using Verdict = VersionKeeper::Verdict;

struct Stored {
  Sequence sequence;
  Kind kind;
  uint64_t expiry_ms;
};

// What a reader at a sequence and a time finds of one key: the sequence of the value that it sees,
// or nothing. Versions are newest first; `tombstones` all cover the key.
std::optional<Sequence> Sees(const std::vector<Stored>& versions, const std::vector<Sequence>& tombstones,
                             Sequence sequence, uint64_t now_ms) {
  Sequence covering = 0;
  for (const Sequence tombstone : tombstones) {
    if (tombstone <= sequence) covering = std::max(covering, tombstone);
  }
  for (const Stored& stored : versions) {
    if (stored.sequence > sequence) continue;
    if (stored.kind == Kind::kDelete || stored.sequence < covering) return std::nullopt;
    if (stored.kind == Kind::kPutWithExpiry && stored.expiry_ms <= now_ms) return std::nullopt;
    return stored.sequence;
  }
  return std::nullopt;
}

struct Case {
  std::vector<Stored> versions;
  std::vector<Sequence> tombstones;
  SnapshotHorizon horizon;
  bool nothing_below;
};

Case RandomCase(base::Random* random) {
  Case made;
  made.horizon.now_ms = 100;
  for (Sequence sequence = 30; sequence > 0; --sequence) {
    if (random->OneIn(8)) made.horizon.snapshots.insert(made.horizon.snapshots.begin(), sequence);
    if (random->OneIn(12)) {
      made.tombstones.push_back(sequence);
    } else if (random->OneIn(3)) {
      const Kind kinds[] = {Kind::kPut, Kind::kDelete, Kind::kPutWithExpiry};
      made.versions.push_back({sequence, kinds[random->Uniform(3)], 90 + random->Uniform(20)});
    }
  }
  made.nothing_below = random->OneIn(2);
  return made;
}

std::vector<Stored> Kept(const Case& of, VersionKeeper* keeper, size_t* dropped) {
  std::vector<Stored> kept;
  bool first = true;
  for (const Stored& stored : of.versions) {
    std::string value;
    if (stored.kind == Kind::kPutWithExpiry) base::PutFixed64(&value, stored.expiry_ms);
    bool new_key = false;
    const Verdict verdict = keeper->Judge(Key("key", stored.sequence, stored.kind), value, &new_key);
    REQUIRE(new_key == std::exchange(first, false));
    if (verdict == Verdict::kDrop) ++*dropped;
    if (verdict == Verdict::kKeep) kept.push_back(stored);
    if (verdict == Verdict::kKeepAsDelete) kept.push_back({stored.sequence, Kind::kDelete, 0});
  }
  return kept;
}

}  // namespace

TEST_CASE("whoever reads at a live snapshot or later sees the same after a merge, and what lies below stays hidden") {
  size_t dropped = 0, kept_count = 0;
  for (uint64_t seed = 1; seed <= 4000; ++seed) {
    CAPTURE(seed);
    base::Random random(seed);
    const Case made = RandomCase(&random);
    std::vector<RangeTombstone> ranges;
    for (const Sequence sequence : made.tombstones) ranges.push_back({Spaced("a"), Spaced("z"), sequence});
    const FragmentedTombstones fragmented(ranges);
    VersionKeeper keeper(made.horizon, &fragmented, [&](std::string_view) { return made.nothing_below; });
    std::vector<Stored> before = made.versions, after = Kept(made, &keeper, &dropped);
    kept_count += after.size();
    const std::vector<Sequence> tombstones = keeper.KeptTombstones(0, made.nothing_below);
    if (!made.nothing_below) {
      // Something older lies below, of sequence 0 as if before all: it must not come to light.
      before.push_back({0, Kind::kPut, 0});
      after.push_back({0, Kind::kPut, 0});
    }
    std::vector<Sequence> readers = made.horizon.snapshots;
    readers.insert(readers.end(), {30, 31, kSequenceMax});
    for (const Sequence reader : readers) {
      for (const uint64_t now_ms : {100, 105, 200}) {
        REQUIRE(Sees(after, tombstones, reader, now_ms) == Sees(before, made.tombstones, reader, now_ms));
      }
    }
    // No more than one version for each reader that can tell versions apart.
    REQUIRE(after.size() <= made.horizon.snapshots.size() + 2);
  }
  CHECK(dropped > 10'000);
  CHECK(kept_count > 5'000);
}

TEST_CASE("stripes end at snapshots, and the oldest is number 0") {
  std::vector<RangeTombstone> ranges;
  for (const Sequence sequence : {25, 22, 20, 11, 10, 3}) ranges.push_back({Spaced("a"), Spaced("z"), sequence});
  const FragmentedTombstones fragmented(ranges);
  const VersionKeeper keeper({.snapshots = {10, 20}, .now_ms = 0}, &fragmented, [](std::string_view) { return true; });
  CHECK(keeper.StripeOf(1) == 0);
  CHECK(keeper.StripeOf(10) == 0);
  CHECK(keeper.StripeOf(11) == 1);
  CHECK(keeper.StripeOf(20) == 1);
  CHECK(keeper.StripeOf(21) == 2);
  CHECK(keeper.KeptTombstones(0, false) == std::vector<Sequence>{25, 20, 10});
  CHECK(keeper.KeptTombstones(0, true) == std::vector<Sequence>{25, 20});
}

// Each range lies in the one before, so that half of all tombstones cover the average fragment: a
// merge that looked at each of them would not end while this test is waited for.
TEST_CASE("of ranges in ranges the newest of each stripe is kept, however many there are") {
  constexpr Sequence kCount = 100'000;
  std::vector<RangeTombstone> ranges;
  for (Sequence i = 1; i <= kCount; ++i) {
    ranges.push_back({Spaced(fmt::format("a{:06}", i)), Spaced(fmt::format("b{:06}", kCount - i)), i});
  }
  const FragmentedTombstones fragmented(std::move(ranges));
  const VersionKeeper keeper({.snapshots = {1000}, .now_ms = 0}, &fragmented, [](std::string_view) { return true; });
  REQUIRE(fragmented.fragment_count() == 2 * kCount - 1);
  for (size_t fragment = 0; fragment < fragmented.fragment_count(); ++fragment) {
    // Those from the outermost to one that begins or ends with the fragment.
    const Sequence newest = fragment < kCount ? fragment + 1 : 2 * kCount - 1 - fragment;
    const auto want = newest <= 1000 ? std::vector<Sequence>{newest} : std::vector<Sequence>{newest, 1000};
    REQUIRE(keeper.KeptTombstones(fragment, false) == want);
  }
}

}  // namespace bandb::storage
