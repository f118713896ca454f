// Snapshots whose bytes are not what they should be, and installs that fail.
#include "cluster/snapshot_rig.h"
#include "support/catch.h"

namespace bandb::test {

namespace {

// One of the sender's tables.
std::string SomeTable(SnapshotRig* rig) {
  const std::vector<std::string> tables = ReplicaPair::Tables(&rig->pair.peer().env().files());
  REQUIRE_FALSE(tables.empty());
  return tables[tables.size() / 2];
}

}  // namespace

TEST_CASE("bytes that rot after the snapshot was described are not taken, and are found out by another description") {
  SnapshotRig rig(GENERATE(1, 2));
  const bool stays = GENERATE(false, true);
  REQUIRE_OK(rig.pair.peer().ApplyTo(200));
  rig.Start();
  rig.receiver_held = true;
  rig.Send();
  rig.RunFor(kSecond);  // described and offered
  const std::string table = SomeTable(&rig);
  rig.pair.peer().env().files().FlipByte(table, 700, 1);
  rig.receiver_held = false;
  REQUIRE(rig.RunUntil([&] { return !rig.sender.snapshots_sent.empty(); }));
  CHECK_FALSE(rig.sender.snapshots_sent.back().ok);
  CHECK(rig.sender.StatusOf(2).snapshot_error.find("checksum") != std::string::npos);
  CHECK(rig.receiver.snapshots.empty());
  if (stays) {
    CHECK_FALSE(rig.RunToTheEnd(180 * kSecond));
    REQUIRE_FALSE(rig.sender.damage.empty());
    CHECK(rig.sender.damage.front().message().find(table) != std::string::npos);
    CHECK(rig.pins >= 2);
  }
  rig.pair.peer().env().files().FlipByte(table, 700, 1);
  REQUIRE(rig.RunToTheEnd());
  if (!stays) CHECK(rig.pins == 1);
  rig.pair.CheckAt(200);
}

TEST_CASE("a receiver that always speaks of damage has the state described seldom, and ever more so") {
  SnapshotRig rig(1);
  REQUIRE_OK(rig.pair.peer().ApplyTo(200));
  rig.Start();
  rig.Send();
  int rounds = 0;
  rig.RunUntil(
      [&] {
        if (!rig.receiver.snapshots.empty()) {
          rig.receiver.snapshots.clear();
          rig.receiver.peers->SnapshotInstalled(absl::DataLossError("so it says"));
          ++rounds;
        }
        if (!rig.sender.snapshots_sent.empty()) {
          rig.sender.snapshots_sent.clear();
          rig.Send();
        }
        return false;
      },
      3600 * kSecond);
  CHECK(rounds >= 50);
  CHECK(rounds <= 80);
  CHECK(rig.pins >= 4);
  CHECK(rig.pins <= 8);
  CHECK(rig.sender.damage.empty());
}

TEST_CASE("a table that the system refuses to read is as one that is damaged") {
  const auto [kind, call] =
      GENERATE(std::make_pair(FaultKind::kIoError, FileCall::kRead), std::make_pair(FaultKind::kGone, FileCall::kOpen));
  const bool described = GENERATE(false, true);
  SnapshotRig rig(1);
  REQUIRE_OK(rig.pair.peer().ApplyTo(200));
  const std::string table = SomeTable(&rig);
  rig.Start();
  if (described) rig.receiver_held = true;
  const auto inject = [&, kind = kind, call = call] {
    rig.pair.peer().env().files().Inject({.kind = kind, .calls = {call}, .pattern = table, .count = Fault::kSticky});
  };
  if (!described) inject();
  rig.Send();
  rig.RunFor(kSecond);
  if (described) inject();
  rig.receiver_held = false;
  CHECK_FALSE(rig.RunToTheEnd(600 * kSecond));
  REQUIRE_FALSE(rig.sender.damage.empty());
  CHECK_CODE(rig.sender.damage.front(), kInternal);
  CHECK(rig.sender.damage.front().message().find(table) != std::string::npos);
  CHECK(rig.pins >= 5);
  CHECK(rig.pins <= 12);
  rig.pair.peer().env().files().ClearFaults();
  REQUIRE(rig.RunToTheEnd());
  rig.pair.CheckAt(200);
}

TEST_CASE("a table that finds no descriptor is not damaged, and is soon tried again") {
  SnapshotRig rig(1);
  REQUIRE_OK(rig.pair.peer().ApplyTo(200));
  rig.Start();
  rig.pair.peer().env().files().Inject({.kind = FaultKind::kNoDescriptor,
                                        .calls = {FileCall::kOpen},
                                        .pattern = SomeTable(&rig),
                                        .count = Fault::kSticky});
  rig.Send();
  CHECK_FALSE(rig.RunToTheEnd(60 * kSecond));
  CHECK(rig.sender.damage.empty());
  rig.pair.peer().env().files().ClearFaults();
  REQUIRE(rig.RunToTheEnd(11 * kSecond));
  rig.pair.CheckAt(200);
}

TEST_CASE("a state one of whose tables is damaged is not sent; which one is said once, and it is looked at seldom") {
  SnapshotRig rig(1);
  REQUIRE_OK(rig.pair.peer().ApplyTo(200));
  const std::string table = SomeTable(&rig);
  rig.pair.peer().env().files().FlipByte(table, 700, 1);
  rig.Start();
  rig.Send();
  CHECK_FALSE(rig.RunToTheEnd(600 * kSecond));
  CHECK(rig.receiver.snapshots.empty());
  CHECK(rig.sender.StatusOf(2).snapshot_error.find(table) != std::string::npos);
  REQUIRE(rig.sender.damage.size() == rig.pins);
  CHECK_CODE(rig.sender.damage.front(), kDataLoss);
  CHECK(rig.pins >= 5);
  CHECK(rig.pins <= 11);
  const std::string log = rig.world.logger.Text();
  const size_t said = log.find(table);
  REQUIRE(said != std::string::npos);
  CHECK(log.find(table, said + 1) == std::string::npos);
  // Once it is sound all is well.
  rig.pair.peer().env().files().FlipByte(table, 700, 1);
  REQUIRE(rig.RunToTheEnd());
  rig.pair.CheckAt(200);
}

TEST_CASE("a table that rots before it is installed is found out by the install, whose failure is passed on") {
  SnapshotRig rig(1);
  REQUIRE_OK(rig.pair.peer().ApplyTo(200));
  rig.Start();
  rig.Send();
  REQUIRE(rig.RunUntil([&] { return !rig.receiver.snapshots.empty(); }));
  std::string received;
  for (const auto& [path, bytes] : rig.pair.env().files().Files()) {
    if (path.ends_with(".tbl.tmp") && bytes > 1000) received = path;
  }
  REQUIRE_FALSE(received.empty());
  rig.pair.env().files().FlipByte(received, 700, 1);
  rig.InstallReceived();
  CHECK(rig.installed_at == 0);
  REQUIRE(rig.RunUntil([&] { return !rig.sender.snapshots_sent.empty(); }));
  CHECK_FALSE(rig.sender.snapshots_sent.back().ok);
  CHECK_FALSE(rig.sender.StatusOf(2).snapshot_error.empty());
}

// As a node does that hears from its peer before the rest is over.
TEST_CASE("a snapshot that cannot be installed is not sent more often for being stopped and asked for again") {
  SnapshotRig rig(1);
  REQUIRE_OK(rig.pair.peer().ApplyTo(200));
  rig.Start();
  rig.Send();
  int rounds = 0;
  int stopped = 0;
  int64_t stop_nanos = 0;
  rig.RunUntil(
      [&] {
        const int64_t now = rig.world.network.now_nanos();
        if (!rig.receiver.snapshots.empty()) {
          rig.receiver.snapshots.clear();
          rig.receiver.peers->SnapshotInstalled(absl::AbortedError("it could not be installed"));
          ++rounds;
          stop_nanos = now + 50 * kMillis;
        }
        if (stopped < rounds && now >= stop_nanos) {
          ++stopped;
          rig.sender.peers->StopSnapshot(SnapshotRig::kReceiver);
        }
        if (!rig.sender.snapshots_sent.empty()) {
          rig.sender.snapshots_sent.clear();
          rig.Send();
        }
        return false;
      },
      120 * kSecond);
  CHECK(rounds >= 8);
  CHECK(rounds <= 25);
}

TEST_CASE("another snapshot has to wait while one is being installed") {
  SnapshotRig rig(1);
  REQUIRE_OK(rig.pair.peer().ApplyTo(200));
  rig.Start();
  rig.Send();
  REQUIRE(rig.RunUntil([&] { return !rig.receiver.snapshots.empty(); }));
  // The link breaks, and the sender begins again.
  rig.world.network.BreakAll();
  REQUIRE(rig.RunUntil([&] { return !rig.sender.snapshots_sent.empty(); }));
  rig.sender.snapshots_sent.clear();
  REQUIRE(rig.RunUntil([&] { return rig.sender.Up(2) && rig.receiver.Up(1); }));
  rig.Send();
  REQUIRE(rig.RunUntil([&] { return !rig.sender.snapshots_sent.empty(); }));
  CHECK(rig.sender.StatusOf(2).snapshot_error.find("another snapshot is being installed") != std::string::npos);
  CHECK(rig.receiver.snapshots.size() == 1);
  --rig.sessions;
  rig.InstallReceived();
  rig.pair.CheckAt(200);
  rig.RunFor(kSecond);
  CHECK(rig.sender.snapshots_sent.size() == 1);
}

TEST_CASE("peers may go at any moment of a stream, on either side") {
  const bool sender_goes = GENERATE(true, false);
  for (int steps = 0; steps < 400; steps += 7) {
    SnapshotRig rig(1, {.entries = 60});
    REQUIRE_OK(rig.pair.peer().ApplyTo(60));
    rig.Start();
    rig.Send();
    for (int i = 0; i < steps; ++i) {
      rig.world.network.Step();
      if (i % 3 == 0) rig.RunExecutors();
    }
    (sender_goes ? rig.sender : rig.receiver).peers.reset();
    rig.RunExecutors();
    for (int i = 0; i < 50; ++i) rig.world.network.Step();
  }
}

}  // namespace bandb::test
