// What is short for a moment, space or descriptors, stops nothing for good.
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

struct ErrorList final : EventListener {
  void OnBackgroundError(const absl::Status& error) override { errors.push_back(error); }
  std::vector<absl::Status> errors;
};

void FillMemtable(Db* db) {
  for (int i = 0; i < 40; ++i) REQUIRE_OK(db->Put("fill" + std::to_string(i), std::string(1000, 'x')));
}

}  // namespace

TEST_CASE("a disk that is full when CURRENT is about to be replaced keeps the old manifest") {
  for (const FileCall call : {FileCall::kCreate, FileCall::kAppend, FileCall::kSync}) {
    TestEnv env(4);
    ErrorList list;
    Options options = SmallOptions();
    options.listener = &list;
    const std::unique_ptr<Db> db = MustOpen(env.env(), kDir, options);
    env.files().Inject(
        {.kind = FaultKind::kNoSpace, .calls = {call}, .pattern = "*CURRENT.tmp", .count = Fault::kSticky});
    for (int i = 0; i < 30; ++i) {
      REQUIRE_OK(db->Put("key" + std::to_string(i), "value"));
      REQUIRE_OK(db->Flush());
    }
    CHECK(env.files().failures() > 0);
    CHECK(list.errors.empty());
    CHECK_OK(db->VerifyChecksums());
    env.files().ClearFaults();
    const uint64_t failures = env.files().failures();
    for (int i = 30; i < 200; ++i) {
      REQUIRE_OK(db->Put("key" + std::to_string(i), "value"));
      REQUIRE_OK(db->Flush());
    }
    CHECK(env.files().failures() == failures);
    size_t manifests = 0;
    for (const auto& [path, bytes] : env.files().Files()) manifests += Matches("*MANIFEST*", path) ? 1 : 0;
    CHECK(manifests == 1);
    TestEnv after(6, env.files().CrashImage(Damage::kLost, 7));
    const std::unique_ptr<Db> again = MustOpen(after.env(), kDir, SmallOptions());
    for (int i = 0; i < 200; ++i) CHECK_OK(again->Get("key" + std::to_string(i)).status());
  }
}

TEST_CASE("where no descriptor is free for a log, a table is closed for it, or the write is refused alone") {
  for (const bool has_tables : {true, false}) {
    TestEnv env(1);
    ErrorList list;
    Options options = SmallOptions();
    options.listener = &list;
    const std::unique_ptr<Db> db = MustOpen(env.env(), kDir, options);
    if (has_tables) {
      FillMemtable(db.get());
      REQUIRE_OK(db->Flush());
      REQUIRE_OK(db->Get("fill0").status());
      REQUIRE(db->GetStats().open_table_files == 1);
    }
    env.files().Inject({.kind = FaultKind::kNoDescriptor, .calls = {FileCall::kCreate}, .pattern = "*.log"});
    absl::Status status;
    for (int i = 0; i < 100 && status.ok(); ++i) status = db->Put("more", std::string(1000, 'x'));
    CHECK(db->GetStats().descriptor_shortages == 1);
    if (has_tables) {
      CHECK_OK(status);
      CHECK(db->GetStats().open_table_files == 0);
    } else {
      CHECK_CODE(status, kUnavailable);
    }
    CHECK_OK(db->Put("more", std::string(1000, 'x')));
    CHECK_OK(db->Flush());
    CHECK(list.errors.empty());
  }
}

