// Each sync is needed: with any one of them taken out, some crash breaks a promise. A scenario of
// which this is not true proves nothing. The exceptions are those of Excuse, and no others.
#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "storage/rig/rig_crash.h"
#include "support/catch.h"

namespace bandb::test {

namespace {

// What a first look takes at each crash point, and what a second one takes where the first found
// nothing.
const std::vector<Damage> kQuickDamages = {Damage::kLost, Damage::kReordered, Damage::kKept};
const std::vector<Damage> kThoroughDamages = {
    Damage::kReordered, Damage::kReordered, Damage::kReordered, Damage::kReordered, Damage::kReordered,
    Damage::kReordered, Damage::kReordered, Damage::kReordered, Damage::kPrefix,    Damage::kPrefix,
    Damage::kTorn,      Damage::kTorn,      Damage::kMixed,     Damage::kMixed,     Damage::kMixed};

std::string NameOf(const RigSync& sync) {
  return fmt::format("life {}, sync {}: {} {}", sync.life, sync.sync.number, FileCallName(sync.sync.call),
                     sync.sync.path);
}

bool IsSameFile(const RigSync& a, const RigSync& b) {
  return a.life == b.life && a.sync.call == b.sync.call && a.sync.path == b.sync.path;
}

// The next sync of the same file or directory, which makes up for one that is taken out; null if
// there is none.
const RigSync* NextOf(const std::vector<RigSync>& syncs, size_t i) {
  const auto at = std::find_if(syncs.begin() + static_cast<std::ptrdiff_t>(i) + 1, syncs.end(),
                               [&](const RigSync& sync) { return IsSameFile(sync, syncs[i]); });
  return at == syncs.end() ? nullptr : &*at;
}

// True if the very next thing that is synced is a new manifest, which is made the current one
// before anything more is durable.
bool IsReplaced(const std::vector<RigSync>& syncs, size_t i) {
  constexpr size_t kSyncsOfBegin = 4;  // the manifest, its name, the pointer to it, and the name of that
  if (i + kSyncsOfBegin >= syncs.size()) return false;
  const RigSync& manifest = syncs[i + 1];
  const RigSync& pointed = syncs[i + kSyncsOfBegin];
  return manifest.sync.path.find("/MANIFEST-") != std::string::npos &&
         syncs[i + 3].sync.path.ends_with("/CURRENT.tmp") && pointed.life == syncs[i].life &&
         pointed.durable == syncs[i].durable && pointed.checkpoints == syncs[i].checkpoints;
}

// Why it is no harm to lose this sync; empty if there is no excuse.
std::string_view Excuse(const std::vector<RigSync>& syncs, size_t i) {
  const RigSync& sync = syncs[i];
  if (sync.sync.unsynced == Unsynced::kNothing) return "there is nothing that it could make durable";
  if (sync.sync.unsynced == Unsynced::kRemovals) {
    return "a removed file that comes back is an orphan, and is removed again at the next open";
  }
  const RigSync* next = NextOf(syncs, i);
  // The files of a checkpoint are promised by the checkpoint, all others by writes and flushes.
  const bool of_checkpoint = sync.sync.path.find("/checkpoint") != std::string::npos;
  if (next != nullptr && (of_checkpoint || next->durable == sync.durable) &&
      (!of_checkpoint || next->checkpoints == sync.checkpoints)) {
    return "it is repeated before anything is promised";
  }
  if (next == nullptr && sync.sync.call == FileCall::kSync && i > 0 &&
      sync.sync.path.find("/MANIFEST-") != std::string::npos && syncs[i - 1].sync.path.ends_with(".log")) {
    return "the last edit of Close says how long the sealed log is, and so does the seal, which is durable";
  }
  if (next == nullptr && sync.sync.call == FileCall::kSync && sync.sync.path.find("/MANIFEST-") != std::string::npos &&
      IsReplaced(syncs, i)) {
    return "the manifest is replaced by one that says all of it, before anything is promised or removed";
  }
  return {};
}

CrashReport RunWithout(const RigScenario& scenario, const std::vector<RigSync>& syncs, size_t i,
                       const std::vector<Damage>& damages) {
  const RigSync& out = syncs[i];
  const RigSync* next = NextOf(syncs, i);
  CrashPlan plan;
  plan.damages = damages;
  plan.process_death = false;
  plan.recovery_stride = 0;
  plan.violations_max = 1;
  plan.only_after_sabotage = true;
  if (next != nullptr) plan.until_sync = next->sync.number;
  plan.sabotage = [&out](CrashFileSystem* files, uint64_t life) {
    if (life == out.life) files->IgnoreSyncNumber(out.sync.number);
  };
  return RunCrashes(scenario, plan);
}

}  // namespace

TEST_CASE("a scenario in which any one sync is taken out loses something that was promised") {
  uint64_t all = 0;
  for (const RigScenario& scenario : RigScenarios()) {
    CrashPlan plan;
    plan.damages = {};
    plan.process_death = false;
    const std::vector<RigSync> syncs = RunCrashes(scenario, plan).syncs;
    CAPTURE(scenario.name);
    size_t needed = 0, idle = 0;
    for (size_t i = 0; i < syncs.size(); ++i) {
      if (syncs[i].sync.unsynced == Unsynced::kNothing) {
        ++idle;
        continue;
      }
      CrashReport report = RunWithout(scenario, syncs, i, kQuickDamages);
      const bool removals = syncs[i].sync.unsynced == Unsynced::kRemovals;
      if (report.violations.empty() && !removals) report = RunWithout(scenario, syncs, i, kThoroughDamages);
      const bool fails = !report.violations.empty();
      if (fails) ++needed;
      CAPTURE(NameOf(syncs[i]));
      CHECK((fails || !Excuse(syncs, i).empty()));
    }
    CAPTURE(syncs.size(), idle, needed);
    CHECK(needed * 2 > syncs.size() - idle);
    all += needed;
  }
  CHECK(all >= 300);
}

}  // namespace bandb::test
