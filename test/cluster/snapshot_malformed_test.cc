// Senders and receivers of snapshots that do not keep to the protocol, with a real state between
// them.
#include "cluster/raw_peer.h"
#include "cluster/replica_state_codec.h"
#include "cluster/snapshot_frames.h"
#include "cluster/snapshot_rig.h"
#include "proto/peer_message.h"
#include "raft/types/configuration_codec.h"
#include "support/catch.h"

namespace bandb::test {

namespace {

using cluster::PeerFrame;

bool Has(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

// The sender of the rig offers its state to a receiver that says what it likes.
struct EvilReceiver {
  EvilReceiver() : rig(1) {
    REQUIRE_OK(rig.pair.peer().ApplyTo(200));
    rig.sender.Start();
    rig.sender.peers->SetMembers(MembersOf({&rig.sender}));
    evil = std::make_unique<RawPeer>(&rig.world, rig.sender.PeerAddress(), HelloOf(2));
    REQUIRE(rig.RunUntil([&] { return evil->up && rig.sender.StatusOf(2).last_heard_nanos > 0; }));
    rig.Send();
    REQUIRE(rig.RunUntil([&] { return !evil->frames.empty() && Head().size() >= head_bytes; }));
  }
  // What came of the head so far; learns the stream on the way.
  std::string Head() {
    std::string head;
    for (const auto& [id, payload] : evil->frames) {
      std::string_view rest = payload;
      REQUIRE(cluster::DecodeStream(&rest, &stream));
      if (id == static_cast<uint32_t>(PeerFrame::kSnapshotBegin)) {
        REQUIRE(cluster::DecodeSnapshotBegin(rest, &head_bytes));
      }
      if (id == static_cast<uint32_t>(PeerFrame::kSnapshotHead)) head.append(rest);
    }
    return head;
  }
  bool Closed(std::string_view part) {
    return rig.RunUntil([&] { return evil->down; }, 2 * kSecond) && Has(evil->end, part);
  }

  SnapshotRig rig;
  std::unique_ptr<RawPeer> evil;
  uint64_t head_bytes = UINT64_MAX;
  uint64_t stream = 0;
};

// A sender that says what it likes to the receiver of the rig.
struct EvilSender {
  EvilSender() : rig(1), state(rig.pair.StateAt(200)) {
    rig.receiver.Start();
    evil = std::make_unique<RawPeer>(&rig.world, rig.receiver.PeerAddress(), HelloOf(1));
    REQUIRE(rig.RunUntil([&] { return evil->up && rig.receiver.StatusOf(1).last_heard_nanos > 0; }));
  }
  void Offer(uint64_t stream = 7) {
    raft::Message message = rig.sender.Append(2);
    message.kind = raft::MessageKind::kSnapshot;
    message.session = ++rig.sessions;
    message.snapshot = std::make_shared<const raft::SnapshotMeta>(*rig.MetaAt(200));
    std::string encoded, head;
    proto::EncodePeerMessage(message, &encoded);
    base::PutLengthPrefixed(&head, encoded);
    head += cluster::EncodeReplicaState(state);
    evil->Say(PeerFrame::kSnapshotBegin, cluster::EncodeSnapshotBegin(stream, head.size()));
    evil->Say(PeerFrame::kSnapshotHead, cluster::EncodeSnapshotHead(stream, head));
  }
  // The last answer, once there are so many.
  std::pair<uint32_t, std::string> Answer(size_t count) {
    REQUIRE(rig.RunUntil([&] { return evil->frames.size() >= count; }, 10 * kSecond));
    auto [id, payload] = evil->frames[count - 1];
    return {id, payload.substr(sizeof(uint64_t))};
  }
  absl::Status Refusal(size_t count) {
    const auto [id, rest] = Answer(count);
    absl::Status status;
    CHECK(id == static_cast<uint32_t>(PeerFrame::kSnapshotDone));
    CHECK(cluster::DecodeSnapshotDone(rest, &status));
    return status;
  }
  bool Closed(std::string_view part) {
    return rig.RunUntil([&] { return evil->down; }, 2 * kSecond) && Has(evil->end, part) &&
           rig.receiver.snapshots.empty();
  }
  void Chunk(uint64_t table, uint64_t offset, std::string_view bytes) {
    evil->Say(PeerFrame::kSnapshotChunk, cluster::EncodeSnapshotChunk(7, {table, offset}, bytes));
  }

  SnapshotRig rig;
  storage::ReplicaState state;
  std::unique_ptr<RawPeer> evil;
};

}  // namespace

TEST_CASE("a receiver that asks for what there is not, or has what was not sent, is closed and reported") {
  EvilReceiver attack;
  const auto wants = [&](const std::vector<cluster::WantedTable>& wanted) {
    attack.evil->Say(PeerFrame::kSnapshotWanted, cluster::EncodeSnapshotWanted(attack.stream, wanted));
  };
  const uint64_t tables = attack.rig.pair.peer().replica().PinState().table_count();
  SECTION("a table that is none") {
    wants({{tables, 0}});
    CHECK(attack.Closed("wanted tables or bytes that do not exist"));
  }
  SECTION("bytes that are none") {
    wants({{0, 1 << 30}});
    CHECK(attack.Closed("wanted tables or bytes that do not exist"));
  }
  SECTION("a table twice") {
    wants({{1, 0}, {1, 0}});
    CHECK(attack.Closed("a malformed list of wanted tables"));
  }
  SECTION("a count that lies") {
    std::string payload = cluster::EncodeSnapshotWanted(attack.stream, {});
    payload.back() = '\x7f';
    attack.evil->Say(PeerFrame::kSnapshotWanted, payload);
    CHECK(attack.Closed("a malformed list of wanted tables"));
  }
  SECTION("asks twice") {
    wants({{0, 0}});
    wants({{0, 0}});
    CHECK(attack.Closed("a list of wanted tables that was not asked for"));
  }
  SECTION("has taken what was not sent") {
    wants({{0, 0}});
    attack.evil->Say(PeerFrame::kSnapshotTaken, cluster::EncodeSnapshotTaken(attack.stream, 1 << 30));
    CHECK(attack.Closed("taken what was not sent"));
  }
  SECTION("has installed what was not sent") {
    wants({{0, 0}});
    attack.evil->Say(PeerFrame::kSnapshotDone, cluster::EncodeSnapshotDone(attack.stream, absl::OkStatus()));
    CHECK(attack.Closed("installed what was not sent"));
  }
  SECTION("an end with a code that is none") {
    std::string payload = cluster::EncodeSnapshotDone(attack.stream, absl::OkStatus());
    payload.back() = '\x7f';
    attack.evil->Say(PeerFrame::kSnapshotDone, payload);
    CHECK(attack.Closed("a malformed end"));
  }
  REQUIRE(attack.rig.RunUntil([&] { return !attack.rig.sender.snapshots_sent.empty(); }));
  CHECK_FALSE(attack.rig.sender.snapshots_sent[0].ok);
}

TEST_CASE("a receiver that takes and never says so has one window in memory") {
  EvilReceiver attack;
  attack.evil->Say(PeerFrame::kSnapshotWanted, cluster::EncodeSnapshotWanted(attack.stream, {{0, 0}, {1, 0}, {2, 0}}));
  attack.evil->frames.clear();
  attack.rig.RunFor(20 * kSecond);
  uint64_t bytes = 0;
  for (const auto& [id, payload] : attack.evil->frames) bytes += payload.size();
  CHECK(bytes >= attack.rig.sender.options.snapshots.window_bytes);
  CHECK(bytes <= 2 * attack.rig.sender.options.snapshots.window_bytes);
  CHECK(attack.rig.sender.snapshots_sent.empty());
  REQUIRE(attack.rig.RunUntil([&] { return !attack.rig.sender.snapshots_sent.empty(); }));
  CHECK(attack.rig.sender.StatusOf(2).snapshot_error == "the receiver takes nothing");
}

TEST_CASE("a sender that sends what is not wanted is closed") {
  EvilSender attack;
  attack.Offer();
  CHECK(attack.Answer(1).first == static_cast<uint32_t>(PeerFrame::kSnapshotWanted));
  const uint64_t bytes = attack.state.tables[0].info.file_bytes;
  SECTION("another table") {
    attack.Chunk(1, 0, "x");
    CHECK(attack.Closed("bytes that are not wanted"));
  }
  SECTION("a table that is none") {
    attack.Chunk(UINT64_MAX, 0, "x");
    CHECK(attack.Closed("bytes that are not wanted"));
  }
  SECTION("a hole") {
    attack.Chunk(0, 1, "x");
    CHECK(attack.Closed("bytes that are not wanted"));
  }
  SECTION("the same twice") {
    attack.Chunk(0, 0, "x");
    attack.Chunk(0, 0, "x");
    CHECK(attack.Closed("bytes that are not wanted"));
  }
  SECTION("more than the table has") {
    attack.Chunk(0, 0, std::string(bytes + 1, 'x'));
    CHECK(attack.Closed("bytes that are not wanted"));
  }
  SECTION("nothing") {
    attack.Chunk(0, 0, "");
    CHECK(attack.Closed("no chunk"));
  }
  SECTION("a head once more") {
    attack.evil->Say(PeerFrame::kSnapshotHead, cluster::EncodeSnapshotHead(7, "x"));
    CHECK(attack.Closed("more of a head"));
  }
  SECTION("bytes that are others, of the right length") {
    attack.Chunk(0, 0, std::string(bytes, 'x'));
    CHECK(attack.Refusal(2).code() == absl::StatusCode::kDataLoss);
    CHECK_FALSE(attack.evil->down);
  }
}

TEST_CASE("a state that makes no sense is refused, and a better one is taken after it") {
  EvilSender attack;
  storage::ReplicaState right = attack.state;
  SECTION("of another database") {
    attack.state.database_id.bytes[0] ^= 1;
    attack.Offer();
    CHECK(attack.Refusal(1).code() == absl::StatusCode::kInvalidArgument);
  }
  SECTION("tables that are there twice") {
    attack.state.tables.push_back(attack.state.tables[0]);
    attack.Offer();
    CHECK(attack.Refusal(1).code() == absl::StatusCode::kDataLoss);
  }
  SECTION("tables beyond its position") {
    attack.state.position.last_sequence = 1;
    attack.Offer();
    CHECK(attack.Refusal(1).code() == absl::StatusCode::kDataLoss);
  }
  CHECK_FALSE(attack.evil->down);
  attack.evil->frames.clear();
  attack.state = right;
  attack.Offer();
  CHECK(attack.Answer(1).first == static_cast<uint32_t>(PeerFrame::kSnapshotWanted));
}

TEST_CASE("a state for another place of the log, of other members or with tables of no bytes, closes the link") {
  EvilSender attack;
  SECTION("another place") {
    ++attack.state.position.applied.index;
    attack.Offer();
    CHECK(attack.Closed("a state at another place of the log"));
  }
  SECTION("members that are none") {
    attack.state.position.membership = "nobody";
    attack.Offer();
    CHECK(attack.Closed("a state of other members"));
  }
  SECTION("other members") {
    attack.state.position.membership.clear();
    raft::EncodeConfiguration(raft::MakeConfiguration({7, 8}), &attack.state.position.membership);
    attack.Offer();
    CHECK(attack.Closed("a state of other members"));
  }
  SECTION("no bytes") {
    attack.state.tables[0].info.file_bytes = 0;
    attack.Offer();
    CHECK(attack.rig.RunUntil([&] { return attack.evil->down; }, 2 * kSecond));
    CHECK(attack.rig.receiver.snapshots.empty());
  }
}

TEST_CASE("a sender that begins again and again while the disk is busy does no harm") {
  EvilSender attack;
  attack.rig.receiver_held = true;
  for (uint64_t stream = 7; stream < 40; ++stream) {
    attack.Offer(stream);
    attack.rig.RunFor(20 * kMillis);
  }
  attack.rig.receiver_held = false;
  attack.rig.RunFor(kSecond);
  // Of the last one it wants something, all others were refused.
  CHECK(attack.evil->frames.size() == 33);
  CHECK(attack.evil->frames.back().first == static_cast<uint32_t>(PeerFrame::kSnapshotWanted));
  CHECK_FALSE(attack.evil->down);
}

}  // namespace bandb::test
