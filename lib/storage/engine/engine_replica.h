// The engine as the state machine of a cluster's node: it keeps no log, since the log is the
// owner's, and what it holds is a function of that log alone.
//
// One writer applies the entries of the log in order; nobody else writes. How far it came, the
// position, travels with the memtable and enters the manifest in the edit that installs its table:
// after a restart the owner applies again whatever comes after that. All that the state depends on
// comes from the entries: sequences are counted (every operation takes one, done or not), and time
// is the commit time of the last entry, for reads as for conditions. Merges drop what has expired
// by the time of the durable position and not by a later one, since entries after it may be applied
// again, and must find what they found before.
//
// Space 0 belongs to the owner. What it keeps there of an entry becomes durable with the entry, and
// no user sees it.
#ifndef BANDB_STORAGE_ENGINE_ENGINE_REPLICA_H_
#define BANDB_STORAGE_ENGINE_ENGINE_REPLICA_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "bandb/iterator.h"
#include "bandb/options.h"
#include "base/env.h"
#include "storage/engine/engine.h"
#include "storage/engine/entry_conditions.h"
#include "storage/engine/incoming_state.h"
#include "storage/engine/replica_position.h"
#include "storage/engine/replica_state.h"

namespace bandb::storage {

// Encoded as in a batch (kv/batch_format.h), but with absolute times in place of times to live.
struct ReplicaWrite {
  std::string_view conditions;
  std::string_view operations;
  // It was done before: takes its sequences, and does nothing.
  bool duplicate = false;
};

// One committed entry of the log, whatever its type: each moves the position.
struct ReplicaEntry {
  // What the owner keeps of the entry in space 0, told how each write ended: encoded operations.
  // Called once all writes are done. Takes as many sequences as it may have operations.
  struct System {
    std::function<std::string(absl::Span<const absl::Status> outcomes)> make;
    uint64_t operations_max = 0;
    uint64_t bytes_max = 0;
  };

  uint64_t index = 0;
  uint64_t term = 0;
  // The larger of this and the one before counts.
  uint64_t commit_time_ms = 0;
  // In order: each sees those before it.
  std::vector<ReplicaWrite> writes{};
  System system{};
  // Of an entry that commits one.
  std::optional<std::string> membership{};
};

struct ApplyOptions {
  // Answers kNeedsDisk rather than read a block that is not in memory.
  bool only_cached = false;
};

struct AppliedEntry {
  enum class Result : uint8_t {
    kDone,
    kNoRoom,     // memtables or level 0 are full; WhenRoom says when to try again
    kNeedsDisk,  // a condition asks for what is not in memory
  };
  Result result = Result::kDone;
  Sequence first_sequence = 0;
  // Of each write: OK, or kAborted if a condition did not hold.
  std::vector<absl::Status> outcomes;
  // A memtable was full, and was frozen before the entry was done: WhenFlushed tells when the
  // durable position has moved.
  bool froze = false;
};

// Thread safety: Apply, WhenRoom, Freeze, Install and applied() by one thread at a time, the
// writer; the rest by any thread.
class EngineReplica {
 public:
  // Lifetime: what `env` refers to outlives the replica. Errors: as Db::Open; kFailedPrecondition
  // if the directory is another's, or a standalone database left writes in its logs that are in no
  // table; kInvalidArgument an identity of no cluster.
  static absl::StatusOr<std::unique_ptr<EngineReplica>> Open(const base::Env& env, const std::string& dir,
                                                             const Options& options, const ReplicaStart& start);

  // Applies the entry that follows applied(). Never waits, but for reads of conditions. An error
  // leaves it unapplied, all of it: kFailedPrecondition as for writes of a Db; kResourceExhausted
  // the disk is full, and so is what memory there is; kInvalidArgument it does not follow;
  // kDataLoss it is malformed; what a read of a condition answers.
  absl::StatusOr<AppliedEntry> Apply(const ReplicaEntry& entry, const ApplyOptions& options = {});
  // Runs `room` once, when an entry that found no room may find some or would be refused for
  // another reason: on a thread of the executor or inside the call, without locks held. One at a
  // time.
  void WhenRoom(std::function<void()> room);
  const ReplicaPosition& applied() const { return engine_->applied_; }

