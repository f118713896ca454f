// Applier: the state machine of a node (state_machine.h) as it ships: the storage engine, with the
// sessions of clients, the cursors of the change feed and the ids of nodes that were removed.
//
// It takes committed entries from the driver and applies them on the node's thread as long as
// nothing can block: no condition asks the disk, the memtable has room, and the turn has not
// become long. Otherwise the queue goes to a job on the executor, or waits for room, and then comes
// back: one of the two has it, and with it the replica, never both.
//
// A full disk stops applying, not the node: the applier has the engine resume once a second, and
// goes on. Nor does a want of descriptors. What else the engine cannot apply ends the node, which
// is told once.
//
// The position in the manifest moves when a memtable is flushed; the owner is told, so that the log
// before it may go. Nothing is flushed for a snapshot but what is applied and not durable when one
// is asked for: a snapshot is whatever the manifest says (PinState).
#ifndef BANDB_CLUSTER_APPLIER_H_
#define BANDB_CLUSTER_APPLIER_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/executor.h"
#include "base/logger.h"
#include "cluster/applier_work.h"
#include "cluster/cursors.h"
#include "cluster/driver.h"
#include "cluster/log_clock.h"
#include "cluster/removed_nodes.h"
#include "cluster/sessions.h"
#include "cluster/state_machine.h"
#include "raft/types/durable_state.h"
#include "raft/types/entry.h"
#include "storage/engine/engine_replica.h"

namespace bandb::cluster {

// Thread safety: the node's thread. May be destroyed while work is under way, but not from inside
// OnApplied or OnAppliedTo; what it would have said is not said, and what runs ends soon. Must be
// destroyed before the replica is closed, which waits for that, and there is no second one for the
// same replica.
class Applier final : public StateMachine {
 public:
  using CommandResult = cluster::CommandResult;

  // All of it on the node's thread; what says so may be called from inside a call to the applier,
  // as is ApplyReady.
  class Listener {
   public:
    virtual ~Listener() = default;
    // Of every entry, in order, those that are not data included, once reads may see it. `results`:
    // one for each command of a data entry; valid during the call. From inside.
    virtual void OnApplied(raft::Index index, raft::Term term, raft::EntryKind kind,
                           absl::Span<const CommandResult> results) = 0;
    // Before that, of every entry: all that became of it. From inside.
    virtual void OnRecord(const AppliedRecord& /*record*/) {}
    // After OnRecord of all that was applied before: a memtable was frozen. It is flushed once what
    // it holds is durable elsewhere, too, if MayFlush was ever called. From inside.
    virtual void OnFroze() {}
    // Another state has taken the place of the one before, log and core not knowing it yet. From
    // inside.
    virtual void OnInstalled(const storage::ReplicaPosition& /*position*/) {}
    // After some of them: all up to here are applied. To be given to the core as raft::Applied.
    // From inside. Not after an install.
    virtual void OnAppliedTo(raft::Index index) = 0;
    // The state machine is durable up to here: SnapshotTaken for the core, and the log before it is
    // not needed. Whenever that has moved, an install excepted, and at the end of TakeSnapshot.
    virtual void OnDurable(const storage::ReplicaPosition& position) = 0;
    // Nothing is applied any more: the node ends. Once, in a turn of its own. kDataLoss a malformed
    // entry, a damaged table or a malformed space 0; kFailedPrecondition the engine takes no more
    // writes, or is closed; kInternal a read was refused for ten seconds, or a disk failed.
    virtual void OnApplyFailed(const absl::Status& status) = 0;
  };
  // Borrowed; they outlive the applier, executor and logger also what it leaves running.
  struct Parts {
    storage::EngineReplica* replica = nullptr;
    base::Executor* executor = nullptr;
    // Runs a task in a later turn of the node's thread; called from any thread. What it does not
    // run any more when the applier is destroyed, it may run or destroy.
    std::function<void(base::Task)> post;
    base::Logger* logger = nullptr;
    Listener* listener = nullptr;
  };

  // Waits for the disk. Errors: kDataLoss space 0 is malformed; as a read of the engine.
  static absl::StatusOr<std::unique_ptr<Applier>> Open(const Parts& parts);
  ~Applier() override;
  Applier(const Applier&) = delete;
  Applier& operator=(const Applier&) = delete;

  // Before the first ApplyReady. Lifetime: outlives the applier, or is not asked any more.
  void SetDriver(Driver* driver) { driver_ = driver; }

  void ApplyReady() override;
  // Installs what TakeReceived was given, if that is what `meta` describes; `ok` is false
  // otherwise. Entries that were taken and not applied are dropped with the log. After it applied()
  // is that of the state.
  void Install(const raft::SnapshotMeta& meta) override;
  void TakeSnapshot() override;

  // What the next Install installs: received in full. What was not installed is dropped.
  void TakeReceived(std::unique_ptr<storage::IncomingState> state, const raft::SnapshotMeta& meta);
  // How something ended that somebody else asked of the engine. One that has stopped for want of
  // room is waited for; one that takes nothing any more ends the node.
  void JudgeEngine(const absl::Status& status);
  // Nobody will install it: its files go. Nothing happens to what is being installed.
  void DropReceived();
  // The owner's log is durable up to here. Of entries that the driver gives out the applier knows.
  void LogIsDurable(raft::Index index);
  // Besides the log, all that the owner keeps of entries is durable up to here. Without a call
  // nothing is waited for.
  void MayFlush(raft::Index index);

