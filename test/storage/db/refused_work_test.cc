// What the operating system refuses for a moment stops nothing: work in the background is tried
// again by itself, and a caller that waits for it is told in time.
#include <memory>
#include <string>
#include <vector>

#include "bandb/event_listener.h"
#include "base/status.h"
#include "storage/db/open_db.h"
#include "support/catch.h"
#include "support/test_env.h"

namespace bandb::test {

namespace {

constexpr char kDir[] = "/db";
constexpr char kCopy[] = "/copy";
constexpr int64_t kSecond = 1'000'000'000;

struct TroubleList final : EventListener {
  void OnBackgroundError(const absl::Status& error) override { errors.push_back(error); }
  void OnTableDamaged(const TableDamage& damage) override { damages.push_back(damage); }
  std::vector<absl::Status> errors;
  std::vector<TableDamage> damages;
};

struct World {
  void Open() {
    db.reset();
    Options options = SmallOptions();
    options.listener = &list;
    db = MustOpen(env.env(), kDir, options);
  }
  // Level 0 has all but one of the tables that make a compaction, and none of them is open.
  void MakeTables() {
    Open();
    for (int table = 0; table < 3; ++table) FlushOne();
    env.executor().RunReady();
    Open();
  }
  void FlushOne() {
    REQUIRE_OK(db->Put("key", "value" + std::to_string(++rounds)));
    REQUIRE_OK(db->Put("key" + std::to_string(rounds), "value"));
    REQUIRE_OK(db->Flush());
  }
  void CheckSound() {
    CHECK(list.errors.empty());
    CHECK_OK(storage::CheckInvariants(db.get()));
    CHECK(*db->Get("key") == "value" + std::to_string(rounds));
    for (int round = 1; round <= rounds; ++round) CHECK(*db->Get("key" + std::to_string(round)) == "value");
  }

