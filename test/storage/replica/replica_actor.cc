// The user of a replica in the crash tests, and what it does.
#include <algorithm>
#include <utility>

#include "base/status.h"
#include "storage/replica/replica_crash.h"
#include "support/tiny_options.h"

namespace bandb::test {

Options SmallReplicaOptions() { return TinyOptions(); }

ReplicaActor::ReplicaActor(uint64_t seed, const LogCourse* course, Prepare prepare)
    : course_(course), prepare_(std::move(prepare)), random_(seed), env_(std::make_unique<TestEnv>(seed)) {
  prepare_(&env_->files());
}

ReplicaActor::~ReplicaActor() {
  if (replica_ == nullptr) return;
  env_->files().SetHook(nullptr);
  env_->files().Stop();
  CloseReplica(replica_.get(), &env_->executor()).IgnoreError();
}

void ReplicaActor::Expect(const char* what, const absl::Status& status) {
  if (surprise_.ok()) surprise_ = base::Annotate(status, what);
  if (replica_ == nullptr || !surprise_.ok() || !status.ok()) return;
  surprise_ = base::Annotate(replica_->engine().CheckInvariants(), "the invariants");
}

void ReplicaActor::Open() {
  auto replica = storage::EngineReplica::Open(env_->env(), kReplicaDir, SmallReplicaOptions(), TestStart());
  if (replica.ok()) replica_ = *std::move(replica);
  Expect("Open", replica.status());
  if (replica_ == nullptr) return;
  // The owner reads its log from there on.
  applied_ = replica_->applied().applied.index;
  replica_->LogIsDurable(log_durable_);
}

void ReplicaActor::Close() {
  if (replica_ == nullptr) return;
  Expect("Close", CloseReplica(replica_.get(), &env_->executor()));
  replica_.reset();
}

void ReplicaActor::Kill() {
  auto image = env_->files().ProcessDeathImage(random_.Next());
  env_->files().SetHook(nullptr);
  env_->files().Stop();
  CloseReplica(replica_.get(), &env_->executor()).IgnoreError();
  replica_.reset();
  auto next = std::make_unique<TestEnv>(random_.Next(), std::move(image));
  prepare_(&next->files());
  env_ = std::move(next);
  Open();
}

void ReplicaActor::LogDurableTo(uint64_t index) {
  log_durable_ = std::max(log_durable_, index);
  if (replica_ != nullptr) replica_->LogIsDurable(log_durable_);
}

void ReplicaActor::Apply(uint64_t count) {
  for (; count > 0 && applied_ < course_->last_index() && replica_ != nullptr; --count) {
    // A memtable that is full waits for the log, so it must not be far behind.
    const uint64_t behind = random_.Uniform(8);
    if (applied_ > behind) LogDurableTo(applied_ - behind);
    Expect("Apply", course_->Apply(replica_.get(), &env_->executor(), applied_ + 1));
    ++applied_;
  }
}

void ReplicaActor::Flush() {
  if (replica_ == nullptr) return;
  LogDurableTo(applied_);
  const absl::Status flushed = FlushReplica(replica_.get(), &env_->executor());
  Expect("Flush", flushed);
  if (!flushed.ok()) return;
  promised_ = std::max(promised_, applied_);
  if (replica_->durable().applied.index < promised_) Expect("durable()", absl::InternalError("less than promised"));
}

void ReplicaActor::Freeze() {
  if (replica_ == nullptr) return;
  Expect("Freeze", replica_->Freeze().status());
  env_->executor().RunReady();
}

void ReplicaActor::Compact() {
  Flush();
  if (replica_ != nullptr) Expect("CompactRange", CompactReplica(replica_.get(), &env_->executor()));
}

absl::Status ReplicaActor::TryInstall(uint64_t index) {
  constexpr size_t kPieceBytes = 24 << 10;
  if (peer_ == nullptr) peer_ = std::make_unique<ReplicaPeer>(random_.Next(), course_);
  BANDB_RETURN_IF_ERROR(peer_->ApplyTo(index));
  // Also what gives space back, so that the replica has nothing to rewrite, and keeps the files.
  peer_->env().executor().RunReady();
  const storage::PinnedState pinned = peer_->replica().PinState();
  BANDB_ASSIGN_OR_RETURN(const storage::ReplicaState state, pinned.Describe());
  BANDB_ASSIGN_OR_RETURN(std::unique_ptr<storage::IncomingState> incoming, replica_->Receive(state));
  BANDB_ASSIGN_OR_RETURN(const uint64_t sent, SendState(pinned, incoming.get(), kPieceBytes));
  tables_kept_ += state.tables.size() - sent;
  return InstallState(replica_.get(), &env_->executor(), std::move(incoming));
}

void ReplicaActor::Install(uint64_t ahead) {
  if (replica_ == nullptr) return;
  installing_ = std::min(applied_ + ahead, course_->last_index());
  const absl::Status installed = TryInstall(installing_);
  Expect("Install", installed);
  if (installed.ok()) {
    promised_ = applied_ = installing_;
    // The owner's log begins there now.
    LogDurableTo(installing_);
    if (replica_->applied().applied.index != applied_)
      Expect("applied()", absl::InternalError("not the installed one"));
  }
  installing_ = 0;
}

namespace {

void Flushes(ReplicaActor* actor) {
  actor->Open();
  for (int i = 0; i < 3; ++i) {
    actor->Apply(10);
    actor->Freeze();
  }
  actor->Flush();
  actor->Apply(1);
  actor->Flush();
  actor->Apply(60);
  actor->env().executor().RunReady();
  actor->Apply(60);
  actor->Close();
}

void Compactions(ReplicaActor* actor) {
  actor->Open();
  for (int i = 0; i < 4; ++i) {
    actor->Apply(40);
    actor->env().executor().RunReady();
    actor->Flush();
  }
  actor->Compact();
  actor->Apply(20);
  actor->Close();
}

// Entries that write nothing, so that positions go on without tables.
void Positions(ReplicaActor* actor) {
  actor->Open();
  for (int i = 0; i < 6; ++i) {
    actor->Apply(3);
    actor->Flush();
  }
  actor->Close();
}

void Reopens(ReplicaActor* actor) {
  actor->Open();
  for (int i = 0; i < 4; ++i) {
    actor->Apply(25);
    if (i % 2 == 0) actor->Flush();
    actor->Close();
    actor->Open();
  }
  actor->Close();
}

void Kills(ReplicaActor* actor) {
  actor->Open();
  for (int i = 0; i < 4; ++i) {
    actor->Apply(30);
    if (i % 2 == 1) actor->Flush();
    actor->Apply(5);
    actor->Kill();
  }
  actor->Close();
}

// What expires between the position in the manifest and what is applied, while merges run.
void TimesToLive(ReplicaActor* actor) {
  actor->Open();
  for (int i = 0; i < 4; ++i) {
    actor->Apply(12);
    actor->Flush();
    actor->Apply(12);
    actor->Compact();
    actor->Apply(8);
    actor->env().executor().RunReady();
  }
  actor->Close();
}

// States of a peer, in between what the replica makes itself; the second is the first once more, of
// which all tables are there.
void Installs(ReplicaActor* actor) {
  actor->Open();
  actor->Apply(20);
  actor->Flush();
  actor->Apply(10);
  actor->Install(40);
  actor->Install(0);
  actor->Apply(10);
  actor->Install(12);
  actor->Apply(10);
  actor->Flush();
  actor->Close();
}

// While flushes and compactions of the state before are under way or wait.
void InstallsOverWork(ReplicaActor* actor) {
  actor->Open();
  for (int i = 0; i < 3; ++i) {
    actor->Apply(40);
    actor->Flush();
    actor->Apply(12);
    actor->Freeze();
    actor->Apply(8);
    actor->Install(10);
  }
  actor->Apply(5);
  actor->Close();
}

// A node that is new, and one that dies after each.
void InstallsAndKills(ReplicaActor* actor) {
  actor->Open();
  for (int i = 0; i < 3; ++i) {
    actor->Install(25);
    actor->Kill();
    actor->Apply(5);
  }
  // Of the entry that it is at: nothing is lost, and nothing gained.
  actor->Flush();
  actor->Install(0);
  actor->Close();
}

}  // namespace

const std::vector<ReplicaScenario>& ReplicaScenarios() {
  static const std::vector<ReplicaScenario> scenarios = {
      {"flushes", {.entries = 160}, Flushes},
      {"compactions", {.entries = 200, .keys = 80}, Compactions},
      {"positions", {.entries = 20, .conditions = 1, .memberships = 3, .empty = 2}, Positions},
      {"reopens", {.entries = 110}, Reopens},
      {"kills", {.entries = 120}, Kills},
      {"installs", {.entries = 110}, Installs},
      {"installs over work", {.entries = 220, .keys = 60}, InstallsOverWork},
      {"installs and kills", {.entries = 100}, InstallsAndKills},
      {"times to live", {.entries = 140, .keys = 12, .conditions = 2, .times_to_live = 1, .sessions = 3}, TimesToLive},
  };
  return scenarios;
}

}  // namespace bandb::test
