#include "base/fork.h"

#include <pthread.h>

#include <atomic>

#include "base/assert.h"

namespace bandb::base {

namespace {

std::atomic<uint64_t> forks{0};

void AfterForkInChild() { forks.fetch_add(1, std::memory_order_relaxed); }

}  // namespace

uint64_t Forks() {
  // fork is the process's, so there is one handler for the process.
  static const int failed = ::pthread_atfork(nullptr, nullptr, &AfterForkInChild);
  BANDB_ASSERT(failed == 0);
  return forks.load(std::memory_order_relaxed);
}

}  // namespace bandb::base
