// Shortages at every call of a day in the life of a database: what was acknowledged is there, and
// afterwards all goes on.
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "bandb/event_listener.h"
#include "storage/db/open_db.h"
#include "support/catch.h"
#include "support/test_env.h"

namespace bandb::test {

namespace {

constexpr char kDir[] = "/db";
constexpr int64_t kSecond = 1'000'000'000;

struct ErrorList final : EventListener {
  void OnBackgroundError(const absl::Status& error) override { errors.push_back(error); }
  std::vector<absl::Status> errors;
};

class Day {
 public:
  explicit Day(uint64_t seed) : env(seed) {}

  bool Open() {
    db.reset();
    Options options = SmallOptions();
    options.listener = &list;
    options.open_files_max = 8;
    auto opened = storage::OpenDb(env.env(), kDir, options);
    last = opened.status();
    if (opened.ok()) db = *std::move(opened);
    return last.ok();
  }
  // Writes of all kinds, reads, flushes, compactions and copies; stops at nothing.
  void Live() {
    for (int round = 0; round < 5; ++round) {
      for (int i = 0; i < 12; ++i) Put(round, i);
      Note(db->Flush());
      Note(db->Delete("absent", {.sync = true}));
      for (const auto& [key, value] : model) CheckRead(key, value);
      if (round == 3) Note(db->CompactRange({}, {}));
      if (round == 4) Note(db->CreateCheckpoint("/copy"));
      env.executor().RunFor(kSecond / 20);
    }
  }
  void Put(int round, int i) {
    const std::string key = "key" + std::to_string((round * 7 + i) % 30);
    const std::string value = std::string(3000, static_cast<char>('a' + round)) + std::to_string(i);
    const absl::Status put = db->Put(key, value, {.sync = i % 4 == 0});
    Note(put);
    if (put.ok()) model[key] = value;
    // It may be there, or not.
    if (put.code() == absl::StatusCode::kUnknown) model.erase(key);
  }
  void CheckRead(const std::string& key, const std::string& value) {
    const auto got = db->Get(key);
    if (got.ok()) {
      CHECK(*got == value);
    } else {
      CHECK_CODE(got.status(), kInternal);
    }
  }
  void Note(const absl::Status& status) { refused += status.ok() ? 0 : 1; }
  // Once there is enough again.
  void CheckWell() {
    env.executor().RunFor(100 * kSecond);
    CAPTURE(env.files().Log());
    CHECK_OK(db->Put("after", "value", {.sync = true}));
    CHECK_OK(db->Flush());
    for (const auto& [key, value] : model) REQUIRE(*db->Get(key) == value);
    CHECK_OK(db->VerifyChecksums());
    CHECK(db->GetStats().damaged_tables.empty());
    CHECK_OK(storage::CheckInvariants(db.get()));
    CHECK_OK(db->Close());
    REQUIRE(Open());
    for (const auto& [key, value] : model) REQUIRE(*db->Get(key) == value);
  }

  TestEnv env;
  ErrorList list;
  std::unique_ptr<Db> db;
  std::map<std::string, std::string> model;
  absl::Status last;
  int refused = 0;
};

// Sweeps the fault over all calls of a day.
void Sweep(const Fault& fault, uint64_t step, bool stops) {
  uint64_t met = 0;
  for (uint64_t call = 0;; call += step) {
    CAPTURE(static_cast<int>(fault.kind), fault.pattern, call, fault.count);
    Day day(100 + call);
    REQUIRE(day.Open());
    Fault at = fault;
    at.skip = call;
    day.env.files().Inject(at);
    day.Live();
    const bool past_the_end = day.env.files().failures() == 0;
    day.env.files().ClearFaults();
    if (stops) {
      CHECK_OK(day.db->Resume());
    } else {
      CHECK(day.list.errors.empty());
    }
    day.CheckWell();
    if (past_the_end) break;
    ++met;
  }
  CHECK(met > 0);
}

}  // namespace

TEST_CASE("no descriptor being free, at any call and for however long, stops nothing") {
  const uint64_t count = GENERATE(uint64_t{1}, uint64_t{4}, Fault::kSticky);
  Sweep({.kind = FaultKind::kNoDescriptor, .calls = {FileCall::kOpen, FileCall::kCreate}, .count = count}, 3, false);
}

TEST_CASE("a table that cannot be opened or read, at any call and for however long, stops nothing") {
  const FaultKind kind = GENERATE(FaultKind::kGone, FaultKind::kIoError);
  const uint64_t count = GENERATE(uint64_t{1}, uint64_t{5}, Fault::kSticky);
  Sweep({.kind = kind, .calls = {FileCall::kOpen, FileCall::kRead}, .pattern = "*.tbl", .count = count}, 7, false);
}

TEST_CASE("a file that cannot be made, at any call, stops nothing") {
  const FaultKind kind = GENERATE(FaultKind::kIoError, FaultKind::kNoAccess);
  const std::string pattern = GENERATE("*.tbl", "*.log", "*MANIFEST*");
  Sweep({.kind = kind, .calls = {FileCall::kCreate}, .pattern = pattern, .count = 2}, 1, false);
}

TEST_CASE("a full disk, at any call, is over with Resume once there is room") {
  const uint64_t count = GENERATE(uint64_t{1}, uint64_t{3}, Fault::kSticky);
  Sweep({.kind = FaultKind::kNoSpace, .calls = {FileCall::kCreate, FileCall::kReserve}, .count = count}, 3, true);
  // Of a log, an append has room that was reserved.
  Sweep({.kind = FaultKind::kNoSpace, .calls = {FileCall::kAppend}, .pattern = "*.tbl*", .count = count}, 1, true);
}

}  // namespace bandb::test
