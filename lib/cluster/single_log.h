// SingleLog: the log of a node, which is the only one that it writes: entries and hard state in one
// stream of records, in segments (segment_format.h).
//
// Writes are appended on the caller's thread, into room that was made before; a sync that covers
// all of them runs on the executor, one at a time. Nothing here waits. A spare segment is always
// being made ready, in which the log goes on once the present one is full; when none can be made
// for lack of space, the disk is nearly full. Whole segments are deleted once nobody needs them.
#ifndef BANDB_CLUSTER_SINGLE_LOG_H_
#define BANDB_CLUSTER_SINGLE_LOG_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/env.h"
#include "base/executor.h"
#include "base/random.h"
#include "cluster/kept_segments.h"
#include "cluster/log_device.h"
#include "cluster/log_files.h"
#include "cluster/log_index.h"
#include "cluster/segment_writer.h"
#include "raft/restart.h"

namespace bandb::cluster {

struct SingleLogOptions {
  LogDirectory directory;
  // Runs fetches, deletions and the making of spares. Borrowed.
  base::Executor* executor = nullptr;
  // Runs syncs, and should run nothing else: each would wait for the others. Borrowed; null: the
  // executor.
  base::Executor* sync_executor = nullptr;
  base::Clock* clock = nullptr;    // for how long the system refuses a fetch. Borrowed
  base::Random* random = nullptr;  // drawn from at Open only
  base::Logger* logger = nullptr;
  // Runs a task in a later turn of the node's thread; called from any thread. What it does not run
  // any more when the log is destroyed, it may run or destroy.
  std::function<void(base::Task)> post;
  // Larger than the most that may be uncommitted, and one message; at most kSegmentBytesMax / 2.
  uint64_t segment_bytes = 64 << 20;
};

// Thread safety: the node's thread. May be destroyed while work is under way: what it would have
// said is not said.
class SingleLog final : public LogDevice {
 public:
  // The log of a node that never ran, empty after `floor`. The directory is created, what it lies
  // in is durable already. Waits for the disk. Errors:
  // kAlreadyExists if there are segments; as the file system says.
  static absl::Status Create(const SingleLogOptions& options, const raft::HardState& hard_state,
                             const raft::SnapshotMeta& floor);
  // `state`: what the state machine has durably applied. A log that does not hold that entry is one
  // from before a snapshot was installed: it is emptied, durably. Waits for the disk.
  // Errors: as RecoverLog; kDataLoss also if the log begins after `state`.
  static absl::StatusOr<std::unique_ptr<SingleLog>> Open(const SingleLogOptions& options,
                                                         const raft::SnapshotMeta& state);
  ~SingleLog() override;

  // What a core is started with. Before anything is written.
  const raft::Restart& restart() const { return restart_; }
  // Bytes of a torn tail that Open dropped.
  uint64_t dropped_bytes() const { return dropped_bytes_; }

  // Before anything is written. Lifetime: outlives the log.
  void SetListener(Listener* listener) { listener_ = listener; }
  void WriteHardState(const raft::HardStateWrite& write) override;
  void WriteLog(const raft::LogWrite& write) override;
  void Fetch(const raft::Fetch& fetch) override;
  void Reset(const raft::SnapshotMeta& floor) override;
  void Compact(raft::Index index) override;

  // Nothing after this is deleted: the durable position of the state machine, or what is pinned
  // before it. At first, the state that Open was given.
  void KeepAfter(raft::Index index);

  // Makes room for entries of so many bytes that are larger than what segments have room for
  // anyway, or come while the next segment is still being made, and for all that may come before
  // them. Errors: kResourceExhausted there is none, and writing them would be the end of the log;
  // as the file system says.
  absl::Status MakeRoom(uint64_t entry_bytes);

  raft::Index last() const { return index_.last(); }
  // Of one that has told that it is nearly full: whether for want of space, and not of something
  // else.
  bool lacks_space() const { return lacks_space_; }
  raft::Index floor() const { return index_.floor().index; }
  // Where the record of an entry is; null unless the log holds it.
  const EntryPlace* Find(raft::Index index) const { return index_.Find(index); }
  const LogDirectory& directory() const { return options_.directory; }
  // Asked what becomes of segments that were deleted otherwise, in order; says which of them are.
  using OnRetire = std::function<std::vector<uint64_t>(const std::vector<RetiredSegment>& segments)>;
  void SetOnRetire(OnRetire on_retire) { on_retire_ = std::move(on_retire); }

 private:
  struct PendingWrite {
    enum class Kind : uint8_t { kHardState, kLog, kReset } kind = Kind::kLog;
    uint64_t write = 0;
    raft::Term term = 0;
    raft::Index index = 0;
  };
  struct SyncRound;
  struct FetchRound;
  using Writer = std::shared_ptr<SegmentWriter>;

  explicit SingleLog(const SingleLogOptions& options);

  static absl::StatusOr<Writer> MakeSegment(const SingleLogOptions& options, uint64_t number,
                                            const storage::Uuid& file_id);
  absl::Status Begin(const raft::SnapshotMeta& state);
  absl::Status BeginSegment(const SegmentExtent& before, const raft::SnapshotMeta& state);
  // Runs `task` on the node's thread, unless the log is gone by then.
  base::Task Later(std::function<void()> task) const;

  bool Append(const storage::RecordHead& head);
  void Rotate(bool reset, const raft::SnapshotMeta& previous);
  void WriteEntry(const raft::Entry& entry, raft::Index commit);
  void StartFetch(std::shared_ptr<FetchRound> round);
  void FinishFetch(const std::shared_ptr<FetchRound>& round);
  void StartSync();
  void FinishSync(const SyncRound& round);
  void Report(size_t count);
  void Fail(const absl::Status& status);
  void MarkWhenIdle();
  void MakeSpare();
  void TakeSpare(absl::StatusOr<Writer> spare);
  void SetCapacity(bool nearly_full);
  void ResetNow();
  void DeleteUnneeded();

  const SingleLogOptions options_;
  base::Random random_;
  const std::shared_ptr<const bool> alive_ = std::make_shared<bool>(true);
  Listener* listener_ = nullptr;
  OnRetire on_retire_;
  raft::Restart restart_;
  uint64_t dropped_bytes_ = 0;

  LogIndex index_;
  raft::HardState hard_state_;
  std::vector<SegmentSpan> spans_;  // those of the log, the present one last
  std::vector<uint64_t> unneeded_;  // segments that a reset has voided, until it is durable
  Writer current_;
  Writer spare_;
  bool making_spare_ = false;
  bool nearly_full_ = false;
  bool lacks_space_ = false;  // is why
  uint64_t next_number_ = 1;

  std::vector<Writer> full_;  // segments that were left for another and are not synced yet
  std::deque<PendingWrite> pending_;
  bool syncing_ = false;
  bool failed_ = false;
  uint64_t durable_segment_ = 0;  // the last one whose head is durable
  bool mark_due_ = false;
  std::optional<raft::SnapshotMeta> reset_;  // waits for a segment to begin in
  raft::Index compact_to_ = 0;
  raft::Index keep_after_ = 0;
  std::string payload_;
  std::string fetch_error_;  // why the last fetch that failed did, as it was logged
};

}  // namespace bandb::cluster

#endif  // BANDB_CLUSTER_SINGLE_LOG_H_
