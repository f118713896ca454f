// Everything a component may know of the world outside: handed to it once, at construction.
#ifndef BANDB_BASE_ENV_H_
#define BANDB_BASE_ENV_H_

#include "base/clock.h"
#include "base/executor.h"
#include "base/file_system.h"
#include "base/logger.h"
#include "base/random.h"
#include "base/region.h"

namespace bandb::base {

// Lifetime: borrows; the maker of an Env keeps its parts alive longer than everything that it is
// given to.
struct Env {
  FileSystem* files = nullptr;
  Clock* clock = nullptr;
  Executor* executor = nullptr;
  Logger* logger = nullptr;
  // Drawn from at construction only, by one thread: a component that needs numbers later takes a
  // fork.
  Random* random = nullptr;
  // Null: regions are the operating system's.
  RegionSource* regions = nullptr;
};

}  // namespace bandb::base

#endif  // BANDB_BASE_ENV_H_
