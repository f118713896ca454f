// Segments that are kept for readers: which ones, under which names, and what a start finds of
// them.
#include "cluster/kept_segments.h"

#include <algorithm>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cluster/log_rig.h"
#include "cluster/segment_format.h"
#include "support/catch.h"
#include "support/test_env.h"

namespace bandb::cluster {

namespace {

constexpr uint64_t kBytes = 10'000;  // of each

struct KeptRig {
  explicit KeptRig(std::unique_ptr<test::CrashFileSystem> files = nullptr)
      : env(1, files == nullptr ? std::make_unique<test::CrashFileSystem>() : std::move(files)) {
    CHECK_OK(env.files().CreateDirs("log"));
    CHECK_OK(env.files().SyncDir("."));
  }
  void Make(uint64_t number) {
    auto file = env.files().Create("log/" + SegmentName(number), base::AppendMode::kBuffered);
    REQUIRE_OK(file.status());
    REQUIRE_OK((*file)->Append(std::string(kBytes, 'x')));
    REQUIRE_OK((*file)->Sync());
    REQUIRE_OK((*file)->Close());
    REQUIRE_OK(env.files().SyncDir("log"));
  }
  absl::Status Open(raft::Index log_floor, uint64_t bytes_max, uint64_t ms_max = UINT64_MAX) {
    auto opened = KeptSegments::Open({.directory = {.files = &env.files(), .path = "log", .database_id = RigDatabase()},
                                      .executor = &env.executor(),
                                      .logger = &env.logger(),
                                      .post = [this](base::Task task) { turns.push_back(std::move(task)); },
                                      .bytes_max = bytes_max,
                                      .ms_max = ms_max},
                                     log_floor);
    if (opened.ok()) {
      kept = *std::move(opened);
      kept->SetOnFloor([this](raft::Index gone) { floor = gone; });
    }
    return opened.status();
  }
  void Run() {
    for (env.executor().RunReady(); !turns.empty(); env.executor().RunReady()) {
      for (base::Task& task : std::exchange(turns, {})) std::move(task)();
    }
  }
  // Segment n holds the entries after 100 (n - 1) up to 100 n.
  static RetiredSegment Segment(uint64_t number) {
    return {.number = number, .after = 100 * (number - 1), .end = 100 * number};
  }
  std::string Names() {
    std::string names;
    const absl::StatusOr<std::vector<std::string>> listed = env.files().List("log");
    REQUIRE_OK(listed.status());
    for (const std::string& name : *listed) names += name + " ";
    return names;
  }

