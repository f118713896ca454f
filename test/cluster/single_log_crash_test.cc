// Crashes of a node's log at every call that changes its files.
#include <array>
#include <functional>
#include <string>
#include <tuple>

#include "base/status.h"
#include "cluster/log_rig.h"
#include "support/catch.h"

namespace bandb::cluster {
namespace {

using test::CrashFileSystem;
using test::Damage;

// A node at work: it writes, truncates, compacts, installs and restarts, by seed.
class Scenario {
 public:
  explicit Scenario(uint64_t seed) : seed_(seed), world_(seed), random_(seed * 7919) {}

  LogWorld& world() { return world_; }
  const LogHistory& history() const { return history_; }
  bool created() const { return created_; }

  // Errors: what Create or Open answers.
  absl::Status Run(int steps) {
    // The directory of the node is there, durably.
    if (!world_.files().CreateDirs("node").ok()) return absl::InternalError("no directory");
    if (!world_.files().SyncDir(".").ok()) return absl::InternalError("no directory");
    const absl::Status created = SingleLog::Create(world_.options(), {}, Floor(0, 0));
    if (!created.ok()) return created;
    created_ = true;
    if (const absl::Status opened = Open(); !opened.ok()) return opened;
    for (int i = 0; i < steps; ++i) Step();
    world_.RunAll();
    Settle();
    world_.RunFor(1'000'000'000);
    return Open();
  }

 private:
  // In some runs with such long addresses that a head needs more than one sector.
  raft::SnapshotMeta Floor(raft::Index index, raft::Term term) const {
    raft::SnapshotMeta floor{.index = index, .term = term, .configuration = raft::MakeConfiguration({1, 2, 3})};
    if (seed_ % 4 != 0) return floor;
    for (raft::Member& member : floor.configuration.members) member.address = std::string(300, 'm');
    return floor;
  }

  absl::Status Open() {
    log_.reset();
    absl::StatusOr<std::unique_ptr<SingleLog>> log = SingleLog::Open(world_.options(), history_.applied());
    if (!log.ok()) return log.status();
    log_ = *std::move(log);
    listener_ = RecordingListener();
    log_->SetListener(&listener_);
    writes_.clear();
    // All that was found was made durable.
    history_.Durable(history_.steps());
    return absl::OkStatus();
  }

  void Step() {
    switch (random_.Uniform(12)) {
      case 0:
      case 1:
        return WriteHardState();
      case 2:
        world_.RunAll();
        return Settle();
      case 3:
        return Compact();
      case 4:
        return random_.OneIn(4) ? Install() : world_.RunFor(100'000'000);
      case 5:
      case 6:
        for (uint64_t n = random_.Uniform(4); n > 0 && world_.env().executor().RunOne(); --n) {
        }
        world_.RunTurns();
        return Settle();
      default:
        return WriteEntries();
    }
  }

  void WriteHardState() {
    term_ += random_.Uniform(3);
    const raft::HardState state{.term = term_, .vote = random_.Uniform(4)};
    history_.HardState(state);
    Issued();
    log_->WriteHardState({.write = write_, .state = state});
  }

  void WriteEntries() {
    raft::Index next = history_.now().log.last() + 1;
    const raft::Index first = std::max(committed_, history_.now().log.floor) + 1;
    if (random_.OneIn(4) && next > first) {
      next = first + random_.Uniform(next - first);
      ++term_;
    }
    raft::LogWrite write{.term = std::max<raft::Term>(term_, 1), .index = 0, .commit = committed_, .entries = {}};
    term_ = write.term;
    for (uint64_t n = 1 + random_.Uniform(4); n > 0; --n, ++next) {
      const uint64_t size = random_.OneIn(6) ? 300 + random_.Uniform(2500) : random_.Uniform(120);
      write.entries.push_back(random_.OneIn(8)
                                  ? MakeConfigurationEntry(next, term_, {1, 2, 3 + random_.Uniform(5)})
                                  : MakeEntry(next, term_, std::string(size, static_cast<char>('a' + next % 26))));
      history_.Append(write.entries.back());
    }
    Issued();
    write.write = write_;
    write.index = next - 1;
    log_->WriteLog(write);
  }

  void Issued() { writes_[++write_] = history_.steps(); }

  // Takes note of what was reported; and sometimes the state machine's position moves on.
  void Settle() {
    for (const uint64_t write : {listener_.hard_state, listener_.log}) {
      if (write != 0) history_.Durable(writes_.at(write));
    }
    if (reset_step_ != 0 && listener_.reset != 0) {
      history_.Durable(reset_step_);
      reset_step_ = 0;
    }
    const PlainLog& log = history_.now().log;
    committed_ = std::max(committed_, log.floor);
    // Entries that were reported and not truncated since may be committed.
    if (listener_.log_index > committed_ && log.TermAt(listener_.log_index) == listener_.log_term) {
      committed_ = listener_.log_index;
    }
  }

  void Compact() {
    const PlainLog& log = history_.now().log;
    if (committed_ <= history_.applied().index || committed_ < log.floor) return;
    raft::SnapshotMeta state = Floor(committed_, log.TermAt(committed_));
    history_.Applied(state);
    log_->KeepAfter(committed_);
    log_->Compact(committed_ - random_.Uniform(std::min<uint64_t>(committed_, 4)));
  }

  void Install() {
    if (reset_step_ != 0) return;
    term_ += 1;
    const raft::SnapshotMeta floor = Floor(history_.now().log.last() + 5, term_);
    // The order of an install: the state first.
    history_.Applied(floor);
    history_.Reset(floor);
    listener_.reset = 0;
    reset_step_ = history_.steps();
    log_->Reset(floor);
    // Nothing is written to the log until it is empty.
    world_.RunAll();
    Settle();
  }

  const uint64_t seed_;
  LogWorld world_;
  base::Random random_;
  LogHistory history_;
  RecordingListener listener_;
  std::unique_ptr<SingleLog> log_;
  bool created_ = false;
  uint64_t write_ = 0;
  std::map<uint64_t, size_t> writes_;
  size_t reset_step_ = 0;
  raft::Term term_ = 0;
  raft::Index committed_ = 0;
};

// Empty, or what a node that starts on this disk finds that it must not.
std::string Judge(std::unique_ptr<CrashFileSystem> disk, uint64_t seed, const LogHistory& history, bool created) {
  LogWorld world(seed, std::move(disk));
  std::string before;
  // A second start finds what the first one found.
  for (int start = 0; start < 2; ++start) {
    absl::StatusOr<std::unique_ptr<SingleLog>> log = SingleLog::Open(world.options(), history.applied());
    if (!log.ok()) {
      if (!created && log.status().code() == absl::StatusCode::kNotFound) return {};
      return std::string(base::Message(log.status()));
    }
    RecordingListener listener;
    const raft::Restart restart = (*log)->restart();
    const std::string wrong = history.Check(ReadBack(&world, log->get(), &listener), restart.hard_state);
    if (!wrong.empty()) return wrong;
    const std::string now = fmt::format("{} {} {}", restart.floor.index, restart.last_index, restart.hard_state.term);
    if (start == 1 && now != before) return "another log at the second start";
    before = now;
  }
  return {};
}

constexpr std::array kDamages = {Damage::kLost, Damage::kKept, Damage::kPrefix, Damage::kTorn, Damage::kReordered};

// Runs a scenario and judges an image of the disk at each call that changes it. Stops at the first
// violation.
std::string RunWithCrashes(uint64_t seed, int steps, const std::function<void(CrashFileSystem*)>& prepare,
                           uint64_t* images) {
  Scenario scenario(seed);
  CrashFileSystem& files = scenario.world().files();
  prepare(&files);
  std::string wrong;
  files.SetHook([&](uint64_t mutation) {
    if (!wrong.empty()) return;
    const Damage damage = kDamages[(mutation + seed) % kDamages.size()];
    for (const Damage each : {Damage::kLost, damage}) {
      ++*images;
      wrong = Judge(files.CrashImage(each, seed + mutation), seed + mutation, scenario.history(), scenario.created());
      if (!wrong.empty()) {
        wrong = fmt::format("seed {}, call {}, damage {}: {}", seed, mutation, test::DamageName(each), wrong);
        return;
      }
    }
    ++*images;
    wrong = Judge(files.ProcessDeathImage(seed + mutation), seed, scenario.history(), scenario.created());
    if (!wrong.empty()) wrong = fmt::format("seed {}, call {}, process death: {}", seed, mutation, wrong);
  });
  const absl::Status ran = scenario.Run(steps);
  files.SetHook(nullptr);
  if (wrong.empty() && !ran.ok()) wrong = fmt::format("seed {}: {}", seed, base::Message(ran));
  return wrong;
}

TEST_CASE("A node's log survives a crash at every call, whatever the disk keeps", "[single_log]") {
  uint64_t images = 0;
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    INFO("seed " << seed);
    REQUIRE(RunWithCrashes(
                seed, 60, [](CrashFileSystem*) {}, &images) == "");
  }
  CHECK(images > 10'000);
}

// Whether some run notices that these syncs are left out.
bool IsNoticed(uint64_t seed, int steps, const std::function<void(CrashFileSystem*)>& leave_out) {
  uint64_t images = 0;
  return !RunWithCrashes(seed, steps, leave_out, &images).empty();
}

TEST_CASE("syncs of the log that are left out are noticed, each kind of them") {
  const std::tuple<test::FileCall, std::string> left_out = GENERATE(table<test::FileCall, std::string>({
      {test::FileCall::kSync, "*/log/*.seg"},       // what was written
      {test::FileCall::kSync, "*/log/000001.seg"},  // by Create
      {test::FileCall::kSync, "*/log/000002.seg"},  // by Open
      {test::FileCall::kSync, "*/log/000003.seg"},  // the first spare
      {test::FileCall::kSyncDir, "*/log"},          // the names of segments
      {test::FileCall::kSyncDir, "*node"},          // the name of the directory
  }));
  const test::FileCall call = std::get<0>(left_out);
  const std::string path = std::get<1>(left_out);
  INFO(test::FileCallName(call) << " of " << path);
  bool noticed = false;
  for (uint64_t seed = 1; seed <= 20 && !noticed; ++seed) {
    noticed = IsNoticed(seed, 60, [&](CrashFileSystem* files) { files->IgnoreSyncs(call, path); });
  }
  CHECK(noticed);
}

}  // namespace
}  // namespace bandb::cluster
