// What a user walks, against a map of what should be found.
#include "storage/read/db_iterator.h"

#include <map>

#include "storage/engine/engine_fixture.h"
#include "storage/read/merging_cursor.h"

namespace bandb::storage {

namespace {

using Model = std::map<std::string, std::string>;

constexpr uint64_t kNowMs = 1000;

// Random writes of all kinds to few keys, and the state after each of them.
struct World {
  explicit World(uint64_t seed) : random(seed) {
    states.emplace_back();
    for (Sequence sequence = 1; sequence <= 240; ++sequence) {
      if (sequence % 80 == 1)
        memtables.push_back(std::make_shared<Memtable>(Memtable::TakeRegion(nullptr, size_t{1} << 20), 1));
      states.push_back(states.back());
      Model& state = states.back();
      const std::string key = Name(random.Uniform(30));
      const std::string value = fmt::format("v{}", sequence);
      kv::Operation operation = PutOperation(key, value);
      const std::string limit = Name(random.Uniform(30));
      if (random.OneIn(10)) {
        operation = {.kind = Kind::kRangeDelete, .key = key, .value = limit};
        if (key < limit) state.erase(state.lower_bound(key), state.lower_bound(limit));
      } else if (random.OneIn(4)) {
        operation = {.kind = Kind::kDelete, .key = key, .value = {}};
        state.erase(key);
      } else if (random.OneIn(4)) {
        operation.kind = Kind::kPutWithExpiry;
        operation.expiry_ms = kNowMs + random.Uniform(3) - 1;
        operation.expiry_ms > kNowMs ? void(state[key] = value) : void(state.erase(key));
      } else {
        state[key] = value;
      }
      memtables.back()->Add(sequence, Space::kUser, operation);
      // Neighbours of the user's space, which are never seen.
      if (sequence == 5) memtables.back()->Add(++sequence, Space::kSystem, PutOperation("zz", "system"));
      if (sequence == 9) memtables.back()->Add(++sequence, Space::kDeadLetters, PutOperation("", "letter"));
      memtables.back()->EndGroup(kNowMs);
      while (states.size() <= sequence) states.push_back(states.back());
    }
  }

  static std::string Name(uint64_t number) { return number == 0 ? "" : fmt::format("k{:02}", number); }

  std::unique_ptr<Iterator> Walk(Sequence sequence, const std::string& lower, const std::string& upper,
                                 uint64_t skips_max = 0) {
    DbIteratorParts parts;
    parts.skips_max = skips_max;
    parts.closed = closed;
    std::vector<std::unique_ptr<Cursor>> cursors;
    for (const auto& memtable : memtables) {
      cursors.push_back(memtable->NewCursor());
      memtable->tombstones().CollectRuns(&parts.tombstones);
    }
    parts.cursor = NewMergingCursor(std::move(cursors));
    parts.sequence = sequence;
    parts.now_ms = kNowMs;
    parts.lower = Spaced(lower);
    parts.upper = upper.empty() ? MakeSpacedKey(Space::kDeadLetters, "") : Spaced(upper);
    return NewDbIterator(std::move(parts));
  }

