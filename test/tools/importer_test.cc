// What is brought into a store is what the files hold, however often it is cut short, and what is
// passed over is counted.
#include "transfer/importer.h"

#include <fmt/format.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "storage/db.h"
#include "support/catch.h"
#include "support/test_env.h"
#include "transfer/exporter.h"
#include "transfer/store_source.h"
#include "transfer/store_target.h"

namespace bandb::transfer {
namespace {

// A database on a disk in memory, files beside it, and an import of them.
class ImportWorld {
 public:
  ImportWorld() {
    REQUIRE_OK(env_.files().CreateDirs("in"));
    Open();
  }

  void Open() {
    db_.reset();
    auto db = storage::OpenDb(env_.env(), "db", SmallOptions());
    REQUIRE_OK(db.status());
    db_ = *std::move(db);
  }

  void WriteFile(const std::string& name, std::string_view content) {
    REQUIRE_OK(base::InstallFile(&env_.files(), "in/" + name, content));
  }

  absl::Status Import(const std::vector<ImportInput>& inputs, std::string state = "") {
    StoreTarget target(db_.get());
    Importer importer(
        &env_.files(), &env_.clock(), &target, std::move(state),
        [this](const std::string& path) -> absl::StatusOr<std::unique_ptr<ByteSource>> {
          BANDB_ASSIGN_OR_RETURN(std::string content, base::ReadFile(&env_.files(), path, 1 << 30));
          return std::unique_ptr<ByteSource>(std::make_unique<StringSource>(std::move(content)));
        },
        [](const ImportSummary&) {});
    const absl::Status status = importer.Run(inputs);
    summary_ = importer.summary();
    return status;
  }

  std::string Exported() {
    const Snapshot snapshot = db_->GetSnapshot();
    const auto source = MakeStoreSource(db_.get(), &snapshot, "", "");
    std::string text;
    REQUIRE_OK(ExportToStream(
                   {}, source.get(),
                   [&text](std::string_view piece) {
                     text += piece;
                     return absl::OkStatus();
                   },
                   [](const ExportSummary&) {})
                   .status());
    return text;
  }

  test::TestEnv& env() { return env_; }
  Db& db() { return *db_; }
  const ImportSummary& summary() const { return summary_; }

 private:
  static Options SmallOptions() {
    Options options;
    options.memory_budget_bytes = 0;
    options.write_buffer_bytes = 1 << 20;
    return options;
  }

