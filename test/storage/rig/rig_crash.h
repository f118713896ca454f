// Crashes a scenario at every file-system call, in every way, and looks at what is left.
//
// The scenario runs once. Before each call that changes something, images are taken of what a disk
// could hold if the power failed now, and of what is left if the process died now. Each image is
// opened like a database after a crash, and must hold a prefix of the writes that contains
// everything acknowledged; opened again, the same; and so must images that are taken while it is
// being opened. Each is opened for reading only before that, which must show the same and change
// nothing.
#ifndef BANDB_TEST_STORAGE_RIG_RIG_CRASH_H_
#define BANDB_TEST_STORAGE_RIG_RIG_CRASH_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "storage/rig/rig_actor.h"

namespace bandb::test {

struct CrashPlan {
  uint64_t seed = 1;
  // Kinds of power loss to try at each call; the death of the process too?
  std::vector<Damage> damages{std::begin(kAllDamages), std::end(kAllDamages)};
  bool process_death = true;
  // Every how many images the recovery is crashed, too; 0 for never.
  uint64_t recovery_stride = 61;
  // Stop looking once so many violations are known.
  size_t violations_max = 5;
  // What is done to each file system before it is used: taking out syncs. `life` counts the
  // processes of the scenario, from 0: each has a file system of its own.
  std::function<void(CrashFileSystem*, uint64_t life)> sabotage{};
  // With a sync taken out: take images from there on, for before nothing can be wrong that is not
  // wrong without, and up to the sync of this number of the same life, which makes up for it.
  bool only_after_sabotage = false;
  // Keep all logs for the change feed, which must then give, from the first write on, what makes
  // the database that is found.
  bool feed = false;
  // Open each image in another style of compaction than the one before it.
  bool changes_style = false;
  uint64_t until_sync = UINT64_MAX;
};

// A sync of a scenario, and what had been promised when it was asked for.
struct RigSync {
  uint64_t life = 0;
  FaultPlan::SyncCall sync{};
  uint64_t durable = 0;
  uint64_t checkpoints = 0;
};

struct CrashReport {
  uint64_t crash_points = 0;
  // Images looked at, and those of them that were taken during a recovery.
  uint64_t images = 0;
  uint64_t recovery_images = 0;
  // Of all openings, those that were first made for reading only, with the same result.
  uint64_t read_only = 0;
  std::vector<std::string> violations;
  std::vector<RigSync> syncs;
};

CrashReport RunCrashes(const RigScenario& scenario, const CrashPlan& plan);

}  // namespace bandb::test

#endif  // BANDB_TEST_STORAGE_RIG_RIG_CRASH_H_
