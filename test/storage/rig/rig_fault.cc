#include "storage/rig/rig_fault.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "base/status.h"

namespace bandb::test {

namespace {

constexpr size_t kCandidatesMax = 64;
constexpr size_t kViolationsMax = 5;

// What a database may answer when its disk fails.
bool IsClean(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
    case absl::StatusCode::kAborted:
    case absl::StatusCode::kUnknown:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kResourceExhausted:
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kInternal:
    case absl::StatusCode::kDataLoss:
      return true;
    default:
      return false;
  }
}

}  // namespace

void OutcomeOracle::Surprise(const absl::Status& status) {
  if (surprise_.ok()) surprise_ = status;
}

void OutcomeOracle::CallEnded(const char* what, const absl::Status& status) {
  if (!status.ok()) ++failures_;
  if (!IsClean(status)) Surprise(base::Annotate(status, what));
}

uint64_t OutcomeOracle::Submitted(const ModelWrite& write) {
  writes_.push_back(Submission{write, false, absl::OkStatus()});
  return writes_.size() - 1;
}

void OutcomeOracle::Ended(uint64_t number, const absl::Status& status) {
  CallEnded("write", status);
  writes_[number].ended = true;
  writes_[number].status = status;
  while (resolved_ < writes_.size() && writes_[resolved_].ended) Resolve(writes_[resolved_++]);
}

void OutcomeOracle::Resolve(const Submission& submission) {
  std::vector<ModelState> next;
  const absl::Status& status = submission.status;
  const bool maybe = absl::IsUnknown(status);
  for (const ModelState& state : candidates_) {
    const bool holds = submission.write.Holds(state, kRigLookMs);
    if (status.ok() || maybe) {
      if (holds) {
        next.push_back(state);
        submission.write.Apply(&next.back());
      }
      if (maybe) next.push_back(state);
    } else if (!absl::IsAborted(status) || !holds) {
      next.push_back(state);
    }
  }
  if (next.empty()) return Surprise(base::Error(absl::StatusCode::kInternal, "no state allows: {}", status.ToString()));
  std::sort(next.begin(), next.end());
  next.erase(std::unique(next.begin(), next.end()), next.end());
  if (next.size() > kCandidatesMax) return Surprise(absl::InternalError("too many unknown writes in a row"));
  candidates_ = std::move(next);
}

absl::Status OutcomeOracle::Settle(const ModelEntries& found) {
  const auto looks = [&found](const ModelState& state) { return Visible(state, kRigLookMs) == found; };
  const auto settled = std::find_if(candidates_.begin(), candidates_.end(), looks);
  if (settled == candidates_.end()) {
    return base::Error(absl::StatusCode::kDataLoss, "the state is none of {} that are allowed: {}", candidates_.size(),
                       Difference(found, Visible(candidates_[0], kRigLookMs)));
  }
  candidates_ = {ModelState(*settled)};
  return absl::OkStatus();
}

absl::Status OutcomeOracle::CheckGet(const std::string& key, const absl::StatusOr<std::string>& got) const {
  if (!got.ok() && !absl::IsNotFound(got.status())) return absl::OkStatus();
  for (const ModelState& state : candidates_) {
    const ModelCondition seen = got.ok() ? ModelCondition{ModelCondition::Kind::kValue, key, *got}
                                         : ModelCondition{ModelCondition::Kind::kAbsent, key};
    if (seen.Holds(state, kRigLookMs)) return absl::OkStatus();
  }
  return base::Error(absl::StatusCode::kDataLoss, "Get({}) answers wrongly: {}", key,
                     got.ok() ? "a value" : got.status().ToString());
}

namespace {

// One run of a scenario with a fault in it.
class FaultRun {
 public:
  FaultRun(const RigScenario& scenario, const Fault& fault)
      : fault_(fault), actor_(7, &oracle_, [this](CrashFileSystem* files) { BeginLife(files); }) {
    scenario.run(&actor_);
    EndLife();
    over_ = true;
    refusals = oracle_.failures();
  }

