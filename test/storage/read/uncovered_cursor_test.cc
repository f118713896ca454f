// Walks that pass over what range deletes of newer sources hide, beside a list without it.
#include "storage/read/uncovered_cursor.h"

#include "storage/engine/engine_fixture.h"

namespace bandb::storage {

namespace {

FragmentedTombstones RandomTombstones(base::Random* random, int count) {
  std::vector<RangeTombstone> tombstones;
  for (int i = 0; i < count; ++i) {
    const std::string begin = Spaced(fmt::format("k{:02}", random->Uniform(30)));
    const std::string limit = Spaced(fmt::format("k{:02}", random->Uniform(33)));
    tombstones.push_back({begin, limit, 200 + random->Uniform(200)});
  }
  return FragmentedTombstones(std::move(tombstones));
}

// Counts the steps and seeks of what it walks.
class CountedCursor final : public Cursor {
 public:
  CountedCursor(std::unique_ptr<Cursor> cursor, uint64_t* moves) : cursor_(std::move(cursor)), moves_(moves) {}
  void SeekToFirst() override {
    Move([this]() { cursor_->SeekToFirst(); });
  }
  void SeekToLast() override {
    Move([this]() { cursor_->SeekToLast(); });
  }
  void Seek(std::string_view key) override {
    Move([&]() { cursor_->Seek(key); });
  }
  void SeekForPrev(std::string_view key) override {
    Move([&]() { cursor_->SeekForPrev(key); });
  }
  void Next() override {
    Move([this]() { cursor_->Next(); });
  }
  void Prev() override {
    Move([this]() { cursor_->Prev(); });
  }
  std::string_view value() const override { return cursor_->value(); }
  absl::Status status() const override { return cursor_->status(); }

 private:
  template <typename Go>
  void Move(const Go& go) {
    ++*moves_;
    go();
    if (cursor_->Valid()) {
      StandAt(cursor_->key());
    } else {
      StandNowhere();
    }
  }

  const std::unique_ptr<Cursor> cursor_;
  uint64_t* const moves_;
};

UncoveredCursorBounds BoundsOfAll(Sequence sequence) {
  static const std::string upper = MakeSpacedKey(SpaceAfter(Space::kUser), {});
  return {.lower = {}, .upper = upper, .sequence = sequence};
}

}  // namespace

TEST_CASE("a walk shows what no newer range delete covers for its reader, whichever way it turns") {
  uint64_t hidden = 0;
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    CAPTURE(seed);
    base::Random random(seed);
    Entries entries;
    const auto memtable = RandomMemtable(&random, 1, random.Uniform(150), &entries);
    Sort(&entries);
    std::vector<FragmentedTombstones> lists;
    for (uint64_t i = random.Uniform(4); i > 0; --i) {
      lists.push_back(RandomTombstones(&random, static_cast<int>(random.Uniform(6))));
    }
    std::vector<const FragmentedTombstones*> above;
    for (const FragmentedTombstones& list : lists) above.push_back(&list);
    // Some of the range deletes are newer than what the reader sees.
    const Sequence sequence = 200 + random.Uniform(250);
    const size_t all = entries.size();
    std::erase_if(entries, [&](const auto& entry) {
      return std::any_of(lists.begin(), lists.end(), [&](const FragmentedTombstones& list) {
        return list.CoveringSequence(SpacedKey(entry.first), sequence) != 0;
      });
    });
    hidden += all - entries.size();
    const auto walk = NewUncoveredCursor(memtable->NewCursor(), above, BoundsOfAll(sequence));
    WalkAtRandom(walk.get(), entries, &random, 1000);
  }
  CHECK(hidden > 300);
}

