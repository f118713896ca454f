// Each sync is needed: with any one of them taken out, some crash breaks a promise.
#include <map>
#include <set>
#include <string>

#include "storage/rig_crash.h"
#include "support/catch.h"

namespace bandb::test {

namespace {

// Power loss only, and no look at recoveries: the quick part, repeated for each sync.
CrashPlan QuickPlan() {
  CrashPlan plan;
  plan.damages = {Damage::kLost, Damage::kKept, Damage::kReordered};
  plan.process_death = false;
  plan.recovery_stride = 0;
  plan.violations_max = 1;
  return plan;
}

// "sync *.log": the kind of file that a sync was for.
std::string ClassOf(const FaultPlan::SyncCall& sync) {
  const size_t slash = sync.path.rfind('/');
  std::string name = sync.path.substr(slash + 1);
  const size_t dot = name.rfind('.');
  const size_t dash = name.find('-');
  if (sync.call == FileCall::kSyncDir) {
    name = sync.path;
  } else if (dash != std::string::npos) {
    name = "*/" + name.substr(0, dash + 1) + "*";
  } else if (dot != std::string::npos && dot > 0 && name[0] == '0') {
    name = "*" + name.substr(dot);
  } else {
    name = "*/" + name;
  }
  return name;
}

}  // namespace

TEST_CASE("a scenario in which the syncs of one kind are taken out loses something that was promised") {
  for (const RigScenario& scenario : RigScenarios()) {
    const CrashReport whole = RunCrashes(scenario, QuickPlan());
    CAPTURE(scenario.name);
    for (const std::string& violation : whole.violations) FAIL_CHECK(violation);
    std::set<std::pair<FileCall, std::string>> classes;
    for (const FaultPlan::SyncCall& sync : whole.syncs) classes.emplace(sync.call, ClassOf(sync));
    CHECK(classes.size() >= 3);
    for (const auto& [call, pattern] : classes) {
      CrashPlan plan = QuickPlan();
      plan.sabotage = [call = call, pattern = pattern](CrashFileSystem* files) { files->IgnoreSyncs(call, pattern); };
      const CrashReport report = RunCrashes(scenario, plan);
      CAPTURE(FileCallName(call), pattern);
      CHECK(!report.violations.empty());
    }
  }
}

}  // namespace bandb::test
