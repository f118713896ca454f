// The change index: what is found after a crash at any call to the file system, what becomes of
// damage, and that what readers are given is what was appended.
#include "cluster/change_index.h"

#include <algorithm>
#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "cluster/log_rig.h"
#include "support/catch.h"
#include "support/test_env.h"

namespace bandb::cluster {

namespace {

// The entries are a function of their index.
ChangeEntry EntryAt(raft::Index index) {
  ChangeEntry entry;
  entry.end = {.index = index, .sequence = index * 3 - index % 2, .time_ms = 1000 + index / 4};
  entry.place = {.segment = 1 + index / 1000,
                 .offset = index * 70,
                 .record_bytes = static_cast<uint32_t>(60 + index % 9),
                 .payload_bytes = 0,
                 .term = 1 + index / 500};
  if (index % 7 == 0) entry.undone = std::string("\x05", 1);
  return entry;
}

ChangeBound BoundAt(raft::Index index) { return index == 0 ? ChangeBound{} : EntryAt(index).end; }

// An index, its disk, and the turns of its node.
struct IndexRig {
  explicit IndexRig(std::unique_ptr<test::CrashFileSystem> files = nullptr)
      : env(1, files == nullptr ? std::make_unique<test::CrashFileSystem>() : std::move(files)) {
    // The log's.
    CHECK_OK(env.files().CreateDirs("log"));
    CHECK_OK(env.files().SyncDir("."));
  }
  absl::Status Open(raft::Index state, raft::Index floor = 0) {
    ChangeIndex::Parts parts{.directory = {.files = &env.files(), .path = "log", .database_id = RigDatabase()},
                             .executor = &env.executor(),
                             .logger = &env.logger(),
                             .post = [this](base::Task task) { turns.push_back(std::move(task)); },
                             .durable = [this](raft::Index durable) { told.push_back(durable); },
                             .random = env.random().Fork()};
    auto opened = ChangeIndex::Open(std::move(parts), BoundAt(state), floor);
    if (opened.ok()) index = *std::move(opened);
    return opened.status();
  }
  void Run() {
    for (env.executor().RunReady(); !turns.empty(); env.executor().RunReady()) {
      for (base::Task& task : std::exchange(turns, {})) std::move(task)();
    }
  }
  void Append(raft::Index to) {
    while (index->applied().index < to) index->Append(EntryAt(index->applied().index + 1));
  }
  raft::Index Oldest() {
    const absl::StatusOr<ChangeBound> oldest = index->Oldest();
    REQUIRE_OK(oldest.status());
    CHECK(*oldest == BoundAt(oldest->index));
    return oldest->index;
  }
  // All after an index, read in a row.
  void CheckAllAfter(raft::Index after) {
    ChangeIndex::Spot spot;
    while (after < index->applied().index) {
      const absl::StatusOr<ChangeStretch> stretch = index->AfterIndex(after, &spot);
      REQUIRE_OK(stretch.status());
      REQUIRE(!stretch->entries.empty());
      REQUIRE(stretch->before == BoundAt(after));
      for (const ChangeEntry& entry : stretch->entries) {
        const ChangeEntry expected = EntryAt(++after);
        REQUIRE(entry.end == expected.end);
        REQUIRE(entry.undone == expected.undone);
        REQUIRE(entry.place.segment == expected.place.segment);
        REQUIRE(entry.place.offset == expected.place.offset);
        REQUIRE(entry.place.record_bytes == expected.place.record_bytes);
        REQUIRE(entry.place.term == expected.place.term);
      }
    }
  }
  std::vector<std::string> Names() { return *env.files().List("log"); }

  test::TestEnv env;
  std::deque<base::Task> turns;
  std::vector<raft::Index> told;
  std::shared_ptr<ChangeIndex> index;
};

}  // namespace

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
  rig.index->SetFloor(200000);
  CHECK(rig.Oldest() == 200000);
  REQUIRE_OK(rig.Open(200000, 190000));
  rig.Run();
  CHECK(rig.Oldest() == 190000);
  rig.CheckAllAfter(190000);
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
  rig.index->MakeDurable();
  rig.Run();
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

}  // namespace bandb::cluster