  // What is applied so far will be in the manifest once Engine::WhenFlushed answers. False: there
  // is no room to freeze; WhenRoom says when to try again. Errors: as Apply.
  absl::StatusOr<bool> Freeze();
  // The owner's log is durable up to this index: nothing beyond it is flushed, or tables would hold
  // what the log does not know after a crash.
  void LogIsDurable(uint64_t index);
  // The one in the manifest: the log before it is not needed any more.
  ReplicaPosition durable() const;

  // What the manifest says now, held so that it can be sent; nothing is flushed for it.
  PinnedState PinState() const;
  // Begins to receive another replica's state that is to take the place of this one's. Reads the
  // tables that both have, so it takes as long as that. Errors: kDataLoss malformed, or another
  // past than the present state has; kInvalidArgument it is behind what is in the manifest, or of
  // another database; kFailedPrecondition closed.
  absl::StatusOr<std::unique_ptr<IncomingState>> Receive(const ReplicaState& state);
  // Makes what was received the state: all of it, applied() included, at one moment, which is also
  // when it is durable. Writes whatever has to be written before, and then `done`, on a thread of
  // the executor or inside the call; until then nothing else may be called that is the writer's
  // alone, but applied(), and Apply and Freeze answer kFailedPrecondition. After it the owner may
  // forget the log up to the new position. Readers see the old state or the new; snapshots and
  // iterators of the old one answer kFailedPrecondition from then on, what works on it in the
  // background ends without effect, and a CompactRange with kAborted.
  // Errors, after which the old state is what it was: kInvalidArgument it is behind applied(), or
  // not all of it was received; kDataLoss what was received is not what the state says;
  // kFailedPrecondition writes are stopped; kResourceExhausted and whatever else the file system
  // says. An error in the manifest stops writes, and the next open tells which state it is.
  void Install(std::unique_ptr<IncomingState> state, Engine::Done done);

  // The commit time of the last entry: all that was applied has no later one.
  uint64_t commit_time_ms() const;
  // Whether anything may still expire, and so has to be told what time it is. True for longer than
  // that is so only where a table holds what has expired and was not merged since.
  bool MayExpire() const;
  // Likewise of what was written lately: what is in memory. Cheap.
  bool MayExpireSoon() const;

  // The last operation that a snapshot of the engine shows. Errors: kInvalidArgument it is not one;
  // kFailedPrecondition of a state that was replaced.
  absl::StatusOr<Sequence> SnapshotSequence(const Snapshot& snapshot) { return engine_->SnapshotSequence(snapshot); }

  // Space 0, at what is applied.
  absl::StatusOr<std::string> GetSystem(std::string_view key);
  // Of all keys of it, in order.
  std::unique_ptr<Iterator> NewSystemIterator();

  // Reading, administration and closing.
  Engine& engine() { return *engine_; }

 private:
  struct EntrySize {
    uint64_t operations = 0;
    uint64_t payload_bytes = 0;
    uint64_t system_first = 0;  // operations before those of the system
    bool has_conditions = false;
    bool has_range_conditions = false;
  };

  // See engine_install.cc.
  class InstallJob;
  class InstallSource;

  explicit EngineReplica(std::unique_ptr<Engine> engine) : engine_(std::move(engine)) {}

  absl::Status CheckFollows(const ReplicaEntry& entry) const;
  static absl::StatusOr<EntrySize> Measure(const ReplicaEntry& entry);
  // Which writes are done: those of which all conditions hold, each after those before it.
  absl::StatusOr<std::vector<bool>> Judge(const ReplicaEntry& entry, const EntrySize& size, uint64_t now_ms,
                                          bool only_cached);
  absl::StatusOr<std::vector<bool>> JudgeConditions(const ReplicaEntry& entry, uint64_t now_ms, bool only_cached);
  void Insert(const ReplicaEntry& entry, const std::vector<bool>& done, AppliedEntry* applied);
  void InsertSystem(const ReplicaEntry::System& system, Sequence first, absl::Span<const absl::Status> outcomes);
  void AddAll(Space space, std::string_view operations, Sequence first);
  void Publish(const ReplicaEntry& entry, uint64_t now_ms, Sequence last, bool for_users);
  // Errors: as Apply.
  absl::Status MayApply() const;
  // Whether a state may follow what is applied.
  absl::Status CheckInstalls(const IncomingState& state) const;
  void FinishInstall(const absl::Status& status, Engine::Done done);

  const std::unique_ptr<Engine> engine_;
  std::atomic<bool> installing_{false};
};

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_ENGINE_ENGINE_REPLICA_H_