  TestEnv env{1};
  TroubleList list;
  std::unique_ptr<Db> db;
  int rounds = 0;
};

struct Refusal {
  FaultKind kind;
  FileCall call;
};

}  // namespace

TEST_CASE("a table that a compaction cannot open or read once, or not make, is tried again, and writes go on") {
  const Refusal refusal =
      GENERATE(Refusal{FaultKind::kGone, FileCall::kOpen}, Refusal{FaultKind::kIoError, FileCall::kOpen},
               Refusal{FaultKind::kNoDescriptor, FileCall::kOpen}, Refusal{FaultKind::kNoAccess, FileCall::kOpen},
               Refusal{FaultKind::kNoSpace, FileCall::kOpen}, Refusal{FaultKind::kIoError, FileCall::kRead},
               Refusal{FaultKind::kNoSpace, FileCall::kRead}, Refusal{FaultKind::kIoError, FileCall::kCreate},
               Refusal{FaultKind::kNoAccess, FileCall::kCreate});
  // At the first such call of the flush or the compaction, the second, and so on.
  const uint64_t skip = GENERATE(uint64_t{0}, uint64_t{1}, uint64_t{2}, uint64_t{5});
  CAPTURE(static_cast<int>(refusal.kind), static_cast<int>(refusal.call), skip);
  World world;
  world.MakeTables();
  world.env.files().Inject({.kind = refusal.kind, .calls = {refusal.call}, .pattern = "*.tbl", .skip = skip});
  world.FlushOne();
  world.env.executor().RunReady();
  // It waits for its time, and nobody else does.
  for (int i = 0; i < 3; ++i) CHECK_OK(world.db->Put("more" + std::to_string(i), "value", {.sync = true}));
  world.env.executor().RunFor(kSecond);
  CHECK(world.list.damages.empty());
  CHECK(world.db->GetStats().levels[0].tables == 0);
  CHECK(world.db->GetStats().compactions == 1);
  world.CheckSound();
}

TEST_CASE("a compaction that is refused does not keep a flush from being begun") {
  World world;
  world.MakeTables();
  world.env.files().Inject(
      {.kind = FaultKind::kNoDescriptor, .calls = {FileCall::kOpen}, .pattern = "*.tbl", .count = Fault::kSticky});
  for (int table = 0; table < 6; ++table) world.FlushOne();
  CHECK(world.db->GetStats().compactions == 0);
  world.env.files().ClearFaults();
  world.env.executor().RunFor(10 * kSecond);
  CHECK(world.db->GetStats().levels[0].tables < 4);
  world.CheckSound();
}

TEST_CASE("a log that cannot be made is told to the write that needs it, and the next one goes on") {
  const FaultKind kind =
      GENERATE(FaultKind::kIoError, FaultKind::kGone, FaultKind::kNoAccess, FaultKind::kNoDescriptor);
  World world;
  world.Open();
  world.env.files().Inject({.kind = kind, .calls = {FileCall::kCreate}, .pattern = "*.log"});
  absl::Status status;
  for (int i = 0; i < 100 && status.ok(); ++i) status = world.db->Put("fill", std::string(1000, 'x'));
  CHECK_FALSE(status.ok());
  CHECK(status.code() != absl::StatusCode::kNotFound);
  CHECK_OK(world.db->Put("fill", std::string(1000, 'y')));
  world.FlushOne();
  world.CheckSound();
}

TEST_CASE("what the disk refuses to read is taken back by itself once it lets it be read") {
  World world;
  world.MakeTables();
  world.env.files().Inject(
      {.kind = FaultKind::kIoError, .calls = {FileCall::kOpen}, .pattern = "*.tbl", .count = Fault::kSticky});
  world.FlushOne();
  world.env.executor().RunFor(30 * kSecond);
  CHECK_FALSE(world.db->GetStats().damaged_tables.empty());
  const size_t told = world.list.damages.size();
  // Each once, though they were tried again meanwhile.
  CHECK(told == world.db->GetStats().damaged_tables.size());
  for (const TableDamage& damage : world.list.damages) CHECK_CODE(damage.status, kInternal);
  world.env.files().ClearFaults();
  world.env.executor().RunFor(100 * kSecond);
  CHECK(world.db->GetStats().damaged_tables.empty());
  CHECK(world.db->GetStats().levels[0].tables == 0);
  CHECK(world.list.damages.size() == told);
  world.CheckSound();
}

TEST_CASE("who waits for a flush is told within seconds that no descriptor is free, and it comes by itself later") {
  World world;
  world.Open();
  world.FlushOne();
  world.env.files().Inject(
      {.kind = FaultKind::kNoDescriptor, .calls = {FileCall::kCreate}, .pattern = "*.tbl", .count = Fault::kSticky});
  REQUIRE_OK(world.db->Put("last", "value"));
  const int64_t begin_nanos = world.env.clock().MonotonicNanos();
  CHECK_CODE(world.db->Flush(), kUnavailable);
  CHECK(world.env.clock().MonotonicNanos() - begin_nanos < 5 * kSecond);
  CHECK_CODE(world.db->CreateCheckpoint(kCopy), kUnavailable);
  CHECK_CODE(world.db->CompactRange({}, {}), kUnavailable);
  CHECK(world.env.clock().MonotonicNanos() - begin_nanos < 30 * kSecond);
  // Writes go on for as long as there is memory for them, and then say why there is none.
  absl::Status status;
  for (int i = 0; i < 1000 && status.ok(); ++i) status = world.db->Put("fill", std::string(1000, 'x'));
  CHECK_CODE(status, kUnavailable);
  CHECK(base::Message(status).find("Too many open files") != std::string_view::npos);
  CHECK(*world.db->Get("last") == "value");
  CHECK(world.list.errors.empty());
  world.env.files().ClearFaults();
  SECTION("with time") { world.env.executor().RunFor(10 * kSecond); }
  SECTION("at once, with Resume") { CHECK_OK(world.db->Resume()); }
  CHECK_OK(world.db->Put("fill", "value"));
  CHECK_OK(world.db->Flush());
  CHECK_OK(world.db->CreateCheckpoint(kCopy));
  world.CheckSound();
}

}  // namespace bandb::test
