// The database crashed at every file-system call: nothing acknowledged is lost, no hole, no half
// batch.
#include "storage/rig/rig_crash.h"

#include "support/catch.h"

#include "support/random_data.h"

namespace bandb::test {

namespace {

// Opened in each style, after each other one, with overwrites and deletes in between.
void Styles(RigActor* actor) {
  using enum CompactionStyle;
  actor->Open();
  for (const CompactionStyle style : {kTiered, kLevelled, kFifo, kTiered, kFifo, kLevelled}) {
    actor->ReopenIn(style);
    for (int i = 0; i < 70; ++i) {
      const std::string key = NumberedKey(actor->random().Uniform(60), 3);
      const bool sync = actor->random().OneIn(20);
      if (actor->random().OneIn(30)) {
        const std::string limit = key + "~";
        actor->Write(
            {.changes = {{ModelChange::Kind::kDeleteRange, key.substr(0, key.size() - 1), limit}}, .sync = sync});
      } else if (actor->random().OneIn(8)) {
        actor->Write({.changes = {{ModelChange::Kind::kDelete, key}}, .sync = sync});
      } else {
        const std::string value = RandomBytes(&actor->random(), 1 + actor->random().Uniform(3000));
        actor->Write({.changes = {{ModelChange::Kind::kPut, key, value}}, .sync = sync});
      }
    }
    actor->env().executor().RunReady();
    if (style == kTiered) actor->Compact("", "");
  }
  actor->Close();
}

}  // namespace

TEST_CASE("a crash does no more harm where the style of compaction changes, whatever the next one is") {
  const CrashReport report = RunCrashes({"styles", Styles}, {.changes_style = true});
  CAPTURE(report.crash_points, report.images);
  for (const std::string& violation : report.violations) FAIL_CHECK(violation);
  CHECK(report.images > 1000);
  CHECK(report.recovery_images > 0);
}

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
