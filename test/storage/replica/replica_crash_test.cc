// A replica crashed at every file-system call: it is what the log up to its position makes, and
// goes on from there as if nothing had happened. And no sync of it is there for nothing.
#include "storage/replica/replica_crash.h"

#include <algorithm>

#include "support/catch.h"

namespace bandb::test {

namespace {

const std::vector<Damage> kQuickDamages = {Damage::kLost, Damage::kReordered, Damage::kKept};
const std::vector<Damage> kThoroughDamages = {Damage::kReordered, Damage::kReordered, Damage::kReordered,
                                              Damage::kReordered, Damage::kReordered, Damage::kReordered,
                                              Damage::kPrefix,    Damage::kTorn,      Damage::kMixed};

const ReplicaSync* NextOf(const std::vector<ReplicaSync>& syncs, size_t i) {
  const auto is_same = [&](const ReplicaSync& sync) {
    return sync.life == syncs[i].life && sync.sync.call == syncs[i].sync.call && sync.sync.path == syncs[i].sync.path;
  };
  const auto at = std::find_if(syncs.begin() + static_cast<std::ptrdiff_t>(i) + 1, syncs.end(), is_same);
  return at == syncs.end() ? nullptr : &*at;
}

// True if the very next thing that is synced is a new manifest, which is made the current one
// before anything is promised or removed.
bool IsReplaced(const std::vector<ReplicaSync>& syncs, size_t i) {
  constexpr size_t kSyncsOfBegin = 4;  // the manifest, its name, the pointer to it, and the name of that
  if (i + kSyncsOfBegin >= syncs.size() || syncs[i].sync.path.find("/MANIFEST-") == std::string::npos) return false;
  return syncs[i + 1].sync.path.find("/MANIFEST-") != std::string::npos &&
         syncs[i + 1].sync.path != syncs[i].sync.path && syncs[i + 3].sync.path.ends_with("/CURRENT.tmp") &&
         syncs[i + kSyncsOfBegin].life == syncs[i].life && syncs[i + kSyncsOfBegin].promised == syncs[i].promised;
}

// Why it is no harm to lose this sync; empty if there is no excuse.
std::string_view Excuse(const std::vector<ReplicaSync>& syncs, size_t i) {
  if (syncs[i].sync.unsynced == Unsynced::kRemovals) return "a removed file that comes back is an orphan";
  const ReplicaSync* next = NextOf(syncs, i);
  if (next != nullptr && next->promised == syncs[i].promised) return "it is repeated before anything is promised";
  if (next == nullptr && IsReplaced(syncs, i)) return "the manifest is replaced by one that says all of it";
  // The last word of a scenario or a life promises nothing.
  const bool nothing_promised = std::all_of(
      syncs.begin() + static_cast<std::ptrdiff_t>(i), syncs.end(),
      [&](const ReplicaSync& later) { return later.life != syncs[i].life || later.promised == syncs[i].promised; });
  return nothing_promised ? "nothing is promised after it" : std::string_view();
}

ReplicaCrashReport RunWithout(const ReplicaScenario& scenario, const std::vector<ReplicaSync>& syncs, size_t i,
                              const std::vector<Damage>& damages) {
  const ReplicaSync& out = syncs[i];
  const ReplicaSync* next = NextOf(syncs, i);
  ReplicaCrashPlan plan;
  plan.damages = damages;
  plan.process_death = false;
  plan.recovery_stride = 0;
  plan.violations_max = 1;
  plan.only_after_sabotage = true;
  if (next != nullptr) plan.until_sync = next->sync.number;
  plan.sabotage = [&out](CrashFileSystem* files, uint64_t life) {
    if (life == out.life) files->IgnoreSyncNumber(out.sync.number);
  };
  return RunReplicaCrashes(scenario, plan);
}

}  // namespace

TEST_CASE("after a crash at any call a replica is what the log up to its position makes, and goes on from there") {
  uint64_t images = 0;
  uint64_t tables_kept = 0;
  for (const ReplicaScenario& scenario : ReplicaScenarios()) {
    const ReplicaCrashReport report = RunReplicaCrashes(scenario, {});
    CAPTURE(scenario.name, report.crash_points, report.images, report.positions);
    for (const std::string& violation : report.violations) FAIL_CHECK(violation);
    CHECK(report.recovery_images > 0);
    CHECK(report.positions >= 3);
    images += report.images;
    tables_kept += report.tables_kept;
  }
  CHECK(images >= 2'000);
  CHECK(tables_kept > 0);
}

TEST_CASE("a replica of which any one sync is taken out loses something that was promised") {
  uint64_t all = 0;
  for (const ReplicaScenario& scenario : ReplicaScenarios()) {
    ReplicaCrashPlan plan;
    plan.damages = {};
    plan.process_death = false;
    const std::vector<ReplicaSync> syncs = RunReplicaCrashes(scenario, plan).syncs;
    CAPTURE(scenario.name);
    size_t needed = 0;
    size_t useful = 0;
    for (size_t i = 0; i < syncs.size(); ++i) {
      if (syncs[i].sync.unsynced == Unsynced::kNothing) continue;
      ++useful;
      ReplicaCrashReport report = RunWithout(scenario, syncs, i, kQuickDamages);
      if (report.violations.empty() && Excuse(syncs, i).empty()) {
        report = RunWithout(scenario, syncs, i, kThoroughDamages);
      }
      if (!report.violations.empty()) ++needed;
      CAPTURE(syncs[i].life, syncs[i].sync.number, FileCallName(syncs[i].sync.call), syncs[i].sync.path);
      CHECK((!report.violations.empty() || !Excuse(syncs, i).empty()));
    }
    CAPTURE(useful, needed);
    CHECK(needed * 2 > useful);
    all += needed;
  }
  CHECK(all >= 60);
}

}  // namespace bandb::test
