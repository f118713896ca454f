#include "base/region.h"

#include <sys/mman.h>

#include <new>

#include "base/assert.h"

namespace bandb::base {

namespace {

constexpr size_t kHugePageBytes = 2 << 20;

}  // namespace

Region::Region(size_t bytes) : size_(bytes) {
  BANDB_ASSERT(bytes > 0);
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  BANDB_ASSERT(memory != MAP_FAILED);
  data_ = static_cast<char*>(memory);
  if (bytes >= kHugePageBytes) madvise(memory, bytes, MADV_HUGEPAGE);
}

Region::~Region() { munmap(data_, size_); }

}  // namespace bandb::base
