// A database that is only read: what it shows, that it leaves everything as it is, and what it
// refuses.
#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "bandb/changes.h"
#include "base/status.h"
#include "storage/db/open_db.h"
#include "storage/engine/read_only_fixture.h"
#include "storage/file/file_names.h"
#include "storage/file/identity.h"
#include "support/catch.h"
#include "support/read_only_files.h"
#include "support/test_env.h"

namespace bandb::test {

namespace {

Entries ContentsOf(const CrashFileSystem& files) {
  Entries contents;
  for (const auto& [path, bytes] : files.Files()) contents[path] = files.Content(path);
  return contents;
}

// A directory, the same at the end as it was at the beginning.
class Untouched {
 public:
  explicit Untouched(TestEnv* env) : env_(*env), files_(&env->files()), before_(ContentsOf(env->files())) {}
  ~Untouched() {
    CHECK(files_.refused() == 0);
    CHECK(ContentsOf(env_.files()) == before_);
  }
  absl::StatusOr<std::unique_ptr<Db>> Open(const Options& options = Small(), const std::string& dir = kDir) {
    base::Env env = env_.env();
    env.files = &files_;
    return storage::OpenDbReadOnly(env, dir, options);
  }

 private:
  TestEnv& env_;
  ReadOnlyFiles files_;
  const Entries before_;
};

void CheckRefused(const absl::Status& status) {
  CHECK_CODE(status, kFailedPrecondition);
  CHECK(base::Message(status) == "/db: the database was opened for reading only");
}

// Everything that would write.
void CheckWritesRefused(TestEnv* env, Db* db) {
  CheckRefused(db->Put("a", "b"));
  CheckRefused(db->Put("a", "b", {.sync = true}));
  CheckRefused(db->Put("a", "b", {.timeout = absl::Seconds(1)}));
  CheckRefused(db->Delete("a"));
  WriteBatch batch;
  batch.Put("a", "b");
  batch.RequireAbsent("nothing");
  CheckRefused(db->Write(batch));
  CheckRefused(db->Write(WriteBatch(), {.sync = true}));
  absl::Status outcome;
  db->WriteAsync(batch, {}, [&outcome](absl::Status status) { outcome = std::move(status); });
  env->executor().RunReady();
  CheckRefused(outcome);
  CheckRefused(db->Flush());
  CheckRefused(db->CompactRange({}, {}));
  CheckRefused(db->CreateCheckpoint("/copy"));
  CheckRefused(db->Resume());
  CheckRefused(db->AcceptClock());
}

}  // namespace

TEST_CASE("a closed database is read as Open would find it, with nothing written, locked or removed") {
  TestEnv env(1);
  Options options = Small();
  options.changes_keep_bytes = 64 << 20;
  auto db = MustOpen(env.env(), kDir, options);
  REQUIRE_OK(db->CreateCursor("consumer", ChangesFrom::Oldest()));
  Fill(db.get());
  const Entries expected = EntriesOf(db.get());
  const uint64_t last = db->GetStats().last_sequence;
  db.reset();
  {
    Untouched untouched(&env);
    auto opened = untouched.Open(options);
    REQUIRE_OK(opened.status());
    Db& reader = **opened;
    CHECK(EntriesOf(&reader) == expected);
    CHECK_CODE(reader.Get("key1006").status(), kNotFound);
    const std::vector<absl::StatusOr<std::string>> got = reader.MultiGet({"last", "key1105", "key1005"});
    CHECK(*got[0] == "in the log");
    CHECK_CODE(got[1].status(), kNotFound);
    CHECK(*got[2] == "new");
    const Snapshot snapshot = reader.GetSnapshot();
    CHECK(*reader.Get("last", {.snapshot = &snapshot}) == "in the log");
    CheckWritesRefused(&env, &reader);
    CHECK_OK(reader.VerifyChecksums());
    const Stats stats = reader.GetStats();
    CHECK_FALSE(stats.as_of_last_flush);
    CHECK(stats.last_sequence == last);
    CHECK(stats.recovered_log_records == 2);
    CHECK(stats.cursors == 1);
    CHECK(stats.memory_bytes <= stats.memory_budget_bytes);
    CHECK(stats.levels[0].tables == 1);
    CHECK_OK(storage::CheckInvariants(&reader));
    // What has expired for one reader stays so for all: by the clock, as ever.
    env.clock().Advance(int64_t{2} * 3'600'000'000'000);
    CHECK_CODE(reader.Get("brief").status(), kNotFound);
    CHECK_OK(reader.Close());
    CHECK_CODE(reader.Get("last").status(), kFailedPrecondition);
  }
  // Nor is anything left that keeps others from writing.
  db = MustOpen(env.env(), kDir, options);
  CHECK_OK(db->Put("a", "b"));
}

TEST_CASE("what the last process left is read as far as it goes, and told to be undurable where it may be") {
  TestEnv dead(2);
  auto db = MustOpen(dead.env(), kDir, Small());
  Fill(db.get());
  const Entries expected = EntriesOf(db.get());
  TestEnv env(3, dead.files().ProcessDeathImage(1));
  dead.files().Stop();
  db.reset();
  Untouched untouched(&env);
  // Two readers at a time.
  const auto reader = untouched.Open();
  REQUIRE_OK(reader.status());
  CHECK_OK(untouched.Open().status());
  CHECK(EntriesOf(reader->get()) == expected);
  bool undurable = false;
  CHECK_OK((*reader)->Get("last", {.saw_undurable = &undurable}).status());
  CHECK(undurable);
  CHECK_CODE((*reader)->Get("key1006", {.saw_undurable = &undurable}).status(), kNotFound);
  CHECK_FALSE(undurable);
  CHECK_OK((*reader)->Get("key1005", {.saw_undurable = &undurable}).status());
  CHECK_FALSE(undurable);
}

TEST_CASE("a database that somebody writes is read as of its last flush, and stays readable") {
  TestEnv env(4);
  const auto writer = MustOpen(env.env(), kDir, Small());
  Fill(writer.get());
  REQUIRE_OK(writer->Flush());
  const Entries flushed = EntriesOf(writer.get());
  REQUIRE_OK(writer->Put("last", "newer than the flush", {.sync = true}));
  const uint64_t mutations = env.files().mutations();
  ReadOnlyFiles files(&env.files());
  base::Env reading = env.env();
  reading.files = &files;
  auto reader = storage::OpenDbReadOnly(reading, kDir, Small());
  REQUIRE_OK(reader.status());
  CHECK((*reader)->GetStats().as_of_last_flush);
  CHECK((*reader)->GetStats().recovered_log_records == 0);
  CHECK(EntriesOf(reader->get()) == flushed);
  CHECK(*(*reader)->Get("last") == "in the log");
  CHECK_OK((*reader)->VerifyChecksums());
  CheckWritesRefused(&env, reader->get());
  CHECK_CODE((*reader)->ReadChanges({}).status(), kFailedPrecondition);
  CHECK_CODE((*reader)->ListCursors().status(), kFailedPrecondition);
  CHECK(env.files().mutations() == mutations);
  // The writer goes on, and what the reader has is removed.
  for (int i = 0; i < 150; ++i) REQUIRE_OK(writer->Put("key" + std::to_string(1000 + i), Filled(1000, 'b')));
  REQUIRE_OK(writer->CompactRange({}, {}));
  CHECK(EntriesOf(reader->get()) == flushed);
  CHECK_OK((*reader)->VerifyChecksums());
  // Another one sees what was flushed since, and this one never does.
  const auto later = storage::OpenDbReadOnly(reading, kDir, Small());
  REQUIRE_OK(later.status());
  CHECK(EntriesOf(later->get()) == EntriesOf(writer.get()));
  CHECK(EntriesOf(reader->get()) == flushed);
  CHECK_OK((*reader)->Close());
  CHECK(files.refused() == 0);
  CHECK_OK(writer->Put("more", "1"));
}

TEST_CASE("a reader with fewer files than tables says of those that a writer has removed that they are gone") {
  TestEnv env(5);
  const auto writer = MustOpen(env.env(), kDir, Small());
  for (int i = 0; i < 1500; ++i) REQUIRE_OK(writer->Put("key" + std::to_string(10'000 + i), Filled(1000, 'a')));
  REQUIRE_OK(writer->CompactRange({}, {}));
  Options options = Small();
  options.open_files_max = 8;
  const auto reader = storage::OpenDbReadOnly(env.env(), kDir, options);
  REQUIRE_OK(reader.status());
  uint64_t tables = 0;
  for (const LevelStats& level : (*reader)->GetStats().levels) tables += level.tables;
  REQUIRE(tables > 16);
  for (int i = 0; i < 1500; ++i) REQUIRE_OK(writer->Put("key" + std::to_string(10'000 + i), Filled(1000, 'b')));
  REQUIRE_OK(writer->CompactRange({}, {}));
  int gone = 0, there = 0;
  for (int i = 0; i < 1500; ++i) {
    const absl::StatusOr<std::string> got = (*reader)->Get("key" + std::to_string(10'000 + i));
    if (got.ok()) {
      REQUIRE((*got)[0] == 'a');
      ++there;
    } else {
      REQUIRE_CODE(got.status(), kInternal);
      ++gone;
    }
  }
  CHECK(gone > 0);
  CHECK(there > 0);
  CHECK_CODE((*reader)->VerifyChecksums(), kInternal);
}

TEST_CASE("a checkpoint is read, and stays one") {
  TestEnv env(8);
  const auto db = MustOpen(env.env(), kDir, Small());
  Fill(db.get());
  REQUIRE_OK(db->CreateCheckpoint("/copy"));
  const Entries expected = EntriesOf(db.get());
  REQUIRE_OK(db->Put("last", "changed since"));
  Untouched untouched(&env);
  const auto reader = untouched.Open(Small(), "/copy");
  REQUIRE_OK(reader.status());
  CHECK_FALSE((*reader)->GetStats().as_of_last_flush);
  CHECK(EntriesOf(reader->get()) == expected);
  CHECK_OK((*reader)->VerifyChecksums());
}

TEST_CASE("of a damaged database all that is whole is read, and no file that might mend it is touched") {
  TestEnv env(9);
  auto db = MustOpen(env.env(), kDir, Small());
  for (int i = 0; i < 300; ++i) REQUIRE_OK(db->Put("key" + std::to_string(1000 + i), Filled(1000, 'a')));
  REQUIRE_OK(db->CompactRange({}, {}));
  db.reset();
  std::vector<std::string> tables;
  for (const auto& [path, bytes] : env.files().Files()) {
    if (Matches("*.tbl", path)) tables.push_back(path);
  }
  REQUIRE(tables.size() >= 4);
  REQUIRE_OK(env.files().Remove(tables[0]));
  env.files().FlipByte(tables[1], env.files().Content(tables[1]).size() / 2, 1);
  env.files().Truncate(tables[2], 1000);
  Untouched untouched(&env);
  const auto reader = untouched.Open();
  REQUIRE_OK(reader.status());
  CHECK((*reader)->GetStats().damaged_tables.size() == 2);
  int whole = 0, lost = 0, gone = 0;
  for (int i = 0; i < 300; ++i) {
    const absl::StatusOr<std::string> got = (*reader)->Get("key" + std::to_string(1000 + i));
    whole += got.ok() ? 1 : 0;
    lost += absl::IsDataLoss(got.status()) ? 1 : 0;
    gone += absl::IsInternal(got.status()) ? 1 : 0;
  }
  CHECK(whole > 100);
  CHECK(lost > 20);
  CHECK(gone > 20);
  CHECK(whole + lost + gone == 300);
  CHECK_FALSE((*reader)->VerifyChecksums().ok());
}

TEST_CASE("a log that is damaged where it had been synced is what Open says that it is") {
  TestEnv env(10);
  auto db = MustOpen(env.env(), kDir, Small());
  Fill(db.get());
  db.reset();
  std::string log;
  for (const auto& [path, bytes] : env.files().Files()) {
    if (Matches("*.log", path)) log = path;
  }
  env.files().FlipByte(log, storage::kFileHeaderBytes + 20, 1);
  absl::Status refused;
  {
    Untouched untouched(&env);
    refused = untouched.Open().status();
  }
  CHECK_CODE(refused, kDataLoss);
  CHECK(base::Message(refused).find(log) == 0);
  CHECK(storage::OpenDb(env.env(), kDir, Small()).status() == refused);
}

TEST_CASE("where there is no database none is begun, and another's is left alone") {
  TestEnv env(11);
  REQUIRE_OK(env.files().CreateDirs("/empty"));
  REQUIRE_OK(base::InstallFile(&env.files(), "/file", "no directory"));
  REQUIRE_OK(env.files().CreateDirs("/begun/groups/0/db"));
  REQUIRE_OK(base::InstallFile(&env.files(), "/begun/CREATING",
                               storage::EncodeIdentity({.database_id = storage::RandomUuid(&env.random())})));
  REQUIRE_OK(env.files().CreateDirs("/node/groups/0/db"));
  storage::Identity node{.database_id = storage::RandomUuid(&env.random())};
  node.cluster_id = storage::RandomUuid(&env.random());
  node.node_id = 1;
  REQUIRE_OK(base::InstallFile(&env.files(), "/node/IDENTITY", storage::EncodeIdentity(node)));
  REQUIRE_OK(base::InstallFile(&env.files(), "/node/groups/0/db/CURRENT", "anything"));
  Untouched untouched(&env);
  CHECK_CODE(untouched.Open(Small(), "/nothing").status(), kNotFound);
  CHECK_CODE(untouched.Open(Small(), "/empty").status(), kNotFound);
  CHECK_CODE(untouched.Open(Small(), "/begun").status(), kNotFound);
  CHECK_CODE(untouched.Open(Small(), "/node").status(), kFailedPrecondition);
  CHECK_FALSE(untouched.Open(Small(), "/file").ok());
  CHECK_CODE(untouched.Open(Small(), "").status(), kInvalidArgument);
  CHECK_CODE(untouched.Open({.block_bytes = 1}).status(), kInvalidArgument);
}

TEST_CASE("a log larger than the write buffer is held within the memory budget, or refused by its name") {
  TestEnv dead(12);
  Options writing = SmallOptions();
  writing.write_buffer_bytes = 256 << 20;
  auto db = MustOpen(dead.env(), kDir, writing);
  // Of small values, where memory is more than the log.
  size_t written = 0;
  for (int i = 0; i < 3000; ++i) {
    WriteBatch batch;
    for (int j = 0; j < 50; ++j) batch.Put("key" + std::to_string(i * 7919 % 3000 * 100 + j), Filled(100, 'v'));
    REQUIRE_OK(db->Write(batch));
    written += 50;
  }
  TestEnv env(13, dead.files().ProcessDeathImage(1));
  for (int i = 0; i < 30; ++i) REQUIRE_OK(db->Put("large" + std::to_string(i), Filled(1 << 20, 'l')));
  REQUIRE(db->GetStats().immutable_memtables == 0);
  TestEnv larger(14, dead.files().ProcessDeathImage(2));
  dead.files().Stop();
  db.reset();
  // The budget is 64 MiB and a little.
  Options options = SmallOptions();
  {
    Untouched untouched(&env);
    const auto reader = untouched.Open(options);
    REQUIRE_OK(reader.status());
    Stats stats = (*reader)->GetStats();
    CHECK(stats.memtable_bytes > 16 << 20);
    CHECK(stats.memtable_bytes < 40 << 20);
    CHECK(stats.memory_bytes >= stats.memtable_bytes);
    CHECK(stats.memory_bytes <= stats.memory_budget_bytes);
    CHECK(stats.immutable_memtables > 100);
    CHECK(EntriesOf(reader->get()).size() == written);
    CHECK_OK((*reader)->VerifyChecksums());
    stats = (*reader)->GetStats();
    CHECK(stats.memory_bytes <= stats.memory_budget_bytes);
  }
  Untouched untouched(&larger);
  const absl::Status refused = untouched.Open(options).status();
  CHECK_CODE(refused, kResourceExhausted);
  CHECK(base::Message(refused).find("raise memory_budget_bytes") != std::string_view::npos);
  options.memory_budget_bytes = 128 << 20;
  const auto reader = untouched.Open(options);
  REQUIRE_OK(reader.status());
  CHECK((*reader)->GetStats().memory_bytes <= options.memory_budget_bytes);
  CHECK(EntriesOf(reader->get()).size() == written + 30);
}

TEST_CASE("what a reader keeps of a large log is taken from the cache, and all that counts stays within the budget") {
  TestEnv dead(15);
  Options options = SmallOptions();
  options.block_cache_bytes = 64 << 20;
  Options writing = options;
  writing.write_buffer_bytes = 256 << 20;
  writing.compression = Compression::kNone;
  auto db = MustOpen(dead.env(), kDir, writing);
  const auto put = [&db](int from, int to) {
    for (int i = from; i < to; ++i) REQUIRE_OK(db->Put("key" + std::to_string(1000 + i), Filled(200 << 10, 'v')));
  };
  put(0, 350);
  REQUIRE_OK(db->Flush());
  put(350, 690);
  TestEnv env(16, dead.files().ProcessDeathImage(1));
  dead.files().Stop();
  db.reset();
  const auto reader = storage::OpenDbReadOnly(env.env(), kDir, options);
  REQUIRE_OK(reader.status());
  for (int round = 0; round < 2; ++round) {
    for (int i = 0; i < 690; ++i) REQUIRE((*reader)->Get("key" + std::to_string(1000 + i)).value().size() == 200 << 10);
    const Stats stats = (*reader)->GetStats();
    CHECK(stats.memtable_bytes > 66 << 20);
    CHECK(stats.cache_bytes > 16 << 20);
    CHECK(stats.memory_bytes <= stats.memory_budget_bytes);
    // Ten iterators at a time have room, too.
    std::vector<std::unique_ptr<Iterator>> iterators;
    for (int i = 0; i < 10; ++i) {
      iterators.push_back((*reader)->NewIterator());
      iterators.back()->SeekToFirst();
      REQUIRE_OK(iterators.back()->status());
    }
  }
}

TEST_CASE("the change feed of a database that is only read gives what its logs have") {
  TestEnv env(14);
  Options options = Small();
  options.changes_keep_bytes = 64 << 20;
  auto db = MustOpen(env.env(), kDir, options);
  REQUIRE_OK(db->CreateCursor("consumer", ChangesFrom::Now()));
  for (int i = 0; i < 10; ++i) REQUIRE_OK(db->Put("key" + std::to_string(i), "value"));
  REQUIRE_OK(db->Flush());
  for (int i = 10; i < 20; ++i) REQUIRE_OK(db->Put("key" + std::to_string(i), "value", {.sync = i == 15}));
  std::string given;
  {
    auto reader = db->ReadChanges({.from = ChangesFrom::Oldest()});
    REQUIRE_OK(reader.status());
    Commit commit;
    for (int i = 0; i < 5; ++i) REQUIRE_OK((*reader)->Next(&commit, absl::ZeroDuration()));
    given = (*reader)->token();
  }
  TestEnv dead(15, env.files().ProcessDeathImage(1));
  env.files().Stop();
  db.reset();
  Untouched untouched(&dead);
  // Whatever its options would keep of them.
  auto opened = untouched.Open();
  REQUIRE_OK(opened.status());
  std::string token;
  const auto count = [&](const ChangesOptions& from, Db* store = nullptr) {
    auto reader = (store == nullptr ? *opened->get() : *store).ReadChanges(from);
    REQUIRE_OK(reader.status());
    size_t commits = 0;
    Commit commit;
    while (true) {
      REQUIRE_OK((*reader)->Next(&commit, absl::Milliseconds(1)));
      token = (*reader)->token();
      if (commit.empty()) return commits;
      REQUIRE(commit.changes.size() == 1);
      ++commits;
    }
  };
  CHECK(count({.from = ChangesFrom::Oldest(), .undurable = true}) == 20);
  CHECK(count({.from = ChangesFrom::Token(given), .undurable = true}) == 15);
  CHECK(count({.from = ChangesFrom::Cursor("consumer"), .undurable = true}) == 20);
  // Nobody knows of what came after the last sync that it would survive.
  CHECK(count({.from = ChangesFrom::Oldest()}) == 16);
  // The next Open for writing goes on from there.
  TestEnv next(18, dead.files().ProcessDeathImage(2));
  const auto writer = MustOpen(next.env(), kDir, options);
  REQUIRE_OK(writer->Put("more", "value", {.sync = true}));
  CHECK(count({.from = ChangesFrom::Token(token)}, writer.get()) == 5);
  const auto cursors = (*opened)->ListCursors();
  REQUIRE_OK(cursors.status());
  REQUIRE(cursors->size() == 1);
  CHECK((*cursors)[0].lag_commits == 20);
  CHECK_FALSE((*cursors)[0].lost);
  CheckRefused((*opened)->CreateCursor("other", ChangesFrom::Now()));
  CheckRefused((*opened)->CreateCursor("consumer", ChangesFrom::Now()));
  CheckRefused((*opened)->Acknowledge("consumer", given));
  CheckRefused((*opened)->DropCursor("consumer"));
  CHECK_OK((*opened)->VerifyChecksums());
  CHECK_OK(storage::CheckInvariants(opened->get()));
}

}  // namespace bandb::test