  base::Random random;
  std::vector<std::shared_ptr<Memtable>> memtables;
  std::vector<Model> states;
  std::shared_ptr<std::atomic<bool>> closed = std::make_shared<std::atomic<bool>>(false);
};

// The first key at or after (forward), or the last one at or before the target.
Model::const_iterator Find(const Model& model, const std::string& target, bool forward) {
  auto at = model.lower_bound(target);
  if (forward || (at != model.end() && at->first == target)) return at;
  return at == model.begin() ? model.end() : std::prev(at);
}

void RandomWalk(Iterator* it, const Model& model, base::Random* random) {
  auto at = model.end();
  for (int step = 0; step < 400; ++step) {
    const std::string target = World::Name(random->Uniform(32));
    const uint64_t choice = random->Uniform(at == model.end() ? 4 : 14);
    if (choice == 0) {
      it->SeekToFirst();
      at = model.begin();
    } else if (choice == 1) {
      it->SeekToLast();
      at = model.empty() ? model.end() : std::prev(model.end());
    } else if (choice == 2) {
      it->Seek(target);
      at = Find(model, target, true);
    } else if (choice == 3) {
      it->SeekForPrev(target);
      at = Find(model, target, false);
    } else if (choice < 9) {
      it->Next();
      ++at;
    } else {
      it->Prev();
      at = at == model.begin() ? model.end() : std::prev(at);
    }
    REQUIRE_OK(it->status());
    REQUIRE(it->Valid() == (at != model.end()));
    if (!it->Valid()) continue;
    REQUIRE(it->key() == at->first);
    REQUIRE(it->value() == at->second);
  }
}

}  // namespace

TEST_CASE("an iterator at any sequence finds what was there, within its bounds, whichever way it turns") {
  for (uint64_t seed = 1; seed <= 25; ++seed) {
    World world(seed);
    for (int round = 0; round < 6; ++round) {
      const Sequence sequence = round == 0 ? world.states.size() - 1 : world.random.Uniform(world.states.size());
      std::string lower = round % 2 == 0 ? "" : World::Name(world.random.Uniform(30));
      std::string upper = round % 3 == 0 ? "" : World::Name(1 + world.random.Uniform(29));
      CAPTURE(seed, sequence, lower, upper);
      Model model;
      for (const auto& [key, value] : world.states[sequence]) {
        if (key >= lower && (upper.empty() || key < upper)) model.emplace(key, value);
      }
      const auto it = world.Walk(sequence, lower, upper);
      CHECK_FALSE(it->Valid());
      RandomWalk(it.get(), model, &world.random);
    }
  }
}

TEST_CASE("an iterator that is not on an entry does not move, and says nothing") {
  World world(1);
  const auto it = world.Walk(world.states.size() - 1, "", "");
  it->Next();
  CHECK_FALSE(it->Valid());
  it->Prev();
  CHECK_FALSE(it->Valid());
  CHECK(it->key().empty());
  CHECK(it->value().empty());
  CHECK_OK(it->status());
}

TEST_CASE("an iterator of a database that was closed ends, and says why") {
  World world(1);
  const auto it = world.Walk(world.states.size() - 1, "", "");
  it->SeekToFirst();
  REQUIRE(it->Valid());
  world.closed->store(true);
  it->Next();
  CHECK_FALSE(it->Valid());
  CHECK_CODE(it->status(), kFailedPrecondition);
  it->SeekToLast();
  CHECK_FALSE(it->Valid());
  CHECK_CODE(it->status(), kFailedPrecondition);
}

TEST_CASE("an iterator that cannot be made says why, whatever is asked of it") {
  const auto it = NewErrorIterator(absl::DataLossError("gone"));
  it->SeekToFirst();
  it->Next();
  CHECK_FALSE(it->Valid());
  CHECK_CODE(it->status(), kDataLoss);
}

TEST_CASE("walks that give up and go on where they did see what one walk sees, both ways") {
  const bool forward = GENERATE(true, false);
  int gave_up = 0;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    World world(seed);
    const Sequence sequence = 1 + world.random.Uniform(world.states.size() - 1);
    const uint64_t skips_max = 1 + world.random.Uniform(6);
    Model seen;
    std::string lower, upper;
    int walks = 0;
    for (bool done = false; !done; ++walks) {
      const std::unique_ptr<Iterator> it = world.Walk(sequence, lower, upper, skips_max);
      for (forward ? it->SeekToFirst() : it->SeekToLast(); it->Valid(); forward ? it->Next() : it->Prev()) {
        CHECK(seen.emplace(it->key(), it->value()).second);
      }
      done = it->status().ok();
      if (done) break;
      REQUIRE(it->status().code() == absl::StatusCode::kUnavailable);
      (forward ? lower : upper) = it->resume_key();
      if (!forward) upper.push_back('\0');
      REQUIRE(walks < 200);
    }
    CHECK(seen == world.states[sequence]);
    gave_up += walks;
  }
  CHECK(gave_up > 20);
}

}  // namespace bandb::storage
