// ScriptedNode: the surroundings of one driver, in which nothing happens by itself. A write reaches
// the disk, a snapshot the state and a read its end only when it is told to; what the node sends
// goes to a function. The scripted cluster and the fuzz target are made of it.
#ifndef BANDB_TEST_RAFT_SCRIPTED_NODE_H_
#define BANDB_TEST_RAFT_SCRIPTED_NODE_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "cluster/driver.h"

namespace bandb::raft {

class ScriptedNode : private cluster::Driver::Host,
                     private cluster::LogDevice,
                     private cluster::StateMachine,
                     private cluster::Transport {
 public:
  // What the owner hears, as it happens.
  struct Hooks {
    std::function<void(const Output&)> output;
    std::function<void(const Message&)> send;
    std::function<void(const Message&)> send_snapshot;
  };

  explicit ScriptedNode(Hooks hooks) : hooks_(std::move(hooks)) {}

  // A core on what the disk holds, applied as far as `applied`. Errors: as Core::Create.
  absl::Status Start(const Options& options, Index applied, Nanos now);
  // What is not on disk is lost.
  void Crash();
  bool running() const { return driver_ != nullptr; }
  const Core& core() const { return driver_->core(); }
  StepResult Step(Nanos now, Event event) { return driver_->Step(now, std::move(event)); }
  void Turn() { driver_->Turn(); }

  // Events that wait for a step, taken out.
  std::vector<Event> TakePosted() { return std::exchange(posted_, {}); }
  // The oldest write reaches the disk; its number, or 0 if there is none.
  uint64_t PersistOne();
  // The oldest write fails, and nothing more is written.
  void FailWrites();
  // The end of an install that was asked for.
  void FinishInstall(bool ok);
  // The state machine takes all that is committed. The last index that was ever given to it.
  Index ApplyAll();

  // On disk.
  HardState hard_state;
  SnapshotMeta floor;
  std::map<Index, Entry> log;
  // On its way there.
  std::deque<std::variant<HardStateWrite, LogWrite>> writes;
  // The log as the core believes it to be, for what it asks of it.
  std::map<Index, Entry> memory;
  std::optional<SnapshotMeta> install;
  std::deque<raft::Fetch> fetches;
  // Committed up to here, as the core said.
  Index handed_out = 0;
  Nanos deadline = 0;

 private:
  void Post(Event event) override { posted_.push_back(std::move(event)); }
  void OnOutput(const Output& output) override;
  void OnRead(const ReadResult&) override {}
  void OnDeadline(Nanos when) override { deadline = when; }
  void WriteHardState(const HardStateWrite& write) override { writes.emplace_back(write); }
  void WriteLog(const LogWrite& write) override;
  void Fetch(const raft::Fetch& fetch) override;
  void Reset(const SnapshotMeta& snapshot) override;
  void Compact(Index index) override;
  void ApplyReady() override {}
  void Install(const SnapshotMeta& meta) override { install = meta; }
  void TakeSnapshot() override {}
  void Send(const Message& message) override { hooks_.send(message); }
  void SendSnapshot(const raft::SendSnapshot& send) override { hooks_.send_snapshot(send.message); }

  Hooks hooks_;
  std::unique_ptr<cluster::Driver> driver_;
  std::vector<Event> posted_;
  std::optional<raft::Fetch> apply_fetch_;
  Index applied_ = 0;
};

}  // namespace bandb::raft

#endif  // BANDB_TEST_RAFT_SCRIPTED_NODE_H_
