// DbModel over a replica, as far as a replica has what a Db has.
#include <fmt/core.h>

#include <memory>

#include "storage/model/db_model.h"
#include "storage/replica/replica_db.h"
#include "support/catch.h"

namespace bandb::test {

namespace {

constexpr int kSteps = 4000;

DbModel::Subject ReplicaOver(ReplicaDbLog* log) {
  return {.open = [log](const base::Env& env, const std::string& dir, const Options& options)
              -> absl::StatusOr<std::unique_ptr<Db>> { return ReplicaDb::Open(env, dir, options, log); },
          .check_invariants = [](Db* db) { return dynamic_cast<ReplicaDb*>(db)->replica().engine().CheckInvariants(); },
          .time_ms = [](Db* db) { return dynamic_cast<ReplicaDb*>(db)->TimeMs(); },
          .makes_checkpoints = false,
          .ingests = false,
          .has_feed = false};
}

}  // namespace

TEST_CASE("a replica answers like a sorted map, whatever is done to it and however it ends") {
  const DbModel::Seeds seeds = DbModel::SeedsToRun();
  REQUIRE(seeds.first <= seeds.last);
  DbModel::Counts counts;
  for (uint64_t seed = seeds.first; seed <= seeds.last; ++seed) {
    INFO("seed " << seed);
    ReplicaDbLog log;
    DbModel(seed, &counts, ReplicaOver(&log)).Run(kSteps);
  }
  if (seeds.named) {
    fmt::print("{} writes, {} more aborted and {} refused, {} power losses, {} deaths, {} full disks\n", counts.writes,
               counts.aborted, counts.refused, counts.power_losses, counts.deaths, counts.full_disks);
    return;
  }
  CHECK(counts.writes > 6'000);
  CHECK(counts.aborted > 60);
  // On a full disk what fits into memory is applied.
  CHECK(counts.refused > 2);
  CHECK(counts.power_losses > 20);
  CHECK(counts.deaths > 12);
  CHECK(counts.full_disks > 12);
}

}  // namespace bandb::test
