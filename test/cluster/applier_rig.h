// A node of which all ships but log, transport and time: a driver with its core, the applier and
// the engine, over a disk that crashes. A follower, to which a test feeds the log of a leader.
#ifndef BANDB_TEST_CLUSTER_APPLIER_RIG_H_
#define BANDB_TEST_CLUSTER_APPLIER_RIG_H_

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "cluster/applier.h"
#include "cluster/driver.h"
#include "cluster/log_device.h"
#include "cluster/transport.h"
#include "storage/engine/engine_replica.h"
#include "support/test_env.h"

namespace bandb::cluster {

using Log = std::vector<raft::Entry>;  // that of index 1 comes first

inline constexpr char kNodeDir[] = "/node";

// With which a few dozen entries already flush and compact.
Options SmallOptions();
raft::Configuration RigConfiguration();
storage::ReplicaStart RigStart(uint64_t node);

// "OK", "ABORTED" ...; "(again)" for a duplicate.
std::string ResultsText(absl::Span<const CommandResult> results);

// Key by key, in order: what an engine shows, and what is in space 0.
struct Spaces {
  std::vector<std::pair<std::string, std::string>> user;
  std::vector<std::pair<std::string, std::string>> system;
  uint64_t last_sequence = 0;
  uint64_t commit_time_ms = 0;
  std::string membership;

  friend bool operator==(const Spaces&, const Spaces&) = default;
};

// Thread safety: one thread.
class ApplierNode final : public Driver::Host, public LogDevice, public Transport, public Applier::Listener {
 public:
  struct Setup {
    uint64_t seed = 1;
    uint64_t node = 1;
    Options options = SmallOptions();
  };
  // Lifetime: the log is borrowed.
  ApplierNode(const Setup& setup, const Log* log, std::unique_ptr<test::CrashFileSystem> files = nullptr);
  ~ApplierNode() override;

  // Errors: of opening replica, applier or core. The log on its disk is known to be committed up to
  // `committed`, or what the replica has durably, if that is more.
  absl::Status Open(raft::Index committed);
  // Applier first, then the rest.
  void Close();
  // The power fails, or the process dies; then Open.
  void Crash(test::Damage damage);
  void Kill();
  void CrashInto(std::unique_ptr<test::CrashFileSystem> image);

  // The leader sends, and commits, up to this index, in messages of a few entries.
  void Feed(raft::Index index);
  // One turn of the loop: what was posted before it, and the events. False if there was nothing.
  bool RunTurn();
  // Turns alone, without the executor.
  void RunTurns();
  // All that is there to do, without waiting for timers.
  void RunAll();
  // The same, and what comes up within this time.
  void RunFor(int64_t nanos);
  // The same, until all that was fed is applied.
  void RunToEnd();

  // Receives all of the state that `peer` has durably, and has the leader say so. False if it was
  // refused.
  bool SendStateOf(ApplierNode* peer);
  // What SendStateOf gives the applier.
  std::unique_ptr<storage::IncomingState> ReceiveFrom(ApplierNode* peer, raft::SnapshotMeta* meta);
  void ReceiveSnapshot(const raft::SnapshotMeta& meta);
  // Has all that was fed applied and durable.
  void FlushAll();

  Spaces Dump();
  test::TestEnv& env() { return *env_; }
  storage::EngineReplica& replica() { return *replica_; }
  Applier& applier() { return *applier_; }
  Driver& driver() { return *driver_; }
  // And runs what it has left on executor and loop.
  void DestroyApplier();
  raft::Index fed() const { return fed_; }

  // What the listener was told, since the last Open.
  std::map<raft::Index, std::string> results;
  std::vector<raft::Index> applied_to;
  std::vector<raft::Index> durable;
  std::vector<absl::Status> failures;
  // Called from OnApplied.
  std::function<void(raft::Index)> on_applied;
  // Ends of installs.
  std::vector<bool> installed;

 private:
  void OnApplied(raft::Index index, raft::Term term, raft::EntryKind kind,
                 absl::Span<const CommandResult> command_results) override;
  void OnAppliedTo(raft::Index index) override;
  void OnDurable(const storage::ReplicaPosition& position) override;
  void OnApplyFailed(const absl::Status& status) override { failures.push_back(status); }

  void Post(raft::Event event) override;
  void OnOutput(const raft::Output& output) override { OutputSeen(output); }
  void OnRead(const raft::ReadResult&) override {}
  void OnDeadline(raft::Nanos) override {}
  void WriteHardState(const raft::HardStateWrite& write) override;
  void WriteLog(const raft::LogWrite& write) override;
  void Fetch(const raft::Fetch& fetch) override;
  void Reset(const raft::SnapshotMeta& floor) override;
  void Compact(raft::Index) override {}
  void Send(const raft::Message&) override {}
  void SendSnapshot(const raft::SendSnapshot&) override {}
  void OutputSeen(const raft::Output& output);
  // On what its log says after a start.
  absl::StatusOr<raft::Restart> RestartAt(raft::Index committed);

  const Setup setup_;
  const Log* const log_;
  std::unique_ptr<test::TestEnv> env_;
  std::deque<base::Task> turns_;  // of the log
  std::deque<base::Task> applier_turns_;
  std::deque<raft::Event> events_;
  std::unique_ptr<storage::EngineReplica> replica_;
  std::unique_ptr<Driver> driver_;
  std::unique_ptr<Applier> applier_;
  raft::Nanos now_ = 0;
  raft::Index fed_ = 0;
};

}  // namespace bandb::cluster

#endif  // BANDB_TEST_CLUSTER_APPLIER_RIG_H_
