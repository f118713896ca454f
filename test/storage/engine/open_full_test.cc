// Opening after the death of a process while the disk is full: it says what it needs, loses
// nothing, and leaves nothing however often it is tried.
#include <memory>
#include <set>
#include <string>

#include "base/status.h"
#include "storage/db/open_db.h"
#include "support/catch.h"
#include "support/test_env.h"

namespace bandb::test {

namespace {

constexpr char kDir[] = "/db";
constexpr char kCurrent[] = "/db/groups/0/db/CURRENT";
constexpr char kStagedCurrent[] = "/db/groups/0/db/CURRENT.tmp";
constexpr int kKeys = 150;

std::string KeyOf(int i) { return "key" + std::to_string(1000 + i); }

// The disk of a process that died: tables, and logs that nobody has sealed. All of it is durable.
std::unique_ptr<CrashFileSystem> DeadDisk() {
  TestEnv env(8);
  const std::unique_ptr<Db> db = MustOpen(env.env(), kDir, SmallOptions());
  for (int i = 0; i < kKeys; ++i) {
    REQUIRE_OK(db->Put(KeyOf(i), std::string(1000, 'x')));
    if (i == 60) REQUIRE_OK(db->Flush());
  }
  REQUIRE_OK(db->Put("last", "value", {.sync = true}));
  return env.files().CrashImage(Damage::kKept, 9);
}

void CheckAll(Db* db) {
  for (int i = 0; i < kKeys; ++i) REQUIRE_OK(db->Get(KeyOf(i)).status());
  REQUIRE_OK(db->Get("last").status());
}

std::set<std::string> Paths(TestEnv* env) {
  std::set<std::string> paths;
  for (const auto& [path, bytes] : env->files().Files()) paths.insert(path);
  return paths;
}

}  // namespace

TEST_CASE("an Open that finds the disk full at any call says so, and loses nothing, whatever comes after") {
  const uint64_t count = GENERATE(uint64_t{1}, Fault::kSticky);
  uint64_t refused = 0;
  bool past_the_end = false;
  for (uint64_t call = 0; call < 100 && !past_the_end; ++call) {
    CAPTURE(call, count);
    TestEnv env(10 + call, DeadDisk());
    const std::set<std::string> before = Paths(&env);
    const std::string current = env.files().Content(kCurrent);
    env.files().Inject({.kind = FaultKind::kNoSpace,
                        .calls = {FileCall::kCreate, FileCall::kReserve, FileCall::kAppend, FileCall::kSync,
                                  FileCall::kSyncDir, FileCall::kRename},
                        .skip = call,
                        .count = count});
    absl::StatusOr<std::unique_ptr<Db>> opened = storage::OpenDb(env.env(), kDir, SmallOptions());
    past_the_end = env.files().failures() == 0;
    if (opened.ok()) {
      CheckAll(opened->get());
      opened->reset();
    } else {
      ++refused;
      CHECK_CODE(opened.status(), kResourceExhausted);
      // From when CURRENT is about to be replaced, it is not known which one counts.
      const std::set<std::string> paths = Paths(&env);
      const bool staged = paths.count(kStagedCurrent) == 1;
      if (!staged && env.files().Content(kCurrent) == current) CHECK(paths == before);
      for (const Damage damage : kAllDamages) {
        TestEnv after(call, env.files().CrashImage(damage, call));
        CheckAll(MustOpen(after.env(), kDir, SmallOptions()).get());
      }
    }
    env.files().ClearFaults();
    CheckAll(MustOpen(env.env(), kDir, SmallOptions()).get());
  }
  CHECK(past_the_end);
  CHECK(refused > 5);
}

TEST_CASE("an Open without room names what it needs, however often it is tried, and leaves no files") {
  TestEnv env(1, DeadDisk());
  const std::set<std::string> before = Paths(&env);
  for (const FileCall call : {FileCall::kCreate, FileCall::kReserve, FileCall::kAppend}) {
    env.files().Inject({.kind = FaultKind::kNoSpace, .calls = {call}, .count = Fault::kSticky});
    for (int i = 0; i < 3; ++i) {
      const absl::Status refused = storage::OpenDb(env.env(), kDir, SmallOptions()).status();
      CHECK_CODE(refused, kResourceExhausted);
      CHECK(base::Message(refused).find("opening takes room for") != std::string_view::npos);
      CHECK(Paths(&env) == before);
    }
    env.files().ClearFaults();
  }
  CheckAll(MustOpen(env.env(), kDir, SmallOptions()).get());
}

}  // namespace bandb::test
