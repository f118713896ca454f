#include "storage/memtable/skip_list.h"

#include <atomic>
#include <set>
#include <thread>

#include "storage/engine/engine_fixture.h"

namespace bandb::storage {

namespace {

struct Before {
  bool operator()(const std::string& a, const std::string& b) const { return CompareInternalKeys(a, b) < 0; }
};
using Model = std::set<std::string, Before>;

void Insert(SkipList* list, std::string_view key, std::string_view value) {
  SkipList::Node* node = list->Allocate(key.size(), value.size());
  std::memcpy(SkipList::KeyBytes(node), key.data(), key.size());
  if (!value.empty()) std::memcpy(SkipList::ValueBytes(node), value.data(), value.size());
  list->Insert(node);
}

// Short keys of few letters, zero bytes and high ones among them: prefixes of one another, and words that differ late.
std::string RandomKey(base::Random* random, Sequence sequence) {
  constexpr std::string_view kLetters("\0a\xff", 3);
  std::string key;
  for (uint64_t left = random->Uniform(12); left > 0; --left) key.push_back(kLetters[random->Uniform(3)]);
  return Key(key, sequence);
}

std::string_view KeyOf(const SkipList::Node* node) { return node == nullptr ? std::string_view() : node->key(); }

std::string_view At(const Model& model, Model::const_iterator at) {
  return at == model.end() ? std::string_view() : std::string_view(*at);
}

std::string_view BeforeOf(const Model& model, Model::const_iterator at) {
  return at == model.begin() ? std::string_view() : std::string_view(*std::prev(at));
}

}  // namespace

TEST_CASE("a skip list finds what a sorted set finds, whatever the order of insertion") {
  for (uint64_t seed = 1; seed <= 6; ++seed) {
    base::Random random(seed);
    SkipList list(1 << 20);
    Model model;
    CHECK(list.First() == nullptr);
    CHECK(list.Last() == nullptr);
    for (Sequence sequence = 1; sequence <= 600; ++sequence) {
      // In seed 1 keys come in order, in seed 2 backward, so that the remembered place is right, or wrong, each time.
      std::string key = RandomKey(&random, sequence);
      if (seed <= 2) key = Key(fmt::format("{:05}", seed == 1 ? sequence : 1000 - sequence), sequence);
      Insert(&list, key, key.substr(1));
      model.insert(key);
      const std::string probe = RandomKey(&random, random.Uniform(700));
      const auto at = model.lower_bound(probe);
      REQUIRE(KeyOf(list.Seek(probe)) == At(model, at));
      REQUIRE(KeyOf(list.SeekBefore(probe)) == BeforeOf(model, at));
      REQUIRE(KeyOf(list.First()) == *model.begin());
      REQUIRE(KeyOf(list.Last()) == *model.rbegin());
    }
    const SkipList::Node* node = list.First();
    for (auto at = model.begin(); at != model.end(); ++at, node = list.Next(node)) {
      REQUIRE(KeyOf(node) == *at);
      REQUIRE(node->value() == std::string_view(*at).substr(1));
      REQUIRE(KeyOf(list.Prev(node)) == BeforeOf(model, at));
    }
    CHECK(node == nullptr);
  }
}

TEST_CASE("an entry for which there is room never outgrows the region of a skip list") {
  base::Random random(1);
  SkipList list(20'000);
  Sequence sequence = 0;
  while (true) {
    const std::string key = Key(fmt::format("{}", random.Uniform(1000)), ++sequence);
    const size_t value_bytes = random.Uniform(60);
    if (list.FreeBytes() < SkipList::EntryBytesMax(key.size(), value_bytes)) break;
    const size_t before = list.UsedBytes();
    Insert(&list, key, std::string(value_bytes, 'v'));
    REQUIRE(list.UsedBytes() - before <= SkipList::EntryBytesMax(key.size(), value_bytes));
  }
  CHECK(sequence > 100);
  CHECK(list.FreeBytes() < SkipList::EntryBytesMax(20, 60));
}

TEST_CASE("readers of a skip list see whole entries, in order, and all that were published, while one inserts") {
  constexpr uint64_t kKeys = 20'000;
  SkipList list(8 << 20);
  std::atomic<uint64_t> published{0};
  std::atomic<uint64_t> wrong{0};
  // 7919 is prime to the count, so that each key comes once, all over the place.
  const auto key_of = [](uint64_t i) { return Key(fmt::format("{:06}", i * 7919 % kKeys), 1); };
  const auto read = [&](uint64_t seed) {
    base::Random random(seed);
    while (published.load(std::memory_order_acquire) < kKeys) {
      const uint64_t seen = published.load(std::memory_order_acquire);
      if (seen == 0) continue;
      const std::string sought = key_of(random.Uniform(seen));
      const SkipList::Node* node = list.Seek(sought);
      if (KeyOf(node) != sought || node->value() != sought) ++wrong;
      for (int step = 0; step < 20 && node != nullptr; ++step) {
        const SkipList::Node* next = list.Next(node);
        if (next == nullptr) break;
        if (CompareInternalKeys(node->key(), next->key()) >= 0 || next->value() != next->key()) ++wrong;
        const SkipList::Node* back = list.Prev(next);
        // It may lag behind, by nodes that are being inserted.
        if (back != nullptr && CompareInternalKeys(back->key(), next->key()) >= 0) ++wrong;
        node = next;
      }
    }
  };
  std::vector<std::thread> readers;
  for (uint64_t seed = 1; seed <= 3; ++seed) readers.emplace_back(read, seed);
  for (uint64_t i = 0; i < kKeys; ++i) {
    Insert(&list, key_of(i), key_of(i));
    published.store(i + 1, std::memory_order_release);
  }
  for (std::thread& reader : readers) reader.join();
  CHECK(wrong == 0);
  uint64_t count = 0;
  for (const SkipList::Node* node = list.First(); node != nullptr; node = list.Next(node)) ++count;
  CHECK(count == kKeys);
}

}  // namespace bandb::storage
