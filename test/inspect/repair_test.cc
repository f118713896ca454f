#include "inspect/repair.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "bandb/db.h"
#include "inspect/inspected.h"
#include "storage/db.h"
#include "support/catch.h"

namespace bandb::test {

namespace {

// Each value is one that its key once had.
void CheckIsOfHistory(const Inspected& inspected, const Entries& found) {
  for (const auto& [key, value] : found) {
    const auto known = inspected.history.find(key);
    if (known == inspected.history.end() || !known->second.contains(value)) FAIL_CHECK(key << ": " << value);
  }
}

struct Repaired {
  bool lost_nothing = false;
  Entries entries{};
  inspect::Report report{};
};

Repaired Repair(TestEnv* env) {
  const std::map<std::string, uint64_t> before = env->files().Files();
  std::map<std::string, std::string> contents;
  for (const auto& [path, size] : before) contents[path] = env->files().Content(path);
  Repaired repaired;
  const auto lost_nothing = inspect::RepairDatabase(env->env(), kInspectedDir, kRepairedDir, &repaired.report);
  REQUIRE_OK(lost_nothing.status());
  repaired.lost_nothing = *lost_nothing;
  // The source is what it was.
  for (const auto& [path, content] : contents) REQUIRE(env->files().Content(path) == content);
  // And the target is durable.
  TestEnv after(2, env->files().CrashImage(Damage::kLost, 1));
  after.clock().Advance(env->clock().MonotonicNanos());
  const auto entries = ReadEntries(&after, kRepairedDir);
  REQUIRE_OK(entries.status());
  repaired.entries = *entries;
  return repaired;
}

}  // namespace

TEST_CASE("a sound database is repaired into one that holds the same") {
  for (const bool closed : {true, false}) {
    const Inspected inspected(closed);
    const std::unique_ptr<TestEnv> env = inspected.Copy();
    const Repaired repaired = Repair(env.get());
    INFO(repaired.report.ToText());
    CHECK(repaired.lost_nothing);
    CHECK(repaired.entries == inspected.state);
  }
}

TEST_CASE("whichever byte is flipped, a repair keeps what is sound and tells what is lost") {
  const Inspected inspected(true);
  uint64_t losses = 0;
  for (const auto& [path, size] : inspected.image->Files()) {
    const bool is_manifest = path.find("/MANIFEST-") != std::string::npos;
    for (uint64_t offset = 0; offset < size; offset += 5) {
      const std::unique_ptr<TestEnv> env = inspected.Copy();
      env->files().FlipByte(path, offset, static_cast<uint8_t>(1 << offset % 8));
      const Repaired repaired = Repair(env.get());
      INFO(path << " byte " << offset << "\n" << repaired.report.ToText());
      CheckIsOfHistory(inspected, repaired.entries);
      if (repaired.lost_nothing) {
        CHECK(repaired.entries == inspected.state);
        continue;
      }
      ++losses;
      // What says which tables count holds no entries.
      if (is_manifest || path.ends_with("/CURRENT") || path.ends_with("/IDENTITY")) {
        for (const auto& [key, value] : inspected.state) CHECK(repaired.entries.contains(key));
      }
    }
  }
  CHECK(losses > 500);
}

TEST_CASE("one damaged block costs its own keys and no others") {
  const Inspected inspected(true);
  const std::unique_ptr<TestEnv> env = inspected.Copy();
  // The first data block of each table.
  for (const auto& [path, size] : inspected.image->Files()) {
    if (path.ends_with(".tbl")) env->files().FlipByte(path, 90, 0xff);
  }
  const Repaired repaired = Repair(env.get());
  INFO(repaired.report.ToText());
  CHECK_FALSE(repaired.lost_nothing);
  CheckIsOfHistory(inspected, repaired.entries);
  CHECK(repaired.entries.size() * 2 > inspected.state.size());
  // Newer than any table.
  CHECK(repaired.entries.contains("key21"));
}

TEST_CASE("without CURRENT and manifest the tables and logs that are there make the database") {
  const Inspected inspected(true);
  const std::unique_ptr<TestEnv> env = inspected.Copy();
  for (const auto& [path, size] : inspected.image->Files()) {
    const bool says_what_counts = path.ends_with("/CURRENT") || path.find("/MANIFEST-") != std::string::npos;
    if (says_what_counts || path.ends_with("/IDENTITY")) REQUIRE_OK(env->files().Remove(path));
  }
  const Repaired repaired = Repair(env.get());
  INFO(repaired.report.ToText());
  CHECK_FALSE(repaired.lost_nothing);
  CHECK(repaired.entries == inspected.state);
}

TEST_CASE("a damaged record of a log costs its own writes, and those after it are kept") {
  const Inspected inspected(true);
  const std::unique_ptr<TestEnv> env = inspected.Copy();
  env->files().FlipByte(inspected.PathOf(".log"), 110, 1);
  const Repaired repaired = Repair(env.get());
  INFO(repaired.report.ToText());
  CHECK_FALSE(repaired.lost_nothing);
  CHECK(repaired.report.RowCount("lost") == 1);
  uint64_t same = 0;
  for (const auto& [key, value] : inspected.state) {
    const auto found = repaired.entries.find(key);
    same += found != repaired.entries.end() && found->second == value ? 1 : 0;
  }
  CHECK(same + 1 >= inspected.state.size());
}

TEST_CASE("a repair is refused where something is in its way, and of what fails halfway nothing is left") {
  const Inspected inspected(true);
  inspect::Report report;
  {
    const std::unique_ptr<TestEnv> env = inspected.Copy();
    REQUIRE_OK(env->files().CreateDirs(kRepairedDir));
    const auto repaired = inspect::RepairDatabase(env->env(), kInspectedDir, kRepairedDir, &report);
    CHECK_CODE(repaired.status(), kAlreadyExists);
  }
  {
    const std::unique_ptr<TestEnv> env = inspected.Copy();
    const auto db = storage::OpenDb(env->env(), kInspectedDir, Options());
    REQUIRE_OK(db.status());
    const auto repaired = inspect::RepairDatabase(env->env(), kInspectedDir, kRepairedDir, &report);
    CHECK_CODE(repaired.status(), kFailedPrecondition);
  }
  const std::unique_ptr<TestEnv> env = inspected.Copy();
  env->files().Inject({.kind = FaultKind::kNoSpace,
                       .calls = {FileCall::kReserve, FileCall::kCreate, FileCall::kAppend},
                       .pattern = "*.tbl"});
  CHECK_CODE(inspect::RepairDatabase(env->env(), kInspectedDir, kRepairedDir, &report).status(), kResourceExhausted);
  CHECK_FALSE(env->files().Exists(kRepairedDir).value());
  // On a full disk, what is left of it would be in the way.
  CHECK(env->files().List("/data").value() == std::vector<std::string>{"db"});
}

TEST_CASE("a target inside the source, or around it, is refused before anything is written") {
  const Inspected inspected(true);
  const std::unique_ptr<TestEnv> env = inspected.Copy();
  const uint64_t mutations = env->files().mutations();
  inspect::Report report;
  for (const char* target :
       {"/data/db/new", "/data/db/groups/0/db/new", "/data/db", "//data/./db//new/", "/data", "/"}) {
    INFO(target);
    CHECK_CODE(inspect::RepairDatabase(env->env(), kInspectedDir, target, &report).status(), kInvalidArgument);
  }
  CHECK(env->files().mutations() == mutations);
  // A name that only begins like it is another directory, and a slash at its end makes no other.
  REQUIRE(inspect::RepairDatabase(env->env(), "/data/db/", "/data/db2/", &report).value());
  const auto entries = ReadEntries(env.get(), "/data/db2");
  REQUIRE_OK(entries.status());
  CHECK(*entries == inspected.state);
}

TEST_CASE("whenever a process dies while it ingests, a repair has all of it or nothing, and tells what may be lost") {
  const bool is_empty = GENERATE(false, true);
  CAPTURE(is_empty);
  TestEnv env(4);
  Options options;
  options.table_bytes = 64 << 10;
  options.compression = Compression::kNone;
  absl::StatusOr<std::unique_ptr<Db>> db = storage::OpenDb(env.env(), kInspectedDir, options);
  REQUIRE_OK(db.status());
  Entries before;
  if (!is_empty) before = {{"key001", "old"}, {"put", "put"}};
  for (const auto& [key, value] : before) REQUIRE_OK((*db)->Put(key, value, {.sync = true}));
  Entries after = before;
  std::vector<std::unique_ptr<CrashFileSystem>> images;
  env.files().SetHook([&](uint64_t /*mutation*/) { images.push_back(env.files().ProcessDeathImage(images.size())); });
  int given = 0;
  std::string key, value;
  REQUIRE_OK((*db)
                 ->Ingest([&](IngestEntry* entry) -> absl::StatusOr<bool> {
                   if (given == 200) return false;
                   key = fmt::format("key{:03}", given++);
                   value = key + std::string(600, 'v');
                   after[key] = value;
                   entry->key = key;
                   entry->value = value;
                   return true;
                 })
                 .status());
  env.files().SetHook(nullptr);
  // Those of the ingest: a flush writes its tables under their names at once.
  std::set<std::string> unnamed;
  for (const auto& image : images) {
    for (const auto& [path, size] : image->Files()) {
      if (path.ends_with(".tbl.tmp")) unnamed.insert(path);
    }
  }
  size_t done = 0, named = 0, doubted = 0;
  for (std::unique_ptr<CrashFileSystem>& image : images) {
    size_t tables = 0;
    for (const auto& [path, size] : image->Files()) tables += unnamed.contains(path + ".tmp") ? 1 : 0;
    TestEnv died(2, std::move(image));
    died.clock().Advance(env.clock().MonotonicNanos());
    const Repaired repaired = Repair(&died);
    const std::string told = repaired.report.ToText();
    INFO(told);
    const bool ingested = repaired.entries.size() > before.size();
    CHECK(repaired.entries == (ingested ? after : before));
    // Without its edit one that was not acknowledged looks like one that was.
    CHECK(repaired.report.RowCount("lost") == (ingested ? 0 : tables));
    CHECK((told.find("an ingest that was not acknowledged, or whose edit is lost") == std::string::npos) ==
          repaired.lost_nothing);
    // Tables get their names no earlier than when all that comes before them is in tables.
    if (tables > 0) CHECK(told.find("log records read: 0\n") != std::string::npos);
    done += ingested ? 1 : 0;
    named = std::max(named, tables);
    doubted += repaired.lost_nothing ? 0 : 1;
  }
  CHECK(done > 0);
  CHECK(done < images.size());
  // And only right before their edit: one is named after the other, and what comes then is written.
  CHECK(named > 1);
  CHECK(doubted >= named);
  CHECK(doubted <= named + 2);
}

TEST_CASE("values of any length that was ever accepted are repaired") {
  TestEnv env(3);
  Options options;
  options.memory_budget_bytes = uint64_t{1} << 30;
  auto opened = storage::OpenDb(env.env(), kInspectedDir, options);
  REQUIRE_OK(opened.status());
  const std::string largest_key(64 << 10, 'k');
  const std::string largest(64 << 20, 'v');
  REQUIRE_OK((*opened)->Put(largest_key, largest));
  REQUIRE_OK((*opened)->Put("small", "1"));
  WriteBatch batch;
  batch.PutWithTtl("until", std::string_view(largest).substr(100), absl::Hours(1));
  REQUIRE_OK((*opened)->Write(batch));
  REQUIRE_OK((*opened)->Put("", ""));
  REQUIRE_OK((*opened)->Close());
  inspect::Report report;
  const auto repaired = inspect::RepairDatabase(env.env(), kInspectedDir, kRepairedDir, &report);
  INFO(report.ToText());
  REQUIRE_OK(repaired.status());
  CHECK(*repaired);
  const auto entries = ReadEntries(&env, kRepairedDir);
  REQUIRE_OK(entries.status());
  CHECK(entries->size() == 4);
  CHECK((entries->at(largest_key) == largest));
  CHECK(entries->at("until").size() == largest.size() - 100);
  CHECK(entries->at("small") == "1");
}

TEST_CASE("a database that was opened while it was repaired is not called repaired") {
  const Inspected inspected(true);
  const std::unique_ptr<TestEnv> env = inspected.Copy();
  uint64_t opened = 0;
  env->files().SetHook([&](uint64_t mutation) {
    if (opened++ != 10) return;
    CAPTURE(mutation);
    REQUIRE_OK(storage::OpenDb(env->env(), kInspectedDir, Options()).status());
  });
  inspect::Report report;
  CHECK_CODE(inspect::RepairDatabase(env->env(), kInspectedDir, kRepairedDir, &report).status(), kFailedPrecondition);
  CHECK_FALSE(env->files().Exists(kRepairedDir).value());
}

}  // namespace bandb::test
