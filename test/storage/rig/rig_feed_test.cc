// The change feed through crashes at every file-system call: what it gives from the first write on
// makes the database that is found. And each sync that this needs is needed.
#include <string>
#include <vector>

#include "storage/rig/rig_crash.h"
#include "support/catch.h"

namespace bandb::test {

namespace {

ModelWrite PutOf(RigActor* actor, bool sync) {
  ModelWrite write{
      .changes = {{ModelChange::Kind::kPut, "key" + std::to_string(actor->random().Uniform(25)),
                   std::string(actor->random().Uniform(400), 'v') + std::to_string(actor->random().Next())}}};
  write.sync = sync;
  return write;
}

// Logs of which nothing was synced when they were flushed, several that are flushed together, and
// openings in between.
void UnsyncedLogs(RigActor* actor) {
  actor->Open();
  for (int i = 0; i < 4; ++i) {
    for (int j = 0; j < 6; ++j) actor->Write(PutOf(actor, false));
    actor->Flush();
    if (i == 1) actor->Reopen();
    if (i == 2) actor->Kill();
  }
  for (int j = 0; j < 6; ++j) actor->Write(PutOf(actor, j == 4));
  actor->Close();
}

const RigScenario kUnsyncedLogs{"unsynced logs", UnsyncedLogs};

}  // namespace

TEST_CASE("after a crash at any call, of any kind, the feed makes the database that is found") {
  std::vector<RigScenario> scenarios = {kUnsyncedLogs};
  for (const RigScenario& scenario : RigScenarios()) {
    const std::string name = scenario.name;
    if (name == "flushes" || name == "reopens" || name == "kills" || name == "range deletes")
      scenarios.push_back(scenario);
  }
  CHECK(scenarios.size() == 5);
  uint64_t images = 0;
  for (const RigScenario& scenario : scenarios) {
    CrashPlan plan;
    plan.feed = true;
    plan.damages = {Damage::kLost, Damage::kReordered, Damage::kPrefix};
    const CrashReport report = RunCrashes(scenario, plan);
    CAPTURE(scenario.name, report.crash_points, report.images);
    for (const std::string& violation : report.violations) FAIL_CHECK(violation);
    CHECK(report.recovery_images > 0);
    images += report.images;
  }
  CHECK(images >= 2'000);
}

TEST_CASE("a log that is kept and was not synced is missed") {
  CrashPlan plan;
  plan.feed = true;
  plan.damages = {};
  plan.process_death = false;
  const std::vector<RigSync> syncs = RunCrashes(kUnsyncedLogs, plan).syncs;
  uint64_t needed = 0;
  for (const RigSync& sync : syncs) {
    const bool of_log = sync.sync.call == FileCall::kSync && sync.sync.path.ends_with(".log");
    if (!of_log || sync.sync.unsynced == Unsynced::kNothing) continue;
    CrashPlan without = plan;
    without.damages = {Damage::kLost, Damage::kReordered};
    without.recovery_stride = 0;
    without.violations_max = 1;
    without.only_after_sabotage = true;
    without.sabotage = [&sync](CrashFileSystem* files, uint64_t life) {
      if (life == sync.life) files->IgnoreSyncNumber(sync.sync.number);
    };
    const CrashReport report = RunCrashes(kUnsyncedLogs, without);
    if (!report.violations.empty() && report.violations[0].find("the feed") != std::string::npos) ++needed;
  }
  // One for each flush.
  CHECK(needed >= 4);
}

}  // namespace bandb::test
