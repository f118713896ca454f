// Files of others in the directory of a database stay as they are, whatever it does; its own
// leftovers go.
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "storage/db/open_db.h"
#include "storage/file/file_names.h"
#include "support/catch.h"
#include "support/random_data.h"
#include "support/test_env.h"

namespace bandb::test {

namespace {

constexpr char kDir[] = "/data/db";
// The greatest number among kLeftovers.
constexpr uint64_t kLeftoverNumber = 903;

// Below the directory; each is nearly a name of ours, or is one in another folder.
constexpr const char* kForeign[] = {
    "notes.txt",
    "IDENTITY.bak",
    "LOCK.old",
    "CURRENT",
    "MANIFEST-000001",
    "000001.log",
    "000003.tbl",
    "lost+found/000003.tbl",
    "groups/README",
    "groups/1/db/000001.log",
    "groups/0/raft/000001.log",
    "groups/0/db/notes.tmp",
    "groups/0/db/.tmp",
    "groups/0/db/tmp",
    "groups/0/db/CURRENT~",
    "groups/0/db/current",
    "groups/0/db/CURRENT.tmp.tmp",
    "groups/0/db/7.log",
    "groups/0/db/7.tbl.tmp",
    "groups/0/db/+00007.tbl",
    "groups/0/db/000007.tbl.bak",
    "groups/0/db/000007.TBL",
    "groups/0/db/000007.sst",
    "groups/0/db/ 000007.log",
    "groups/0/db/.000007.log.swp",
    "groups/0/db/0000007.log",
    "groups/0/db/MANIFEST-7",
    "groups/0/db/MANIFEST-000007.old",
    "groups/0/db/18446744073709551615.tbl",
    "groups/0/db/backup/000003.tbl",
    "groups/0/db/backup/CURRENT",
};

// What a process may leave that died while it wrote them.
constexpr const char* kLeftovers[] = {"000900.tbl",      "000901.tbl.tmp",      "000902.log.tmp",
                                      "MANIFEST-000903", "MANIFEST-000903.tmp", "CURRENT.tmp"};

std::string ForeignContent(const std::string& path) { return "this is " + path + ", and not yours"; }

void Plant(CrashFileSystem* files, const std::string& path) {
  REQUIRE_OK(files->CreateDirs(base::ParentPath(path)));
  REQUIRE_OK((*files->Create(path, base::AppendMode::kBuffered))->Close());
  REQUIRE_OK(files->SyncDir(base::ParentPath(path)));
  files->SetContent(path, ForeignContent(path));
}

void PlantForeign(CrashFileSystem* files) {
  for (const char* name : kForeign) Plant(files, base::JoinPath(kDir, name));
}

void CheckForeign(CrashFileSystem* files, const char* when) {
  for (const char* name : kForeign) {
    CAPTURE(when, name);
    const std::string path = base::JoinPath(kDir, name);
    REQUIRE(*files->Exists(path));
    CHECK(files->Content(path) == ForeignContent(path));
  }
}

// The numbers that files of the engine have.
std::set<uint64_t> Numbers(CrashFileSystem* files) {
  std::set<uint64_t> numbers;
  const absl::StatusOr<std::vector<std::string>> names = files->List(storage::EngineDir(kDir));
  REQUIRE_OK(names.status());
  for (const std::string& name : *names) {
    if (const auto parsed = storage::ParseFileName(name)) numbers.insert(parsed->number);
  }
  return numbers;
}

// Flushes and compacts, so that logs, tables and manifests come and go.
void Use(Db* db, uint64_t seed) {
  base::Random random(seed);
  for (int i = 0; i < 300; ++i) REQUIRE_OK(db->Put(NumberedKey(random.Uniform(100)), RandomBytes(&random, 1000)));
  REQUIRE_OK(db->CompactRange("", ""));
  CHECK(db->GetStats().compactions > 0);
}

TEST_CASE("files of others stay as they are, where a database is made, used, closed, opened and killed") {
  auto env = std::make_unique<TestEnv>(1);
  const bool before = GENERATE(true, false);
  if (before) PlantForeign(&env->files());
  std::unique_ptr<Db> db = MustOpen(env->env(), kDir, SmallOptions());
  if (!before) PlantForeign(&env->files());
  CheckForeign(&env->files(), "made");
  Use(db.get(), 1);
  CheckForeign(&env->files(), "used");
  REQUIRE_OK(db->Close());
  CheckForeign(&env->files(), "closed");
  db = MustOpen(env->env(), kDir, SmallOptions());
  CheckForeign(&env->files(), "opened");
  Use(db.get(), 2);
  auto image = env->files().ProcessDeathImage(3);
  db.reset();
  env = std::make_unique<TestEnv>(2, std::move(image));
  db = MustOpen(env->env(), kDir, SmallOptions());
  CheckForeign(&env->files(), "killed and opened");
  CHECK_OK(db->VerifyChecksums());
}

TEST_CASE("a checkpoint takes nothing along that is not of the database") {
  TestEnv env(1);
  const std::unique_ptr<Db> db = MustOpen(env.env(), kDir, SmallOptions());
  PlantForeign(&env.files());
  Use(db.get(), 1);
  REQUIRE_OK(db->CreateCheckpoint("/copy"));
  for (const char* name : kForeign) {
    CAPTURE(name);
    CHECK_FALSE(*env.files().Exists(base::JoinPath("/copy", name)));
  }
}

TEST_CASE("what a process that died left behind goes, its numbers are not used again, and files of others stay") {
  TestEnv env(1);
  MustOpen(env.env(), kDir, SmallOptions());
  PlantForeign(&env.files());
  const std::set<uint64_t> known = Numbers(&env.files());
  for (const char* name : kLeftovers) Plant(&env.files(), base::JoinPath(storage::EngineDir(kDir), name));
  const std::unique_ptr<Db> db = MustOpen(env.env(), kDir, SmallOptions());
  for (const char* name : kLeftovers) {
    CAPTURE(name);
    CHECK_FALSE(*env.files().Exists(base::JoinPath(storage::EngineDir(kDir), name)));
  }
  CheckForeign(&env.files(), "leftovers removed");
  Use(db.get(), 1);
  bool any = false;
  for (const uint64_t number : Numbers(&env.files())) {
    if (known.count(number) != 0) continue;
    CHECK(number > kLeftoverNumber);
    any = true;
  }
  CHECK(any);
}

}  // namespace

}  // namespace bandb::test
