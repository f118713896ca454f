// A world for tests of thread safety: a disk in memory, time that is set, and real threads.
#ifndef BANDB_TEST_SUPPORT_THREADED_WORLD_H_
#define BANDB_TEST_SUPPORT_THREADED_WORLD_H_

#include "base/env.h"
#include "base/thread_executor.h"
#include "support/crash_file_system.h"
#include "support/manual_clock.h"
#include "support/memory_logger.h"

namespace bandb::test {

// Lifetime: outlives what its Env is given to.
class ThreadedWorld {
 public:
  explicit ThreadedWorld(int threads) : executor_(threads) {}

  CrashFileSystem& files() { return files_; }
  base::Env env() {
    return base::Env{
        .files = &files_, .clock = &clock_, .executor = &executor_, .logger = &logger_, .random = &random_};
  }

 private:
  CrashFileSystem files_;
  ManualClock clock_;
  MemoryLogger logger_;
  base::Random random_{1};
  // Last: its threads use the rest.
  base::ThreadExecutor executor_;
};

}  // namespace bandb::test

#endif  // BANDB_TEST_SUPPORT_THREADED_WORLD_H_
