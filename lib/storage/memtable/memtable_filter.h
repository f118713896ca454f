// Which keys a memtable may hold: a blocked Bloom filter that grows bit by bit while readers ask
// it.
//
// Most reads look for a key that is not in the memtable, and learn so from one cache line. The
// filter is of the kind that tables have (filter_hash.h), of a size that is fixed when nobody knows
// yet how many keys will come: one 64th of the memtable, which is some 20 bits for each entry with
// a value of 100 bytes, and 5 for the smallest entries there are.
//
// Bits are only ever set. A reader that was shown a sequence sees the bits of all keys up to it:
// they were set before the sequence was published.
#ifndef BANDB_STORAGE_MEMTABLE_MEMTABLE_FILTER_H_
#define BANDB_STORAGE_MEMTABLE_MEMTABLE_FILTER_H_

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/assert.h"
#include "storage/key/filter_hash.h"

namespace bandb::storage {

// Thread safety: one writer at a time; readers at any time, without locks.
class MemtableFilter {
 public:
  // `memory` is zeroed, starts on a cache line, and outlives the filter; `bytes` is a multiple of
  // kFilterLineBytes.
  MemtableFilter(char* memory, size_t bytes)
      : words_(reinterpret_cast<std::atomic<uint64_t>*>(memory)),
        line_count_(static_cast<uint32_t>(bytes / kFilterLineBytes)) {
    BANDB_ASSERT(line_count_ > 0);
    BANDB_ASSERT(bytes % kFilterLineBytes == 0);
  }

  // The writer's.
  void Add(uint64_t hash) {
    std::atomic<uint64_t>* line = Line(hash);
    FilterProbes probes(hash);
    for (int i = 0; i < kProbes; ++i) {
      const uint32_t bit = probes.NextBit();
      std::atomic<uint64_t>& word = line[bit / 64];
      word.store(word.load(std::memory_order_relaxed) | uint64_t{1} << bit % 64, std::memory_order_relaxed);
    }
  }

  // False: no key with this FilterHash was added.
  bool MayContain(uint64_t hash) const {
    const std::atomic<uint64_t>* line = Line(hash);
    FilterProbes probes(hash);
    for (int i = 0; i < kProbes; ++i) {
      const uint32_t bit = probes.NextBit();
      if ((line[bit / 64].load(std::memory_order_relaxed) >> bit % 64 & 1) == 0) return false;
    }
    return true;
  }
  // Asks for the line that MayContain will read.
  void Prefetch(uint64_t hash) const { __builtin_prefetch(Line(hash)); }

 private:
  static constexpr int kProbes = 6;

  std::atomic<uint64_t>* Line(uint64_t hash) const {
    return words_ + FilterLine(hash, line_count_) * (kFilterLineBytes / sizeof(uint64_t));
  }

  std::atomic<uint64_t>* const words_;
  const uint32_t line_count_;
};

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_MEMTABLE_MEMTABLE_FILTER_H_
