#include "storage/memtable/entry_tree.h"

#include <algorithm>
#include <set>
#include <vector>

#include "storage/memtable/entry_tree_fixture.h"
#include "support/catch.h"

namespace bandb::storage {

namespace {

struct Before {
  bool operator()(const std::string& a, const std::string& b) const { return CompareInternalKeys(a, b) < 0; }
};
using Model = std::set<std::string, Before>;

std::string_view At(const Model& model, Model::const_iterator at) {
  return at == model.end() ? std::string_view() : std::string_view(*at);
}

std::string_view BeforeOf(const Model& model, Model::const_iterator at) {
  return at == model.begin() ? std::string_view() : std::string_view(*std::prev(at));
}

// The walker and the model, moved alike.
void WalkBoth(const EntryTree& tree, const Model& model, std::string_view from, base::Random* random, int steps) {
  EntryTree::Walker walker(tree);
  auto at = model.lower_bound(std::string(from));
  walker.Seek(from);
  for (int i = 0; i < steps && at != model.end(); ++i) {
    REQUIRE(KeyOf(walker.entry()) == *at);
    REQUIRE(walker.entry()->value() == std::string_view(*at).substr(1));
    if (random->OneIn(3)) {
      if (at == model.begin()) break;
      --at;
      walker.Prev();
    } else {
      ++at;
      walker.Next();
    }
  }
  REQUIRE(KeyOf(walker.entry()) == At(model, at));
}

void CheckWhole(const EntryTree& tree, const Model& model) {
  EntryTree::Walker walker(tree);
  walker.SeekToFirst();
  for (const std::string& key : model) {
    REQUIRE(KeyOf(walker.entry()) == key);
    walker.Next();
  }
  REQUIRE(walker.entry() == nullptr);
  walker.SeekToLast();
  for (auto at = model.rbegin(); at != model.rend(); ++at) {
    REQUIRE(KeyOf(walker.entry()) == *at);
    walker.Prev();
  }
  REQUIRE(walker.entry() == nullptr);
}

}  // namespace

TEST_CASE("an empty tree has no entry, wherever one is sought") {
  TreeInMemory tree(1024);
  const std::string key = MakeInternalKey(MakeSpacedKey(Space::kUser, "k"), SeekTrailer(1));
  CHECK(tree->Seek(key) == nullptr);
  EntryTree::Walker walker(*tree);
  CHECK(walker.entry() == nullptr);
  walker.SeekToFirst();
  CHECK(walker.entry() == nullptr);
  walker.SeekToLast();
  CHECK(walker.entry() == nullptr);
  walker.Seek(key);
  CHECK(walker.entry() == nullptr);
  walker.SeekForPrev(key);
  CHECK(walker.entry() == nullptr);
  tree->CheckInvariants();
}

TEST_CASE("a tree finds what a sorted set finds, whatever keys come in whatever order") {
  for (const KeyShape shape : kKeyShapes) {
    for (uint64_t seed = 1; seed <= 3; ++seed) {
      CAPTURE(static_cast<int>(shape), seed);
      base::Random random(seed);
      TreeInMemory tree(2 << 20);
      Model model;
      for (Sequence sequence = 1; sequence <= 1500; ++sequence) {
        const std::string key = InternalKeyOfShape(shape, sequence, &random);
        tree.Insert(key, std::string_view(key).substr(1));
        model.insert(key);
        // What is there, what is not, and what has no prefix in common with anything.
        std::string probe = key;
        if (random.OneIn(2)) probe = InternalKeyOfShape(shape, random.Uniform(1700), &random);
        if (random.OneIn(6)) probe = InternalKeyOfShape(KeyShape::kSpaces, random.Uniform(1700), &random);
        const auto at = model.lower_bound(probe);
        REQUIRE(KeyOf(tree->Seek(probe)) == At(model, at));
        EntryTree::Walker walker(*tree);
        walker.SeekForPrev(probe);
        REQUIRE(KeyOf(walker.entry()) == BeforeOf(model, model.upper_bound(probe)));
        if (sequence % 50 == 0) WalkBoth(*tree, model, probe, &random, 100);
        if (sequence % 100 == 0) tree->CheckInvariants();
      }
      CheckWhole(*tree, model);
    }
  }
}

TEST_CASE("keys of 64 KiB that differ at their ends are told apart, and an empty one among them") {
  base::Random random(5);
  TreeInMemory tree(16 << 20);
  Model model;
  for (Sequence sequence = 1; sequence <= 200; ++sequence) {
    std::string user_key((64 << 10) - 2, 'k');
    user_key += fmt::format("{:02}", random.Uniform(100));
    if (random.OneIn(10)) user_key.clear();
    if (random.OneIn(10)) user_key.resize(random.Uniform(user_key.size() + 1));
    const std::string key = MakeInternalKey(MakeSpacedKey(Space::kUser, user_key), MakeTrailer(sequence, Kind::kPut));
    tree.Insert(key, "");
    model.insert(key);
    REQUIRE(KeyOf(tree->Seek(key)) == key);
  }
  tree->CheckInvariants();
  CheckWhole(*tree, model);
}

TEST_CASE("entries that come in order fill every leaf") {
  TreeInMemory tree(4 << 20);
  base::Random random(1);
  constexpr size_t kEntries = 20'000;
  for (Sequence sequence = 1; sequence <= kEntries; ++sequence) {
    tree.Insert(InternalKeyOfShape(KeyShape::kAscending, sequence, &random), "");
  }
  tree->CheckInvariants();
  // 14 entries in 192 bytes, and a fourteenth of that once more for inner nodes of 256.
  CHECK(tree->node_bytes() < kEntries * 31 / 2);
  TreeInMemory scattered(4 << 20);
  for (Sequence sequence = 1; sequence <= kEntries; ++sequence) {
    scattered.Insert(InternalKeyOfShape(KeyShape::kNumbers, sequence, &random), "");
  }
  CHECK(scattered->node_bytes() < kEntries * 25);
}

TEST_CASE("what a tree has room for fits, whatever it does to the nodes") {
  // In memory for exactly that, and in memory that is filled batch by batch until there is no more
  // room: an assertion of the tree ends the process if an entry or a node does not fit.
  for (const KeyShape shape : kKeyShapes) {
    for (uint64_t seed = 1; seed <= 12; ++seed) {
      base::Random random(seed);
      Sequence sequence = 0;
      std::vector<std::string> keys;
      size_t bytes = 0;
      const auto draw = [&](size_t count) {
        keys.clear();
        bytes = 0;
        for (; count > 0; --count) {
          keys.push_back(InternalKeyOfShape(shape, ++sequence, &random));
          bytes += EntryTree::EntryBytes(keys.back().size(), 0);
        }
      };
      draw(1 + random.Uniform(600));
      const size_t exact_bytes = EntryTree::BytesFor(keys.size(), bytes);
      TreeInMemory exact(exact_bytes);
      CHECK(exact->HasRoomFor(keys.size(), bytes));
      for (const std::string& key : keys) exact.Insert(key, "");
      REQUIRE(exact->UsedBytes() <= exact_bytes);

      TreeInMemory filled(60'000);
      sequence = 0;
      while (true) {
        draw(1 + random.Uniform(random.OneIn(3) ? 120 : 10));
        if (!filled->HasRoomFor(keys.size(), bytes)) break;
        for (const std::string& key : keys) filled.Insert(key, "");
      }
      filled->CheckInvariants();
    }
  }
}

TEST_CASE("a tree takes entries until little memory is left, one by one") {
  base::Random random(2);
  constexpr size_t kBytes = 1 << 20;
  TreeInMemory tree(kBytes);
  for (Sequence sequence = 1;; ++sequence) {
    const std::string key = InternalKeyOfShape(KeyShape::kNumbers, sequence, &random);
    if (!tree->HasRoomFor(1, EntryTree::EntryBytes(key.size(), 100))) break;
    tree.Insert(key, std::string(100, 'v'));
  }
  CHECK(kBytes - tree->UsedBytes() < 4096);
}

}  // namespace bandb::storage
