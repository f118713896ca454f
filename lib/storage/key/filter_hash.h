// How a key shows in a blocked Bloom filter: its hash, its line, its bits in that line.
//
// The filters of tables (bloom_filter.h) and those of memtables (memtable_filter.h) agree in this,
// so that a read hashes its key once, however many of both it asks. What is written here is part of
// the format of tables.
//
// The upper 32 bits of the hash choose the line, by multiplication; the lower 32 are multiplied by
// kProbeStep again and again, and the uppermost nine bits of each product are the number of a bit
// in the line.
#ifndef BANDB_STORAGE_KEY_FILTER_HASH_H_
#define BANDB_STORAGE_KEY_FILTER_HASH_H_

#include <cstdint>
#include <string_view>

#include "base/checksum.h"

namespace bandb::storage {

inline constexpr uint32_t kFilterLineBytes = 64;

inline uint64_t FilterHash(std::string_view spaced_key) { return base::Hash64(spaced_key); }

// The number of the line, less than line_count.
inline uint64_t FilterLine(uint64_t hash, uint32_t line_count) { return (hash >> 32) * line_count >> 32; }

// The bits of a key in its line, one after the other.
class FilterProbes {
 public:
  explicit FilterProbes(uint64_t hash) : probe_(static_cast<uint32_t>(hash)) {}
  // Less than 512.
  uint32_t NextBit() {
    probe_ *= kProbeStep;
    return probe_ >> 23;
  }

 private:
  // 2^32 / golden ratio, odd: consecutive products spread over all bits.
  static constexpr uint32_t kProbeStep = 0x9e3779b9;

  uint32_t probe_;
};

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_KEY_FILTER_HASH_H_
