// test/golden/{identity,log,manifest,current,db}-v1 hold files as the first release wrote them.
// They are never rewritten: a release that cannot read them, or that writes other bytes under the
// same format version, has broken the format.
#include <fmt/format.h>

#include <map>
#include <string>

#include "base/posix_file_system.h"
#include "storage/db.h"
#include "storage/db/golden_files.h"
#include "storage/engine/recovery.h"
#include "storage/file/file_names.h"
#include "storage/file/identity.h"
#include "storage/log/log_reader.h"
#include "storage/log/log_writer.h"
#include "storage/table/table_fixture.h"
#include "storage/version/manifest.h"
#include "support/catch.h"
#include "support/test_env.h"

namespace bandb::storage {

namespace {

constexpr char kDir[] = "/data/db";

Uuid FixedUuid(uint64_t seed) {
  base::Random random(seed);
  return RandomUuid(&random);
}

// A log with every kind of record and operation.
void WriteLog(base::FileSystem* files) {
  const FileHeader header{.type = FileType::kLog, .database_id = FixedUuid(1), .file_id = FixedUuid(2)};
  auto log = LogWriter::Create(files, "log", header);
  REQUIRE_OK(log.status());
  std::string operations;
  kv::AppendOperation(&operations, {.kind = kv::Kind::kPut, .key = "key", .value = std::string_view("v\0\xff", 3)});
  kv::AppendOperation(
      &operations, {.kind = kv::Kind::kPutWithExpiry, .key = "ttl", .value = "soon", .expiry_ms = 1'700'000'060'000});
  REQUIRE_OK((*log)->Append({.term = 3, .first_sequence = 300, .commit_time_ms = 1'700'000'000'000}, operations));
  REQUIRE_OK((*log)->Sync());
  operations.clear();
  kv::AppendOperation(&operations, {.kind = kv::Kind::kDelete, .key = "", .value = {}});
  kv::AppendOperation(&operations, {.kind = kv::Kind::kRangeDelete, .key = "a", .value = std::string(200, 'b')});
  RecordHead replicated{.group = 7, .term = 1u << 20, .index = 129, .commit_hint = 128};
  replicated.first_sequence = 302;
  replicated.commit_time_ms = 1'700'000'000'001;
  REQUIRE_OK((*log)->Append(replicated, operations));
  REQUIRE_OK((*log)->Append({.type = RecordType::kSeal, .term = 3, .first_sequence = 304}, {}));
  REQUIRE_OK((*log)->Sync());
  REQUIRE_OK((*log)->Close());
}

// A manifest that begins with everything, and one edit more.
void WriteManifest(base::FileSystem* files) {
  TableInfo table;
  table.number = 4;
  table.file_bytes = 5000;
  table.entries = 60;
  table.deletes = 3;
  table.range_tombstones = 1;
  table.smallest_sequence = 1;
  table.largest_sequence = 299;
  table.smallest = Key("a", 299);
  table.largest = Key("z", 1);
  VersionEdit edit;
  edit.added.push_back({6, table});
  ManifestState state;
  REQUIRE_OK(state.Apply(edit, {std::make_shared<LiveTable>(table, nullptr)}));
  state.log_number = 5;
  state.next_file_number = 8;
  state.last_sequence = 299;
  state.commit_time_ms = 1'700'000'000'000;
  state.epoch = 3;
  state.log_ends = {{5, 1234}};
  state.begun_log = 6;
  const FileHeader header{.type = FileType::kManifest, .database_id = FixedUuid(1), .file_id = FixedUuid(3)};
  auto manifest = Manifest::CreateCurrent(files, ".", 7, header, state);
  REQUIRE_OK(manifest.status());
  VersionEdit flush;
  table.number = 9;
  table.smallest_sequence = 300;
  table.largest_sequence = 303;
  table.earliest_expiry_ms = 1'700'000'060'000;
  flush.added.push_back({0, table});
  flush.deleted.push_back({6, 4});
  flush.log_number = 6;
  flush.last_sequence = 303;
  flush.applied = AppliedPosition{.index = 129, .term = 2};
  flush.membership = "members";
  REQUIRE_OK((*manifest)->Append(flush));
  REQUIRE_OK((*manifest)->Close());
}

// Golden name -> bytes.
std::map<std::string, std::string> MakeFiles() {
  test::CrashFileSystem files;
  WriteLog(&files);
  WriteManifest(&files);
  return {{"identity-v1/IDENTITY", EncodeIdentity({.database_id = FixedUuid(1)})},
          {"log-v1/sealed.golden", files.Content("log")},
          {"manifest-v1/edits.golden", files.Content(ManifestName(7))},
          {"current-v1/CURRENT", files.Content("CURRENT")}};
}

// A small database: tables on two levels, and a log with what is not in them.
std::map<std::string, std::string> MakeDatabase() {
  test::TestEnv env(11);
  Options options;
  options.compression = Compression::kNone;
  options.block_bytes = 512;
  auto opened = OpenDb(env.env(), kDir, options);
  REQUIRE_OK(opened.status());
  Db& db = **opened;
  for (int i = 0; i < 40; ++i) REQUIRE_OK(db.Put(fmt::format("key{:02}", i), fmt::format("value {}", i)));
  REQUIRE_OK(db.CompactRange({}, {}));
  WriteBatch batch;
  batch.DeleteRange("key10", "key15");
  batch.Put("key12", "new");
  batch.Delete("key20");
  REQUIRE_OK(db.Write(batch));
  REQUIRE_OK(db.Flush());
  batch.Clear();
  batch.PutWithTtl("brief", "gone soon", absl::Minutes(1));
  batch.PutWithTtl("long", "stays", absl::Hours(24 * 365 * 200));
  batch.DeleteRange("key30", "key35");
  batch.Put("", "the empty key");
  REQUIRE_OK(db.Write(batch));
  REQUIRE_OK(db.Put("key31", std::string("\0\xff", 2), {.sync = true}));
  const auto image = env.files().CrashImage(test::Damage::kLost, 1);
  std::map<std::string, std::string> made;
  for (const auto& [path, bytes] : image->Files()) {
    if (!path.ends_with("LOCK")) made[path.substr(sizeof(kDir))] = image->Content(path);
  }
  return made;
}

// What the database of MakeDatabase holds, two hundred years later but for "brief".
std::map<std::string, std::string> DatabaseContent() {
  std::map<std::string, std::string> content;
  for (int i = 0; i < 40; ++i) {
    if ((i >= 10 && i < 15) || i == 20 || (i >= 30 && i < 35)) continue;
    content[fmt::format("key{:02}", i)] = fmt::format("value {}", i);
  }
  content["key12"] = "new";
  content["key31"] = std::string("\0\xff", 2);
  content["long"] = "stays";
  content[""] = "the empty key";
  return content;
}

void Put(test::CrashFileSystem* files, const std::string& path, std::string_view content) {
  REQUIRE_OK(files->CreateDirs(base::ParentPath(path)));
  REQUIRE_OK((*files->Create(path, base::AppendMode::kBuffered))->Close());
  files->SetContent(path, content);
}

// A copy of the golden database.
void CopyDatabase(test::CrashFileSystem* to) {
  base::PosixFileSystem files;
  const std::string engine_dir = EngineDir("db-v1");
  const auto names = files.List(GoldenPath(engine_dir));
  REQUIRE_OK(names.status());
  REQUIRE(names->size() >= 5);
  Put(to, IdentityPath(kDir), ReadGolden(IdentityPath("db-v1")));
  for (const std::string& name : *names) {
    Put(to, base::JoinPath(EngineDir(kDir), name), ReadGolden(base::JoinPath(engine_dir, name)));
  }
}

}  // namespace

TEST_CASE("identity, log, manifest and pointer are written as the first release wrote them, byte for byte") {
  RequireGolden(MakeFiles());
  for (const auto& [name, content] : MakeFiles()) {
    INFO(name);
    CHECK(content == ReadGolden(name));
  }
}

TEST_CASE("identity, log, manifest and pointer of the first release are read") {
  CHECK(DecodeIdentity(ReadGolden("identity-v1/IDENTITY"), "IDENTITY").value().database_id == FixedUuid(1));
  CHECK(DecodeCurrent(ReadGolden("current-v1/CURRENT")) == ManifestName(7));
  test::TestEnv env(1);
  Put(&env.files(), "/g/log", ReadGolden("log-v1/sealed.golden"));
  const auto log = ReadLog(&env.files(), "/g/log", FileType::kLog);
  REQUIRE_OK(log.status());
  CHECK(log->end == LogEnd::kSealed);
  CHECK(log->records == 3);
  CHECK(log->header.file_id == FixedUuid(2));
  Put(&env.files(), "/g/CURRENT", ReadGolden("current-v1/CURRENT"));
  Put(&env.files(), "/g/" + ManifestName(7), ReadGolden("manifest-v1/edits.golden"));
  const auto manifest = RecoverManifest(&env.files(), "/g", FixedUuid(1), nullptr);
  REQUIRE_OK(manifest.status());
  CHECK(manifest->state.version->level(0).size() == 1);
  CHECK(manifest->state.version->level(0)[0]->info().number == 9);
  CHECK(manifest->state.version->level(6).empty());
  CHECK(manifest->state.last_sequence == 303);
  CHECK(manifest->state.log_number == 6);
  CHECK(manifest->state.epoch == 3);
}

TEST_CASE("a database of the first release is opened, and holds what it held") {
  if (base::PosixFileSystem files; !*files.Exists(GoldenPath(IdentityPath("db-v1")))) {
    std::map<std::string, std::string> made;
    for (const auto& [name, content] : MakeDatabase()) made["db-v1/" + name] = content;
    RequireGolden(made);
  }
  test::TestEnv env(5);
  CopyDatabase(&env.files());
  // Beyond the minute that "brief" lives.
  env.clock().AdvanceMillis(3'600'000);
  for (int round = 0; round < 2; ++round) {
    auto db = OpenDb(env.env(), kDir, Options());
    REQUIRE_OK(db.status());
    CHECK_OK((*db)->VerifyChecksums());
    std::map<std::string, std::string> found;
    const auto iterator = (*db)->NewIterator();
    for (iterator->SeekToFirst(); iterator->Valid(); iterator->Next()) {
      found[std::string(iterator->key())] = iterator->value();
      CHECK((*db)->Get(iterator->key()).value() == iterator->value());
    }
    REQUIRE_OK(iterator->status());
    CHECK(found == DatabaseContent());
    CHECK_CODE((*db)->Get("brief").status(), kNotFound);
    CHECK_CODE((*db)->Get("key10").status(), kNotFound);
    REQUIRE_OK((*db)->CompactRange({}, {}));
  }
}

}  // namespace bandb::storage
