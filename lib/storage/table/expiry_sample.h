// When a good part of a table's entries has expired, from a sample of them.
#ifndef BANDB_STORAGE_TABLE_EXPIRY_SAMPLE_H_
#define BANDB_STORAGE_TABLE_EXPIRY_SAMPLE_H_

#include <cstddef>
#include <cstdint>
#include <vector>

namespace bandb::storage {

// Keeps all of them while they are few, then every second, every fourth and so on. Thread safety:
// one thread at a time.
class ExpirySample {
 public:
  void Add(uint64_t expiry_ms);
  // The time at which a quarter of so many entries has expired, of which those that were added are
  // a part. UINT64_MAX: fewer ever expire.
  uint64_t QuarterExpiredAt(uint64_t entries) const;

 private:
  static constexpr size_t kSamplesMax = 256;

  std::vector<uint64_t> samples_;
  uint64_t stride_ = 1;
  uint64_t count_ = 0;
};

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_TABLE_EXPIRY_SAMPLE_H_
