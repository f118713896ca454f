// A few seeds of DbModel. With BANDB_MODEL_SEEDS=1000-1999 in the environment, those: as many as
// there is time for.
#include "storage/model/db_model.h"

#include <fmt/core.h>

#include "support/catch.h"

namespace bandb::test {

namespace {

constexpr int kSteps = 4000;

}  // namespace

TEST_CASE("a database answers like a sorted map, whatever is done to it and however it ends") {
  const DbModel::Seeds seeds = DbModel::SeedsToRun();
  REQUIRE(seeds.first <= seeds.last);
  DbModel::Counts counts;
  for (uint64_t seed = seeds.first; seed <= seeds.last; ++seed) {
    INFO("seed " << seed);
    DbModel(seed, &counts).Run(kSteps);
  }
  if (seeds.named) {
    fmt::print(
        "{} writes, {} more aborted and {} refused, {} power losses, {} deaths, {} full disks, {} checkpoints, "
        "{} ingests\n",
        counts.writes, counts.aborted, counts.refused, counts.power_losses, counts.deaths, counts.full_disks,
        counts.checkpoints, counts.ingests);
    fmt::print("of the feed {} commits, {} times resumed, {} trimmed, {} diverged\n", counts.feed.commits,
               counts.feed.resumed, counts.feed.trimmed, counts.feed.diverged);
    return;
  }
  // What it is about did happen.
  CHECK(counts.writes > 10'000);
  CHECK(counts.aborted > 100);
  CHECK(counts.refused > 100);
  CHECK(counts.power_losses > 30);
  CHECK(counts.deaths > 20);
  CHECK(counts.full_disks > 20);
  CHECK(counts.checkpoints > 10);
  CHECK(counts.ingests > 30);
  CHECK(counts.feed.commits > 5'000);
  CHECK(counts.feed.resumed > 30);
  CHECK(counts.feed.trimmed > 10);
  CHECK(counts.feed.diverged > 3);
}

}  // namespace bandb::test
