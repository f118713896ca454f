// A whole world for a component under test: a disk that crashes, time that is set, one seeded
// thread.
#ifndef BANDB_TEST_SUPPORT_TEST_ENV_H_
#define BANDB_TEST_SUPPORT_TEST_ENV_H_

#include <memory>
#include <utility>

#include "base/env.h"
#include "support/crash_file_system.h"
#include "support/manual_clock.h"
#include "support/memory_logger.h"
#include "support/scarce_memory.h"
#include "support/step_executor.h"

namespace bandb::test {

// Lifetime: outlives what its Env is given to.
class TestEnv {
 public:
  explicit TestEnv(uint64_t seed) : TestEnv(seed, std::make_unique<CrashFileSystem>()) {}
  // Over a disk that was found after a crash.
  TestEnv(uint64_t seed, std::unique_ptr<CrashFileSystem> files)
      : random_(seed), files_(std::move(files)), executor_(&clock_, random_.Next()) {}

  CrashFileSystem& files() { return *files_; }
  ManualClock& clock() { return clock_; }
  StepExecutor& executor() { return executor_; }
  MemoryLogger& logger() { return logger_; }
  base::Random& random() { return random_; }
  ScarceMemory& memory() { return memory_; }
  base::Env env() {
    return base::Env{.files = files_.get(),
                     .clock = &clock_,
                     .executor = &executor_,
                     .logger = &logger_,
                     .random = &random_,
                     .regions = &memory_};
  }

 private:
  base::Random random_;
  std::unique_ptr<CrashFileSystem> files_;
  ManualClock clock_;
  MemoryLogger logger_;
  ScarceMemory memory_;
  StepExecutor executor_;
};

}  // namespace bandb::test

#endif  // BANDB_TEST_SUPPORT_TEST_ENV_H_
