#include "base/system_env.h"

#include <cstdlib>
#include <ctime>
#include <utility>

namespace bandb::base {

SystemEnv::SystemEnv(const SystemEnvOptions& options, std::unique_ptr<Logger> logger)
    : logger_(logger != nullptr ? std::move(logger) : std::make_unique<NullLogger>()),
      files_(),
      random_(SeedFromOs()),
      executor_(options.threads) {}

Env SystemEnv::env() {
  return Env{.files = &files_, .clock = &clock_, .executor = &executor_, .logger = logger_.get(), .random = &random_};
}

int64_t AwakeNanos() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<int64_t>(now.tv_sec) * 1'000'000'000 + now.tv_nsec;
}

std::string TakeVariable(const char* name) {
  const char* const value = std::getenv(name);
  std::string taken = value == nullptr ? "" : value;
  ::unsetenv(name);
  return taken;
}

}  // namespace bandb::base
