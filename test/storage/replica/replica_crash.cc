#include "storage/replica/replica_crash.h"

#include <set>
#include <utility>

#include "base/status.h"

namespace bandb::test {

namespace {

// What may be found in an image, as it was when the image was taken.
struct Allowed {
  uint64_t low;
  uint64_t high;
  uint64_t installing = 0;
};

class ReplicaCrashRunner {
 public:
  ReplicaCrashRunner(const ReplicaScenario& scenario, const ReplicaCrashPlan& plan)
      : scenario_(scenario), plan_(plan), course_(RandomLog(plan.seed, scenario.shape)) {}

  ReplicaCrashReport Run();

 private:
  using Image = std::unique_ptr<CrashFileSystem>;

  void TakeImages(CrashFileSystem* files, uint64_t mutation);
  void NoteSyncs(const std::vector<FaultPlan::SyncCall>& syncs);
  void EndLife();
  void Look(Image image, const Allowed& allowed, const std::string& what);
  // Opens what is left, compares it, and applies the rest of the log; answers what was found.
  absl::StatusOr<uint64_t> Inspect(TestEnv* env, const Allowed& allowed);
  absl::StatusOr<uint64_t> InspectReplica(storage::EngineReplica* replica, TestEnv* env, const Allowed& allowed);
  bool Enough() const { return report_.violations.size() >= plan_.violations_max; }

