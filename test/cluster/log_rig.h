// A SingleLog over a disk that crashes, a model of what it has to keep, and the work that both do.
#ifndef BANDB_TEST_CLUSTER_LOG_RIG_H_
#define BANDB_TEST_CLUSTER_LOG_RIG_H_

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "cluster/single_log.h"
#include "support/test_env.h"

namespace bandb::cluster {

inline constexpr uint64_t kRigSegmentBytes = 4096;

storage::Uuid RigDatabase();
raft::Entry MakeEntry(raft::Index index, raft::Term term, std::string_view payload);
raft::Entry MakeConfigurationEntry(raft::Index index, raft::Term term, std::vector<raft::NodeId> voters);

// Files, an executor and the turns of a node's thread.
class LogWorld {
 public:
  explicit LogWorld(uint64_t seed) : env_(seed) {}
  LogWorld(uint64_t seed, std::unique_ptr<test::CrashFileSystem> files) : env_(seed, std::move(files)) {}

  test::CrashFileSystem& files() { return env_.files(); }
  test::TestEnv& env() { return env_; }
  SingleLogOptions options();
  LogDirectory directory() { return options().directory; }
  // Runs the turns that were posted, and nothing on the executor. Returns how many.
  size_t RunTurns();
  // Runs all that is there to do on both, without waiting for timers.
  void RunAll();
  // The same, and what comes up within this time.
  void RunFor(int64_t nanos);

 private:
  test::TestEnv env_;
  std::deque<base::Task> turns_;
};

// What the log answered.
class RecordingListener final : public LogDevice::Listener {
 public:
  void OnHardStateDurable(uint64_t write) override { hard_state = write; }
  void OnLogDurable(uint64_t write, raft::Term term, raft::Index index) override {
    log = write;
    log_term = term;
    log_index = index;
  }
  void OnWriteFailed() override { failed = true; }
  void OnFetched(uint64_t fetch, bool ok, raft::Entries entries) override {
    fetched[fetch] = ok ? std::optional(std::move(entries)) : std::nullopt;
  }
  void OnFetchLost(uint64_t fetch) override {
    lost.insert(fetch);
    OnFetched(fetch, false, {});
  }
  void OnReset(raft::Index index, raft::Term) override { reset = index; }
  void OnCapacity(bool full) override { nearly_full = full; }

  uint64_t hard_state = 0;
  uint64_t log = 0;
  raft::Term log_term = 0;
  raft::Index log_index = 0;
  raft::Index reset = 0;
  bool failed = false;
  bool nearly_full = false;
  std::map<uint64_t, std::optional<raft::Entries>> fetched;
  std::set<uint64_t> lost;
};

// A log as plain values.
struct PlainLog {
  raft::Index floor = 0;
  raft::Term floor_term = 0;
  std::map<raft::Index, raft::Entry> entries;

  raft::Index last() const { return entries.empty() ? floor : entries.rbegin()->first; }
  raft::Term TermAt(raft::Index index) const;
  void TruncateAfter(raft::Index index) { entries.erase(entries.upper_bound(index), entries.end()); }
  // What is left of it after `index`.
  PlainLog After(raft::Index index) const;
  friend bool operator==(const PlainLog&, const PlainLog&) = default;
};

// What a disk holds: read back through the log itself. Runs the world.
PlainLog ReadBack(LogWorld* world, SingleLog* log, RecordingListener* listener);

// The states that a log went through, one for each step in which a crash may leave it.
class LogHistory {
 public:
  struct State {
    PlainLog log;
    raft::HardState hard_state;
  };

  LogHistory() : states_(1) {}

  const State& now() const { return states_.back(); }
  void HardState(const raft::HardState& state);
  void Truncate(raft::Index index);
  void Append(const raft::Entry& entry);
  void Reset(const raft::SnapshotMeta& floor);
  size_t steps() const { return states_.size() - 1; }
  // All up to this step was reported as durable.
  void Durable(size_t step) { durable_ = std::max(durable_, step); }
  // The state machine has durably applied this.
  void Applied(const raft::SnapshotMeta& state) { applied_ = state; }
  const raft::SnapshotMeta& applied() const { return applied_; }

  // Whether a node may find this after a crash: what it was after some step that is not before the
  // durable one. Empty, or what is wrong.
  std::string Check(const PlainLog& log, const raft::HardState& hard_state) const;

 private:
  std::vector<State> states_;
  size_t durable_ = 0;
  raft::SnapshotMeta applied_;
};

}  // namespace bandb::cluster

#endif  // BANDB_TEST_CLUSTER_LOG_RIG_H_
