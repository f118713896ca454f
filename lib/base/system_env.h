// The production side of every seam, made at once and owned by one.
#ifndef BANDB_BASE_SYSTEM_ENV_H_
#define BANDB_BASE_SYSTEM_ENV_H_

#include <cstdint>
#include <memory>
#include <string>

#include "base/env.h"
#include "base/posix_file_system.h"
#include "base/thread_executor.h"

namespace bandb::base {

struct SystemEnvOptions {
  // Threads of the executor, at least one.
  int threads = 2;
};

// Lifetime: outlives what its Env is given to, and what that posted. The destructor stops the
// threads first.
// Thread safety: as its parts.
class SystemEnv {
 public:
  // Without a logger nothing is logged.
  explicit SystemEnv(const SystemEnvOptions& options, std::unique_ptr<Logger> logger = nullptr);

  Env env();
  // Stops the threads; see ThreadExecutor::Shutdown.
  void Shutdown() { executor_.Shutdown(); }

 private:
  const std::unique_ptr<Logger> logger_;
  SystemClock clock_;
  PosixFileSystem files_;
  Random random_;
  ThreadExecutor executor_;
};

// How long the machine has been awake, as the manager of services counts (CLOCK_MONOTONIC): unlike
// Clock, that stands still while the machine is suspended.
int64_t AwakeNanos();

// The value of a variable of the process' environment, or nothing, and takes it out, so that no
// program that this one starts has it. Before the process has other threads.
std::string TakeVariable(const char* name);

}  // namespace bandb::base

#endif  // BANDB_BASE_SYSTEM_ENV_H_