  test::TestEnv env_{1};
  std::unique_ptr<Db> db_;
  ImportSummary summary_;
};

std::string Lines(int from, int to) {
  std::string lines;
  for (int i = from; i < to; ++i) lines += fmt::format("{{\"key\": \"k{:06}\", \"value\": \"v{}\"}}\n", i, i);
  return lines;
}

}  // namespace

TEST_CASE("what expires does so at the same moment after it was exported and imported") {
  ImportWorld world;
  const int64_t now_ms = world.env().clock().WallMillis();
  const std::string lines = fmt::format(
      "{{\"key\": \"a\", \"value\": \"1\", \"expires\": {}}}\n{{\"key\": \"b\", \"value\": \"2\"}}\n", now_ms + 60'000);
  world.WriteFile("a.jsonl", lines);
  world.env().clock().AdvanceMillis(50'000);
  REQUIRE_OK(world.Import({{.path = "in/a.jsonl"}}));
  CHECK(world.Exported() == lines);
  REQUIRE_OK(world.db().Flush());
  CHECK(world.Exported() == lines);
  world.env().clock().AdvanceMillis(10'000);
  CHECK(world.Exported() == "{\"key\": \"b\", \"value\": \"2\"}\n");
  REQUIRE_OK(world.Import({{.path = "in/a.jsonl"}}));
  CHECK(world.summary().skipped_records() == 1);
}

TEST_CASE("what is imported is exported again, byte by byte, and the last of a key wins") {
  ImportWorld world;
  std::string lines = Lines(0, 5000);
  world.WriteFile("a.jsonl", lines);
  REQUIRE_OK(world.Import({{.path = "in/a.jsonl"}}));
  CHECK(world.summary().entries == 5000);
  CHECK(world.Exported() == lines);
  world.WriteFile("b.csv", "key,value\nk000000,new\nk000000,newer\n");
  REQUIRE_OK(world.Import({{.path = "in/a.jsonl"}, {.path = "in/b.csv", .format = Format::kCsv}}));
  CHECK(world.db().Get("k000000").value() == "newer");
}

TEST_CASE("an import that was reported complete survives power loss") {
  ImportWorld world;
  world.WriteFile("a.jsonl", Lines(0, 1500));
  REQUIRE_OK(world.Import({{.path = "in/a.jsonl"}}));
  test::TestEnv after(2, world.env().files().CrashImage(test::Damage::kLost, 1));
  const auto db = storage::OpenDb(after.env(), "db", {});
  REQUIRE_OK(db.status());
  CHECK((*db)->Get("k001499").value() == "v1499");
}

TEST_CASE("what is passed over is counted by reason, with the place of the first") {
  ImportWorld world;
  const std::string large = fmt::format("{{\"key\": \"{}\", \"value\": \"\"}}\n", std::string(70'000, 'x'));
  world.WriteFile("a.jsonl", Lines(0, 3) + "bad\n" + large + "bad\n" + Lines(3, 5));
  REQUIRE_OK(world.Import({{.path = "in/a.jsonl"}}));
  CHECK(world.summary().entries == 5);
  CHECK(world.summary().skipped_records() == 3);
  CHECK(world.summary().skipped.at("not JSON").count == 2);
  CHECK(world.summary().skipped.at("not JSON").first == "in/a.jsonl: record 4");
  CHECK(world.Exported() == Lines(0, 5));
}

TEST_CASE("an entry that expires is stored with the time that it has left, and one that has expired is not") {
  ImportWorld world;
  const int64_t now = world.env().clock().WallMillis();
  world.WriteFile("a.jsonl", fmt::format("{{\"key\": \"a\", \"value\": \"\", \"expires\": {}}}\n"
                                         "{{\"key\": \"b\", \"value\": \"\", \"expires\": {}}}\n",
                                         now + 1000, now));
  REQUIRE_OK(world.Import({{.path = "in/a.jsonl"}}));
  CHECK(world.summary().skipped.at("expired meanwhile").count == 1);
  CHECK_OK(world.db().Get("a").status());
  world.env().clock().AdvanceMillis(999);
  CHECK_OK(world.db().Get("a").status());
  world.env().clock().AdvanceMillis(1);
  CHECK_CODE(world.db().Get("a").status(), kNotFound);
}

TEST_CASE("after power loss at any call an import goes on where its state says, and nothing is missing") {
  const std::string lines = Lines(0, 70'000);
  uint64_t resumed = 0;
  uint64_t calls = 0;
  {
    ImportWorld world;
    world.WriteFile("a.jsonl", lines);
    const uint64_t before = world.env().files().mutations();
    REQUIRE_OK(world.Import({{.path = "in/a.jsonl"}}, "in/state"));
    calls = world.env().files().mutations() - before;
  }
  for (uint64_t cut = 1; cut < calls; cut += calls / 12) {
    CAPTURE(cut, calls);
    ImportWorld world;
    world.WriteFile("a.jsonl", lines);
    world.env().files().StopAt(world.env().files().mutations() + cut);
    CHECK_FALSE(world.Import({{.path = "in/a.jsonl"}}, "in/state").ok());
    test::TestEnv after(3, world.env().files().CrashImage(test::Damage::kMixed, cut));
    const auto db = storage::OpenDb(after.env(), "db", {});
    REQUIRE_OK(db.status());
    StoreTarget target(db->get());
    Importer importer(
        &after.files(), &after.clock(), &target, "in/state",
        [&after](const std::string& path) -> absl::StatusOr<std::unique_ptr<ByteSource>> {
          BANDB_ASSIGN_OR_RETURN(std::string content, base::ReadFile(&after.files(), path, 1 << 30));
          return std::unique_ptr<ByteSource>(std::make_unique<StringSource>(std::move(content)));
        },
        [](const ImportSummary&) {});
    REQUIRE_OK(importer.Run({{.path = "in/a.jsonl"}}));
    if (importer.summary().earlier > 0) ++resumed;
    CHECK(importer.summary().earlier + importer.summary().entries == 70'000);
    for (const int i : {0, 1, 32'768, 65'534, 65'535, 65'536, 69'999}) {
      CHECK((*db)->Get(fmt::format("k{:06}", i)).value() == fmt::format("v{}", i));
    }
    const auto walk = (*db)->NewIterator();
    int found = 0;
    for (walk->SeekToFirst(); walk->Valid(); walk->Next()) ++found;
    CHECK(found == 70'000);
  }
  CHECK(resumed > 0);
}

TEST_CASE("the state of an import is of its inputs alone, and damage in it is told") {
  ImportWorld world;
  world.WriteFile("a.jsonl", Lines(0, 10));
  world.WriteFile("b.jsonl", Lines(0, 10));
  REQUIRE_OK(world.Import({{.path = "in/a.jsonl"}}, "in/state"));
  REQUIRE_OK(world.Import({{.path = "in/a.jsonl"}}, "in/state"));
  CHECK(world.summary().entries == 0);
  CHECK(world.summary().earlier == 10);
  CHECK_CODE(world.Import({{.path = "in/b.jsonl"}}, "in/state"), kFailedPrecondition);
  world.WriteFile("a.jsonl", Lines(0, 9));
  CHECK_CODE(world.Import({{.path = "in/a.jsonl"}}, "in/state"), kFailedPrecondition);
  for (const std::string text : {"", "x", "[]", "{}", "{\"bandb_import\": 1, \"inputs\": [], \"records\": -1}"}) {
    world.WriteFile("state", text);
    CHECK_CODE(world.Import({{.path = "in/a.jsonl"}}, "in/state"), kDataLoss);
  }
}

TEST_CASE("what was passed over is told by every later run, also one that goes on after an interruption") {
  ImportWorld world;
  // The state is saved once after 65,536 records, and the end of the input is not reached.
  world.WriteFile("a.jsonl", "bad\n" + Lines(0, 70'000));
  const std::vector<ImportInput> broken = {{.path = "in/a.jsonl"}, {.path = "in/b.jsonl"}};
  CHECK_FALSE(world.Import(broken, "in/state").ok());
  world.WriteFile("b.jsonl", "bad\nbad\n");
  REQUIRE_OK(world.Import(broken, "in/state"));
  CHECK(world.summary().earlier == 65'536);
  CHECK(world.summary().skipped.at("not JSON").count == 3);
  CHECK(world.summary().skipped.at("not JSON").first == "in/a.jsonl: record 1");
  REQUIRE_OK(world.Import(broken, "in/state"));
  CHECK(world.summary().earlier == 70'003);
  CHECK(world.summary().skipped.at("not JSON").count == 3);
  // A state of before, and one that is damaged.
  world.WriteFile("state", "{\"bandb_import\": 1, \"inputs\": [\"in/b.jsonl\"], \"records\": 2}");
  REQUIRE_OK(world.Import({{.path = "in/b.jsonl"}}, "in/state"));
  world.WriteFile("state", "{\"bandb_import\": 1, \"inputs\": [\"in/b.jsonl\"], \"records\": 2, \"skipped\": [1]}");
  CHECK_CODE(world.Import({{.path = "in/b.jsonl"}}, "in/state"), kDataLoss);
}

TEST_CASE("however many reasons there are, the summary stays small") {
  ImportSummary summary;
  for (int i = 0; i < 1000; i++) summary.Skip(fmt::format("reason {}", i), "here");
  for (int i = 0; i < 1000; i++) summary.Skip(fmt::format("reason {}", i), "there");
  CHECK(summary.skipped_records() == 2000);
  CHECK(summary.skipped.size() == 101);
  CHECK(summary.skipped.at("reason 0").count == 2);
  CHECK(summary.skipped.at("for other reasons").first == "here");
}

TEST_CASE("a store that stops taking writes ends the import with its error") {
  ImportWorld world;
  world.WriteFile("a.jsonl", Lines(0, 2000));
  REQUIRE_OK(world.db().Close());
  CHECK_CODE(world.Import({{.path = "in/a.jsonl"}}), kFailedPrecondition);
  CHECK(world.summary().entries == 0);
}

}  // namespace bandb::transfer
