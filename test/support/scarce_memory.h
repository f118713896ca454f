// Regions of memory, some of which a test has the system refuse.
#ifndef BANDB_TEST_SUPPORT_SCARCE_MEMORY_H_
#define BANDB_TEST_SUPPORT_SCARCE_MEMORY_H_

#include <atomic>
#include <cstdint>
#include <memory>

#include "base/region.h"

namespace bandb::test {

// Thread safety: any thread, but Refuse.
class ScarceMemory final : public base::RegionSource {
 public:
  // After `skip` more regions the next `count` are refused.
  void Refuse(uint64_t skip, uint64_t count) { begin_ = asked_ + skip, end_ = begin_ + count; }
  uint64_t refused() const { return refused_; }

  std::unique_ptr<base::Region> Map(size_t bytes) override {
    const uint64_t number = asked_++;
    if (number < begin_ || number >= end_) return base::Region::Map(bytes);
    ++refused_;
    return nullptr;
  }

 private:
  std::atomic<uint64_t> asked_{0}, refused_{0};
  uint64_t begin_ = 0;
  uint64_t end_ = 0;
};

}  // namespace bandb::test

#endif  // BANDB_TEST_SUPPORT_SCARCE_MEMORY_H_
