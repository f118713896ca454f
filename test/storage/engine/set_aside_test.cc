// A table that a compaction cannot read is set aside: its damage is the answer to those who read
// it, and everything else goes on.
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "bandb/event_listener.h"
#include "base/status.h"
#include "storage/db.h"
#include "support/catch.h"
#include "support/test_env.h"

namespace bandb::test {

namespace {

constexpr char kDir[] = "/db";
// What a compaction might have left that did not come to its end.
constexpr char kOrphan[] = "/db/groups/0/db/900000.tbl";

std::string KeyOf(int i) { return "key" + std::to_string(10'000 + i); }

struct DamageList final : EventListener {
  void OnTableDamaged(const TableDamage& damage) override { damages.push_back(damage); }
  void OnBackgroundError(const absl::Status& error) override { errors.push_back(error); }
  std::vector<TableDamage> damages;
  std::vector<absl::Status> errors;
};

class World {
 public:
  World() { Open(); }

  void Open() {
    db.reset();
    Options options;
    options.write_buffer_bytes = 64 << 10;
    options.table_bytes = 64 << 10;
    options.level_base_bytes = 64 << 10;
    options.block_cache_bytes = 0;
    options.compression = Compression::kNone;
    options.listener = &list;
    auto opened = storage::OpenDb(env.env(), kDir, options);
    REQUIRE_OK(opened.status());
    db = *std::move(opened);
  }
  void Put(int i, char fill) {
    REQUIRE_OK(db->Put(KeyOf(i), std::string(1000, fill)));
    model[KeyOf(i)] = std::string(1000, fill);
  }
  // The tables, by path, in the order of their numbers.
  std::vector<std::string> Tables() const {
    std::vector<std::string> paths;
    for (const auto& [path, bytes] : env.files().Files()) {
      if (Matches("*.tbl", path)) paths.push_back(path);
    }
    return paths;
  }
  // Where there is none, a file is made.
  void SetContent(const std::string& path, const std::string& content) {
    if (!*env.files().Exists(path)) {
      REQUIRE_OK((*env.files().Create(path, base::AppendMode::kWriteThrough))->Close());
      REQUIRE_OK(env.files().SyncDir(path.substr(0, path.rfind('/'))));
    }
    env.files().SetContent(path, content);
  }
  // In the middle: a data block.
  void Damage(const std::string& path) { env.files().FlipByte(path, env.files().Content(path).size() / 2, 1); }
  // Every key is there, or is damaged: never older, never absent.
  // Answers with one that is damaged.
  std::string CheckReads(size_t damaged_max) const {
    std::string last;
    size_t damaged = 0;
    for (const auto& [key, value] : model) {
      const absl::StatusOr<std::string> got = db->Get(key);
      if (got.ok()) {
        CHECK((*got)[0] == value[0]);
      } else {
        CHECK_CODE(got.status(), kDataLoss);
        ++damaged;
        last = key;
      }
    }
    CHECK(damaged > 0);
    CHECK(damaged <= damaged_max);
    return last;
  }
  // Ten times as many flushes as stop writers while nothing is compacted.
  void WriteOn() {
    for (int round = 0; round < 40; ++round) {
      for (int i = round % 3; i < 300; i += 3) Put(i, static_cast<char>('a' + round % 26));
    }
    REQUIRE_OK(db->Flush());
    env.executor().RunReady();
    REQUIRE_OK(storage::CheckInvariants(db.get()));
  }

  mutable TestEnv env{1};
  DamageList list;
  std::map<std::string, std::string> model;
  std::unique_ptr<Db> db;
};

void CheckToldOf(const World& world, const std::string& path) {
  REQUIRE(world.db->GetStats().damaged_tables.size() == 1);
  const uint64_t number = world.db->GetStats().damaged_tables[0];
  const std::string name = path.substr(path.rfind('/') + 1);
  CHECK(std::stoull(name) == number);
  REQUIRE_FALSE(world.list.damages.empty());
  CHECK(world.list.damages.back().table_number == number);
  CHECK_CODE(world.list.damages.back().status, kDataLoss);
  CHECK(base::Message(world.list.damages.back().status).find(name + ": offset ") != std::string_view::npos);
  CHECK(world.env.logger().Text().find("E /db: " + name) != std::string::npos);
  CHECK(world.list.errors.empty());
}

}  // namespace

TEST_CASE("a damaged table of the last level is set aside, and writes go on, after reopening as well") {
  World world;
  for (int i = 0; i < 300; ++i) world.Put(i, 'z');
  REQUIRE_OK(world.db->CompactRange({}, {}));
  const std::vector<std::string> tables = world.Tables();
  REQUIRE(tables.size() >= 5);
  world.Damage(tables[0]);
  for (int life = 0; life < 3; ++life) {
    world.WriteOn();
    CheckToldOf(world, tables[0]);
    CHECK(world.list.damages.size() == static_cast<size_t>(life) + 1);
    // What lies under the damage was overwritten since.
    for (const auto& [key, value] : world.model) CHECK(*world.db->Get(key) == value);
    world.Open();
  }
  // The rest is in shape, but for what lies over the damaged table.
  world.WriteOn();
  CHECK(world.db->GetStats().levels[0].tables < 12);
}

TEST_CASE("a damaged table of level 0 is set aside, newer ones are merged beside it, and writes go on") {
  World world;
  world.Put(50, 'z');
  REQUIRE_OK(world.db->Flush());
  for (int i = 0; i < 100; i += 2) world.Put(i, 'y');
  REQUIRE_OK(world.db->Flush());
  const std::vector<std::string> tables = world.Tables();
  REQUIRE(tables.size() == 2);
  world.Damage(tables[1]);
  for (int life = 0; life < 2; ++life) {
    world.WriteOn();
    CheckToldOf(world, tables[1]);
    for (const auto& [key, value] : world.model) CHECK(*world.db->Get(key) == value);
    CHECK(world.db->GetStats().levels[0].tables < 20);
    world.Open();
  }
}

TEST_CASE("a delete over a damaged table of level 0 stays, though it is merged with newer tables") {
  World world;
  for (int i = 0; i < 50; ++i) world.Put(i, 'z');
  REQUIRE_OK(world.db->Flush());
  world.Damage(world.Tables()[0]);
  for (int round = 0; round < 20; ++round) {
    REQUIRE_OK(world.db->Delete(KeyOf(round)));
    REQUIRE_OK(world.db->Flush());
  }
  world.env.executor().RunReady();
  CHECK(world.db->GetStats().damaged_tables.size() == 1);
  CHECK(world.db->GetStats().levels[0].tables < 10);
  for (int i = 0; i < 20; ++i) CHECK_CODE(world.db->Get(KeyOf(i)).status(), kNotFound);
}

TEST_CASE("who reads the damage is told, also by CompactRange, and Resume takes a mended table back") {
  World world;
  for (int i = 0; i < 300; ++i) world.Put(i, 'z');
  REQUIRE_OK(world.db->CompactRange({}, {}));
  const std::string path = world.Tables()[0];
  const std::string whole = world.env.files().Content(path);
  world.Damage(path);
  const std::string damaged = world.CheckReads(10);
  for (int i = 0; i < 2; ++i) {
    CHECK_CODE(world.db->CompactRange({}, {}), kDataLoss);
    CheckToldOf(world, path);
    CHECK(world.list.damages.size() == 1);
  }
  // Elsewhere it does its work.
  CHECK_OK(damaged < KeyOf(150) ? world.db->CompactRange(KeyOf(250), {}) : world.db->CompactRange({}, KeyOf(50)));
  CHECK_OK(world.db->Put("more", "1"));
  world.env.files().SetContent(path, whole);
  CHECK_OK(world.db->Resume());
  CHECK(world.db->GetStats().damaged_tables.empty());
  CHECK_OK(world.db->CompactRange({}, {}));
  CHECK(world.list.damages.size() == 1);
  for (const auto& [key, value] : world.model) CHECK(*world.db->Get(key) == value);
}

TEST_CASE("a table that the disk refuses to read is set aside as one that is damaged") {
  World world;
  for (int i = 0; i < 300; ++i) world.Put(i, 'z');
  REQUIRE_OK(world.db->CompactRange({}, {}));
  const std::string path = world.Tables()[0];
  world.env.files().Inject(
      {.kind = FaultKind::kIoError, .calls = {FileCall::kRead}, .pattern = path, .count = Fault::kSticky});
  world.WriteOn();
  REQUIRE(world.list.damages.size() == 1);
  CHECK_CODE(world.list.damages[0].status, kInternal);
  CHECK(world.list.errors.empty());
  world.env.files().ClearFaults();
  CHECK_OK(world.db->Resume());
  CHECK_OK(world.db->CompactRange({}, {}));
  for (const auto& [key, value] : world.model) CHECK(*world.db->Get(key) == value);
}

TEST_CASE("an output that cannot be written is no damage of what is read: writes stop") {
  World world;
  for (int i = 0; i < 300; ++i) world.Put(i, 'z');
  REQUIRE_OK(world.db->Flush());
  world.env.executor().RunReady();
  world.env.files().Inject({.calls = {FileCall::kSync}, .pattern = "*.tbl", .count = Fault::kSticky});
  CHECK_FALSE(world.db->CompactRange({}, {}).ok());
  CHECK(world.list.damages.empty());
  CHECK(world.list.errors.size() == 1);
  CHECK_CODE(world.db->Put("more", "1"), kFailedPrecondition);
}

TEST_CASE("what a compaction has found damaged before a Resume is not set aside after it") {
  size_t found_late = 0;
  for (int steps = 0; steps < 12; ++steps) {
    CAPTURE(steps);
    World world;
    for (int i = 0; i < 300; ++i) world.Put(i, 'z');
    REQUIRE_OK(world.db->CompactRange({}, {}));
    const auto overwrite = [&](int rounds) {
      for (int round = 0; round < rounds; ++round) {
        world.Put(0, 'y');
        REQUIRE_OK(world.db->Flush());
      }
    };
    overwrite(4);
    world.env.executor().RunReady();
    // The one in the level into which level 0 goes.
    const std::string path = world.Tables().back();
    const std::string whole = world.env.files().Content(path);
    world.Damage(path);
    overwrite(4);
    for (int step = 0; step < steps; ++step) world.env.executor().RunOne(0);
    const bool known = !world.db->GetStats().damaged_tables.empty();
    world.Damage(path);
    REQUIRE(world.env.files().Content(path) == whole);
    REQUIRE_OK(world.db->Resume());
    world.env.executor().RunReady();
    found_late += known ? 0 : 1;
    CHECK(world.db->GetStats().damaged_tables.empty());
    CHECK_OK(world.db->CompactRange({}, {}));
    CHECK_OK(storage::CheckInvariants(world.db.get()));
  }
  CHECK(found_late > 0);
  CHECK(found_late < 12);
}

TEST_CASE("Open goes on without a table that is gone or cut short, which is told, and answers those who read it") {
  for (const bool is_gone : {true, false}) {
    World world;
    for (int i = 0; i < 300; ++i) world.Put(i, 'z');
    REQUIRE_OK(world.db->CompactRange({}, {}));
    world.db.reset();
    const std::vector<std::string> tables = world.Tables();
    REQUIRE(tables.size() >= 5);
    const std::string whole = world.env.files().Content(tables[1]);
    if (is_gone) {
      REQUIRE_OK(world.env.files().Remove(tables[1]));
    } else {
      world.env.files().SetContent(tables[1], whole.substr(0, whole.size() - 1));
    }
    // What no manifest names stays, for the person who mends it.
    world.SetContent(kOrphan, "what a compaction left");
    for (int life = 0; life < 2; ++life) {
      world.Open();
      CheckToldOf(world, tables[1]);
      size_t refused = 0;
      for (const auto& [key, value] : world.model) {
        const absl::StatusOr<std::string> got = world.db->Get(key);
        if (got.ok()) {
          CHECK(*got == value);
        } else {
          CHECK(got.status().code() == (is_gone ? absl::StatusCode::kInternal : absl::StatusCode::kDataLoss));
          CHECK(base::Message(got.status()).find(tables[1].substr(tables[1].rfind('/') + 1)) != std::string_view::npos);
          ++refused;
        }
      }
      CHECK(refused > 20);
      CHECK(refused < 100);
      const auto walk = world.db->NewIterator();
      walk->SeekToFirst();
      while (walk->Valid()) walk->Next();
      CHECK_FALSE(walk->status().ok());
      REQUIRE_OK(world.db->Put("more", "1"));
      REQUIRE_OK(world.db->Flush());
      CHECK(world.env.files().Exists(kOrphan).value());
      world.db.reset();
    }
    // Put back, it is as if nothing had been.
    world.SetContent(tables[1], whole);
    world.Open();
    CHECK(world.db->GetStats().damaged_tables.empty());
    for (const auto& [key, value] : world.model) CHECK(*world.db->Get(key) == value);
    CHECK_OK(world.db->VerifyChecksums());
    CHECK_FALSE(world.env.files().Exists(kOrphan).value());
  }
}

TEST_CASE("of a table that is gone nothing is given up: neither merges, checkpoints, Resume nor range deletes") {
  World world;
  for (int i = 0; i < 300; ++i) world.Put(i, 'z');
  REQUIRE_OK(world.db->CompactRange({}, {}));
  world.db.reset();
  const std::vector<std::string> tables = world.Tables();
  REQUIRE(tables.size() >= 5);
  const std::string whole = world.env.files().Content(tables[1]);
  REQUIRE_OK(world.env.files().Remove(tables[1]));
  world.Open();
  // Some of what is under it stays as it was.
  for (int round = 0; round < 40; ++round) {
    for (int i = round % 3; i < 300; i += 6) world.Put(i, static_cast<char>('a' + round % 26));
  }
  REQUIRE_OK(world.db->Flush());
  world.env.executor().RunReady();
  REQUIRE_OK(storage::CheckInvariants(world.db.get()));
  CheckToldOf(world, tables[1]);
  CHECK_FALSE(world.db->CreateCheckpoint("/copy").ok());
  CHECK_FALSE(world.env.files().Exists("/copy").value());
  CHECK_FALSE(world.db->VerifyChecksums().ok());
  // Still gone: the next that wants to read it sets it aside again, and no writes stop.
  REQUIRE_OK(world.db->Resume());
  world.WriteOn();
  CHECK_FALSE(world.db->CompactRange({}, {}).ok());
  CHECK(world.db->GetStats().damaged_tables.size() == 1);
  CHECK(world.list.errors.empty());
  // One that covers it is no reason to take it out while nobody has read it.
  WriteBatch batch;
  batch.DeleteRange(KeyOf(0), KeyOf(299));
  REQUIRE_OK(world.db->Write(batch));
  REQUIRE_OK(world.db->Flush());
  world.env.executor().RunReady();
  REQUIRE_OK(storage::CheckInvariants(world.db.get()));
  for (int i = 0; i < 299; ++i) CHECK_CODE(world.db->Get(KeyOf(i)).status(), kNotFound);
  for (int life = 0; life < 2; ++life) {
    world.Open();
    for (int i = 0; i < 299; ++i) CHECK_CODE(world.db->Get(KeyOf(i)).status(), kNotFound);
    REQUIRE_OK(world.db->Put("more", "1"));
    if (life == 0) world.db.reset(), world.SetContent(tables[1], whole);
  }
  CHECK(world.db->GetStats().damaged_tables.empty());
  CHECK_OK(world.db->VerifyChecksums());
  CHECK_OK(world.db->CompactRange({}, {}));
  CHECK(*world.db->Get(KeyOf(299)) == world.model[KeyOf(299)]);
  CHECK_OK(world.db->CreateCheckpoint("/copy"));
  CHECK_FALSE(world.env.files().Exists(tables[1]).value());
}

TEST_CASE("a table whose footer is damaged does not keep a database from opening") {
  World world;
  for (int i = 0; i < 300; ++i) world.Put(i, 'z');
  REQUIRE_OK(world.db->CompactRange({}, {}));
  world.db.reset();
  const std::string path = world.Tables()[0];
  world.env.files().FlipByte(path, world.env.files().Content(path).size() - 20, 1);
  world.Open();
  world.CheckReads(100);
  CHECK_CODE(world.db->CompactRange({}, {}), kDataLoss);
  CheckToldOf(world, path);
  REQUIRE_OK(world.db->Put("more", "1"));
}

TEST_CASE("where the manifest ends in damage as well, a table that is gone keeps the database closed") {
  World world;
  for (int i = 0; i < 300; ++i) world.Put(i, 'z');
  REQUIRE_OK(world.db->CompactRange({}, {}));
  world.db.reset();
  REQUIRE_OK(world.env.files().Remove(world.Tables()[0]));
  std::string manifest;
  for (const auto& [path, bytes] : world.env.files().Files()) {
    if (Matches("*MANIFEST-*", path)) manifest = path;
  }
  REQUIRE_FALSE(manifest.empty());
  world.env.files().FlipByte(manifest, world.env.files().Content(manifest).find_last_not_of('\0'), 1);
  const absl::Status opened = storage::OpenDb(world.env.env(), kDir, {}).status();
  CHECK_CODE(opened, kDataLoss);
  CHECK(base::Message(opened).find("the table is missing") != std::string_view::npos);
}

TEST_CASE("a table that was read wrong once, and is whole, is tried again before long") {
  size_t read_wrong_once = 0;
  for (int steps = 0; steps < 12; ++steps) {
    CAPTURE(steps);
    World world;
    for (int i = 0; i < 300; ++i) world.Put(i, 'z');
    REQUIRE_OK(world.db->CompactRange({}, {}));
    const auto overwrite = [&]() {
      for (int i = 0; i < 4; ++i) {
        world.Put(0, static_cast<char>('a' + i));
        REQUIRE_OK(world.db->Flush());
      }
    };
    overwrite();
    world.env.executor().RunReady();
    // The one in the level into which level 0 goes.
    const std::string path = world.Tables().back();
    world.Damage(path);
    overwrite();
    for (int step = 0; step < steps; ++step) world.env.executor().RunOne(0);
    world.Damage(path);
    world.env.executor().RunReady();
    // Where the damage was still there to be found, that table is set aside alone, and for good.
    if (world.list.damages.size() == 1 && world.list.damages[0].status.code() == absl::StatusCode::kDataLoss) continue;
    read_wrong_once += world.list.damages.empty() ? 0 : 1;
    for (const TableDamage& damage : world.list.damages) CHECK_CODE(damage.status, kInternal);
    CHECK(world.list.errors.empty());
    world.env.executor().RunFor(5'000'000'000);
    CHECK(world.db->GetStats().damaged_tables.empty());
    CHECK_OK(world.db->CompactRange({}, {}));
    for (const auto& [key, value] : world.model) CHECK(*world.db->Get(key) == value);
    CHECK_OK(storage::CheckInvariants(world.db.get()));
  }
  CHECK(read_wrong_once > 0);
}

}  // namespace bandb::test
