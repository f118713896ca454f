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

TEST_CASE("bytes that rot after the snapshot was described are not taken, and what is whole is described again") {
  SnapshotRig rig(GENERATE(1, 2));
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
  rig.pair.peer().env().files().FlipByte(table, 700, 1);
  REQUIRE(rig.RunToTheEnd());
  CHECK(rig.pins >= 2);
  rig.pair.CheckAt(200);
}

TEST_CASE("a table that was damaged before is found out by the install, whose failure is passed on") {
  SnapshotRig rig(1);
  REQUIRE_OK(rig.pair.peer().ApplyTo(200));
  rig.pair.peer().env().files().FlipByte(SomeTable(&rig), 700, 1);
  rig.Start();
  rig.Send();
  REQUIRE(rig.RunUntil([&] { return !rig.receiver.snapshots.empty(); }));
  rig.InstallReceived();
  CHECK(rig.installed_at == 0);
  REQUIRE(rig.RunUntil([&] { return !rig.sender.snapshots_sent.empty(); }));
  CHECK_FALSE(rig.sender.snapshots_sent.back().ok);
  CHECK_FALSE(rig.sender.StatusOf(2).snapshot_error.empty());
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
