// What the programs that hunt for planted bugs have in common: which ones, and how many were
// caught.
#ifndef BANDB_TEST_SIM_BUG_HUNT_H_
#define BANDB_TEST_SIM_BUG_HUNT_H_

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdint>
#include <cstdio>
#include <functional>

#include "absl/types/span.h"

namespace bandb::sim {

struct PlantedBug {
  int number;
  const char* what;
  // A seed that is known to show it; 0: the first ones do.
  uint64_t seed = 0;
};

struct BugHunt {
  int only = 0;       // 0: all of them
  uint64_t seed = 0;  // of one run, to be told; 0: hunt
  bool list = false;
};

inline void DeclareHunt(CLI::App* app, BugHunt* to) {
  app->add_option("--mutant", to->only, "plant only this bug");
  app->add_option("--seed", to->seed, "one run with that bug, as a readable account")->needs("--mutant");
  app->add_flag("--list", to->list, "list the bugs and run nothing");
}

// Has `caught` hunt for each that is wanted, or lists them. Returns the exit code: 0 only if all
// were caught.
inline int RunHunt(absl::Span<const PlantedBug> bugs, const BugHunt& wanted,
                   const std::function<bool(const PlantedBug&)>& caught) {
  int caught_count = 0;
  int hunted = 0;
  for (const PlantedBug& bug : bugs) {
    if (wanted.only != 0 && bug.number != wanted.only) continue;
    ++hunted;
    if (wanted.list) {
      fmt::print("{:>3}  {}\n", bug.number, bug.what);
    } else {
      caught_count += caught(bug) ? 1 : 0;
    }
  }
  if (hunted == 0) {
    fmt::print(stderr, "there is no planted bug {}; --list shows them\n", wanted.only);
    return 2;
  }
  if (wanted.list) return 0;
  fmt::print("{} of {} planted bugs caught\n", caught_count, hunted);
  return caught_count == hunted ? 0 : 1;
}

}  // namespace bandb::sim

#endif  // BANDB_TEST_SIM_BUG_HUNT_H_