  const ReplicaScenario& scenario_;
  const ReplicaCrashPlan& plan_;
  const LogCourse course_;
  ReplicaActor* actor_ = nullptr;
  ReplicaCrashReport report_;
  std::set<uint64_t> positions_;
  uint64_t seed_ = 0;
  uint64_t life_ = 0;
  uint64_t syncs_noted_ = 0;  // of this life
  uint64_t promised_before_ = 0;
  bool sabotaged_ = false;  // in an earlier life, and nothing made up for it
};

absl::StatusOr<uint64_t> ReplicaCrashRunner::InspectReplica(storage::EngineReplica* replica, TestEnv* env,
                                                            const Allowed& allowed) {
  const uint64_t found = replica->applied().applied.index;
  if ((found < allowed.low || found > allowed.high) && (allowed.installing == 0 || found != allowed.installing)) {
    return base::Error(absl::StatusCode::kDataLoss, "found the position {}; {} to {} are allowed, or {}", found,
                       allowed.low, allowed.high, allowed.installing);
  }
  positions_.insert(found);
  const ReplicaModel& last = course_.models.back();
  BANDB_RETURN_IF_ERROR(
      base::Annotate(course_.models[found].Compare(replica, last.user), fmt::format("at position {}", found)));
  BANDB_RETURN_IF_ERROR(replica->engine().CheckInvariants());
  for (uint64_t index = found + 1; index <= course_.last_index(); ++index) {
    replica->LogIsDurable(index - 1);
    BANDB_RETURN_IF_ERROR(course_.Apply(replica, &env->executor(), index));
  }
  replica->LogIsDurable(course_.last_index());
  BANDB_RETURN_IF_ERROR(base::Annotate(last.Compare(replica, last.user), fmt::format("applied again from {}", found)));
  return found;
}

absl::StatusOr<uint64_t> ReplicaCrashRunner::Inspect(TestEnv* env, const Allowed& allowed) {
  auto opened = storage::EngineReplica::Open(env->env(), kReplicaDir, SmallReplicaOptions(), TestStart());
  if (!opened.ok()) return base::Annotate(opened.status(), "Open");
  const std::unique_ptr<storage::EngineReplica> replica = *std::move(opened);
  absl::StatusOr<uint64_t> found = InspectReplica(replica.get(), env, allowed);
  const absl::Status closed = CloseReplica(replica.get(), &env->executor());
  BANDB_RETURN_IF_ERROR(found.status());
  BANDB_RETURN_IF_ERROR(base::Annotate(closed, "Close"));
  return found;
}

void ReplicaCrashRunner::Look(Image image, const Allowed& allowed, const std::string& what) {
  const bool crash_again = plan_.recovery_stride > 0 && ++report_.images % plan_.recovery_stride == 0;
  TestEnv env(++seed_, std::move(image));
  std::vector<Image> recovering;
  if (crash_again) {
    env.files().SetHook([&](uint64_t mutation) {
      const uint64_t seed = ++seed_;
      recovering.push_back(mutation % 3 != 0 ? env.files().CrashImage(kAllDamages[seed % 6], seed)
                                             : env.files().ProcessDeathImage(seed));
    });
  }
  absl::Status status = Inspect(&env, allowed).status();
  env.files().SetHook(nullptr);
  for (size_t i = 0; i < recovering.size() && status.ok(); ++i) {
    ++report_.images;
    ++report_.recovery_images;
    TestEnv again(++seed_, std::move(recovering[i]));
    status = base::Annotate(Inspect(&again, {allowed.low, course_.last_index()}).status(), "crashed again");
  }
  // What was found is found again, and what was applied since may be.
  if (status.ok()) {
    status = base::Annotate(Inspect(&env, {allowed.low, course_.last_index()}).status(), "opened again");
  }
  if (status.ok()) return;
  report_.violations.push_back(
      fmt::format("{}: {}\nrecovery:\n{}\nlog:\n{}", what, status.ToString(), env.files().Log(), env.logger().Text()));
}

void ReplicaCrashRunner::TakeImages(CrashFileSystem* files, uint64_t mutation) {
  const std::vector<FaultPlan::SyncCall> syncs = files->syncs();
  NoteSyncs(syncs);
  if (plan_.only_after_sabotage) {
    const bool before = files->syncs_ignored() == 0;
    if (before ? !sabotaged_ : syncs.size() >= plan_.until_sync) return;
  }
  ++report_.crash_points;
  // No tables may be ahead of the owner's log, nor of what was applied.
  const Allowed allowed =
      actor_ == nullptr ? Allowed{0, 0} : Allowed{actor_->promised(), actor_->log_durable(), actor_->installing()};
  for (const Damage damage : plan_.damages) {
    if (Enough()) return;
    const uint64_t seed = ++seed_;
    Look(files->CrashImage(damage, seed), allowed,
         fmt::format("{}: power lost at call {} ({}), seed {}, after {}", scenario_.name, mutation, DamageName(damage),
                     seed, files->LastCall()));
  }
  if (!plan_.process_death || Enough()) return;
  Look(files->ProcessDeathImage(++seed_), allowed,
       fmt::format("{}: process died at call {}, after {}", scenario_.name, mutation, files->LastCall()));
}

void ReplicaCrashRunner::NoteSyncs(const std::vector<FaultPlan::SyncCall>& syncs) {
  for (; syncs_noted_ < syncs.size(); ++syncs_noted_) {
    report_.syncs.push_back({life_, syncs[syncs_noted_], promised_before_});
  }
  promised_before_ = actor_ == nullptr ? 0 : actor_->promised();
}

void ReplicaCrashRunner::EndLife() {
  const CrashFileSystem& files = actor_->env().files();
  NoteSyncs(files.syncs());
  sabotaged_ = sabotaged_ || (files.syncs_ignored() != 0 && plan_.until_sync == UINT64_MAX);
  syncs_noted_ = 0;
  ++life_;
}

ReplicaCrashReport ReplicaCrashRunner::Run() {
  seed_ = plan_.seed << 32;
  ReplicaActor actor(plan_.seed, &course_, [this](CrashFileSystem* files) {
    if (actor_ != nullptr) EndLife();
    if (plan_.sabotage != nullptr) plan_.sabotage(files, life_);
    files->SetHook([this, files](uint64_t mutation) { TakeImages(files, mutation); });
  });
  actor_ = &actor;
  scenario_.run(&actor);
  TakeImages(&actor.env().files(), 0);
  EndLife();
  if (!actor.surprise().ok()) {
    report_.violations.push_back(fmt::format("{}: {}", scenario_.name, actor.surprise().ToString()));
  }
  report_.positions = positions_.size();
  report_.tables_kept = actor.tables_kept();
  return std::move(report_);
}

}  // namespace

ReplicaCrashReport RunReplicaCrashes(const ReplicaScenario& scenario, const ReplicaCrashPlan& plan) {
  return ReplicaCrashRunner(scenario, plan).Run();
}

}  // namespace bandb::test
