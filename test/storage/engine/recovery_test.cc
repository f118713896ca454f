// What Open makes of directories that crashes and faults leave.
#include "storage/engine/recovery.h"

#include <memory>
#include <string>

#include "kv/limits.h"
#include "storage/db.h"
#include "storage/engine/engine_fixture.h"
#include "storage/file/file_names.h"
#include "storage/file/identity.h"
#include "storage/log/log_fixture.h"
#include "support/catch.h"
#include "support/test_env.h"

namespace bandb::test {

namespace {

using storage::LogBytes;

constexpr char kDir[] = "/data/db";

// A directory as a process leaves it that died right after it had created the database: log 1 is
// begun and empty.
class Scene {
 public:
  Scene() {
    TestEnv env(1);
    absl::StatusOr<std::unique_ptr<Db>> db = storage::OpenDb(env.env(), kDir, Options());
    REQUIRE_OK(db.status());
    world_ = std::make_unique<TestEnv>(2, env.files().ProcessDeathImage(3));
    id_ = storage::DecodeIdentity(files().Content(storage::IdentityPath(kDir)), "IDENTITY")->database_id;
  }

  CrashFileSystem& files() { return world_->files(); }
  static std::string LogPath(uint64_t number) {
    return base::JoinPath(storage::EngineDir(kDir), storage::LogName(number));
  }
  LogBytes NewLog(uint64_t number, storage::Sequence first_sequence) { return LogBytes(number, first_sequence, id_); }
  // Where there is none, a file is made.
  void SetLog(uint64_t number, std::string_view bytes) {
    if (!*files().Exists(LogPath(number))) {
      REQUIRE_OK((*files().Create(LogPath(number), base::AppendMode::kWriteThrough))->Close());
      REQUIRE_OK(files().SyncDir(storage::EngineDir(kDir)));
    }
    files().SetContent(LogPath(number), bytes);
  }

  absl::StatusCode Open(const Options& options = {}) {
    db_.reset();
    absl::StatusOr<std::unique_ptr<Db>> db = storage::OpenDb(world_->env(), kDir, options);
    last_ = db.status();
    if (db.ok()) db_ = *std::move(db);
    return last_.code();
  }
  // The keys of the open database, one after the other.
  std::string Keys() {
    std::string keys;
    const auto iterator = db_->NewIterator();
    for (iterator->SeekToFirst(); iterator->Valid(); iterator->Next()) keys += iterator->key();
    CHECK_OK(iterator->status());
    return keys;
  }
  // The machine loses power now.
  void PowerLoss(Damage damage, uint64_t seed) {
    auto image = files().CrashImage(damage, seed);
    db_.reset();
    world_ = std::make_unique<TestEnv>(seed, std::move(image));
  }
  Db& db() { return *db_; }
  const storage::Uuid& id() const { return id_; }
  std::string Message() const { return last_.ToString(); }

