// Which keys a table may hold: a Bloom filter whose probes for one key all fall into one cache line
// (the blocked filter of Putze, Sanders and Singler, 2007), so that asking costs one cache miss at
// most.
//
//   filter := line[64 bytes]* line_count:u32 probes:u8 kind:u8      kind = 1; at least one line
//
// A key is known by the hash of its spaced key, which chooses the line and the bits in it
// (filter_hash.h). Bit n of a line is bit n & 7 of byte n >> 3.
//
// Packing the probes costs precision: some lines get more keys than others. At ten bits for each
// key 1.0 to 1.2 % of the keys that are not there are taken for present, where an ideal filter
// would take 0.8 %.
#ifndef BANDB_STORAGE_TABLE_BLOOM_FILTER_H_
#define BANDB_STORAGE_TABLE_BLOOM_FILTER_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/coding.h"
#include "storage/key/filter_hash.h"

namespace bandb::storage {

// A view of a filter. Lifetime: of the bytes, which are best aligned to a cache line. Thread
// safety: const.
class BloomFilter {
 public:
  // Answers "perhaps" to everything.
  BloomFilter() = default;
  // Nothing if the bytes are no filter that this program knows.
  static std::optional<BloomFilter> Parse(std::string_view bytes);

  // False: no key with this hash was added.
  bool MayContain(uint64_t hash) const {
    if (lines_ == nullptr) return true;
    const char* line = lines_ + LineOffset(hash, line_count_);
    FilterProbes probes(hash);
    for (uint32_t i = 0; i < probes_; ++i) {
      const uint32_t bit = probes.NextBit();
      if ((static_cast<uint8_t>(line[bit >> 3]) >> (bit & 7) & 1) == 0) return false;
    }
    return true;
  }
  // Asks for the line that MayContain will read.
  void Prefetch(uint64_t hash) const {
    if (lines_ != nullptr) __builtin_prefetch(lines_ + LineOffset(hash, line_count_));
  }

 private:
  friend class BloomFilterBuilder;
  static uint64_t LineOffset(uint64_t hash, uint32_t line_count) {
    return FilterLine(hash, line_count) * kFilterLineBytes;
  }

  const char* lines_ = nullptr;
  uint32_t line_count_ = 0;
  uint32_t probes_ = 0;
};

// Collects hashes, then makes the filter of the size that fits them.
class BloomFilterBuilder {
 public:
  // 1 to 32 bits.
  explicit BloomFilterBuilder(int bits_per_key);

  // Equal hashes that follow one another count once: the versions of one key do.
  void Add(uint64_t hash) {
    if (!hashes_.empty() && hashes_.back() == hash) return;
    hashes_.push_back(hash);
  }
  bool empty() const { return hashes_.empty(); }
  // What Finish would return now, in bytes.
  size_t filter_bytes() const;
  // Memory held, in bytes.
  size_t memory_bytes() const { return hashes_.capacity() * sizeof(uint64_t); }
  // The filter, with the same answer for every hash that was added: perhaps.
  std::string Finish() const;

 private:
  uint32_t LineCount() const;

  const uint32_t bits_per_key_;
  std::vector<uint64_t> hashes_;
};

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_TABLE_BLOOM_FILTER_H_
