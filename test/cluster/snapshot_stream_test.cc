// The state of one replica on its way to another: whole, in pieces, and with everything that can
// come between.
#include "cluster/snapshot_rig.h"
#include "support/catch.h"

namespace bandb::test {

TEST_CASE("a snapshot arrives whole, is installed, and both sides know it") {
  SnapshotRig rig(GENERATE(1, 2, 3));
  REQUIRE_OK(rig.pair.peer().ApplyTo(200));
  rig.Start();
  rig.Send();
  REQUIRE(rig.RunToTheEnd());
  CHECK(rig.failures == 0);
  CHECK(rig.pins == 1);
  CHECK(rig.installed_at == 200);
  rig.pair.CheckAt(200);
  const auto status = rig.sender.StatusOf(2);
  CHECK_FALSE(status.snapshot.active);
  CHECK(status.snapshot.wanted_bytes > 20'000);
  CHECK(status.snapshot.taken_bytes == status.snapshot.wanted_bytes);
  CHECK(status.snapshot_error.empty());
}

TEST_CASE("a snapshot that is behind the receiver's state is not taken, and its core is told of it all the same") {
  SnapshotRig rig(GENERATE(1, 2));
  REQUIRE_OK(rig.pair.peer().ApplyTo(100));
  rig.pair.ApplyTo(150);
  rig.pair.Flush();
  rig.Start();
  raft::SendSnapshot send{.message = rig.sender.Append(SnapshotRig::kReceiver)};
  send.message.kind = raft::MessageKind::kSnapshot;
  send.message.session = 77;
  send.message.snapshot = std::make_shared<const raft::SnapshotMeta>(*rig.MetaAt(100));
  rig.sender.peers->SendSnapshot(send);
  REQUIRE(rig.RunUntil([&] { return !rig.sender.snapshots_sent.empty(); }));
  CHECK_FALSE(rig.sender.snapshots_sent.front().ok);
  CHECK(rig.receiver.snapshots.empty());
  // Else who sends it would never learn how far the receiver is, and go on sending it.
  REQUIRE(rig.receiver.messages.size() == 1);
  const raft::Message& told = rig.receiver.messages.front();
  CHECK(told.kind == raft::MessageKind::kSnapshot);
  CHECK(told.session == 77);
  CHECK(told.snapshot->index == 100);
}

TEST_CASE("a second snapshot sends only what the receiver does not have") {
  SnapshotRig rig(GENERATE(1, 2));
  REQUIRE_OK(rig.pair.peer().ApplyTo(198));
  rig.Start();
  rig.Send();
  REQUIRE(rig.RunToTheEnd());
  CHECK(rig.installed_at == 198);
  const uint64_t first = rig.sender.StatusOf(2).snapshot.wanted_bytes;
  rig.sender.snapshots_sent.clear();
  REQUIRE_OK(rig.pair.peer().ApplyTo(200));
  rig.Send();
  REQUIRE(rig.RunToTheEnd());
  CHECK(rig.installed_at == 200);
  rig.pair.CheckAt(200);
  CHECK(rig.sender.StatusOf(2).snapshot.wanted_bytes < first);
}

TEST_CASE("a stream whose connection is cut again and again goes on where it ended") {
  SnapshotRig rig(GENERATE(1, 2, 3, 4));
  REQUIRE_OK(rig.pair.peer().ApplyTo(200));
  rig.Start();
  rig.Send();
  uint64_t most = 0;
  uint64_t wanted_first = 0;
  int cuts = 0;
  // Whenever so much has come, the network goes down. It cannot be done in one stream.
  const bool done = rig.RunUntil(
      [&] {
        const auto progress = rig.sender.StatusOf(2).snapshot;
        if (wanted_first == 0) wanted_first = progress.wanted_bytes;
        most = std::max(most, progress.wanted_bytes);
        if (progress.active && progress.taken_bytes >= 10'000) {
          ++cuts;
          rig.world.network.BreakAll();
          rig.RunFor(10 * kMillis);
        }
        if (!rig.receiver.snapshots.empty()) rig.InstallReceived();
        if (!rig.sender.snapshots_sent.empty()) {
          if (rig.sender.snapshots_sent.back().ok) return true;
          rig.sender.snapshots_sent.clear();
          rig.Send();
        }
        return false;
      },
      600 * kSecond);
  REQUIRE(done);
  CHECK(cuts >= 2);
  CHECK(most == wanted_first);
  CHECK(rig.pins == 1);
  rig.pair.CheckAt(200);
}

TEST_CASE("a stream over a connection of the sender's goes on when the receiver learns the sender's address") {
  SnapshotRig rig(GENERATE(1, 2, 3));
  REQUIRE_OK(rig.pair.peer().ApplyTo(200));
  rig.Start();
  // As a node that joins, which learns the members from what it is given.
  rig.receiver.peers->SetMembers({});
  REQUIRE(rig.RunUntil([&] { return rig.sender.Up(SnapshotRig::kReceiver); }));
  rig.Send();
  REQUIRE(rig.RunUntil([&] { return rig.sender.StatusOf(SnapshotRig::kReceiver).snapshot.taken_bytes > 5000; }));
  rig.receiver.peers->SetMembers(MembersOf({&rig.sender, &rig.receiver}));
  REQUIRE(rig.RunToTheEnd());
  CHECK(rig.failures == 0);
  rig.pair.CheckAt(200);
}

TEST_CASE("a snapshot that the log does not reach back to is taken anew") {
  SnapshotRig rig(1);
  REQUIRE_OK(rig.pair.peer().ApplyTo(150));
  rig.Start();
  rig.receiver_held = true;
  rig.Send();
  rig.RunFor(kSecond);
  rig.world.network.BreakAll();
  REQUIRE(rig.RunUntil([&] { return !rig.sender.snapshots_sent.empty(); }));
  CHECK_FALSE(rig.sender.snapshots_sent.back().ok);
  // Meanwhile the log was compacted.
  REQUIRE_OK(rig.pair.peer().ApplyTo(200));
  rig.log_begins = 160;
  rig.receiver_held = false;
  rig.sender.snapshots_sent.clear();
  REQUIRE(rig.RunUntil([&] { return rig.sender.Up(2); }));
  rig.Send();
  REQUIRE(rig.RunToTheEnd());
  CHECK(rig.pins == 2);
  CHECK(rig.installed_at == 200);
  rig.pair.CheckAt(200);
}

TEST_CASE("a receiver whose disk is full says so, and goes on once there is room") {
  SnapshotRig rig(GENERATE(1, 2));
  REQUIRE_OK(rig.pair.peer().ApplyTo(200));
  rig.Start();
  rig.pair.env().files().SetFreeBytes(15'000);
  rig.Send();
  REQUIRE(rig.RunUntil([&] { return !rig.sender.snapshots_sent.empty(); }));
  CHECK_FALSE(rig.sender.snapshots_sent.back().ok);
  CHECK(rig.sender.StatusOf(2).snapshot_error.find("the receiver") == 0);
  CHECK(rig.sender.Up(2));
  // It is tried again, and never more often than every while.
  const int64_t began = rig.world.network.now_nanos();
  rig.RunToTheEnd(120 * kSecond);
  CHECK(rig.failures >= 3);
  CHECK(rig.failures <= 30);
  CHECK(rig.world.network.now_nanos() - began >= 100 * kSecond);
  rig.pair.env().files().SetFreeBytes(UINT64_MAX);
  REQUIRE(rig.RunToTheEnd());
  rig.pair.CheckAt(200);
}

TEST_CASE("a receiver that takes nothing ends the stream, and so does a sender that sends nothing") {
  SnapshotRig rig(1);
  REQUIRE_OK(rig.pair.peer().ApplyTo(200));
  rig.Start();
  rig.Send();
  REQUIRE(rig.RunUntil([&] { return rig.sender.StatusOf(2).snapshot.taken_bytes > 5000; }));
  SECTION("the receiver's disk hangs") {
    rig.receiver_held = true;
    REQUIRE(rig.RunUntil([&] { return !rig.sender.snapshots_sent.empty(); }));
    CHECK(rig.sender.StatusOf(2).snapshot_error == "the receiver takes nothing");
    rig.receiver_held = false;
  }
  SECTION("the sender's disk hangs") {
    rig.sender_held = true;
    REQUIRE(rig.RunUntil([&] { return !rig.sender.snapshots_sent.empty(); }, 90 * kSecond));
    rig.sender_held = false;
  }
  CHECK_FALSE(rig.sender.snapshots_sent.back().ok);
  REQUIRE(rig.RunToTheEnd());
  rig.pair.CheckAt(200);
}

TEST_CASE("a stream that is not needed any more is stopped and reported") {
  SnapshotRig rig(GENERATE(1, 2));
  REQUIRE_OK(rig.pair.peer().ApplyTo(200));
  rig.Start();
  rig.Send();
  REQUIRE(rig.RunUntil([&] { return rig.sender.StatusOf(2).snapshot.taken_bytes > 5000; }));
  rig.sender.peers->StopSnapshot(2);
  REQUIRE(rig.RunUntil([&] { return !rig.sender.snapshots_sent.empty(); }, kSecond));
  CHECK(rig.sender.snapshots_sent.size() == 1);
  CHECK_FALSE(rig.sender.snapshots_sent[0].ok);
  CHECK_FALSE(rig.sender.StatusOf(2).snapshot.active);
  rig.RunFor(10 * kSecond);
  CHECK(rig.receiver.snapshots.empty());
  CHECK(rig.sender.Up(2));
}

// Its report would end the one that follows, which the core takes for the same.
TEST_CASE("a stream that another one follows is stopped, and only the other one is reported") {
  SnapshotRig rig(GENERATE(1, 2));
  REQUIRE_OK(rig.pair.peer().ApplyTo(200));
  rig.Start();
  rig.Send();
  REQUIRE(rig.RunUntil([&] { return rig.sender.StatusOf(2).snapshot.taken_bytes > 5000; }));
  rig.Send();
  REQUIRE(rig.RunToTheEnd());
  CHECK(rig.failures == 0);
  REQUIRE(rig.sender.snapshots_sent.size() == 1);
  CHECK(rig.sender.snapshots_sent[0].session == rig.sessions);
  CHECK(rig.pins == 1);
  rig.pair.CheckAt(200);
}

TEST_CASE("a stream is no faster than it may be") {
  SnapshotRig rig(1);
  REQUIRE_OK(rig.pair.peer().ApplyTo(200));
  rig.sender.options.snapshots.bytes_per_second_max = 10'000;
  rig.Start();
  const int64_t began = rig.world.network.now_nanos();
  rig.Send();
  REQUIRE(rig.RunToTheEnd());
  const int64_t took = rig.world.network.now_nanos() - began;
  const int64_t least = static_cast<int64_t>(rig.sender.StatusOf(2).snapshot.wanted_bytes) * (kSecond / 10'000);
  CHECK(took >= least - kSecond);
  CHECK(took <= 2 * least + kSecond);
}

}  // namespace bandb::test