  // All up to here are applied.
  raft::Index applied() const { return applied_; }
  // What the entries cost that were taken from the driver and are not applied; the core hands out
  // no more than Options::applying_bytes_max.
  uint64_t backlog_bytes() const { return backlog_bytes_; }
  // What was frozen up to here may be flushed, as far as log and owner are concerned.
  raft::Index flushable() const { return std::min(log_durable_, may_flush_); }
  // OK, or why applying or flushing waits for an operator: kResourceExhausted the disk is full;
  // kUnavailable the system has refused a read for ten seconds, as it does without descriptors, or
  // flushes have found none for some seconds.
  const absl::Status& stalled() const {
    if (!stalled_.ok()) return stalled_;
    return unreadable_.ok() ? unflushed_ : unreadable_;
  }
  // OK, or what OnApplyFailed is told.
  const absl::Status& failure() const { return failure_; }
  // Nodes that were members, as of applied().
  const RemovedNodes& removed_nodes() const { return removed_nodes_; }
  // Of the state that was found at Open, or installed last: those that come after are in the
  // records.
  const CursorMap& found_cursors() const { return found_cursors_; }
  const LogClock& found_clock() const { return found_clock_; }
  // As of the last batch.
  size_t sessions() const { return session_count_; }
  // A state to send: durable, held until it is destroyed.
  storage::PinnedState PinState() const { return parts_.replica->PinState(); }

 private:
  // What has work_ and is the replica's writer.
  enum class Writer : uint8_t { kLoop, kJob, kInstall };
  // Runs what it is given in a later turn, unless the applier is gone by then. Copies may be used
  // on any thread.
  class Turns;
  // What is kept in space 0.
  struct Kept {
    static absl::StatusOr<Kept> Load(storage::EngineReplica* replica);

    Sessions sessions;
    Cursors cursors;
    LogClock clock;
    RemovedNodes removed_nodes;
  };

  explicit Applier(const Parts& parts, Kept kept);

  Turns LaterTurn() const;
  // Does what can be done now.
  void Go();
  void GoOn();
  void ApplyInTurn();
  bool TakeEntries();
  void Report(const ApplyStretch& stretch);
  void HandleEnd(const ApplyStretch& stretch);
  void StartJob();
  void FinishStretch(const ApplyStretch& stretch, bool is_last);
  void AwaitRoom();

  void FreezeForSnapshot();
  void WatchFlush();
  void OnFlushed(const absl::Status& status);
  // OK: flushes wait for nothing any more.
  void NoteFlush(const absl::Status& status);
  void ReportDurable();

  // False if nothing is being installed after all.
  bool BeginInstall();
  void FinishInstall(const absl::Status& status);
  void Reload();
  void FinishReload(absl::StatusOr<Kept> kept);

  void HandleError(const absl::Status& status);
  // Of what was refused: whether another try may help. Counts it, and shows in stalled() and in the
  // log one that lasts.
  bool MayTryAgain(const absl::Status& status);
  // Nothing that was to be read is refused any more.
  void NoteRead();
  void Pause(const absl::Status& status);
  void Retry();
  void Resume();
  void FinishResume(const absl::Status& status);
  void Fail(const absl::Status& status);

  const Parts parts_;
  const std::shared_ptr<const bool> alive_ = std::make_shared<bool>(true);
  Driver* driver_ = nullptr;
  std::shared_ptr<ApplyWork> work_;
  Writer writer_ = Writer::kLoop;
  bool going_ = false;
  bool goes_on_later_ = false;  // a turn was posted in which it does

  raft::Index applied_ = 0;
  uint64_t backlog_bytes_ = 0;
  raft::Index log_durable_ = 0;
  raft::Index may_flush_ = UINT64_MAX;
  size_t session_count_ = 0;
  RemovedNodes removed_nodes_;
  CursorMap found_cursors_;
  LogClock found_clock_;

  bool no_room_ = false;     // for the entry at the front
  bool room_asked_ = false;  // WhenRoom has not answered
  bool paused_ = false;      // until a timer
  int read_tries_ = 0;       // that the disk has refused since the last one that it has not
  int waits_ = 0;            // those that found no descriptor
  // The entry at the front failed, and waits for the end of the pause.
  bool front_waits_ = false;
  absl::Status stalled_;     // on a full disk
  absl::Status unreadable_;  // for want of descriptors
  absl::Status unflushed_;   // likewise
  int flush_waits_ = 0;      // flushes in a row of which the engine has said that they wait
  absl::Status failure_;

  bool snapshot_wanted_ = false;  // what is applied is to be frozen
  bool snapshot_due_ = false;     // the next OnDurable comes even if nothing has moved
  bool flush_unwatched_ = false;  // something was frozen that nobody waits for
  bool flush_watched_ = false;    // WhenFlushed has not answered
  raft::Index durable_told_ = 0;

  std::unique_ptr<storage::IncomingState> received_;
  raft::SnapshotMeta received_meta_;
  std::optional<raft::SnapshotMeta> install_;  // is to be installed, or is being
};

}  // namespace bandb::cluster

#endif  // BANDB_CLUSTER_APPLIER_H_
