// A node that is of this cluster, as it says, and sends what no correct node would: its link is
// closed with the reason, and nothing of it is heard.
#include "cluster/raw_peer.h"
#include "cluster/snapshot_frames.h"
#include "proto/peer_message.h"
#include "support/catch.h"

namespace bandb::test {

namespace {

using cluster::PeerFrame;

bool Has(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

std::string Encode(const raft::Message& message) {
  std::string bytes;
  proto::EncodePeerMessage(message, &bytes);
  return bytes;
}

// Node 1, and node 2 that says what it likes over its bulk link.
struct Attack {
  explicit Attack(proto::LinkClass link_class = proto::LinkClass::kBulk) : world(1), node(&world, 1), two(&world, 2) {
    node.Start();
    evil = std::make_unique<RawPeer>(&world, node.PeerAddress(), HelloOf(2, link_class));
    REQUIRE(world.RunUntil([&] { return evil->up && (node.StatusOf(2).last_heard_nanos > 0); }));
  }
  // Whether the link is closed for it, with a reason that has this in it.
  bool Closed(std::string_view part) {
    return world.RunUntil([&] { return evil->down; }, 2 * kSecond) && Has(evil->end, part) && node.messages.empty() &&
           node.frames.empty() && node.snapshots.empty();
  }
  PeerWorld world;
  PeerNode node;
  PeerNode two;  // of which only the words are used
  std::unique_ptr<RawPeer> evil;
};

}  // namespace

TEST_CASE("messages that no correct node sends close the link") {
  Attack attack;
  raft::Message message = attack.two.Append(1, 2);
  SECTION("noise") {
    attack.evil->Say(PeerFrame::kMessage, "noise");
    CHECK(attack.Closed("malformed: no message"));
  }
  SECTION("cut short") {
    std::string bytes = Encode(message);
    bytes.pop_back();
    attack.evil->Say(PeerFrame::kMessage, bytes);
    CHECK(attack.Closed("no message"));
  }
  SECTION("a count that lies") {
    std::string bytes = Encode(attack.two.Append(1));
    bytes.back() = '\x7f';
    attack.evil->Say(PeerFrame::kMessage, bytes);
    CHECK(attack.Closed("no message"));
  }
  SECTION("of another node") {
    message.from = 3;
    attack.evil->Say(PeerFrame::kMessage, Encode(message));
    CHECK(attack.Closed("a message from 3 to 1"));
  }
  SECTION("for another node") {
    message.to = 3;
    attack.evil->Say(PeerFrame::kMessage, Encode(message));
    CHECK(attack.Closed("a message from 2 to 3"));
  }
  SECTION("of another cluster") {
    message.cluster = 5;
    attack.evil->Say(PeerFrame::kMessage, Encode(message));
    CHECK(attack.Closed("another cluster"));
  }
  SECTION("of a version that was not agreed on") {
    message.version = 2;
    attack.evil->Say(PeerFrame::kMessage, Encode(message));
    CHECK(attack.Closed("no message"));
  }
  SECTION("a snapshot without its data") {
    message.entries.clear();
    message.kind = raft::MessageKind::kSnapshot;
    message.snapshot = std::make_shared<const raft::SnapshotMeta>(
        raft::SnapshotMeta{.index = 5, .term = 1, .configuration = raft::MakeConfiguration({1, 2}), .id = 0});
    attack.evil->Say(PeerFrame::kMessage, Encode(message));
    CHECK(attack.Closed("without its data"));
  }
  SECTION("frames that have no place") {
    attack.evil->Say(GENERATE(18u, 19u, 20u, 31u, 39u, 63u), "x");
    CHECK(attack.Closed("has no place here"));
  }
  // It may come again, and say something sensible.
  RawPeer better(&attack.world, attack.node.PeerAddress(), HelloOf(2));
  REQUIRE(attack.world.RunUntil([&] { return better.up; }, 2 * kSecond));
  better.Say(PeerFrame::kMessage, Encode(attack.two.Append(1, 1)));
  REQUIRE(attack.world.RunUntil([&] { return attack.node.messages.size() == 1; }, 2 * kSecond));
}

TEST_CASE("the prompt link takes no snapshots and nothing large") {
  Attack attack(proto::LinkClass::kPrompt);
  SECTION("a snapshot") {
    attack.evil->Say(PeerFrame::kSnapshotBegin, cluster::EncodeSnapshotBegin(1, 100));
    CHECK(attack.Closed("has no place here"));
  }
  SECTION("nothing large") {
    attack.evil->Say(cluster::kFirstNodeFrame, std::string(2 << 20, 'x'));
    CHECK(attack.Closed("too long"));
  }
}

TEST_CASE("a head of a snapshot that lies closes the link") {
  Attack attack;
  const auto say = [&](std::string_view head, uint64_t announced) {
    attack.evil->Say(PeerFrame::kSnapshotBegin, cluster::EncodeSnapshotBegin(7, announced));
    attack.evil->Say(PeerFrame::kSnapshotHead, cluster::EncodeSnapshotHead(7, head));
  };
  SECTION("frames without a stream") {
    attack.evil->Say(GENERATE(32u, 33u, 35u, 38u), "short");
    CHECK(attack.Closed("a frame without a stream"));
  }
  SECTION("a length beyond all bounds") {
    attack.evil->Say(PeerFrame::kSnapshotBegin,
                     cluster::EncodeSnapshotBegin(7, GENERATE(uint64_t{0}, (64ull << 20) + 1, UINT64_MAX)));
    CHECK(attack.Closed("a malformed beginning"));
  }
  SECTION("more than was announced") {
    say("xxxxxxxxxx", 9);
    CHECK(attack.Closed("more of a head than was announced"));
  }
  SECTION("parts of nothing, for ever") {
    say("", 9);
    CHECK(attack.Closed("more of a head than was announced"));
  }
  SECTION("noise") {
    say("xxxxxxxxxx", 10);
    CHECK(attack.Closed("a head without a message"));
  }
  SECTION("a message of another kind") {
    const std::string message = Encode(attack.two.Append(1));
    std::string head;
    base::PutLengthPrefixed(&head, message);
    say(head, head.size());
    CHECK(attack.Closed("a head that is not for this node"));
  }
  SECTION("a state that is none") {
    raft::Message message = attack.two.Append(1);
    message.kind = raft::MessageKind::kSnapshot;
    message.snapshot = std::make_shared<const raft::SnapshotMeta>(
        raft::SnapshotMeta{.index = 5, .term = 1, .configuration = raft::MakeConfiguration({1, 2}), .id = 0});
    std::string head;
    base::PutLengthPrefixed(&head, Encode(message));
    head += "\x01 no state";
    say(head, head.size());
    CHECK(attack.Closed("the state of a snapshot"));
  }
  SECTION("chunks before anything was wanted") {
    attack.evil->Say(PeerFrame::kSnapshotBegin, cluster::EncodeSnapshotBegin(7, 100));
    attack.evil->Say(PeerFrame::kSnapshotChunk, cluster::EncodeSnapshotChunk(7, {}, "bytes"));
    CHECK(attack.Closed("no chunk"));
  }
}

TEST_CASE("of streams that are not there any more, and never were, nothing is heard") {
  Attack attack;
  attack.evil->Say(PeerFrame::kSnapshotHead, cluster::EncodeSnapshotHead(7, "x"));
  attack.evil->Say(PeerFrame::kSnapshotChunk, cluster::EncodeSnapshotChunk(7, {}, "bytes"));
  attack.evil->Say(PeerFrame::kSnapshotStopped, cluster::EncodeSnapshotStopped(7, "why"));
  attack.evil->Say(PeerFrame::kSnapshotWanted, cluster::EncodeSnapshotWanted(7, {{0, 0}}));
  attack.evil->Say(PeerFrame::kSnapshotTaken, cluster::EncodeSnapshotTaken(7, 5));
  attack.evil->Say(PeerFrame::kSnapshotDone, cluster::EncodeSnapshotDone(7, absl::OkStatus()));
  // A head that never ends is given up after a while, and may begin again as often as one likes.
  for (uint64_t stream = 1; stream < 100; ++stream) {
    attack.evil->Say(PeerFrame::kSnapshotBegin, cluster::EncodeSnapshotBegin(stream, 100));
  }
  attack.world.RunFor(kSecond);
  CHECK_FALSE(attack.evil->down);
  CHECK(attack.node.snapshots.empty());
  CHECK(attack.node.snapshots_sent.empty());
}

}  // namespace bandb::test
