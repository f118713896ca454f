// Db::Ingest: a sorted batch becomes tables, all of it at one place in the order of the writes.
#include <fmt/format.h>

#include <map>
#include <memory>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "storage/db/open_db.h"
#include "support/catch.h"
#include "support/test_env.h"

namespace bandb::test {

namespace {

constexpr char kDir[] = "/db";
using Entries = std::vector<std::pair<std::string, std::string>>;

absl::StatusOr<uint64_t> Ingest(Db* db, const Entries& entries) {
  auto at = entries.begin();
  return db->Ingest([&](IngestEntry* entry) -> absl::StatusOr<bool> {
    if (at == entries.end()) return false;
    entry->key = at->first;
    entry->value = at->second;
    ++at;
    return true;
  });
}

// Numbered keys from `begin` on, with values of 500 bytes that begin with `value`.
Entries Numbered(int begin, int end, const std::string& value) {
  Entries entries;
  for (int i = begin; i < end; ++i) entries.emplace_back(fmt::format("key{:04}", i), value + std::string(500, '.'));
  return entries;
}

Options IngestingOptions() {
  Options options = SmallOptions();
  options.table_bytes = 64 << 10;
  options.level_base_bytes = 64 << 10;
  options.compression = Compression::kNone;
  return options;
}

// The first bytes of what all keys have.
std::map<std::string, std::string> Contents(Db* db, const Snapshot* snapshot = nullptr) {
  std::map<std::string, std::string> found;
  ReadOptions options;
  options.snapshot = snapshot;
  const std::unique_ptr<Iterator> iterator = db->NewIterator(options);
  for (iterator->SeekToFirst(); iterator->Valid(); iterator->Next()) {
    found[std::string(iterator->key())] = std::string(iterator->value().substr(0, 3));
  }
  REQUIRE_OK(iterator->status());
  return found;
}

std::vector<uint64_t> TablesOfLevels(Db* db) {
  std::vector<uint64_t> tables;
  for (const LevelStats& level : db->GetStats().levels) tables.push_back(level.tables);
  return tables;
}

// Whatever is a table, or was to become one.
size_t TableFiles(TestEnv* env) {
  env->executor().RunReady();
  size_t count = 0;
  for (const auto& [path, bytes] : env->files().Files()) count += Matches("*.tbl*", path) ? 1 : 0;
  return count;
}

struct World {
  explicit World(const Options& options = IngestingOptions(), uint64_t seed = 1)
      : env(seed), db(MustOpen(env.env(), kDir, options)) {}