  test::TestEnv env;
  std::deque<base::Task> turns;
  raft::Index floor = 0;
  std::shared_ptr<KeptSegments> kept;
};

}  // namespace

TEST_CASE("the newest segments are kept, as many as there may be, and found again") {
  KeptRig rig;
  REQUIRE_OK(rig.Open(0, 3 * kBytes));
  for (uint64_t number = 1; number <= 5; ++number) {
    rig.Make(number);
    CHECK(rig.kept->Retire({KeptRig::Segment(number)}, 1000 + number).empty());
    CHECK(rig.kept->PathOf(number, false) == "log/" + SegmentName(number));
    CHECK(rig.kept->PathOf(number, true) == "log/" + KeptSegmentName({KeptRig::Segment(number), 1000 + number}));
    rig.Run();
    CHECK(rig.kept->PathOf(number, false) == "log/" + KeptSegmentName({KeptRig::Segment(number), 1000 + number}));
    CHECK(rig.floor == (number <= 3 ? 0 : 100 * (number - 3)));
  }
  const std::string names = "000003-200-300-1003.kept 000004-300-400-1004.kept 000005-400-500-1005.kept ";
  CHECK(rig.Names() == names);
  REQUIRE_OK(rig.Open(500, 3 * kBytes));
  rig.Run();
  CHECK(rig.Names() == names);
  CHECK(rig.kept->floor() == raft::Index{200});
  REQUIRE_OK(rig.Open(500, kBytes));
  rig.Run();
  CHECK(rig.Names() == "000005-400-500-1005.kept ");
  REQUIRE_OK(rig.Open(500, 0));
  rig.Run();
  CHECK(rig.Names().empty());
  CHECK(!rig.kept->floor().has_value());
}

TEST_CASE("what does not lead up to the log is not kept, nor what is old, nor anything on a full disk") {
  KeptRig rig;
  REQUIRE_OK(rig.Open(0, 100 * kBytes, 50));
  rig.kept->KeepAfter(UINT64_MAX);
  for (uint64_t number = 1; number <= 4; ++number) {
    rig.Make(number);
    rig.kept->Retire({KeptRig::Segment(number)}, 1000 + 10 * number);
    rig.Run();
  }
  rig.kept->Trim(1075);
  CHECK(rig.floor == 200);
  rig.Run();
  REQUIRE(rig.kept->count() == 2);
  SECTION("a hole") {
    REQUIRE_OK(rig.env.files().Remove("log/000004-300-400-1040.kept"));
    REQUIRE_OK(rig.Open(400, 100 * kBytes));
  }
  SECTION("another log") { REQUIRE_OK(rig.Open(390, 100 * kBytes)); }
  SECTION("a full disk") {
    rig.Make(5);
    rig.kept->Retire({KeptRig::Segment(5)}, 1075);
    // Whether it has been moved or not.
    if (GENERATE(false, true)) rig.Run();
    rig.kept->DropAll();
    CHECK(rig.floor == 500);
  }
  rig.Run();
  CHECK(rig.kept->count() == 0);
  CHECK(rig.Names().empty());
}

TEST_CASE("what a cursor needs is kept whatever its age, as long as there is room") {
  KeptRig rig;
  REQUIRE_OK(rig.Open(0, 4 * kBytes, 50));
  const auto retire = [&](uint64_t number) {
    rig.Make(number);
    rig.kept->Retire({KeptRig::Segment(number)}, 1000);
    rig.Run();
  };
  for (uint64_t number = 1; number <= 4; ++number) retire(number);
  // Before it is known what is needed, all is.
  rig.kept->Trim(2000);
  CHECK(rig.floor == 0);
  rig.kept->KeepAfter(150);
  rig.kept->Trim(2000);
  CHECK(rig.floor == 100);
  rig.kept->KeepAfter(300);
  rig.kept->Trim(2000);
  CHECK(rig.floor == 300);
  rig.Run();
  for (uint64_t number = 5; number <= 8; ++number) retire(number);
  // Of these the oldest is needed, and there is no room for it.
  CHECK(rig.floor == 400);
  CHECK(rig.kept->count() == 4);
  CHECK(rig.kept->let_go() == 4);
  rig.kept->KeepAfter(UINT64_MAX);
  rig.kept->Trim(2000);
  CHECK(rig.floor == 800);
}

TEST_CASE("a move for which there is no descriptor is made once there is one, and nothing is let go meanwhile") {
  const bool dropped = GENERATE(false, true);
  for (const test::FileCall call : {test::FileCall::kFileSize, test::FileCall::kRename, test::FileCall::kSyncDir}) {
    KeptRig rig;
    REQUIRE_OK(rig.Open(0, 100 * kBytes));
    for (uint64_t number = 1; number <= 3; ++number) rig.Make(number);
    rig.env.files().Inject({.kind = test::FaultKind::kNoDescriptor, .calls = {call}, .count = test::Fault::kSticky});
    rig.kept->Retire({KeptRig::Segment(1), KeptRig::Segment(2)}, 1000);
    for (int i = 0; i < 30; ++i) {
      rig.Run();
      rig.env.clock().AdvanceMillis(1000);
    }
    CHECK(rig.kept->count() == 2);
    CHECK(rig.kept->let_go() == 0);
    CHECK(rig.floor == 0);
    // Whichever names they have.
    if (dropped) rig.kept->DropAll();
    rig.env.files().ClearFaults();
    rig.Run();
    rig.env.clock().AdvanceMillis(1000);
    rig.Run();
    CHECK(rig.Names() ==
          (dropped ? SegmentName(3) + " " : "000001-0-100-1000.kept 000002-100-200-1000.kept " + SegmentName(3) + " "));
  }
}

TEST_CASE("names that are no kept segment's are told from those that are") {
  for (const std::string name : {"000001-0-1-2.kept", "1234567-18-19-20.kept"}) {
    const std::optional<KeptSegment> kept = ParseKeptSegmentName(name);
    REQUIRE(kept.has_value());
    CHECK(KeptSegmentName(*kept) == name);
  }
  for (const std::string name :
       {"", ".kept", "000001.seg", "000001-0-1.kept", "000001-0-1-.kept", "1-0-1-2.kept", "000001-0-1-2-3.kept",
        "000001-00-1-2.kept", "000001-0-x-2.kept", "000001-0-1-9999999999999999999.kept", "000001-0-1-2-.kept"}) {
    INFO(name);
    CHECK(!ParseKeptSegmentName(name).has_value());
  }
}

TEST_CASE("after a crash at any call there is no hole between what is kept and the log") {
  bool ended = false;
  for (uint64_t crash = 1; !ended; ++crash) {
    KeptRig rig;
    for (uint64_t number = 1; number <= 6; ++number) rig.Make(number);
    REQUIRE_OK(rig.Open(0, 3 * kBytes));
    const uint64_t before = rig.env.files().mutations();
    rig.env.files().StopAt(before + crash);
    rig.kept->Retire({KeptRig::Segment(1), KeptRig::Segment(2), KeptRig::Segment(3)}, 1);
    rig.Run();
    rig.kept->Retire({KeptRig::Segment(4), KeptRig::Segment(5)}, 2);
    rig.Run();
    ended = rig.env.files().mutations() < before + crash;
    for (const test::Damage damage : test::kAllDamages) {
      KeptRig again(rig.env.files().CrashImage(damage, crash));
      // The log goes back as far as its names do without a gap.
      uint64_t begin = 6;
      while (begin > 1 && *again.env.files().Exists("log/" + SegmentName(begin - 1))) --begin;
      REQUIRE_OK(again.Open(100 * (begin - 1), 3 * kBytes));
      again.Run();
      INFO("crash " << crash << " " << again.Names());
      const uint64_t kept = again.kept->count();
      CHECK((kept == 0 || again.kept->floor() == 100 * (begin - 1 - kept)));
      // Nothing goes that there is room for.
      CHECK((kept == std::min<uint64_t>(begin - 1, 3) || begin - 1 - kept >= 1));
      if (ended) CHECK(kept == 3);
    }
  }
}

}  // namespace bandb::cluster
