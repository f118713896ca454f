// The database crashed at every file-system call: nothing acknowledged is lost, no hole, no half
// batch.
#include "storage/rig/rig_crash.h"

#include "support/catch.h"

namespace bandb::test {

TEST_CASE("after a crash at any call, of any kind, the database is a prefix of the writes with all that was promised") {
  uint64_t images = 0;
  for (const RigScenario& scenario : RigScenarios()) {
    const CrashReport report = RunCrashes(scenario, {});
    CAPTURE(scenario.name, report.crash_points, report.images);
    for (const std::string& violation : report.violations) FAIL_CHECK(violation);
    CHECK(report.recovery_images > 0);
    images += report.images;
    // Most were a database by then.
    CHECK(report.read_only > report.images / 2);
  }
  CHECK(images >= 10'000);
}

}  // namespace bandb::test