  TestEnv env;
  std::unique_ptr<Db> db;
};

// What a database is after power loss that takes all that was not synced.
std::map<std::string, std::string> AfterPowerLoss(const CrashFileSystem& files, const Options& options) {
  TestEnv after(5, files.CrashImage(Damage::kLost, 3));
  const std::unique_ptr<Db> db = MustOpen(after.env(), kDir, options);
  CHECK_OK(storage::CheckInvariants(db.get()));
  CHECK_OK(db->VerifyChecksums());
  for (const auto& [path, bytes] : after.files().Files()) CHECK_FALSE(path.ends_with(".tmp"));
  return Contents(db.get());
}

}  // namespace

TEST_CASE("what is ingested takes the place of what was written before, and gives way to what is written after") {
  for (uint64_t seed = 1; seed <= 8; ++seed) {
    World world(IngestingOptions(), seed);
    Db* const db = world.db.get();
    REQUIRE_OK(db->Put("key0001", "old"));
    REQUIRE_OK(db->Flush());
    REQUIRE_OK(db->Put("key0002", "old"));
    WriteBatch batch;
    batch.DeleteRange("key0003", "key0004");
    REQUIRE_OK(db->Write(batch));
    REQUIRE_OK(db->Put("other", "old"));
    const Snapshot before = db->GetSnapshot();
    const std::unique_ptr<Iterator> iterator = db->NewIterator();
    const absl::StatusOr<uint64_t> version = Ingest(db, Numbered(0, 400, "new"));
    REQUIRE_OK(version.status());
    REQUIRE_OK(storage::CheckInvariants(db));
    CHECK(db->GetEntry("key0399")->version == *version);
    CHECK(db->GetStats().last_sequence == *version);
    std::map<std::string, std::string> expected{{"other", "old"}};
    for (const auto& [key, value] : Numbered(0, 400, "new")) expected[key] = "new";
    CHECK(Contents(db) == expected);
    CHECK(Contents(db, &before) ==
          std::map<std::string, std::string>{{"key0001", "old"}, {"key0002", "old"}, {"other", "old"}});
    iterator->SeekToLast();
    CHECK((iterator->Valid() && iterator->key() == "other"));
    iterator->Prev();
    CHECK((iterator->Valid() && iterator->key() == "key0002"));
    REQUIRE_OK(db->Put("key0005", "newer"));
    REQUIRE_OK(db->Delete("key0006"));
    expected["key0005"] = "new";
    expected.erase("key0006");
    CHECK(Contents(db) == expected);
    CHECK(db->GetEntry("key0005")->version == *version + 1);
    CHECK(AfterPowerLoss(world.env.files(), IngestingOptions()).contains("key0006"));
    REQUIRE_OK(db->CompactRange("", ""));
    CHECK(Contents(db) == expected);
    REQUIRE_OK(db->Close());
    world.db = MustOpen(world.env.env(), kDir, IngestingOptions());
    CHECK(Contents(world.db.get()) == expected);
  }
}

TEST_CASE("what is ingested survives power loss, and so does all that was written before") {
  World world;
  for (int i = 0; i < 50; ++i) REQUIRE_OK(world.db->Put(fmt::format("put{:02}", i), "put"));
  REQUIRE_OK(Ingest(world.db.get(), Numbered(0, 300, "new")).status());
  REQUIRE_OK(world.db->Put("after", "not synced"));
  const auto found = AfterPowerLoss(world.env.files(), IngestingOptions());
  CHECK(found.size() == 350);
  CHECK_FALSE(found.contains("after"));
}

TEST_CASE("the source may write: what it writes comes before what is ingested") {
  World world;
  Db* const db = world.db.get();
  int asked = 0;
  const auto next = [&](IngestEntry* entry) -> absl::StatusOr<bool> {
    static constexpr std::string_view kKeys[] = {"a", "b"};
    if (asked == 2) return false;
    REQUIRE_OK(db->Put("b", "put"));
    REQUIRE_OK(db->Put(asked == 0 ? "c" : "d", "put"));
    entry->key = kKeys[asked++];
    entry->value = "new";
    CHECK_CODE(db->Get("a").status(), kNotFound);
    return true;
  };
  REQUIRE_OK(db->Ingest(next).status());
  CHECK(Contents(db) == std::map<std::string, std::string>{{"a", "new"}, {"b", "new"}, {"c", "put"}, {"d", "put"}});
}

TEST_CASE("an ingest that a later one has overtaken comes after it nevertheless") {
  World world;
  Db* const db = world.db.get();
  const Entries outer = Numbered(0, 300, "out");
  size_t at = 0;
  uint64_t inner_version = 0;
  const auto next = [&](IngestEntry* entry) -> absl::StatusOr<bool> {
    if (at == 100) {
      const absl::StatusOr<uint64_t> done = Ingest(db, Numbered(200, 400, "in."));
      REQUIRE_OK(done.status());
      inner_version = *done;
    }
    if (at == outer.size()) return false;
    entry->key = outer[at].first;
    entry->value = outer[at++].second;
    if (at == 7) entry->expiry = absl::FromUnixMillis(world.env.clock().WallMillis() + 1000);
    return true;
  };
  const absl::StatusOr<uint64_t> version = db->Ingest(next);
  REQUIRE_OK(version.status());
  CHECK(*version > inner_version);
  // No more is left to others for the sake of an ingest that was ahead.
  CHECK(*version - inner_version < uint64_t{1} << 25);
  REQUIRE_OK(storage::CheckInvariants(db));
  std::map<std::string, std::string> expected;
  for (int i = 0; i < 400; ++i) expected[fmt::format("key{:04}", i)] = i < 300 ? "out" : "in.";
  CHECK(Contents(db) == expected);
  // What was written first is gone.
  const size_t files = TableFiles(&world.env);
  const std::vector<uint64_t> tables = TablesOfLevels(db);
  CHECK(files == std::accumulate(tables.begin(), tables.end(), uint64_t{0}));
  CHECK(db->GetEntry("key0299")->version == *version);
  REQUIRE_OK(db->CompactRange("", ""));
  CHECK(Contents(db) == expected);
  world.env.clock().AdvanceMillis(1000);
  expected.erase("key0006");
  CHECK(Contents(db) == expected);
  CHECK(AfterPowerLoss(world.env.files(), IngestingOptions()).size() == 400);
}

TEST_CASE("a value that is ingested with an expiry is gone then, and what it took the place of stays away") {
  World world;
  Db* const db = world.db.get();
  REQUIRE_OK(db->Put("key", "old"));
  bool given = false;
  const absl::Time expiry = absl::FromUnixMillis(world.env.clock().WallMillis() + 10);
  REQUIRE_OK(db->Ingest([&](IngestEntry* entry) -> absl::StatusOr<bool> {
                 entry->key = "key";
                 entry->value = "new";
                 entry->expiry = expiry;
                 return !std::exchange(given, true);
               }).status());
  CHECK(db->Get("key").value() == "new");
  CHECK(db->GetEntry("key")->expiry == expiry);
  world.env.clock().AdvanceMillis(10);
  CHECK_CODE(db->Get("key").status(), kNotFound);
}

TEST_CASE("an ingest of nothing does nothing") {
  World world;
  const uint64_t mutations = world.env.files().mutations();
  CHECK(Ingest(world.db.get(), {}).value() == 0);
  CHECK(world.env.files().mutations() == mutations);
}

TEST_CASE("what is not in order, too large, or given up by its source is not ingested, and leaves nothing on disk") {
  World world;
  Db* const db = world.db.get();
  REQUIRE_OK(db->Put("key0003", "old"));
  REQUIRE_OK(db->Flush());
  const size_t files = TableFiles(&world.env);
  const auto check = [&](const Entries& last, const char* named) {
    Entries entries = Numbered(0, 500, "new");
    entries.insert(entries.end(), last.begin(), last.end());
    const absl::StatusOr<uint64_t> refused = Ingest(db, entries);
    CHECK_CODE(refused.status(), kInvalidArgument);
    CHECK(std::string(base::Message(refused.status())).find(named) != std::string::npos);
    CHECK(TableFiles(&world.env) == files);
  };
  check({{"key0499", "new"}}, "\"key0499\" comes twice");
  check({{"key0\n", "new"}}, "\"key0\\n\" comes after a greater one");
  check({{std::string((64 << 10) + 1, 'k'), "new"}}, "key");
  check({{"z", std::string(17 << 20, 'v')}}, "value");
  int asked = 0;
  const auto fails = [&](IngestEntry* entry) -> absl::StatusOr<bool> {
    if (asked == 300) return base::Error(absl::StatusCode::kCancelled, "enough");
    CHECK(entry->key.empty());
    const std::string key = fmt::format("key{:04}", asked++);
    const std::string value(1000, 'v');
    static std::string kept_key, kept_value;
    kept_key = key;
    kept_value = value;
    entry->key = kept_key;
    entry->value = kept_value;
    return true;
  };
  CHECK_CODE(db->Ingest(fails).status(), kCancelled);
  CHECK(TableFiles(&world.env) == files);
  CHECK(Contents(db) == std::map<std::string, std::string>{{"key0003", "old"}});
  REQUIRE_OK(Ingest(db, Numbered(0, 500, "new")).status());
  CHECK(Contents(db).size() == 500);
}

TEST_CASE("an exception of the source comes through, and nothing was done") {
  World world;
  int asked = 0;
  const auto throws = [&](IngestEntry* entry) -> absl::StatusOr<bool> {
    if (asked++ == 3) throw 7;
    static constexpr std::string_view kKeys[] = {"a", "b", "c"};
    entry->key = kKeys[asked - 1];
    return true;
  };
  CHECK_THROWS_AS(world.db->Ingest(throws), int);
  CHECK(TableFiles(&world.env) == 0);
  CHECK(Contents(world.db.get()).empty());
  CHECK_OK(world.db->Close());
}

TEST_CASE("a closed database ingests nothing, and neither does one that is only read") {
  World world;
  REQUIRE_OK(world.db->Put("a", "b"));
  REQUIRE_OK(world.db->Close());
  CHECK_CODE(Ingest(world.db.get(), Numbered(0, 2, "new")).status(), kFailedPrecondition);
  const auto reading = storage::OpenDbReadOnly(world.env.env(), kDir, IngestingOptions());
  REQUIRE_OK(reading.status());
  const uint64_t mutations = world.env.files().mutations();
  CHECK_CODE(Ingest(reading->get(), Numbered(0, 2, "new")).status(), kFailedPrecondition);
  CHECK(world.env.files().mutations() == mutations);
}

TEST_CASE("tables go as far down as nothing is in their way, and those that level 0 has a part of stay there") {
  World world;
  Db* const db = world.db.get();
  REQUIRE_OK(db->PauseCompactions());
  REQUIRE_OK(Ingest(db, Numbered(0, 1000, "one")).status());
  const uint64_t last = TablesOfLevels(db).back();
  CHECK(last > 4);
  CHECK(db->GetStats().levels.back().bytes_written == db->GetStats().table_bytes);
  // Beside the first ones, though in memory there is something between.
  REQUIRE_OK(db->Put("key1000", "put"));
  REQUIRE_OK(Ingest(db, Numbered(1001, 1101, "two")).status());
  CHECK(TablesOfLevels(db).back() > last);
  CHECK(TablesOfLevels(db)[0] == 1);
  // Over the first ones.
  REQUIRE_OK(Ingest(db, Numbered(0, 10, "new")).status());
  CHECK(TablesOfLevels(db)[5] == 1);
  // Over what was in memory.
  REQUIRE_OK(Ingest(db, Numbered(999, 1002, "new")).status());
  CHECK(TablesOfLevels(db)[0] == 2);
  CHECK(db->Get("key1000").value().substr(0, 3) == "new");
  CHECK(db->Get("key0009").value().substr(0, 3) == "new");
  CHECK(db->Get("key0010").value().substr(0, 3) == "one");
  const auto found = Contents(db);
  REQUIRE_OK(db->ContinueCompactions());
  REQUIRE_OK(db->CompactRange("", ""));
  CHECK(Contents(db) == found);
}

TEST_CASE("tables go no lower than the last level but one where that is compressed in another way") {
  Options options = IngestingOptions();
  options.compression_last_level = Compression::kLz4;
  World world(options);
  REQUIRE_OK(world.db->PauseCompactions());
  REQUIRE_OK(Ingest(world.db.get(), Numbered(0, 200, "new")).status());
  CHECK(TablesOfLevels(world.db.get())[5] > 0);
}

TEST_CASE("what forgets the oldest first keeps what is ingested in the order of the writes") {
  Options options = IngestingOptions();
  options.compaction_style = CompactionStyle::kFifo;
  options.fifo_bytes_max = 200'000;
  World world(options);
  Db* const db = world.db.get();
  REQUIRE_OK(db->Put("old", std::string(500, 'o')));
  REQUIRE_OK(Ingest(db, Numbered(0, 300, "one")).status());
  CHECK(TablesOfLevels(db)[0] >= 2);
  REQUIRE_OK(Ingest(db, Numbered(1000, 1300, "two")).status());
  world.env.executor().RunReady();
  const auto found = Contents(db);
  CHECK_FALSE(found.contains("old"));
  CHECK(found.contains("key1299"));
  CHECK_FALSE(found.contains("key0000"));
}

TEST_CASE("what is ingested is as old as its tables, however long the ingest took") {
  Options options = IngestingOptions();
  options.compaction_style = CompactionStyle::kFifo;
  options.fifo_age_max = absl::Minutes(1);
  World world(options);
  Db* const db = world.db.get();
  const Entries entries = Numbered(0, 300, "new");
  size_t at = 0;
  REQUIRE_OK(db->Ingest([&](IngestEntry* entry) -> absl::StatusOr<bool> {
                 if (at % 100 == 50) world.env.clock().AdvanceMillis(25'000);
                 if (at == entries.size()) return false;
                 entry->key = entries[at].first;
                 entry->value = entries[at++].second;
                 return true;
               }).status());
  world.env.executor().RunReady();
  CHECK(Contents(db).size() == 300);
  world.env.executor().RunFor(int64_t{120} * 1'000'000'000);
  CHECK(Contents(db).empty());
}

TEST_CASE("while an ingest is committed other writes wait, and those that must not are refused") {
  World world;
  Db* const db = world.db.get();
  REQUIRE_OK(db->Put("before", "put"));
  REQUIRE_OK(db->Flush());
  absl::Status waiting, impatient;
  bool submitted = false;
  size_t answered = 0;
  const Entries entries = Numbered(0, 10, "new");
  world.env.files().SetHook([&](uint64_t /*mutation*/) {
    // The last edit is being written.
    if (submitted || !Matches("*MANIFEST*", world.env.files().LastCall())) return;
    submitted = true;
    WriteBatch batch;
    batch.Put("key0003", "put");
    db->WriteAsync(batch, {}, [&](absl::Status status) { waiting = std::move(status), ++answered; });
    db->WriteAsync(batch, {.timeout = absl::ZeroDuration()},
                   [&](absl::Status status) { impatient = std::move(status), ++answered; });
    CHECK_CODE(db->Get("key0003").status(), kNotFound);
  });
  const absl::StatusOr<uint64_t> version = Ingest(db, entries);
  REQUIRE_OK(version.status());
  world.env.files().SetHook(nullptr);
  world.env.executor().RunReady();
  REQUIRE(submitted);
  REQUIRE(answered == 2);
  CHECK_OK(waiting);
  CHECK_CODE(impatient, kUnavailable);
  CHECK(db->GetEntry("key0003")->version == *version + 1);
}

TEST_CASE("a process that dies while it writes what is to be ingested leaves what the next open removes") {
  World world;
  Db* const db = world.db.get();
  REQUIRE_OK(db->Put("put", "put"));
  std::unique_ptr<CrashFileSystem> image;
  const Entries entries = Numbered(0, 500, "new");
  size_t at = 0;
  const auto next = [&](IngestEntry* entry) -> absl::StatusOr<bool> {
    if (at == entries.size()) {
      image = world.env.files().ProcessDeathImage(3);
      return false;
    }
    entry->key = entries[at].first;
    entry->value = entries[at++].second;
    return true;
  };
  REQUIRE_OK(db->Ingest(next).status());
  size_t unfinished = 0;
  for (const auto& [path, bytes] : image->Files()) {
    unfinished += path.ends_with(".tbl.tmp") ? 1 : 0;
    // For what looks for tables that no edit names there is none.
    CHECK_FALSE(path.ends_with(".tbl"));
  }
  CHECK(unfinished > 1);
  TestEnv after(2, std::move(image));
  const std::unique_ptr<Db> again = MustOpen(after.env(), kDir, IngestingOptions());
  CHECK(Contents(again.get()) == std::map<std::string, std::string>{{"put", "put"}});
  for (const auto& [path, bytes] : after.files().Files()) CHECK_FALSE(path.ends_with(".tmp"));
}

TEST_CASE("a disk that fills up refuses the ingest, which leaves nothing there, and writes go on") {
  struct Full {
    const char* pattern;
    FileCall call;
    uint64_t skip;
  };
  for (const Full& full : {Full{"*.tbl.tmp", FileCall::kCreate, 0}, Full{"*.tbl.tmp", FileCall::kCreate, 2},
                           Full{"*.tbl.tmp", FileCall::kAppend, 2}, Full{"*MANIFEST*", FileCall::kReserve, 0}}) {
    World world;
    Db* const db = world.db.get();
    REQUIRE_OK(db->Put("key0003", "old"));
    REQUIRE_OK(db->Flush());
    const size_t files = TableFiles(&world.env);
    world.env.files().Inject(
        {.kind = FaultKind::kNoSpace, .calls = {full.call}, .pattern = full.pattern, .skip = full.skip, .count = 1});
    const absl::Status refused = Ingest(db, Numbered(0, 500, "new")).status();
    INFO(full.pattern << ", " << FileCallName(full.call));
    REQUIRE(world.env.files().failures() == 1);
    CHECK_CODE(refused, kResourceExhausted);
    CHECK(TableFiles(&world.env) == files);
    REQUIRE_OK(db->Put("put", "put"));
    CHECK(Contents(db) == std::map<std::string, std::string>{{"key0003", "old"}, {"put", "put"}});
    REQUIRE_OK(Ingest(db, Numbered(0, 500, "new")).status());
    CHECK(Contents(db).size() == 501);
  }
}

TEST_CASE("an edit that was surely not written leaves nothing of the ingest") {
  World world;
  Db* const db = world.db.get();
  REQUIRE_OK(db->Put("put", "put"));
  REQUIRE_OK(db->Flush());
  const size_t files = TableFiles(&world.env);
  // A table does not get its name.
  world.env.files().Inject({.calls = {FileCall::kRename}, .pattern = "*.tbl*", .skip = 1, .count = 1});
  CHECK_CODE(Ingest(db, Numbered(0, 300, "new")).status(), kInternal);
  REQUIRE(world.env.files().failures() == 1);
  CHECK(TableFiles(&world.env) == files);
  REQUIRE_OK(db->Put("put", "put"));
  REQUIRE_OK(Ingest(db, Numbered(0, 300, "new")).status());
  CHECK(Contents(db).size() == 301);
}

TEST_CASE("an edit of which nobody knows whether it was written leaves the ingest done as a whole or not at all") {
  World world;
  Db* const db = world.db.get();
  REQUIRE_OK(db->Put("put", "put"));
  REQUIRE_OK(db->Flush());
  world.env.files().Inject({.calls = {FileCall::kSync}, .pattern = "*MANIFEST*"});
  CHECK_CODE(Ingest(db, Numbered(0, 300, "new")).status(), kUnknown);
  CHECK_CODE(db->Put("after", "put"), kFailedPrecondition);
  CHECK(Contents(db) == std::map<std::string, std::string>{{"put", "put"}});
  size_t done = 0;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    TestEnv after(seed, world.env.files().CrashImage(Damage::kReordered, seed));
    const std::unique_ptr<Db> again = MustOpen(after.env(), kDir, IngestingOptions());
    const size_t found = Contents(again.get()).size();
    CHECK((found == 1 || found == 301));
    done += found == 301 ? 1 : 0;
  }
  CHECK(done > 0);
  CHECK(done < 20);
}

}  // namespace bandb::test
