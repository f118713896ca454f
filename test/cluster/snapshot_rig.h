// Two replicas of one log, and the peers that bring the state of the one to the other.
#ifndef BANDB_TEST_CLUSTER_SNAPSHOT_RIG_H_
#define BANDB_TEST_CLUSTER_SNAPSHOT_RIG_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "cluster/peer_world.h"
#include "raft/types/configuration_codec.h"
#include "storage/replica/replica_pair.h"

namespace bandb::test {

class SnapshotRig {
 public:
  static constexpr raft::NodeId kSender = 1;
  static constexpr raft::NodeId kReceiver = 2;

  explicit SnapshotRig(uint64_t seed, const LogShape& shape = {.entries = 200,
                                                               .keys = 500,
                                                               .value_bytes_max = 3000,
                                                               .writes_max = 5,
                                                               .range_deletes = 0})
      : pair(1, WithMembers(shape)), world(seed), sender(&world, kSender), receiver(&world, kReceiver) {
    for (PeerNode* node : {&sender, &receiver}) {
      node->options.snapshots.piece_bytes = 1000;
      node->options.snapshots.window_bytes = 5000;
      node->options.dialer.rest_nanos_max = 500 * kMillis;
    }
    sender.parts.executor = &pair.peer().env().executor();
    sender.parts.pin = [this] {
      ++pins;
      return pair.peer().replica().PinState();
    };
    sender.parts.meta_at = [this](raft::Index index) { return MetaAt(index); };
    receiver.parts.executor = &pair.env().executor();
    receiver.parts.receive = [this](const storage::ReplicaState& state) { return pair.replica().Receive(state); };
  }
  // The state and the message that tells of it have the same members.
  static LogShape WithMembers(LogShape shape) {
    raft::EncodeConfiguration(raft::MakeConfiguration({kSender, kReceiver}), &shape.members);
    return shape;
  }
  // The replicas outlive the peers, and what these have given to the executors.
  ~SnapshotRig() {
    receiver.snapshots.clear();
    sender.peers.reset();
    receiver.peers.reset();
    RunExecutors();
  }

  void Start() {
    for (PeerNode* node : {&sender, &receiver}) {
      node->Start();
      node->peers->SetMembers(MembersOf({&sender, &receiver}));
    }
    REQUIRE(RunUntil([&] { return sender.Up(kReceiver) && receiver.Up(kSender); }));
  }

  std::optional<raft::SnapshotMeta> MetaAt(raft::Index index) const {
    if (index < log_begins) return std::nullopt;
    return raft::SnapshotMeta{.index = index,
                              .term = pair.course().models[index].position.applied.term,
                              .configuration = raft::MakeConfiguration({kSender, kReceiver}),
                              .id = 0};
  }
  // As a core asks for it.
  void Send() {
    raft::SendSnapshot send{.message = sender.Append(kReceiver)};
    send.message.kind = raft::MessageKind::kSnapshot;
    send.message.session = ++sessions;
    send.message.snapshot = std::make_shared<const raft::SnapshotMeta>(*MetaAt(pair.course().last_index()));
    sender.peers->SendSnapshot(send);
  }
  // What a node does: installs what came, and tells.
  void InstallReceived() {
    REQUIRE(receiver.snapshots.size() == 1);
    auto [message, state] = std::move(receiver.snapshots.front());
    receiver.snapshots.clear();
    CHECK(message.session == sessions);
    CHECK(message.snapshot->index == state->position().applied.index);
    const absl::Status status = pair.Install(std::move(state));
    installed_at = status.ok() ? message.snapshot->index : 0;
    receiver.peers->SnapshotInstalled(status);
  }
  // As a core does: sends again when a stream has failed, until the state is installed and both
  // sides know it. False if that does not come to be in time.
  bool RunToTheEnd(int64_t nanos_max = 600 * kSecond) {
    return RunUntil(
        [&] {
          if (!receiver.snapshots.empty()) InstallReceived();
          if (!sender.snapshots_sent.empty()) {
            if (sender.snapshots_sent.back().ok) return true;
            ++failures;
            sender.snapshots_sent.clear();
            Send();
          }
          return false;
        },
        nanos_max);
  }

  bool RunUntil(const std::function<bool()>& done, int64_t nanos_max = 60 * kSecond) {
    return world.RunUntil(
        [&] {
          RunExecutors();
          return done();
        },
        nanos_max);
  }
  void RunFor(int64_t nanos) {
    const int64_t end = world.network.now_nanos() + nanos;
    world.timer_loop->After(nanos, [] {});
    RunUntil([&] { return world.network.now_nanos() >= end; }, nanos);
  }
  void RunExecutors() {
    if (!sender_held) pair.peer().env().executor().RunReady();
    if (!receiver_held) pair.env().executor().RunReady();
  }

  ReplicaPair pair;
  PeerWorld world;
  PeerNode sender;
  PeerNode receiver;
  bool sender_held = false;
  bool receiver_held = false;
  raft::Index log_begins = 0;
  uint64_t sessions = 0;
  uint64_t pins = 0;
  uint64_t failures = 0;
  raft::Index installed_at = 0;
};

}  // namespace bandb::test

#endif  // BANDB_TEST_CLUSTER_SNAPSHOT_RIG_H_
