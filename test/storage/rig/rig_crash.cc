#include "storage/rig/rig_crash.h"

#include <memory>
#include <utility>

#include "base/status.h"
#include "storage/model/model_feed.h"
#include "storage/rig/prefix_oracle.h"

namespace bandb::test {

namespace {

// What may be found in an image, as the oracle knew it when the image was taken.
struct Allowed {
  uint64_t low;
  uint64_t high;
  int64_t nanos;  // the time of the crash
};

// An image that was taken while another one was recovered.
struct Recovering {
  std::unique_ptr<CrashFileSystem> image;
  bool power_lost;
};

Options OptionsOf(const CrashPlan& plan) {
  Options options = RigOptions();
  if (plan.feed) options.changes_keep_bytes = uint64_t{1} << 40;
  return options;
}

class CrashRunner {
 public:
  CrashRunner(const RigScenario& scenario, const CrashPlan& plan) : scenario_(scenario), plan_(plan) {}

  CrashReport Run();

 private:
  using Image = std::unique_ptr<CrashFileSystem>;

  void TakeImages(CrashFileSystem* files, uint64_t mutation);
  void NoteSyncs(const std::vector<FaultPlan::SyncCall>& syncs);
  // Of the present file system, which has no future.
  void EndLife();
  void Look(Image image, const Allowed& allowed, bool durable, const std::string& what);
  // Opens what is left; answers how many writes it holds.
  absl::StatusOr<uint64_t> Inspect(TestEnv* env, const Allowed& allowed);
  absl::Status InspectCheckpoints(TestEnv* env);
  // After the first look: crashed recoveries and a second look.
  absl::Status LookAgain(std::vector<Recovering> recovering, TestEnv* env, const Allowed& allowed, uint64_t index,
                         bool durable);
  std::unique_ptr<TestEnv> NewEnv(Image image, const Allowed& allowed);
  bool Enough() const { return report_.violations.size() >= plan_.violations_max; }