 private:
  std::unique_ptr<TestEnv> world_;
  storage::Uuid id_;
  std::unique_ptr<Db> db_;
  absl::Status last_;
};

}  // namespace

TEST_CASE("a database in folders that had to be made survives power loss once a write was synced") {
  TestEnv env(1);
  auto db = storage::OpenDb(env.env(), "/one/two/three", Options());
  REQUIRE_OK(db.status());
  REQUIRE_OK((*db)->Put("key", "value", {.sync = true}));
  TestEnv after(2, env.files().CrashImage(Damage::kLost, 3));
  auto found = storage::OpenDb(after.env(), "/one/two/three", Options());
  REQUIRE_OK(found.status());
  CHECK((*found)->Get("key").ok());
}

TEST_CASE("logs that follow one another are replayed in order") {
  Scene scene;
  scene.SetLog(1, scene.NewLog(1, 1).Put("a", "1").Put("b", "2").End().bytes());
  scene.SetLog(7, scene.NewLog(7, 3).Put("c", "3").bytes());
  REQUIRE(scene.Open() == absl::StatusCode::kOk);
  CHECK(scene.Keys() == "abc");
  CHECK(scene.db().GetStats().recovered_log_records == 3);
  CHECK(scene.db().GetStats().dropped_log_bytes == 0);
}

TEST_CASE("a log whose directory entry was lost takes along what was written after it") {
  Scene scene;
  scene.SetLog(1, scene.NewLog(1, 1).Put("a", "1").Put("b", "2").End().bytes());
  // Log 4 held sequence 3; nothing of it is left, not even its name.
  const std::string later = scene.NewLog(7, 4).Put("d", "4").bytes();
  scene.SetLog(7, later);
  REQUIRE(scene.Open() == absl::StatusCode::kOk);
  CHECK(scene.Keys() == "ab");
  CHECK(scene.db().GetStats().dropped_log_bytes == later.size());
}

TEST_CASE("a log that is missing before one that was synced is corruption") {
  Scene scene;
  scene.SetLog(1, scene.NewLog(1, 1).Put("a", "1").End().bytes());
  LogBytes later = scene.NewLog(7, 3);
  later.Put("c", "3").Put("d", "4", later.size());
  scene.SetLog(7, later.bytes());
  const auto before = scene.files().Files();
  CHECK(scene.Open() == absl::StatusCode::kDataLoss);
  CHECK(scene.Message().find("000007.log") != std::string::npos);
  CHECK(scene.files().Files() == before);
}

TEST_CASE("a log that was torn ends the history, and synced logs behind it are corruption") {
  Scene scene;
  const LogBytes first = scene.NewLog(1, 1).Put("a", "1").Put("b", "2").End();
  scene.SetLog(1, std::string_view(first.bytes()).substr(0, first.offsets()[1] + 5));
  SECTION("nothing later was synced") {
    scene.SetLog(7, scene.NewLog(7, 3).Put("c", "3").bytes());
    REQUIRE(scene.Open() == absl::StatusCode::kOk);
    CHECK(scene.Keys() == "a");
  }
  SECTION("something later was synced") {
    scene.SetLog(7, scene.NewLog(7, 3).Put("c", "3", 80).bytes());
    CHECK(scene.Open() == absl::StatusCode::kDataLoss);
  }
}

TEST_CASE("a log that was dropped does not come back when its removal was lost") {
  Scene scene;
  const LogBytes first = scene.NewLog(1, 1).Put("a", "1").Put("b", "2").End();
  scene.SetLog(1, std::string_view(first.bytes()).substr(0, first.offsets()[1] + 5));
  // After the tear: sequence 3, which the database must forget.
  scene.SetLog(7, scene.NewLog(7, 3).Put("c", "3").bytes());
  REQUIRE(scene.Open() == absl::StatusCode::kOk);
  REQUIRE(scene.Keys() == "a");
  // Sequences 2 and 3 are given out again.
  REQUIRE_OK(scene.db().Put("x", "1", {.sync = true}));
  REQUIRE_OK(scene.db().Put("y", "2", {.sync = true}));
  scene.SetLog(7, scene.NewLog(7, 3).Put("c", "3").bytes());
  scene.PowerLoss(Damage::kKept, 5);
  REQUIRE(*scene.files().Exists(Scene::LogPath(7)));
  REQUIRE(scene.Open() == absl::StatusCode::kOk);
  CHECK(scene.Keys() == "axy");
}

TEST_CASE("a log that could not be begun is no gap between two others") {
  Scene scene;
  scene.SetLog(1, scene.NewLog(1, 1).Put("a", "1").End().bytes());
  scene.SetLog(5, GENERATE(0, 1) == 0 ? std::string() : scene.NewLog(5, 2).bytes());
  scene.SetLog(7, scene.NewLog(7, 2).Put("b", "2").Put("c", "3", 90).bytes());
  REQUIRE(scene.Open() == absl::StatusCode::kOk);
  CHECK(scene.Keys() == "abc");
}

TEST_CASE("records whose sequences jump or repeat within a log are corruption") {
  Scene scene;
  const int step = GENERATE(-1, 1);
  scene.SetLog(1, scene.NewLog(1, 1).Put("a", "1").Skip(static_cast<storage::Sequence>(step)).Put("b", "2").bytes());
  CHECK(scene.Open() == absl::StatusCode::kDataLoss);
}

TEST_CASE("a sequence beyond all that can be is corruption") {
  Scene scene;
  scene.SetLog(1, scene.NewLog(1, UINT64_MAX).Put("a", "1", 80).bytes());
  CHECK(scene.Open() == absl::StatusCode::kDataLoss);
}

TEST_CASE("a table of another length than the manifest says is found by Open, before anybody reads it") {
  for (const bool shorter : {true, false}) {
    Scene scene;
    REQUIRE(scene.Open() == absl::StatusCode::kOk);
    REQUIRE_OK(scene.db().Put("k", "v"));
    REQUIRE_OK(scene.db().Flush());
    REQUIRE_OK(scene.db().Close());
    std::string path;
    for (const auto& [name, bytes] : scene.files().Files()) {
      if (name.ends_with(".tbl")) path = name;
    }
    const std::string content = scene.files().Content(path);
    scene.files().SetContent(path, shorter ? content.substr(1) : content + '\0');
    REQUIRE(scene.Open() == absl::StatusCode::kOk);
    CHECK(scene.db().GetStats().damaged_tables.size() == 1);
    const absl::Status got = scene.db().Get("k").status();
    CHECK(got.code() == absl::StatusCode::kDataLoss);
    CHECK(got.message().find(path) != std::string::npos);
    REQUIRE_OK(scene.db().Close());
    scene.files().SetContent(path, content);
    CHECK(scene.Open() == absl::StatusCode::kOk);
    CHECK(scene.Keys() == "k");
  }
}

TEST_CASE("a database without its identity is not made anew") {
  Scene scene;
  scene.SetLog(1, scene.NewLog(1, 1).Put("a", "1").bytes());
  REQUIRE_OK(scene.files().Remove(storage::IdentityPath(kDir)));
  const bool has_current = GENERATE(true, false);
  if (!has_current) REQUIRE_OK(scene.files().Remove(storage::CurrentPath(storage::EngineDir(kDir))));
  CHECK(scene.Open() == absl::StatusCode::kDataLoss);
  CHECK(*scene.files().Exists(Scene::LogPath(1)));
}

TEST_CASE("what stands behind the end of a log does not count") {
  Scene scene;
  scene.SetLog(1, scene.NewLog(1, 1).Put("a", "1").End().bytes() + "garbage in reserved room");
  scene.SetLog(7, scene.NewLog(7, 2).Put("b", "2", 80).bytes());
  REQUIRE(scene.Open() == absl::StatusCode::kOk);
  CHECK(scene.Keys() == "ab");
}

TEST_CASE("on a full disk a database that was not closed opens, is read, and goes on once there is room") {
  TestEnv first(1);
  Options options;
  options.write_buffer_bytes = 4 << 20;
  const auto before = storage::OpenDb(first.env(), kDir, options);
  REQUIRE_OK(before.status());
  for (int i = 0; i < 500; ++i) REQUIRE_OK((*before)->Put("key" + std::to_string(i), std::string(1000, 'v')));
  TestEnv env(2, first.files().ProcessDeathImage(3));
  // Less than the log that was found.
  env.files().SetFreeBytes(64 << 10);
  {
    auto db = storage::OpenDb(env.env(), kDir, options);
    REQUIRE_OK(db.status());
    for (int i = 0; i < 500; ++i) REQUIRE((*db)->Get("key" + std::to_string(i)).ok());
    // What was found is durable, whatever happens now.
    TestEnv lost(4, env.files().CrashImage(Damage::kLost, 5));
    lost.files().SetFreeBytes(1 << 30);
    auto again = storage::OpenDb(lost.env(), kDir, options);
    REQUIRE_OK(again.status());
    CHECK((*again)->Get("key499").ok());
    env.files().SetFreeBytes(1 << 30);
    CHECK_OK((*db)->Resume());
    CHECK_OK((*db)->Put("more", "1", {.sync = true}));
    CHECK_OK((*db)->Flush());
  }
}

TEST_CASE("a record of more operations than any batch may have is corruption, however few bytes it has") {
  for (const uint64_t operations : {kv::kBatchBytesMax / kv::kBatchBytesPerOperation, 16ul << 20}) {
    Scene scene;
    storage::LogBytes log = scene.NewLog(1, 1);
    // A kind and a length of zero each: a delete of the empty key.
    std::string payload;
    kv::AppendOperation(&payload, {.kind = kv::Kind::kDelete, .key = {}, .value = {}});
    const std::string one = payload;
    payload.reserve(operations * one.size());
    while (payload.size() < operations * one.size()) payload += one;
    scene.SetLog(1, log.Add({.term = 1, .first_sequence = 1, .commit_time_ms = 1}, payload).bytes());
    const bool allowed = operations <= kv::kBatchBytesMax / kv::kBatchBytesPerOperation;
    CHECK(scene.Open() == (allowed ? absl::StatusCode::kOk : absl::StatusCode::kDataLoss));
  }
}

TEST_CASE("a name with a number that is out of all proportion is not ours") {
  CHECK(storage::ParseFileName("000007.tbl"));
  CHECK_FALSE(storage::ParseFileName("18446744073709551615.tbl"));
  CHECK_FALSE(storage::ParseFileName("9223372036854775807.log"));
  CHECK_FALSE(storage::ParseFileName("7.log"));
  CHECK_FALSE(storage::ParseFileName("MANIFEST-7"));
  CHECK_FALSE(storage::ParseFileName("000007.log.tmp"));
}

TEST_CASE("the file of another with the largest number there is takes no numbers away: the database opens again") {
  for (const bool begun : {false, true}) {
    Scene scene;
    const std::string path =
        base::JoinPath(storage::EngineDir(kDir), storage::TableName(storage::kFileNumberMax - (begun ? 1 : 0)));
    if (begun) {
      // Its creation was cut short.
      REQUIRE_OK(scene.files().Rename(storage::IdentityPath(kDir), storage::CreatingPath(kDir)));
    }
    REQUIRE_OK((*scene.files().Create(path, base::AppendMode::kWriteThrough))->Close());
    REQUIRE_OK(scene.files().SyncDir(storage::EngineDir(kDir)));
    for (int life = 0; life < 3; ++life) {
      REQUIRE(scene.Open() == absl::StatusCode::kOk);
      REQUIRE_OK(scene.db().Put("k", "v"));
      REQUIRE_OK(scene.db().Flush());
      REQUIRE_OK(storage::CheckInvariants(&scene.db()));
    }
    CHECK(scene.files().Exists(path).value());
  }
}

TEST_CASE("a manifest of numbers that leave none to give out is refused, and nothing is changed") {
  for (int what = 0; what < 4; ++what) {
    CAPTURE(what);
    Scene scene;
    const std::string engine_dir = storage::EngineDir(kDir);
    auto found = storage::RecoverManifest(&scene.files(), engine_dir, scene.id(), nullptr);
    REQUIRE_OK(found.status());
    storage::ManifestState state = found->state;
    const uint64_t number = state.next_file_number + 10;
    state.next_file_number = number + 1;
    if (what == 1) state.next_file_number = storage::kFileNumberMax;
    if (what == 2) state.epoch = storage::kFileNumberMax;
    if (what == 3) {
      storage::VersionEdit edit;
      edit.added.push_back({6, storage::Describe(storage::kFileNumberMax + 1, "a", "b", 1, 1)});
      edit.last_sequence = 1;
      REQUIRE_OK(state.Apply(edit, {std::make_shared<storage::LiveTable>(edit.added[0].info, nullptr)}));
    }
    const storage::FileHeader header{
        .type = storage::FileType::kManifest, .database_id = scene.id(), .file_id = storage::Uuid{}};
    REQUIRE_OK(storage::Manifest::CreateCurrent(&scene.files(), engine_dir, number, header, state).status());
    const auto before = scene.files().Files();
    CHECK(scene.Open() == (what == 0 ? absl::StatusCode::kOk : absl::StatusCode::kDataLoss));
    if (what == 0) continue;
    CHECK(scene.Message().find(storage::ManifestName(number) + ": offset ") != std::string::npos);
    CHECK(scene.files().Files() == before);
  }
}

TEST_CASE("a CURRENT that was being written is out of the way once the next one counts, and is not removed later") {
  Scene scene;
  const std::string path = storage::CurrentPath(storage::EngineDir(kDir)) + ".tmp";
  REQUIRE_OK((*scene.files().Create(path, base::AppendMode::kWriteThrough))->Close());
  REQUIRE_OK(scene.files().SyncDir(storage::EngineDir(kDir)));
  // From there on one may be staged by somebody else.
  bool counts = false;
  scene.files().SetHook([&](uint64_t) {
    const std::string call(scene.files().LastCall());
    CHECK_FALSE((counts && call.find("CURRENT.tmp") != std::string::npos));
    counts |= call.find("rename") != std::string::npos && call.find("CURRENT.tmp") != std::string::npos;
  });
  CHECK(scene.Open() == absl::StatusCode::kOk);
  scene.files().SetHook(nullptr);
  CHECK(counts);
  CHECK_FALSE(scene.files().Exists(path).value());
}

}  // namespace bandb::test
