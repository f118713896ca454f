#include "base/thread_slot.h"

#include <atomic>

namespace bandb::base {

size_t ThreadSlot() {
  static std::atomic<size_t> next{0};
  thread_local const size_t slot = next.fetch_add(1, std::memory_order_relaxed);
  return slot;
}

}  // namespace bandb::base
