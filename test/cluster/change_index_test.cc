// The change index: what is found after a crash at any call to the file system, what becomes of
// damage, and that what readers are given is what was appended.
#include "cluster/change_index.h"

#include <memory>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "base/status.h"
#include "cluster/index_rig.h"
#include "support/catch.h"

namespace bandb::cluster {

TEST_CASE("readers find what was appended, in memory and in files, by index and by sequence") {
  IndexRig rig;
  REQUIRE_OK(rig.Open(0));
  for (const raft::Index to : {1, 700, 5000, 60000, 110000, 120000}) {
    rig.Append(to);
    rig.Run();
    CHECK(rig.Oldest() == 0);
    rig.CheckAllAfter(0);
    rig.CheckAllAfter(to / 2);
    ChangeIndex::Spot spot;
    for (raft::Index index = 1; index < to; index += 1 + index * 2) {
      // A place inside an entry is answered with that entry, which begins before it.
      for (const uint64_t sequence : {BoundAt(index).sequence, BoundAt(index).sequence + 1}) {
        const absl::StatusOr<ChangeStretch> stretch = rig.index->AfterSequence(sequence, &spot);
        REQUIRE_OK(stretch.status());
        CHECK(stretch->before == BoundAt(index));
        CHECK(stretch->entries.front().end == BoundAt(index + 1));
      }
    }
    rig.index->MakeDurable();
    rig.Run();
    CHECK(rig.told.back() == to);
  }
  CHECK(rig.Names().size() > 1);
}

TEST_CASE("the last place of a file is found once more by who has been there") {
  IndexRig rig;
  REQUIRE_OK(rig.Open(0));
  rig.Append(700);
  rig.index->MakeDurable();
  rig.Run();
  // From here on it is in the file alone.
  REQUIRE_OK(rig.Open(700));
  ChangeIndex::Spot spot;
  for (int i = 0; i < 3; ++i) {
    for (const raft::Index after : {699, 100, 698}) {
      const absl::StatusOr<ChangeStretch> stretch = rig.index->AfterIndex(after, &spot);
      REQUIRE_OK(stretch.status());
      CHECK(stretch->before == BoundAt(after));
    }
  }
  rig.CheckAllAfter(0);
}

TEST_CASE("an index that the device does not give back is forgotten, and keeps no node down") {
  IndexRig rig;
  REQUIRE_OK(rig.Open(0));
  rig.Append(700);
  rig.index->MakeDurable();
  rig.Run();
  rig.env.files().Inject({.kind = test::FaultKind::kIoError,
                          .calls = {test::FileCall::kRead, test::FileCall::kOpen},
                          .pattern = "*.chg",
                          .count = test::Fault::kSticky});
  REQUIRE_OK(rig.Open(700));
  rig.env.files().ClearFaults();
  CHECK(rig.Oldest() == 700);
  rig.Append(800);
  rig.CheckAllAfter(700);
}

TEST_CASE("an index reaches as far back as the log, and its files go with it") {
  IndexRig rig;
  REQUIRE_OK(rig.Open(0));
  for (raft::Index to = 20000; to <= 200000; to += 20000) {
    rig.Append(to);
    rig.Run();
  }
  const size_t files = rig.Names().size();
  rig.index->SetFloor(180001);
  rig.Run();
  CHECK(rig.Names().size() < files);
  CHECK(rig.Oldest() == 180001);
  rig.CheckAllAfter(180001);
  ChangeIndex::Spot spot;
  CHECK_CODE(rig.index->AfterIndex(180000, &spot).status(), kOutOfRange);
  CHECK_CODE(rig.index->AfterSequence(BoundAt(180000).sequence, &spot).status(), kOutOfRange);
  REQUIRE_OK(rig.Open(200000, 190000));
  rig.Run();
  CHECK(rig.Oldest() == 190000);
  rig.CheckAllAfter(190000);
  rig.index->SetFloor(200000);
  CHECK(rig.Oldest() == 200000);
}

TEST_CASE("where the feed begins is looked for once, for each place where it does") {
  IndexRig rig;
  REQUIRE_OK(rig.Open(0));
  rig.Append(9000);
  rig.index->MakeDurable();
  rig.Run();
  REQUIRE_OK(rig.Open(9000, 4000));
  const auto reads = [&] { return rig.env.files().calls(); };
  for (const raft::Index floor : {4000, 5000}) {
    rig.index->SetFloor(floor);
    const uint64_t before = reads();
    CHECK(rig.Oldest() == floor);
    const uint64_t once = reads();
    CHECK(once > before);
    for (int i = 0; i < 10; ++i) CHECK(rig.Oldest() == floor);
    CHECK(reads() == once);
  }
}

TEST_CASE("of removed files that a power loss brings back, those that do not lead on are forgotten") {
  IndexRig rig;
  // A file for each start.
  for (const raft::Index to : {20, 40, 60}) {
    REQUIRE_OK(rig.Open(to - 20));
    rig.Append(to);
    rig.index->MakeDurable();
    rig.Run();
  }
  const std::vector<std::string> names = rig.Names();
  REQUIRE(names.size() == 3);
  SECTION("a file in between is gone for good") {
    REQUIRE_OK(rig.env.files().Remove("log/" + ChangeFileName(2)));
    REQUIRE_OK(rig.Open(60, 10));
    CHECK(rig.Oldest() == 40);
    rig.CheckAllAfter(40);
    rig.Run();
    CHECK(rig.Names() == std::vector{ChangeFileName(3)});
    CHECK(rig.env.logger().Text().find("begins after entry 40") != std::string::npos);
  }
  SECTION("a number that was given to no file is no hole") {
    REQUIRE_OK(rig.Open(60));
    REQUIRE_OK(rig.env.files().Rename("log/" + ChangeFileName(3), "log/" + ChangeFileName(4)));
    REQUIRE_OK(rig.Open(60, 10));
    CHECK(rig.Oldest() == 10);
    rig.CheckAllAfter(10);
    rig.Run();
    CHECK(rig.Names().size() == 3);
  }
}

TEST_CASE("another state takes the place of all") {
  IndexRig rig;
  REQUIRE_OK(rig.Open(0));
  rig.Append(9000);
  // One write is under way.
  rig.index->MakeDurable();
  rig.index->Restart(BoundAt(20000));
  rig.Run();
  CHECK(rig.Oldest() == 20000);
  CHECK(rig.Names().empty());
  rig.Append(20100);
  rig.index->MakeDurable();
  rig.Run();
  CHECK(rig.told.back() == 20100);
  rig.CheckAllAfter(20000);
  REQUIRE_OK(rig.Open(20050));
  CHECK(rig.Oldest() == 20000);
  rig.CheckAllAfter(20000);
  // What comes after the state is told again.
  rig.Append(20200);
  rig.CheckAllAfter(20000);
}

TEST_CASE("after a crash at any call all is there that was told to be durable, or nothing before") {
  bool ended = false;
  for (uint64_t crash = 1; !ended; ++crash) {
    IndexRig rig;
    rig.env.files().StopAt(crash);
    if (!rig.Open(0).ok()) continue;
    raft::Index promised = 0;
    for (raft::Index to = 300; to <= 3000; to += 300) {
      rig.Append(to);
      if (to == 1500) {
        rig.index->Restart(BoundAt(1700));
        promised = 1700;
      }
      rig.index->MakeDurable();
      rig.Run();
      // What could not be written is forgotten, and told as such.
      if (rig.env.files().mutations() >= crash) break;
      if (!rig.told.empty()) promised = std::max(promised, rig.told.back());
    }
    ended = rig.env.files().mutations() < crash;
    std::vector<std::unique_ptr<test::CrashFileSystem>> images;
    images.push_back(rig.env.files().ProcessDeathImage(crash));
    for (const test::Damage damage : test::kAllDamages) images.push_back(rig.env.files().CrashImage(damage, crash));
    for (std::unique_ptr<test::CrashFileSystem>& image : images) {
      IndexRig again(std::move(image));
      INFO("crash " << crash << " promised " << promised);
      REQUIRE_OK(again.Open(promised));
      const raft::Index oldest = again.Oldest();
      CHECK((oldest == 0 || oldest == 1700));
      again.CheckAllAfter(oldest);
      // And it goes on.
      again.Append(promised + 400);
      again.index->MakeDurable();
      again.Run();
      again.CheckAllAfter(oldest);
      REQUIRE_OK(again.Open(promised + 200));
      again.CheckAllAfter(again.Oldest());
      CHECK(again.Oldest() == oldest);
    }
  }
}

TEST_CASE("a file that cannot be written keeps nobody waiting: what was noted is forgotten") {
  IndexRig rig;
  REQUIRE_OK(rig.Open(0));
  rig.Append(100);
  rig.index->MakeDurable();
  rig.Run();
  rig.Append(200);
  rig.env.files().SetFreeBytes(0);
  int let_go = 0;
  rig.let_go = [&] { ++let_go; };
  rig.index->MakeDurable();
  // It is waited for room a little.
  for (int i = 0; i < 10; ++i) {
    rig.Run();
    CHECK(rig.told.back() == 100);
    CHECK(rig.Oldest() == 0);
    rig.env.clock().AdvanceMillis(100);
  }
  rig.Run();
  CHECK(let_go == 11);
  CHECK(rig.told.back() == 200);
  CHECK(rig.Oldest() == 200);
  rig.env.files().SetFreeBytes(UINT64_MAX);
  rig.Append(300);
  rig.index->MakeDurable();
  rig.Run();
  CHECK(rig.told.back() == 300);
  CHECK(rig.Oldest() == 200);
  rig.CheckAllAfter(200);
  REQUIRE_OK(rig.Open(300));
  CHECK(rig.Oldest() == 200);
}

TEST_CASE("on a full disk what is kept for readers goes, and what was noted is not forgotten") {
  const bool in_new_file = GENERATE(false, true);
  IndexRig rig;
  REQUIRE_OK(rig.Open(0));
  if (!in_new_file) {
    rig.Append(100);
    rig.index->MakeDurable();
    rig.Run();
  }
  rig.Append(200);
  rig.env.files().SetFreeBytes(0);
  rig.let_go = [&] {
    // As the kept segments tell it.
    rig.index->SetFloor(50);
    rig.env.files().SetFreeBytes(UINT64_MAX);
  };
  rig.index->MakeDurable();
  rig.Run();
  rig.env.clock().AdvanceMillis(100);
  rig.Run();
  CHECK(rig.told.back() == 200);
  CHECK(rig.Oldest() == 50);
  rig.Append(300);
  rig.index->MakeDurable();
  rig.Run();
  rig.CheckAllAfter(50);
  REQUIRE_OK(rig.Open(300, 50));
  CHECK(rig.Oldest() == 50);
  rig.CheckAllAfter(50);
}

TEST_CASE("every flipped byte is an error for who reads there, or makes the feed begin later") {
  IndexRig rig;
  REQUIRE_OK(rig.Open(0));
  for (const raft::Index to : {40, 80}) {
    rig.Append(to);
    rig.index->MakeDurable();
    rig.Run();
  }
  // In another file.
  REQUIRE_OK(rig.Open(80));
  rig.Append(2000);
  rig.index->MakeDurable();
  rig.Run();
  REQUIRE(rig.Names().size() == 2);
  for (const std::string& name : rig.Names()) {
    const std::string path = "log/" + name;
    const uint64_t bytes = *rig.env.files().FileSize(path);
    for (uint64_t offset = 0; offset < bytes; offset += offset < 200 ? 1 : 97) {
      rig.env.files().FlipByte(path, offset, 0x10);
      INFO(path << " offset " << offset);
      IndexRig damaged(rig.env.files().ProcessDeathImage(1));
      const absl::Status opened = damaged.Open(2000);
      // The header says that a newer release wrote it, at worst.
      if (opened.ok()) {
        ChangeIndex::Spot spot;
        raft::Index after = damaged.Oldest();
        while (after < 2000) {
          const absl::StatusOr<ChangeStretch> stretch = damaged.index->AfterIndex(after, &spot);
          if (!stretch.ok()) {
            CHECK(stretch.status().code() == absl::StatusCode::kDataLoss);
            break;
          }
          for (const ChangeEntry& entry : stretch->entries) REQUIRE(entry.end == BoundAt(++after));
        }
      }
      rig.env.files().FlipByte(path, offset, 0x10);
    }
  }
}

TEST_CASE("a place that no segment has, and a number that no log comes to, are damage for who reads them") {
  ChangeBound before = BoundAt(5);
  ChangeEntry entry = EntryAt(6);
  absl::StatusCode expected = absl::StatusCode::kDataLoss;
  SECTION("what is written is read") { expected = absl::StatusCode::kOk; }
  SECTION("an offset") { entry.place.offset = UINT64_MAX - 50; }
  SECTION("a length") { entry.place.record_bytes = UINT32_MAX; }
  SECTION("a sequence") {
    before.sequence = before.user_sequence = uint64_t{1} << 62;
    entry.end.sequence = before.sequence + 2;
    entry.end.user_sequence = before.user_sequence;
  }
  SECTION("a sequence of users after the last one") {
    before.user_sequence = before.sequence + 20;
    entry.end.user_sequence = before.user_sequence;
  }
  SECTION("an index") {
    before.index = UINT64_MAX - 1;
    entry.end.index = UINT64_MAX;
  }
  test::TestEnv env(1);
  const storage::FileHeader header{
      .type = storage::FileType::kChangeIndex, .database_id = RigDatabase(), .file_id = {.bytes = {1}}};
  std::string bytes = storage::EncodeFileHeader(header);
  AppendChangeBlock(header.checksum_seed(), bytes.size(), false, before, {entry}, &bytes);
  REQUIRE_OK(base::InstallFile(&env.files(), "index.chg", bytes));
  const absl::StatusOr<ChangeFile> file = ChangeFile::Open(&env.files(), "index.chg", RigDatabase());
  REQUIRE_OK(file.status());
  uint64_t offset = ChangeFile::kBegin;
  ChangeStretch block;
  CHECK(file->ReadBlock(&offset, &block).code() == expected);
}

}  // namespace bandb::cluster
