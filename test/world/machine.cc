#include "world/machine.h"

#include <utility>

#include "base/assert.h"
#include "base/status.h"
#include "support/plain_resolver.h"

namespace bandb::world {

namespace {

constexpr char kDirectory[] = "/node";

}  // namespace

class Machine::NodeListener final : public cluster::Node::Listener {
 public:
  explicit NodeListener(Machine* machine) : machine_(machine) {}

  void OnLeaderChanged(raft::Term term, raft::NodeId leader, bool) override {
    machine_->events_->OnLeader(machine_, term, leader);
  }
  void OnMembersChanged(uint64_t) override {}
  void OnRemoved() override {
    machine_->removed_ = true;
    machine_->events_->OnRemoved(machine_);
  }
  void OnFailed(const absl::Status& status) override {
    machine_->failed_ = machine_->failure_new_ = true;
    machine_->failure_ = status;
  }

 private:
  Machine* const machine_;
};

Machine::Process::Process(Machine* machine, uint64_t seed)
    : random(seed),
      executor(machine->network_,
               {.host = machine->host_, .workers = machine->options_.executor_workers, .seed = random.Next()}),
      syncs(machine->network_, {.host = machine->host_,
                                .workers = 1,
                                .seed = random.Next(),
                                .step_nanos_min = machine->options_.sync_nanos_min,
                                .step_nanos_max = machine->options_.sync_nanos_max}),
      loop(machine->network_->MakeLoop(machine->host_)),
      listener(std::make_unique<NodeListener>(machine)) {}

Machine::Machine(int host, test::SimNetwork* network, const MachineOptions& options, uint64_t seed, Events* events)
    : host_(host),
      network_(network),
      options_(options),
      events_(events),
      random_(seed),
      clock_(network),
      files_(std::make_unique<test::CrashFileSystem>()) {
  ArmCrashHook();
}

Machine::~Machine() {
  if (process_ == nullptr) return;
  files_->Stop();
  EndProcess();
}

bool Machine::leads() const {
  const cluster::Node* const running = node();
  return running != nullptr && running->core() != nullptr && running->core()->inspect().role == raft::Role::kLeader;
}

bool Machine::installing() const {
  const cluster::Node* const running = node();
  return running != nullptr && running->core() != nullptr && running->core()->inspect().installing;
}

base::Env Machine::EnvOf(Process* process) {
  return {.files = files_.get(),
          .clock = &clock_,
          .executor = &process->executor,
          .logger = &logger_,
          .random = &process->random,
          .regions = &process->memory};
}

cluster::SingleLogOptions Machine::CreationLog() {
  cluster::SingleLogOptions log;
  log.executor = &process_->executor;
  log.clock = &clock_;
  log.random = &process_->random;
  log.logger = &logger_;
  log.segment_bytes = options_.node.segment_bytes;
  return log;
}

void Machine::Start(bool bootstrap, std::vector<std::string> join, const std::string& replaces) {
  BANDB_ASSERT(process_ == nullptr && state_ == State::kDown);
  ++lives_;
  failed_ = removed_ = false;
  logger_.Log(base::LogLevel::kInfo, "---- life {}", lives_);
  process_ = std::make_unique<Process>(this, random_.Next());
  if (const absl::Status begun = Begin(bootstrap, std::move(join), replaces); !begun.ok()) return HandleError(begun);
  if (state_ == State::kUp) events_->OnUp(this);
}

absl::Status Machine::Begin(bool bootstrap, std::vector<std::string> join, const std::string& replaces) {
  const base::Env env = EnvOf(process_.get());
  BANDB_ASSIGN_OR_RETURN(process_->directory, cluster::NodeDirectory::Open(env, kDirectory, true));
  cluster::NodeDirectory* const directory = process_->directory.get();
  if (directory->content() == cluster::NodeDirectory::Content::kNode) return OpenNode();
  if (bootstrap) {
    BANDB_RETURN_IF_ERROR(
        directory->Bootstrap(options_.node.storage, CreationLog(),
                             cluster::EncodeMemberAddress({.peer = address(), .client = {}, .name = name()})));
    return OpenNode();
  }
  BANDB_ASSIGN_OR_RETURN(const raft::NodeId id, directory->JoiningId());
  id_ = id;
  cluster::JoinRequest request{
      .node = id,
      .address = cluster::EncodeMemberAddress({.peer = address(), .client = {}, .name = name()}),
      .replaces = replaces};
  process_->join = std::make_unique<cluster::JoinTask>(
      cluster::JoinTask::Parts{.env = env, .loop = process_->loop, .resolver = std::make_shared<test::PlainResolver>()},
      std::move(join), request);
  state_ = State::kJoining;
  return absl::OkStatus();
}

absl::Status Machine::OpenNode() {
  cluster::NodeOptions options = options_.node;
  options.listen = address();
  options.address = {.peer = address(), .client = {}, .name = name()};
  const cluster::Node::Parts parts{.env = EnvOf(process_.get()),
                                   .loop = process_->loop,
                                   .resolver = std::make_shared<test::PlainResolver>(),
                                   .sync_executor = &process_->syncs,
                                   .listener = process_->listener.get()};
  BANDB_ASSIGN_OR_RETURN(process_->node, cluster::Node::Open(parts, options, std::move(process_->directory)));
  id_ = process_->node->id();
  state_ = State::kUp;
  return absl::OkStatus();
}

absl::Status Machine::FinishJoin() {
  const std::unique_ptr<cluster::JoinTask> join = std::move(process_->join);
  // Let in and removed before it knew of either.
  removed_ = join->status().code() == absl::StatusCode::kFailedPrecondition;
  BANDB_RETURN_IF_ERROR(join->status());
  BANDB_RETURN_IF_ERROR(
      process_->directory->Join(options_.node.storage, CreationLog(), join->cluster(), join->database_id()));
  return OpenNode();
}

void Machine::HandleError(const absl::Status& status) {
  // A death is the cause of whatever came after it.
  if (death_.has_value()) return;
  logger_.Log(base::LogLevel::kError, "the process ends: {}", base::Message(status));
  if (status.code() == absl::StatusCode::kDataLoss) events_->OnDataLoss(this, status);
  EndProcess();
  events_->OnDown(this, base::Message(status));
}

void Machine::ArmCrashHook() {
  files_->SetHook([this](uint64_t mutation) {
    if (mutation < kill_at_ || process_ == nullptr) return;
    kill_at_ = UINT64_MAX;
    files_->Stop();
    death_ = planned_;
  });
}

void Machine::Kill(const Death& death) {
  if (process_ != nullptr && !death_.has_value()) death_ = death;
}

void Machine::KillAtCall(uint64_t calls, const Death& death) {
  kill_at_ = files_->mutations() + 1 + calls;
  planned_ = death;
}

void Machine::Stop() {
  if (process_ == nullptr || death_.has_value()) return;
  EndProcess();
  // It may have been killed on the way.
  if (!death_.has_value()) events_->OnDown(this, "stopped");
}

void Machine::Wipe() {
  BANDB_ASSERT(process_ == nullptr);
  files_ = std::make_unique<test::CrashFileSystem>();
  kill_at_ = UINT64_MAX;
  faulty_ = lost_power_ = false;
  id_ = raft::kNoNode;
  ArmCrashHook();
}

void Machine::Freeze(bool frozen) {
  frozen_ = frozen && process_ != nullptr;
  if (process_ == nullptr) return;
  network_->Hold(process_->loop.get(), frozen);
  process_->executor.Hang(frozen);
  process_->syncs.Hang(frozen);
}

void Machine::SetTurnNanos(int64_t nanos) {
  clock_.turn_nanos = nanos;
  network_->SetTurnNanos(host_, nanos);
}

void Machine::AfterStep() {
  if (death_.has_value()) return Die();
  if (state_ != State::kJoining || !process_->join->ended()) return;
  state_ = State::kDown;
  if (const absl::Status joined = FinishJoin(); !joined.ok()) return HandleError(joined);
  events_->OnUp(this);
}

void Machine::Die() {
  const Death death = *std::exchange(death_, std::nullopt);
  if (process_ != nullptr) network_->Kill(process_->loop.get());
  files_->Stop();
  std::unique_ptr<test::CrashFileSystem> image = death.power_loss.has_value()
                                                     ? files_->CrashImage(*death.power_loss, random_.Next())
                                                     : files_->ProcessDeathImage(random_.Next());
  dying_ = true;
  if (process_ != nullptr) EndProcess();
  dying_ = false;
  files_ = std::move(image);
  lost_power_ |= death.power_loss.has_value();
  kill_at_ = UINT64_MAX;
  ArmCrashHook();
  events_->OnDown(this, death.power_loss.has_value() ? "power lost" : "killed");
}

void Machine::EndProcess() {
  state_ = State::kDown;
  frozen_ = false;
  if (process_->node != nullptr) {
    process_->node->Stop();
    cluster::CloseReplica(&process_->node->replica(), &process_->executor).IgnoreError();
  }
  process_->join.reset();
  process_->executor.Shutdown();
  process_->syncs.Shutdown();
  process_->node.reset();
  process_->directory.reset();
  process_.reset();
}

}  // namespace bandb::world
