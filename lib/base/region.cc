#include "base/region.h"

#include <sys/mman.h>

#include "base/assert.h"

namespace bandb::base {

namespace {

constexpr size_t kHugePageBytes = 2 << 20;

}  // namespace

std::unique_ptr<Region> Region::Map(size_t bytes) {
  BANDB_ASSERT(bytes > 0);
  void* const memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return nullptr;
  if (bytes >= kHugePageBytes) madvise(memory, bytes, MADV_HUGEPAGE);
  return std::unique_ptr<Region>(new Region(static_cast<char*>(memory), bytes));
}

Region::~Region() { munmap(data_, size_); }

}  // namespace bandb::base