TEST_CASE("what a range delete hides is passed in a few moves, however much it is and however it is cut") {
  Memtable memtable(Memtable::TakeRegion(nullptr, 1 << 20), 1);
  for (Sequence i = 1; i <= 3000; ++i) memtable.Add(i, Space::kUser, PutOperation(fmt::format("k{:05}", i), "v"));
  // In a hundred pieces, each of which begins where the one before it ends.
  std::vector<RangeTombstone> pieces;
  for (uint64_t i = 0; i < 100; ++i) {
    const std::string begin = Spaced(fmt::format("k{:05}", 2 + i * 29));
    pieces.push_back({begin, Spaced(fmt::format("k{:05}", 2 + (i + 1) * 29)), 5000 + i});
  }
  const FragmentedTombstones cut(std::move(pieces));
  const FragmentedTombstones whole({{Spaced("k00002"), Spaced("k02902"), 5000}});
  for (const FragmentedTombstones* hides : {&whole, &cut}) {
    uint64_t moves = 0;
    const auto walk = NewUncoveredCursor(std::make_unique<CountedCursor>(memtable.NewCursor(), &moves), {hides},
                                         BoundsOfAll(kSequenceMax));
    walk->SeekToFirst();
    REQUIRE(walk->key() == Key("k00001", 1));
    walk->Next();
    REQUIRE(walk->key() == Key("k02902", 2902));
    walk->Prev();
    REQUIRE(walk->key() == Key("k00001", 1));
    walk->Seek(SeekKey("k01000"));
    REQUIRE(walk->key() == Key("k02902", 2902));
    CHECK(moves <= 50);
  }
}

TEST_CASE("a walk takes nothing that is hidden beyond its bounds for a reason to go on, nor many ranges at once") {
  // Every second key is of a range of its own that was deleted; those between were never there.
  Memtable memtable(Memtable::TakeRegion(nullptr, 1 << 20), 1);
  std::vector<RangeTombstone> pieces;
  for (Sequence i = 1; i <= 1000; ++i) {
    memtable.Add(i, Space::kUser, PutOperation(fmt::format("k{:05}", 2 * i), "v"));
    pieces.push_back({Spaced(fmt::format("k{:05}", 2 * i)), Spaced(fmt::format("k{:05}", 2 * i + 1)), 5000 + i});
  }
  const FragmentedTombstones hides(std::move(pieces));
  uint64_t moves = 0;
  const auto walk_within = [&](const UncoveredCursorBounds& bounds) {
    return NewUncoveredCursor(std::make_unique<CountedCursor>(memtable.NewCursor(), &moves), {&hides}, bounds);
  };
  const std::string lower = Spaced("k01000");
  const std::string upper = Spaced("k01002");
  const auto bounded = walk_within({.lower = lower, .upper = upper, .sequence = kSequenceMax});
  bounded->Seek(SeekKey("k01000"));
  // The only key within is hidden. The first beyond tells that there is no more.
  REQUIRE(bounded->Valid());
  CHECK(bounded->key() == Key("k01002", 501));
  CHECK(moves <= 2);
  bounded->SeekForPrev(Key("k01001", 0));
  REQUIRE(bounded->Valid());
  CHECK(bounded->key() == Key("k00998", 499));
  CHECK(moves <= 5);
  // Without bounds each move ends after a few ranges, at a key that its reader has to judge.
  moves = 0;
  const auto unbounded = walk_within(BoundsOfAll(kSequenceMax));
  unbounded->SeekToFirst();
  uint64_t shown = 0;
  while (unbounded->Valid()) {
    ++shown;
    const std::string key(unbounded->key());
    CHECK(hides.CoveringSequence(SpacedKey(key), kSequenceMax) != 0);
    // A merge of several that turns round here comes back to where it is.
    unbounded->SeekForPrev(key);
    REQUIRE(unbounded->key() == key);
    unbounded->Seek(key);
    REQUIRE(unbounded->key() == key);
    const uint64_t before = moves;
    unbounded->Next();
    REQUIRE(moves - before <= 32);
  }
  CHECK(shown >= 20);
  CHECK(shown <= 100);
}

}  // namespace bandb::storage
