// Reads that the operating system refuses are errors of the operating system, and never answers
// about keys.
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "storage/db/open_db.h"
#include "support/catch.h"
#include "support/test_env.h"

namespace bandb::test {

namespace {

constexpr char kDir[] = "/db";
constexpr char kTables[] = "*.tbl";

// Ten tables in level 0, of which two may be open, and no cache.
Options FewFiles() {
  Options options = SmallOptions();
  options.level0_tables = 64;
  options.open_files_max = 8;
  return options;
}

std::string KeyOf(int table) { return "key" + std::to_string(100 + table); }

std::unique_ptr<Db> MakeTables(const base::Env& env) {
  std::unique_ptr<Db> db = MustOpen(env, kDir, FewFiles());
  for (int table = 0; table < 20; ++table) {
    REQUIRE_OK(db->Put("key100", "first"));
    REQUIRE_OK(db->Put(KeyOf(table), "value"));
    REQUIRE_OK(db->Put("key999", "last"));
    REQUIRE_OK(db->Flush());
  }
  return db;
}

void CheckRefused(const absl::Status& status) {
  CAPTURE(status.ToString());
  CHECK_CODE(status, kInternal);
  CHECK(base::Message(status).find(".tbl: offset ") != std::string_view::npos);
}

struct Refusal {
  FaultKind kind;
  FileCall call;
  const char* text;
};

// Every way of reading a key, with a disk that refuses.
void CheckEveryRead(Db* db, const char* text) {
  std::vector<std::string> keys;
  int refused = 0;
  for (int table = 1; table < 20; ++table) {
    keys.push_back(KeyOf(table));
    const absl::Status got = db->Get(keys.back()).status();
    if (got.ok()) continue;  // its file is open
    ++refused;
    CheckRefused(got);
    CHECK(base::Message(got).find(text) != std::string_view::npos);
    WriteBatch batch;
    batch.RequireAbsent(keys.back());
    batch.Put("absent", "1");
    CheckRefused(db->Write(batch));
  }
  CHECK(refused > 10);
  int refused_of_many = 0;
  const std::vector<std::string_view> views(keys.begin(), keys.end());
  for (const absl::StatusOr<std::string>& got : db->MultiGet(views)) {
    if (got.ok()) continue;
    ++refused_of_many;
    CheckRefused(got.status());
  }
  CHECK(refused_of_many >= refused);
  const auto walk = db->NewIterator();
  walk->SeekToFirst();
  CHECK_FALSE(walk->Valid());
  CheckRefused(walk->status());
}

}  // namespace

TEST_CASE("a table that cannot be opened again, or read, is an error with file and offset at every read") {
  const Refusal refusal = GENERATE(Refusal{FaultKind::kGone, FileCall::kOpen, "No such file or directory"},
                                   Refusal{FaultKind::kNoDescriptor, FileCall::kOpen, "Too many open files"},
                                   Refusal{FaultKind::kNoAccess, FileCall::kOpen, "Permission denied"},
                                   Refusal{FaultKind::kIoError, FileCall::kOpen, "Input/output error"},
                                   Refusal{FaultKind::kIoError, FileCall::kRead, "Input/output error"});
  TestEnv env(1);
  const std::unique_ptr<Db> db = MakeTables(env.env());
  env.files().Inject(
      {.kind = refusal.kind, .calls = {refusal.call}, .pattern = kTables, .skip = 0, .count = Fault::kSticky});
  CheckEveryRead(db.get(), refusal.text);
  // The disk is itself again, and so is the database; nothing was written on the strength of a
  // wrong answer.
  env.files().ClearFaults();
  for (int table = 1; table < 20; ++table) CHECK(*db->Get(KeyOf(table)) == "value");
  CHECK_CODE(db->Get("absent").status(), kNotFound);
  CHECK_OK(db->Put("key", "value"));
}

TEST_CASE("a table that cannot be opened the first time is an error of the same kind") {
  TestEnv env(1);
  CHECK_OK(MakeTables(env.env())->Close());
  const std::unique_ptr<Db> db = MustOpen(env.env(), kDir, FewFiles());
  env.files().Inject(
      {.kind = FaultKind::kGone, .calls = {FileCall::kOpen}, .pattern = kTables, .skip = 0, .count = Fault::kSticky});
  for (int table = 1; table < 20; ++table) CheckRefused(db->Get(KeyOf(table)).status());
  CheckRefused(db->NewIterator()->status());
}

}  // namespace bandb::test
