// One writer and several readers at the same tree, for the thread sanitizer as well as for what the
// readers see.
#include <algorithm>
#include <atomic>
#include <numeric>
#include <thread>
#include <vector>

#include "storage/memtable/entry_tree_fixture.h"
#include "support/catch.h"

namespace bandb::storage {

namespace {

class Stress {
 public:
  Stress(KeyShape shape, uint64_t seed, size_t count) : tree_(count * 800) {
    base::Random random(seed);
    for (uint64_t number = 1; number <= count; ++number) {
      keys_.push_back(InternalKeyOfShape(shape, number, &random));
    }
    sorted_.resize(count);
    std::iota(sorted_.begin(), sorted_.end(), size_t{0});
    std::sort(sorted_.begin(), sorted_.end(),
              [&](size_t a, size_t b) { return CompareInternalKeys(keys_[a], keys_[b]) < 0; });
  }

  void Run(int readers) {
    std::vector<std::thread> threads;
    for (int i = 1; i <= readers; ++i) {
      threads.emplace_back([this, i] {
        base::Random random(static_cast<uint64_t>(i));
        while (published_.load(std::memory_order_acquire) < keys_.size()) ReadOnce(&random);
        ReadOnce(&random);
      });
    }
    for (size_t i = 0; i < keys_.size(); ++i) {
      tree_.Insert(keys_[i], keys_[i]);
      published_.store(i + 1, std::memory_order_release);
    }
    for (std::thread& thread : threads) thread.join();
    tree_->CheckInvariants();
  }
  uint64_t wrong() const { return wrong_.load(); }

 private:
  // From a key at random some way to the right and then to the left. Every key that was published
  // before must come, in its place; those that are newer may, and nothing else.
  void ReadOnce(base::Random* random) {
    const size_t seen = published_.load(std::memory_order_acquire);
    const size_t start = random->Uniform(keys_.size());
    const EntryTree::Entry* found = tree_->Seek(keys_[sorted_[start]]);
    EntryTree::Walker walker(*tree_);
    walker.Seek(keys_[sorted_[start]]);
    if (sorted_[start] < seen && (KeyOf(found) != keys_[sorted_[start]] || walker.entry() != found)) ++wrong_;
    size_t at = start;
    for (int step = 0; step < 60; ++step, walker.Next()) {
      const std::string_view key = KeyOf(walker.entry());
      while (at < keys_.size() && keys_[sorted_[at]] != key) {
        if (sorted_[at++] < seen) ++wrong_;
      }
      if (walker.entry() == nullptr) break;
      if (at == keys_.size() || walker.entry()->value() != key) return void(++wrong_);
      ++at;
    }
    const size_t back_from = random->Uniform(keys_.size());
    at = back_from + 1;
    walker.SeekForPrev(keys_[sorted_[back_from]]);
    for (int step = 0; step < 60; ++step, walker.Prev()) {
      const std::string_view key = KeyOf(walker.entry());
      while (at > 0 && keys_[sorted_[at - 1]] != key) {
        if (sorted_[--at] < seen) ++wrong_;
      }
      if (walker.entry() == nullptr) break;
      if (at == 0 || walker.entry()->value() != key) return void(++wrong_);
      --at;
    }
  }

  TreeInMemory tree_;
  std::vector<std::string> keys_;
  // The numbers of the keys, in the order of the keys.
  std::vector<size_t> sorted_;
  std::atomic<size_t> published_{0};
  std::atomic<uint64_t> wrong_{0};
};

}  // namespace

TEST_CASE("readers of a tree see all that was published, in order both ways, while one inserts") {
  for (const KeyShape shape : kKeyShapes) {
    CAPTURE(static_cast<int>(shape));
    Stress stress(shape, 1, 6000);
    stress.Run(3);
    CHECK(stress.wrong() == 0);
  }
}

}  // namespace bandb::storage