  const RigScenario& scenario_;
  const CrashPlan& plan_;
  PrefixOracle oracle_;
  RigActor* actor_ = nullptr;
  CrashReport report_;
  uint64_t seed_ = 0;
  uint64_t life_ = 0;
  uint64_t syncs_noted_ = 0;  // of this life
  // What had been promised before the call that is being made.
  uint64_t durable_before_ = 0;
  uint64_t checkpoints_before_ = 0;
  bool sabotaged_ = false;  // in an earlier life, and nothing made up for it
};

std::unique_ptr<TestEnv> CrashRunner::NewEnv(Image image, const Allowed& allowed) {
  auto env = std::make_unique<TestEnv>(++seed_, std::move(image));
  // Long enough for what was to live for a moment.
  env->clock().Advance(allowed.nanos - env->clock().MonotonicNanos() + 10'000'000'000);
  return env;
}

absl::StatusOr<uint64_t> CrashRunner::Inspect(TestEnv* env, const Allowed& allowed) {
  Options options = OptionsOf(plan_);
  if (plan_.changes_style) SetRigStyle(static_cast<CompactionStyle>(seed_ % 3), &options);
  const auto seen = ReadAllReadOnly(env, kRigDir, options, oracle_.state());
  auto db = OpenRig(env, kRigDir, options);
  if (!db.ok()) return base::Annotate(db.status(), "Open");
  BANDB_ASSIGN_OR_RETURN(const ModelEntries found, ReadAll(db->get(), oracle_.state()));
  // One that was never made is none to those who only read.
  if (seen.ok() ? *seen != found : !absl::IsNotFound(seen.status()) || !found.empty()) {
    return base::Error(absl::StatusCode::kInternal, "read only, it has {} of {} keys, or others: {}",
                       seen.ok() ? seen->size() : 0, found.size(), seen.status().ToString());
  }
  report_.read_only += seen.ok() ? 1 : 0;
  if (plan_.feed) {
    const auto now_ms = static_cast<uint64_t>(env->clock().WallMillis());
    BANDB_RETURN_IF_ERROR(base::Annotate(CheckFeed(db->get(), found, now_ms), "the feed"));
  }
  BANDB_ASSIGN_OR_RETURN(const uint64_t index, oracle_.Match(found, allowed.low, allowed.high));
  BANDB_RETURN_IF_ERROR(base::Annotate((*db)->Close(), "Close"));
  return index;
}

absl::Status CrashRunner::InspectCheckpoints(TestEnv* env) {
  for (const PrefixOracle::Checkpoint& checkpoint : oracle_.checkpoints()) {
    auto db = OpenRig(env, checkpoint.dir, RigOptions());
    if (!db.ok()) return base::Annotate(db.status(), checkpoint.dir);
    BANDB_ASSIGN_OR_RETURN(const ModelEntries found, ReadAll(db->get(), oracle_.state()));
    const auto index = oracle_.Match(found, checkpoint.index, checkpoint.index);
    if (!index.ok()) return base::Annotate(index.status(), checkpoint.dir);
  }
  return absl::OkStatus();
}

absl::Status CrashRunner::LookAgain(std::vector<Recovering> recovering, TestEnv* env, const Allowed& allowed,
                                    uint64_t index, bool durable) {
  // All of a disk that was found after power loss is durable: whatever happens to its recovery, it
  // is found again.
  const Allowed same{index, index, allowed.nanos};
  for (Recovering& crashed : recovering) {
    ++report_.images;
    ++report_.recovery_images;
    // Where only the process had died, power loss may still take what was never synced.
    const Allowed synced{oracle_.durable(), allowed.high, allowed.nanos};
    const std::unique_ptr<TestEnv> again = NewEnv(std::move(crashed.image), allowed);
    const auto found = Inspect(again.get(), durable ? same : crashed.power_lost ? synced : allowed);
    if (!found.ok()) return base::Annotate(found.status(), "recovery crashed");
  }
  const auto found = Inspect(env, same);
  if (!found.ok()) return base::Annotate(found.status(), "opened again");
  return InspectCheckpoints(env);
}

void CrashRunner::Look(Image image, const Allowed& allowed, bool durable, const std::string& what) {
  const bool crash_recovery = plan_.recovery_stride > 0 && ++report_.images % plan_.recovery_stride == 0;
  const std::unique_ptr<TestEnv> env = NewEnv(std::move(image), allowed);
  std::vector<Recovering> recovering;
  if (crash_recovery) {
    env->files().SetHook([&](uint64_t mutation) {
      const uint64_t seed = ++seed_;
      const bool power_lost = mutation % 3 != 0;
      recovering.push_back(
          {power_lost ? env->files().CrashImage(kAllDamages[seed % 6], seed) : env->files().ProcessDeathImage(seed),
           power_lost});
    });
  }
  const auto found = Inspect(env.get(), allowed);
  env->files().SetHook(nullptr);
  const absl::Status status =
      found.ok() ? LookAgain(std::move(recovering), env.get(), allowed, *found, durable) : found.status();
  if (status.ok()) return;
  report_.violations.push_back(fmt::format("{}: {}\nrecovery:\n{}\nlog:\n{}", what, status.ToString(),
                                           env->files().Log(), env->logger().Text()));
}

void CrashRunner::TakeImages(CrashFileSystem* files, uint64_t mutation) {
  const std::vector<FaultPlan::SyncCall> syncs = files->syncs();
  NoteSyncs(syncs);
  if (plan_.only_after_sabotage) {
    const bool before = files->syncs_ignored() == 0;
    if (before ? !sabotaged_ : syncs.size() >= plan_.until_sync) return;
  }
  ++report_.crash_points;
  const int64_t nanos = actor_ == nullptr ? 0 : actor_->env().clock().MonotonicNanos();
  for (const Damage damage : plan_.damages) {
    if (Enough()) return;
    const Allowed allowed{oracle_.durable(), oracle_.submitted(), nanos};
    const uint64_t seed = ++seed_;
    Look(files->CrashImage(damage, seed), allowed, true,
         fmt::format("{}: power lost at call {} ({}), seed {}, after {}", scenario_.name, mutation, DamageName(damage),
                     seed, files->LastCall()));
  }
  if (!plan_.process_death || Enough()) return;
  const Allowed allowed{oracle_.acknowledged(), oracle_.submitted(), nanos};
  // What it holds is not durable, so a crash of its recovery may lose what was never synced.
  Look(files->ProcessDeathImage(++seed_), allowed, false,
       fmt::format("{}: process died at call {}, after {}", scenario_.name, mutation, files->LastCall()));
}

void CrashRunner::NoteSyncs(const std::vector<FaultPlan::SyncCall>& syncs) {
  for (; syncs_noted_ < syncs.size(); ++syncs_noted_) {
    report_.syncs.push_back({life_, syncs[syncs_noted_], durable_before_, checkpoints_before_});
  }
  durable_before_ = oracle_.durable();
  checkpoints_before_ = oracle_.checkpoints().size();
}

void CrashRunner::EndLife() {
  const CrashFileSystem& files = actor_->env().files();
  NoteSyncs(files.syncs());
  sabotaged_ = sabotaged_ || (files.syncs_ignored() != 0 && plan_.until_sync == UINT64_MAX);
  syncs_noted_ = 0;
  ++life_;
}

CrashReport CrashRunner::Run() {
  seed_ = plan_.seed << 32;
  RigActor actor(
      plan_.seed, &oracle_,
      [this](CrashFileSystem* files) {
        if (actor_ != nullptr) EndLife();
        if (plan_.sabotage != nullptr) plan_.sabotage(files, life_);
        files->SetHook([this, files](uint64_t mutation) { TakeImages(files, mutation); });
      },
      OptionsOf(plan_));
  actor_ = &actor;
  scenario_.run(&actor);
  // What is there when all is over.
  TakeImages(&actor.env().files(), 0);
  EndLife();
  if (!oracle_.surprise().ok()) {
    report_.violations.push_back(fmt::format("{}: {}", scenario_.name, oracle_.surprise().ToString()));
  }
  return std::move(report_);
}

}  // namespace

CrashReport RunCrashes(const RigScenario& scenario, const CrashPlan& plan) { return CrashRunner(scenario, plan).Run(); }

}  // namespace bandb::test