  // OK if all that was answered was true.
  absl::Status Check();
  std::string Log() { return actor_.env().files().Log() + actor_.env().logger().Text(); }

  uint64_t calls = 0;
  uint64_t failures = 0;
  uint64_t refusals = 0;

 private:
  // Calls are counted on from one life of the process to the next. A fault ends with the life in
  // which it began.
  void BeginLife(CrashFileSystem* files) {
    if (over_) return;
    if (std::exchange(begun_, true)) EndLife();
    if (failures > 0 || calls > fault_.skip) return;
    Fault fault = fault_;
    fault.skip -= calls;
    files->Inject(fault);
  }
  void EndLife() {
    calls += actor_.env().files().calls();
    failures += actor_.env().files().failures();
  }
  absl::Status CheckReads();

  const Fault fault_;
  OutcomeOracle oracle_;
  bool begun_ = false;
  bool over_ = false;
  RigActor actor_;
};

absl::Status FaultRun::CheckReads() {
  // Whatever is open still answers, or says why it does not.
  if (actor_.db() == nullptr) return absl::OkStatus();
  for (const auto& [key, value] : oracle_.candidates()[0]) {
    BANDB_RETURN_IF_ERROR(oracle_.CheckGet(key, actor_.db()->Get(key)));
  }
  return oracle_.CheckGet("no such key", actor_.db()->Get("no such key"));
}

absl::Status FaultRun::Check() {
  BANDB_RETURN_IF_ERROR(oracle_.surprise());
  BANDB_RETURN_IF_ERROR(CheckReads());
  actor_.env().files().ClearFaults();
  actor_.Kill();
  if (actor_.db() == nullptr) return base::Error(absl::StatusCode::kInternal, "does not open: {}", Log());
  actor_.env().clock().AdvanceMillis(10'000);
  BANDB_ASSIGN_OR_RETURN(const ModelEntries found, ReadAll(actor_.db(), oracle_.candidates()[0]));
  BANDB_RETURN_IF_ERROR(oracle_.Settle(found));
  // It works again, and what it answers now is durable with all before it.
  actor_.Write({.changes = {{ModelChange::Kind::kPut, "after", "all"}}, .sync = true});
  if (oracle_.candidates()[0].count("after") == 0) return absl::InternalError("refuses writes after the restart");
  TestEnv env(11, actor_.env().files().CrashImage(Damage::kLost, 1));
  env.clock().Advance(actor_.env().clock().MonotonicNanos());
  auto db = OpenRig(&env, kRigDir, RigOptions());
  if (!db.ok()) return base::Annotate(db.status(), "open after power loss");
  BANDB_ASSIGN_OR_RETURN(const ModelEntries kept, ReadAll(db->get(), oracle_.candidates()[0]));
  return base::Annotate(oracle_.Settle(kept), "after power loss");
}

}  // namespace

FaultReport RunFaults(const RigScenario& scenario, FaultKind kind, bool sticky) {
  FaultReport report;
  for (uint64_t skip = 0;; ++skip) {
    const Fault fault{.kind = kind, .skip = skip, .count = sticky ? Fault::kSticky : 1};
    FaultRun run(scenario, fault);
    if (run.failures == 0 && skip >= run.calls) {
      report.calls = skip;
      return report;
    }
    // What a process that is being killed still asks for is refused without a fault.
    if (run.failures == 0) continue;
    ++report.runs;
    report.failures += run.failures;
    report.refusals += run.refusals;
    const absl::Status status = run.Check();
    if (status.ok()) continue;
    report.violations.push_back(fmt::format("{}: call {} fails{}: {}\n{}", scenario.name, skip + 1,
                                            sticky ? " and all behind it" : "", status.ToString(), run.Log()));
    if (report.violations.size() >= kViolationsMax) return report;
  }
}

}  // namespace bandb::test
