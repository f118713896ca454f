// SnapshotIn: the snapshot that this node is being given, one at a time, from whichever peer.
//
//   idle ──► heading ──► preparing ──► receiving ──► installing ──► idle
//
// The head says what the state consists of; the executor looks what of it is here already, and
// writes what comes, one job at a time. A stream that ends midway leaves what it has brought, and
// the next one of the same state goes on there.
//
// Invariants: at most the sender's window in memory. The executor alone touches the incoming state
// while a job runs, the loop otherwise. Bytes that nobody asked for, or beyond what was announced,
// are a fault of the sender.
#ifndef BANDB_CLUSTER_SNAPSHOT_IN_H_
#define BANDB_CLUSTER_SNAPSHOT_IN_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/event_loop.h"
#include "base/executor.h"
#include "cluster/peer_handshake.h"
#include "cluster/snapshot_frames.h"
#include "cluster/snapshot_out.h"
#include "raft/types/message.h"
#include "storage/engine/incoming_state.h"

namespace bandb::cluster {

// Thread safety: the loop's thread. Lifetime: what it borrows must outlive it. It may be destroyed
// while work on the executor is under way.
class SnapshotIn {
 public:
  using Receive = std::function<absl::StatusOr<std::unique_ptr<storage::IncomingState>>(const storage::ReplicaState&)>;
  // Told on the loop's thread.
  class Owner {
   public:
    virtual bool MaySendSnapshotFrame(raft::NodeId to) = 0;
    virtual void SendSnapshotFrame(raft::NodeId to, uint32_t id, std::unique_ptr<std::string> payload) = 0;
    // Whole and verified, as far as it can be before it is installed. Ends with Installed.
    virtual void OnReceived(raft::Message message, std::unique_ptr<storage::IncomingState> state) = 0;
    // What was offered is older than the state that is here, and none of it was taken. Its sender
    // does not know how far this node is: the message tells the core, which answers it.
    virtual void OnBehind(raft::Message message) = 0;
    // Why a stream has ended; for people.
    virtual void OnRefused(raft::NodeId from, const absl::Status& why) = 0;

   protected:
    ~Owner() = default;
  };
  struct Parts {
    std::shared_ptr<base::EventLoop> loop;  // shared with work that outlives this
    base::Executor* executor = nullptr;
    Receive receive;  // called on the executor
    Owner* owner = nullptr;
  };

  SnapshotIn(const PeerSelf& self, const SnapshotOptions& options, const Parts& parts);
  ~SnapshotIn();
  SnapshotIn(const SnapshotIn&) = delete;
  SnapshotIn& operator=(const SnapshotIn&) = delete;

  // A frame of a sender's. Errors: kInvalidArgument no correct sender would send it.
  absl::Status OnFrame(raft::NodeId from, uint32_t id, std::string_view payload);
  void OnLinkLost(raft::NodeId from);
  // What became of what OnReceived gave. Nothing, if nothing is being installed.
  void Installed(const absl::Status& status);
  // Now and then: looks at the time.
  void CheckProgress();
  bool active() const { return phase_ != Phase::kIdle; }

 private:
  enum class Phase : uint8_t { kIdle, kHeading, kPreparing, kReceiving, kInstalling };
  // What has been received of a state, shared with the executor.
  struct Partial {
    std::string head_state;  // its bytes, by which another stream of it is known
    std::vector<uint64_t> table_bytes;
    std::unique_ptr<storage::IncomingState> state;
  };
  struct Chunk {
    uint64_t table = 0;
    std::string bytes;
  };
  class AppendJob;

  base::Task Later(std::function<void()> task) const;
  absl::Status Begin(raft::NodeId from, uint64_t stream, std::string_view rest);
  absl::Status TakeHead(std::string_view rest);
  absl::Status DecodeHead();
  absl::Status TakeChunk(std::string_view rest);
  // Gives the executor what it has to do, if it does nothing.
  void Advance();
  void Prepare();
  void Prepared(uint64_t epoch, const std::shared_ptr<Partial>& partial, const absl::Status& status);
  void SendWanted();
  void Append();
  void Appended(uint64_t epoch, uint64_t bytes, const absl::Status& status);
  void HandOver();
  void Say(uint32_t id, std::string payload);
  void Refuse(const absl::Status& why);
  void Abandon();
  void Discard();
  void EnterPhase(Phase phase);

  const PeerSelf self_;
  const SnapshotOptions options_;
  const Parts parts_;
  const std::shared_ptr<const bool> alive_ = std::make_shared<bool>(true);

  Phase phase_ = Phase::kIdle;
  uint64_t epoch_ = 0;  // one more with each stream, and when one ends
  int64_t progress_nanos_ = 0;
  raft::NodeId from_ = raft::kNoNode;
  uint64_t stream_ = 0;
  bool linked_ = false;  // the link that the stream came over is up
  uint64_t head_bytes_ = 0;
  std::string head_;
  raft::Message message_;
  storage::ReplicaState state_;  // of the head, until it is prepared
  std::string head_state_;       // likewise, as bytes

  std::shared_ptr<Partial> partial_;
  bool busy_ = false;  // the executor works on it, or on another
  std::deque<WantedTable> wanted_;
  std::vector<Chunk> queue_;
  uint64_t received_bytes_ = 0;
  uint64_t taken_bytes_ = 0;
};

}  // namespace bandb::cluster

#endif  // BANDB_CLUSTER_SNAPSHOT_IN_H_
