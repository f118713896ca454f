#include "cluster/applier_rig.h"

#include <algorithm>

#include "base/status.h"
#include "raft/types/configuration_codec.h"
#include "support/catch.h"
#include "support/tiny_options.h"

namespace bandb::cluster {

namespace {

constexpr uint64_t kCluster = 7;
constexpr raft::NodeId kLeader = 99;
constexpr raft::Index kEntriesInMessage = 7;
constexpr size_t kPieceBytes = 20'000;

std::string Encoded(const raft::Configuration& configuration) {
  std::string bytes;
  raft::EncodeConfiguration(configuration, &bytes);
  return bytes;
}

raft::Message FromLeader(raft::MessageKind kind, raft::NodeId to, raft::Term term) {
  raft::Message message;
  message.kind = kind;
  message.cluster = kCluster;
  message.from = kLeader;
  message.to = to;
  message.term = term;
  return message;
}

std::vector<std::pair<std::string, std::string>> Walk(Iterator* it) {
  std::vector<std::pair<std::string, std::string>> found;
  for (it->SeekToFirst(); it->Valid(); it->Next()) found.emplace_back(it->key(), it->value());
  REQUIRE_OK(it->status());
  return found;
}

}  // namespace

Options SmallOptions() { return test::TinyOptions(); }

raft::Configuration RigConfiguration() { return raft::MakeConfiguration({1, 2, kLeader}); }

storage::ReplicaStart RigStart(uint64_t node) {
  storage::ReplicaStart start;
  start.identity.database_id.bytes.fill('d');
  start.identity.cluster_id.bytes.fill('c');
  start.identity.node_id = node;
  start.membership = Encoded(RigConfiguration());
  return start;
}

std::string ResultsText(absl::Span<const CommandResult> results) {
  std::string text;
  for (const CommandResult& result : results) {
    text += (text.empty() ? "" : ", ") + absl::StatusCodeToString(result.status.code());
    if (result.duplicate) text += " (again)";
  }
  return text;
}

ApplierNode::ApplierNode(const Setup& setup, const Log* log, std::unique_ptr<test::CrashFileSystem> files)
    : setup_(setup),
      log_(log),
      env_(files == nullptr ? std::make_unique<test::TestEnv>(setup.seed)
                            : std::make_unique<test::TestEnv>(setup.seed, std::move(files))) {}

ApplierNode::~ApplierNode() { Close(); }

void ApplierNode::DestroyApplier() {
  applier_.reset();
  const size_t told = results.size() + applied_to.size() + durable.size() + failures.size() + installed.size();
  for (int i = 0; i < 100; ++i) {
    env_->executor().RunFor(100'000'000);
    for (base::Task& task : std::exchange(applier_turns_, {})) std::move(task)();
  }
  CHECK(told == results.size() + applied_to.size() + durable.size() + failures.size() + installed.size());
}

absl::StatusOr<raft::Restart> ApplierNode::RestartAt(raft::Index committed) {
  const storage::ReplicaPosition position = replica_->durable();
  raft::Restart restart;
  restart.floor = {.index = position.applied.index, .term = position.applied.term, .configuration = {}};
  if (!raft::DecodeConfiguration(position.membership, &restart.floor.configuration)) {
    return base::Error(absl::StatusCode::kDataLoss, "the membership is none");
  }
  restart.applied = position.applied.index;
  fed_ = std::max(committed, restart.applied);
  restart.hard_state = {.term = fed_ == 0 ? 0 : (*log_)[fed_ - 1].term, .vote = raft::kNoNode, .commit = fed_};
  for (raft::Index index = restart.applied + 1; index <= fed_; ++index) {
    BANDB_RETURN_IF_ERROR(restart.AddEntry((*log_)[index - 1]));
  }
  return restart;
}

absl::Status ApplierNode::Open(raft::Index committed) {
  results.clear();
  applied_to.clear();
  durable.clear();
  failures.clear();
  installed.clear();
  BANDB_ASSIGN_OR_RETURN(replica_,
                         storage::EngineReplica::Open(env_->env(), kNodeDir, setup_.options, RigStart(setup_.node)));
  auto applier = Applier::Open({.replica = replica_.get(),
                                .executor = &env_->executor(),
                                .post = [this](base::Task task) { applier_turns_.push_back(std::move(task)); },
                                .logger = &env_->logger(),
                                .listener = this});
  BANDB_RETURN_IF_ERROR(applier.status());
  applier_ = *std::move(applier);
  raft::Options options;
  options.self = setup_.node;
  options.cluster = kCluster;
  options.seed = setup_.seed;
  options.election_timeout_nanos = int64_t{1} << 50;
  options.disk_stall_timeout_nanos = int64_t{1} << 51;
  BANDB_ASSIGN_OR_RETURN(const raft::Restart restart, RestartAt(committed));
  BANDB_ASSIGN_OR_RETURN(driver_, Driver::Create(options, restart, ++now_, {this, this, applier_.get(), this}));
  applier_->SetDriver(driver_.get());
  events_.emplace_back(raft::Tick());
  return absl::OkStatus();
}

void ApplierNode::Close() {
  applier_.reset();
  if (replica_ != nullptr) {
    base::Event at_rest;
    replica_->engine().BeginClose([&at_rest](absl::Status) { at_rest.Set(); });
    env_->executor().Wait(&at_rest, base::kForever);
    replica_->engine().FinishClose().IgnoreError();
  }
  turns_.clear();
  applier_turns_.clear();
  events_.clear();
  replica_.reset();
  driver_.reset();
}

void ApplierNode::CrashInto(std::unique_ptr<test::CrashFileSystem> image) {
  env_->files().SetHook(nullptr);
  env_->files().Stop();
  Close();
  env_ = std::make_unique<test::TestEnv>(++now_, std::move(image));
}

void ApplierNode::Crash(test::Damage damage) {
  CrashInto(env_->files().CrashImage(damage, static_cast<uint64_t>(now_)));
}

void ApplierNode::Kill() { CrashInto(env_->files().ProcessDeathImage(static_cast<uint64_t>(now_))); }

void ApplierNode::Feed(raft::Index index) {
  BANDB_ASSERT(index <= log_->size());
  while (fed_ < index) {
    const raft::Index last = std::min(index, fed_ + kEntriesInMessage);
    raft::Message message = FromLeader(raft::MessageKind::kAppend, setup_.node, (*log_)[last - 1].term);
    message.index = fed_;
    message.log_term = fed_ == 0 ? 0 : (*log_)[fed_ - 1].term;
    message.commit = last;
    for (; fed_ < last; ++fed_) message.entries.push_back((*log_)[fed_]);
    events_.emplace_back(raft::Receive{std::move(message)});
  }
}

bool ApplierNode::RunTurn() {
  if (turns_.empty() && applier_turns_.empty() && events_.empty()) return false;
  for (base::Task& task : std::exchange(turns_, {})) std::move(task)();
  for (base::Task& task : std::exchange(applier_turns_, {})) std::move(task)();
  for (raft::Event& event : std::exchange(events_, {})) driver_->Step(++now_, std::move(event));
  driver_->Turn();
  driver_->SendReady();
  return true;
}

void ApplierNode::RunTurns() {
  while (RunTurn()) {
  }
}

void ApplierNode::RunAll() {
  do {
    RunTurns();
  } while (env_->executor().RunReady() != 0 || !applier_turns_.empty());
}

void ApplierNode::RunFor(int64_t nanos) {
  const int64_t end = env_->clock().MonotonicNanos() + nanos;
  do {
    RunAll();
  } while (env_->executor().RunOne(end));
  env_->executor().RunFor(std::max<int64_t>(0, end - env_->clock().MonotonicNanos()));
  RunAll();
}

void ApplierNode::RunToEnd() {
  RunAll();
  for (int i = 0; i < 100 && applier_->applied() != fed_; ++i) RunFor(100'000'000);
  REQUIRE(applier_->applied() == fed_);
  CHECK(applier_->backlog_bytes() == 0);
}

std::unique_ptr<storage::IncomingState> ApplierNode::ReceiveFrom(ApplierNode* peer, raft::SnapshotMeta* meta) {
  const storage::PinnedState pinned = peer->applier().PinState();
  const auto state = pinned.Describe();
  REQUIRE_OK(state.status());
  meta->index = state->position.applied.index;
  meta->term = state->position.applied.term;
  REQUIRE(raft::DecodeConfiguration(state->position.membership, &meta->configuration));
  auto incoming = replica_->Receive(*state);
  REQUIRE_OK(incoming.status());
  std::string piece(kPieceBytes, '\0');
  for (size_t i = 0; i < (*incoming)->table_count(); ++i) {
    if (!(*incoming)->Wants(i)) continue;
    const auto file = pinned.OpenTable(i);
    REQUIRE_OK(file.status());
    while ((*incoming)->Wants(i)) {
      const auto got = (*file)->Read((*incoming)->ReceivedBytes(i), absl::MakeSpan(piece));
      REQUIRE_OK(got.status());
      REQUIRE(*got != 0);
      REQUIRE_OK((*incoming)->Append(i, std::string_view(piece).substr(0, *got)));
    }
  }
  return *std::move(incoming);
}

void ApplierNode::ReceiveSnapshot(const raft::SnapshotMeta& meta) {
  raft::Message message = FromLeader(raft::MessageKind::kSnapshot, setup_.node, meta.term);
  message.term = std::max(message.term, driver_->core().inspect().term);
  message.snapshot = std::make_shared<const raft::SnapshotMeta>(meta);
  events_.emplace_back(raft::Receive{std::move(message)});
}

bool ApplierNode::SendStateOf(ApplierNode* peer) {
  raft::SnapshotMeta meta;
  auto incoming = ReceiveFrom(peer, &meta);
  applier_->TakeReceived(std::move(incoming), meta);
  ReceiveSnapshot(meta);
  const size_t before = installed.size();
  RunFor(1'000'000'000);
  REQUIRE(installed.size() == before + 1);
  if (installed.back()) fed_ = std::max(fed_, meta.index);
  return installed.back();
}

void ApplierNode::FlushAll() {
  RunToEnd();
  const size_t before = durable.size();
  applier_->TakeSnapshot();
  RunFor(1'000'000'000);
  REQUIRE(durable.size() > before);
  REQUIRE(durable.back() == applier_->applied());
}

Spaces ApplierNode::Dump() {
  const storage::ReplicaPosition& position = replica_->applied();
  return {.user = Walk(replica_->engine().NewIterator({}).get()),
          .system = Walk(replica_->NewSystemIterator().get()),
          .last_sequence = position.last_sequence,
          .commit_time_ms = position.commit_time_ms,
          .membership = position.membership};
}

void ApplierNode::OnApplied(raft::Index index, raft::Term term, raft::EntryKind kind,
                            absl::Span<const CommandResult> command_results) {
  const raft::Entry& entry = (*log_)[index - 1];
  CHECK(entry.term == term);
  CHECK(entry.kind == kind);
  CHECK((results.empty() || index > results.rbegin()->first));
  results[index] = ResultsText(command_results);
  if (on_applied) on_applied(index);
}

void ApplierNode::OnAppliedTo(raft::Index index) {
  CHECK(applier_->applied() == index);
  CHECK(!results.empty());
  CHECK(results.rbegin()->first == index);
  applied_to.push_back(index);
  events_.emplace_back(raft::Applied{index});
}

void ApplierNode::OnDurable(const storage::ReplicaPosition& position) {
  CHECK(position.applied.index <= applier_->applied());
  durable.push_back(position.applied.index);
  events_.emplace_back(raft::SnapshotTaken{position.applied.index, 0});
}

void ApplierNode::Post(raft::Event event) {
  if (const auto* end = std::get_if<raft::SnapshotInstalled>(&event)) installed.push_back(end->ok);
  events_.push_back(std::move(event));
}

void ApplierNode::OutputSeen(const raft::Output& output) { CHECK(output.faults.empty()); }

void ApplierNode::WriteHardState(const raft::HardStateWrite& write) {
  turns_.push_back([this, number = write.write] { driver_->HardStateDurable(number); });
}

void ApplierNode::WriteLog(const raft::LogWrite& write) {
  turns_.push_back([this, number = write.write, term = write.term, index = write.index] {
    driver_->LogDurable(number, term, index);
  });
}

void ApplierNode::Fetch(const raft::Fetch& fetch) {
  raft::Entries entries;
  uint64_t bytes = 0;
  for (raft::Index index = fetch.first; index <= fetch.last; ++index) {
    bytes += raft::CostBytes((*log_)[index - 1]);
    if (!entries.empty() && bytes > fetch.bytes_max) break;
    entries.push_back((*log_)[index - 1]);
  }
  turns_.push_back([this, number = fetch.fetch, entries = std::move(entries)]() mutable {
    driver_->Fetched(number, true, std::move(entries));
  });
}

void ApplierNode::Reset(const raft::SnapshotMeta& floor) {
  turns_.push_back([this, index = floor.index] {
    CHECK(replica_->durable().applied.index == index);
    driver_->LogReset();
  });
}

}  // namespace bandb::cluster