TEST_CASE("a flush and a compaction that find no descriptor are tried again by themselves") {
  TestEnv env(1);
  ErrorList list;
  Options options = SmallOptions();
  options.listener = &list;
  const std::unique_ptr<Db> db = MustOpen(env.env(), kDir, options);
  FillMemtable(db.get());
  env.files().Inject({.kind = FaultKind::kNoDescriptor, .calls = {FileCall::kCreate}, .pattern = "*.tbl", .count = 3});
  CHECK_OK(db->Flush());
  CHECK(env.files().failures() == 3);
  for (int i = 0; i < 3; ++i) {
    FillMemtable(db.get());
    if (i == 2) {
      // The flush takes the first one, the compaction that it brings about finds none.
      env.files().Inject(
          {.kind = FaultKind::kNoDescriptor, .calls = {FileCall::kCreate}, .pattern = "*.tbl", .skip = 1, .count = 2});
    }
    REQUIRE_OK(db->Flush());
  }
  env.executor().RunFor(1'000'000'000);
  CHECK(env.files().failures() == 5);
  CHECK(db->GetStats().compactions > 0);
  CHECK(db->GetStats().levels[0].tables == 0);
  CHECK_OK(storage::CheckInvariants(db.get()));
  CHECK(list.errors.empty());
  // Closing does not wait for better times.
  env.files().Inject(
      {.kind = FaultKind::kNoDescriptor, .calls = {FileCall::kCreate}, .pattern = "*.tbl", .count = Fault::kSticky});
  FillMemtable(db.get());
  CHECK_OK(db->Put("last", "1", {.sync = true}));
  CHECK_OK(db->Close());
}

TEST_CASE("after Resume was OK no job that was stopped before stops writes once more") {
  TestEnv env(1);
  ErrorList list;
  Options options;
  options.write_buffer_bytes = 8 << 20;
  options.compression = Compression::kNone;
  options.listener = &list;
  const std::unique_ptr<Db> db = MustOpen(env.env(), kDir, options);
  // A flush of several steps, in the middle of which the log finds the disk full.
  for (int i = 0; i < 45; ++i) REQUIRE_OK(db->Put("fill" + std::to_string(i), std::string(100'000, 'x')));
  const auto has_table = [&]() {
    for (const auto& [path, bytes] : env.files().Files()) {
      if (Matches("*.tbl", path)) return true;
    }
    return false;
  };
  while (!has_table()) REQUIRE(env.executor().RunOne(0));
  env.files().Inject({.kind = FaultKind::kNoSpace, .calls = {FileCall::kReserve}, .pattern = "*.log"});
  CHECK_CODE(db->Put("more", std::string(3 << 20, 'x')), kResourceExhausted);
  REQUIRE(list.errors.size() == 1);
  // The flush ends early. Between that and its end comes Resume.
  absl::Status resumed = absl::UnknownError("never called");
  env.files().SetHook([&](uint64_t) {
    // The first change after that: the partial table is removed.
    if (!resumed.ok()) resumed = db->Resume();
  });
  env.executor().RunReady();
  env.files().SetHook(nullptr);
  CAPTURE(env.files().Log());
  CHECK_OK(resumed);
  CHECK(list.errors.size() == 1);
  CHECK_OK(db->Put("more", "1"));
  CHECK_OK(db->Flush());
  CHECK_OK(storage::CheckInvariants(db.get()));
}

TEST_CASE("a log for which there is no room refuses the write, and takes the next one once there is some") {
  TestEnv env(9);
  const std::unique_ptr<Db> db = MustOpen(env.env(), kDir);
  REQUIRE_OK(db->Put("key", "value"));
  env.files().SetFreeBytes(0);
  CHECK_CODE(db->Put("refused", std::string(10'000, 'v')), kResourceExhausted);
  CHECK(*db->Get("key") == "value");
  CHECK_CODE(db->Get("refused").status(), kNotFound);
  env.files().SetFreeBytes(uint64_t{1} << 30);
  CHECK_OK(db->Resume());
  CHECK_OK(db->Put("more", "value", {.sync = true}));
}

TEST_CASE("an Open that is refused at any call leaves the lock free for the next one") {
  TestEnv env(8);
  {
    const std::unique_ptr<Db> db = MustOpen(env.env(), kDir, SmallOptions());
    REQUIRE_OK(db->Put("key", "value"));
    REQUIRE_OK(db->Flush());
    REQUIRE_OK(db->Put("more", "value"));
  }
  uint64_t refused = 0;
  for (uint64_t call = 0; call < 60; ++call) {
    env.files().Inject({.kind = FaultKind::kNoSpace, .pattern = "/db/*", .skip = call, .count = Fault::kSticky});
    const bool opened = storage::OpenDb(env.env(), kDir, SmallOptions()).ok();
    env.files().ClearFaults();
    refused += opened ? 0 : 1;
    const std::unique_ptr<Db> again = MustOpen(env.env(), kDir, SmallOptions());
    CHECK(*again->Get("key") == "value");
    CHECK(*again->Get("more") == "value");
  }
  CHECK(refused > 10);
}

}  // namespace bandb::test
