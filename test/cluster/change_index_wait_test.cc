// A change index that finds no descriptor.
#include <string>
#include <vector>

#include "cluster/change_index.h"
#include "cluster/index_rig.h"
#include "support/catch.h"

namespace bandb::cluster {

TEST_CASE("a file for which there is no descriptor is made once there is one, and nothing is forgotten meanwhile") {
  IndexRig rig;
  REQUIRE_OK(rig.Open(0));
  rig.Append(10);
  rig.env.files().Inject(
      {.kind = test::FaultKind::kNoDescriptor, .calls = {test::FileCall::kCreate}, .pattern = "*.chg", .count = 3});
  rig.index->MakeDurable();
  for (int i = 0; i < 3; ++i) {
    rig.Run();
    CHECK(rig.told.empty());
    rig.env.clock().AdvanceMillis(100);
  }
  rig.Run();
  REQUIRE(!rig.told.empty());
  CHECK(rig.told.back() == 10);
  CHECK(rig.Oldest() == 0);
  REQUIRE_OK(rig.Open(10));
  rig.CheckAllAfter(0);
}

TEST_CASE("however long there is no descriptor, nothing of the index is forgotten") {
  IndexRig rig;
  REQUIRE_OK(rig.Open(0));
  bool let_go = false;
  rig.let_go = [&] { let_go = true; };
  rig.Append(10);
  rig.env.files().Inject({.kind = test::FaultKind::kNoDescriptor, .count = test::Fault::kSticky});
  rig.index->MakeDurable();
  for (int i = 0; i < 600; ++i) {
    rig.Run();
    rig.env.clock().AdvanceMillis(100);
  }
  CHECK(rig.told.empty());
  CHECK_FALSE(let_go);
  rig.env.files().ClearFaults();
  rig.Run();
  REQUIRE(!rig.told.empty());
  CHECK(rig.told.back() == 10);
  REQUIRE_OK(rig.Open(10));
  CHECK(rig.Oldest() == 0);
  rig.CheckAllAfter(0);
}

TEST_CASE("the owner is told of a want of descriptors that lasts, and when it is over, once each") {
  const bool installs = GENERATE(false, true);
  IndexRig rig;
  REQUIRE_OK(rig.Open(0));
  rig.Append(10);
  rig.env.files().Inject({.kind = test::FaultKind::kNoDescriptor,
                          .calls = {test::FileCall::kCreate},
                          .pattern = "*.chg",
                          .count = test::Fault::kSticky});
  rig.index->MakeDurable();
  const auto run = [&](int tries) {
    for (int i = 0; i < tries; ++i) {
      rig.Run();
      rig.env.clock().AdvanceMillis(100);
    }
  };
  run(99);
  CHECK(rig.waits.empty());
  run(101);
  REQUIRE(rig.waits.size() == 1);
  CHECK_CODE(rig.waits.front(), kUnavailable);
  const std::string log = rig.env.logger().Text();
  CHECK(log.find("waits for a file") != std::string::npos);
  CHECK(log.find("waits for a file") == log.rfind("waits for a file"));
  if (installs) {
    // Nothing is to be written any more.
    rig.index->Restart(BoundAt(50));
  } else {
    rig.env.files().ClearFaults();
    rig.Run();
    CHECK(rig.told == std::vector<raft::Index>{10});
  }
  REQUIRE(rig.waits.size() == 2);
  CHECK_OK(rig.waits.back());
  rig.env.files().ClearFaults();
  run(3);
  rig.Append(60);
  rig.index->MakeDurable();
  run(3);
  CHECK(rig.told.back() == 60);
  CHECK(rig.waits.size() == 2);
}

TEST_CASE("what has gathered while there was no descriptor is written in several rounds") {
  IndexRig rig;
  REQUIRE_OK(rig.Open(0));
  rig.env.files().Inject(
      {.kind = test::FaultKind::kNoDescriptor, .calls = {test::FileCall::kCreate}, .pattern = "*.chg", .count = 1});
  rig.Append(20000);
  rig.index->MakeDurable();
  rig.Run();
  CHECK(rig.told.empty());
  rig.env.clock().AdvanceMillis(100);
  rig.Run();
  CHECK(rig.told == std::vector<raft::Index>{8192, 16384, 20000});
  rig.CheckAllAfter(0);
  REQUIRE_OK(rig.Open(20000));
  CHECK(rig.Oldest() == 0);
  rig.CheckAllAfter(0);
}

TEST_CASE("the owner is told of a full disk before the index gives up, unless what was kept makes room") {
  const bool makes_room = GENERATE(false, true);
  IndexRig rig;
  REQUIRE_OK(rig.Open(0));
  rig.Append(10);
  rig.env.files().SetFreeBytes(0);
  if (makes_room) rig.let_go = [&] { rig.env.files().SetFreeBytes(UINT64_MAX); };
  rig.index->MakeDurable();
  rig.Run();
  rig.env.clock().AdvanceMillis(100);
  rig.Run();
  if (makes_room) {
    CHECK(rig.told == std::vector<raft::Index>{10});
    CHECK(rig.waits.empty());
    return;
  }
  // Flushes wait still, and memtables must not fill up meanwhile.
  CHECK(rig.told.empty());
  REQUIRE(rig.waits.size() == 1);
  CHECK_CODE(rig.waits[0], kResourceExhausted);
  for (int i = 0; i < 20; ++i) {
    rig.env.clock().AdvanceMillis(100);
    rig.Run();
  }
  // Forgotten: a flush says by itself what is the matter.
  CHECK(rig.told == std::vector<raft::Index>{10});
  REQUIRE(rig.waits.size() == 2);
  CHECK_OK(rig.waits[1]);
}

}  // namespace bandb::cluster
