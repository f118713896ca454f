// SnapshotOut: the snapshots that go to one peer, one at a time.
//
//   idle ──► waiting ──► describing ──► offering ──► sending ──► installing ──► idle
//                           │               │            │            │
//                           └───────────────┴────────────┴────────────┴──► resting ──► idle
//
// What is sent is a pinned state, described on the executor: what each table is, and a checksum of
// its bytes. The receiver says what of it is wanted, and at most a window of bytes is on its way at
// a time. A stream that fails is reported after a rest, longer with each failure, since the core
// asks for another at once; the state is kept for it, so that it goes on where this one ended. One
// that is asked for sooner waits until the rest is over.
//
// Tables that are damaged here, or cannot be read, are found when they are described, and nothing
// of the state is sent. If it is the receiver that speaks of damage, the state is described again
// when its description has grown old; each time it has to be older.
//
// Invariants: every Start is reported once, but for one that another follows. At most one window in
// memory, of bytes that are not taken. A receiver that makes no progress for a time ends the
// stream.
#ifndef BANDB_CLUSTER_SNAPSHOT_OUT_H_
#define BANDB_CLUSTER_SNAPSHOT_OUT_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "base/event_loop.h"
#include "base/executor.h"
#include "base/random.h"
#include "cluster/snapshot_frames.h"
#include "raft/event.h"
#include "raft/output.h"
#include "storage/engine/replica_state.h"

namespace bandb::cluster {

struct SnapshotOptions {
  size_t piece_bytes = 256 << 10;  // at most kSnapshotPieceBytesMax
  uint64_t window_bytes = 4 << 20;
  uint64_t bytes_per_second_max = 0;                          // of each stream; 0: as fast as it goes
  int64_t prepare_timeout_nanos = int64_t{600} * 1000000000;  // for the receiver to look at what it has
  int64_t progress_timeout_nanos = int64_t{30} * 1000000000;  // without a byte taken
  int64_t install_timeout_nanos = int64_t{600} * 1000000000;
  int64_t rest_nanos_min = int64_t{100} * 1000000;
  int64_t rest_nanos_max = int64_t{10} * 1000000000;
  // After damage was found here, which cost a look at every table and will hardly go. Also the
  // longest rest after the receiver has found some, and how old the description is then at least of
  // a state that is described again.
  int64_t damage_rest_nanos = int64_t{60} * 1000000000;
  int64_t keep_nanos = int64_t{300} * 1000000000;  // what a stream that ended may go on with
};

// Thread safety: the loop's thread. Lifetime: what it borrows must outlive it. It may be destroyed
// while work on the executor is under way.
class SnapshotOut {
 public:
  // Told on the loop's thread, also from inside the calls below.
  class Owner {
   public:
    // Whether there is a link with room.
    virtual bool MaySendSnapshotFrame(raft::NodeId to) = 0;
    // Only then.
    virtual void SendSnapshotFrame(raft::NodeId to, uint32_t id, std::unique_ptr<std::string> payload) = 0;
    // The end of what Start was given. `why`: if it is not ok, for people.
    virtual void OnStreamEnd(const raft::SnapshotSent& sent, std::string_view why) = 0;
    // A table of this node is damaged or cannot be read, which `damage` names: nobody can be given
    // the state.
    virtual void OnOwnDamage(const absl::Status& damage) = 0;

   protected:
    ~Owner() = default;
  };
  struct Parts {
    std::shared_ptr<base::EventLoop> loop;  // shared with work that outlives this
    base::Executor* executor = nullptr;
    std::function<storage::PinnedState()> pin;
    std::function<std::optional<raft::SnapshotMeta>(raft::Index)> meta_at;
    Owner* owner = nullptr;
  };
  struct Progress {
    bool active = false;
    uint64_t taken_bytes = 0;
    uint64_t wanted_bytes = 0;  // 0 until the receiver has said so
  };

  SnapshotOut(raft::NodeId to, const SnapshotOptions& options, const Parts& parts, base::Random random);
  ~SnapshotOut();
  SnapshotOut(const SnapshotOut&) = delete;
  SnapshotOut& operator=(const SnapshotOut&) = delete;

  // Ends what is under way, and begins another stream.
  void Start(const raft::SendSnapshot& send);
  // It is not needed any more.
  void Stop();
  Progress progress() const { return {phase_ != Phase::kIdle, taken_bytes_, wanted_bytes_}; }

  // What the link has to say.
  void OnLinkLost(std::string_view why);
  void OnWritable() { Pump(); }
  // A frame of the receiver's. Errors: kInvalidArgument no correct receiver would send it.
  absl::Status OnFrame(uint32_t id, std::string_view payload);
  // Now and then: looks at the time.
  void CheckProgress();

 private:
  enum class Phase : uint8_t { kIdle, kWaiting, kDescribing, kOffering, kSending, kInstalling, kResting };
  // What is sent, shared with the executor, which alone reads it while it works on it.
  struct Source;
  class DescribeJob;

  base::Task Later(std::function<void()> task) const;
  void Begin();
  void Describe();
  void Described(const std::shared_ptr<Source>& source);
  void Offer();
  absl::Status TakeWanted(std::string_view rest);
  absl::Status TakeTaken(std::string_view rest);
  absl::Status TakeDone(std::string_view rest);
  // Sends what may be sent, reads what may be read.
  void Pump();
  // By bytes_per_second_max: then it goes on by itself.
  bool HeldBack();
  void ReadNext();
  void TakePiece(uint64_t stream, absl::StatusOr<std::string> payload, uint64_t bytes);
  bool Streaming() const { return phase_ >= Phase::kOffering && phase_ <= Phase::kInstalling; }
  void Tell(std::string_view why);
  // Back to where nothing is under way, with what it may go on with.
  void EndStream(Phase phase);
  void Fail(const absl::Status& why);
  // Of reading what is sent.
  void FailOwn(const absl::Status& why);
  void FailByReceiver(const absl::Status& status);
  int64_t NextRestNanos(int64_t max) const;
  void Rest(const absl::Status& why, int64_t nanos);
  void Report(bool ok, std::string_view why);
  void LetGo();
  void EnterPhase(Phase phase);

  const raft::NodeId to_;
  const SnapshotOptions options_;
  const Parts parts_;
  base::Random random_;
  const std::shared_ptr<const bool> alive_ = std::make_shared<bool>(true);

  Phase phase_ = Phase::kIdle;
  int64_t progress_nanos_ = 0;  // when there was some, or the phase began
  raft::SendSnapshot send_;
  std::shared_ptr<Source> source_;
  int64_t kept_since_nanos_ = 0;
  uint64_t stream_ = 0;
  // Frames that wait for room on the link, and then what is read next.
  std::deque<std::pair<uint32_t, std::unique_ptr<std::string>>> pending_;
  std::deque<WantedTable> wanted_;
  bool reading_ = false;
  uint64_t wanted_bytes_ = 0;
  uint64_t read_bytes_ = 0;
  uint64_t taken_bytes_ = 0;
  int64_t may_read_nanos_ = 0;  // see bytes_per_second_max
  uint64_t failures_ = 0;       // one after the other
  int64_t describe_again_rests_ = 1;
  int64_t rest_until_nanos_ = 0;
  std::string why_;
  base::TimerId rest_timer_ = base::kNoTimer;
  base::TimerId throttle_timer_ = base::kNoTimer;
};

}  // namespace bandb::cluster

#endif  // BANDB_CLUSTER_SNAPSHOT_OUT_H_
