// The rules of the public interface that concern opening, handles, limits and deadlines, each with
// its exact code.
#include <fmt/format.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/checksum.h"
#include "base/coding.h"
#include "base/status.h"
#include "kv/limits.h"
#include "kv/options.h"
#include "storage/db/open_db.h"
#include "storage/file/file_names.h"
#include "support/catch.h"
#include "support/test_env.h"

namespace bandb::test {

namespace {

constexpr char kDir[] = "/data/db";
constexpr uint64_t kFileBytesMax = 1 << 20;

absl::StatusOr<std::unique_ptr<Db>> TryOpen(TestEnv* env, const Options& options = {}, const std::string& dir = kDir) {
  return storage::OpenDb(env->env(), dir, options);
}

std::string Content(TestEnv* env, const std::string& path) {
  const absl::StatusOr<std::string> content = base::ReadFile(&env->files(), path, kFileBytesMax);
  REQUIRE_OK(content.status());
  return *content;
}

// The only log of a database that was closed.
std::string LogOf(TestEnv* env, const std::string& dir) {
  const std::string engine_dir = storage::EngineDir(dir);
  const absl::StatusOr<std::vector<std::string>> names = env->files().List(engine_dir);
  REQUIRE_OK(names.status());
  std::string found;
  for (const std::string& name : *names) {
    const auto parsed = storage::ParseFileName(name);
    if (parsed && parsed->type == storage::NumberedFile::kLog) found = base::JoinPath(engine_dir, name);
  }
  REQUIRE_FALSE(found.empty());
  return found;
}

}  // namespace

TEST_CASE("options that make no sense are refused at Open, all of them named at once, and nothing is made") {
  TestEnv env(1);
  Options options;
  options.background_threads = 0;
  options.write_buffer_bytes = 1;
  options.block_bytes = 1;
  options.bloom_bits_per_key = 33;
  options.table_bytes = 1;
  options.level0_tables = 0;
  options.level_base_bytes = 1;
  options.open_files_max = 1;
  options.memory_budget_bytes = 1;
  options.create_if_missing = false;
  options.error_if_exists = true;
  const absl::Status status = TryOpen(&env, options).status();
  CHECK_CODE(status, kInvalidArgument);
  for (const char* name :
       {"background_threads", "write_buffer_bytes", "block_bytes", "bloom_bits_per_key", "table_bytes", "level0_tables",
        "level_base_bytes", "open_files_max", "memory_budget_bytes", "error_if_exists"}) {
    INFO(name);
    CHECK(base::Message(status).find(fmt::format("{} ", name)) != std::string_view::npos);
  }
  CHECK_FALSE(*env.files().Exists("/data"));
}

TEST_CASE("there are no more than twenty-five options") {
  // A name for each of them: one more is to be counted here first, or nothing compiles.
  const Options options;
  const auto& [create_if_missing, error_if_exists, memory_budget_bytes, background_threads, write_buffer_bytes,
               block_cache_bytes, block_bytes, bloom_bits_per_key, compression, compression_last_level, table_bytes,
               compaction_style, fifo_bytes_max, fifo_age_max, level0_tables, level_base_bytes,
               background_bytes_per_second, open_files_max, changes_keep_bytes, changes_keep_for, compaction_filter,
               listener, last] = options;
  constexpr int kOptions = 23;
  STATIC_REQUIRE(kOptions <= 25);
  CHECK(&last == &options.logger);
}

TEST_CASE("a memory budget must cover write buffer, cache and working space, and not a byte more") {
  TestEnv env(1);
  Options options;
  options.memory_budget_bytes = options.write_buffer_bytes + options.block_cache_bytes + (64 << 20) - 1;
  CHECK_CODE(TryOpen(&env, options).status(), kInvalidArgument);
  ++options.memory_budget_bytes;
  CHECK_OK(MustOpen(env.env(), kDir, options)->Close());
}

TEST_CASE("a database that is missing is not made where that is not wanted, nor one that exists opened") {
  TestEnv env(1);
  Options missing;
  missing.create_if_missing = false;
  CHECK_CODE(TryOpen(&env, missing).status(), kNotFound);
  CHECK_FALSE(*env.files().Exists(kDir));
  MustOpen(env.env(), kDir)->Put("key", "value").IgnoreError();
  Options fresh;
  fresh.error_if_exists = true;
  CHECK_CODE(TryOpen(&env, fresh).status(), kAlreadyExists);
  const std::unique_ptr<Db> db = MustOpen(env.env(), kDir, missing);
  CHECK(*db->Get("key") == "value");
}

TEST_CASE("the second to open a directory is refused, and the first goes on") {
  TestEnv env(1);
  std::unique_ptr<Db> db = MustOpen(env.env(), kDir);
  CHECK_CODE(TryOpen(&env).status(), kFailedPrecondition);
  CHECK_OK(db->Put("key", "value"));
  CHECK_OK(db->Close());
  db = MustOpen(env.env(), kDir);
  CHECK(*db->Get("key") == "value");
}

TEST_CASE("a directory that may not be written is refused") {
  TestEnv env(1);
  env.files().Inject(
      {.kind = FaultKind::kNoAccess, .calls = {FileCall::kCreateDirs, FileCall::kCreate}, .count = Fault::kSticky});
  CHECK_CODE(TryOpen(&env).status(), kPermissionDenied);
  env.files().ClearFaults();
  CHECK_OK(MustOpen(env.env(), kDir)->Put("key", "value"));
}

TEST_CASE("a directory of a newer release, or whose identity is something else, is refused and left as it is") {
  TestEnv env(1);
  CHECK_OK(MustOpen(env.env(), kDir)->Put("key", "value"));
  const std::string path = storage::IdentityPath(kDir);
  const std::string good = Content(&env, path);
  std::string newer = good;
  newer[8] = 2;
  const size_t checked = newer.size() - sizeof(uint64_t);
  base::StoreFixed<uint64_t>(newer.data() + checked, base::Hash64(newer.substr(0, checked)));
  for (const auto& [content, code] : {std::pair(newer, absl::StatusCode::kFailedPrecondition),
                                      std::pair(std::string(36, 'r'), absl::StatusCode::kDataLoss),
                                      std::pair(std::string(), absl::StatusCode::kDataLoss)}) {
    REQUIRE_OK(base::InstallFile(&env.files(), path, content));
    const std::string log = Content(&env, LogOf(&env, kDir));
    const absl::Status status = TryOpen(&env).status();
    CHECK(status.code() == code);
    CHECK(base::Message(status).find(path) != std::string_view::npos);
    CHECK(Content(&env, path) == content);
    CHECK(Content(&env, LogOf(&env, kDir)) == log);
  }
  REQUIRE_OK(base::InstallFile(&env.files(), path, good));
  CHECK(*MustOpen(env.env(), kDir)->Get("key") == "value");
}

TEST_CASE("a log or an identity of another database is refused, with both named") {
  TestEnv env(1);
  CHECK_OK(MustOpen(env.env(), kDir)->Put("key", "ours"));
  CHECK_OK(MustOpen(env.env(), "/other")->Put("key", "theirs"));
  const std::string path = LogOf(&env, kDir);
  const std::string ours = Content(&env, path);
  REQUIRE_OK(base::InstallFile(&env.files(), path, Content(&env, LogOf(&env, "/other"))));
  const absl::Status log = TryOpen(&env).status();
  CHECK_CODE(log, kFailedPrecondition);
  CHECK(base::Message(log).find("belongs to database") != std::string_view::npos);
  REQUIRE_OK(base::InstallFile(&env.files(), path, ours));
  REQUIRE_OK(base::InstallFile(&env.files(), storage::IdentityPath(kDir), Content(&env, "/other/IDENTITY")));
  CHECK_CODE(TryOpen(&env).status(), kFailedPrecondition);
}

TEST_CASE("an empty key is a key and an empty value is a value") {
  TestEnv env(1);
  const std::unique_ptr<Db> db = MustOpen(env.env(), kDir);
  CHECK_CODE(db->Get("").status(), kNotFound);
  REQUIRE_OK(db->Put("", "of the empty key"));
  REQUIRE_OK(db->Put("key", ""));
  CHECK(*db->Get("") == "of the empty key");
  CHECK(*db->Get("key") == "");
  const auto walk = db->NewIterator();
  walk->SeekToFirst();
  REQUIRE(walk->Valid());
  CHECK(walk->key().empty());
  REQUIRE_OK(db->Delete(""));
  CHECK_CODE(db->Get("").status(), kNotFound);
}

TEST_CASE("keys and values of the limit are stored, and one byte more is refused by every call that writes") {
  TestEnv env(1);
  const std::unique_ptr<Db> db = MustOpen(env.env(), kDir, SmallOptions());
  const kv::WriteLimits limits = kv::LimitsFor(kv::MemoryBudgetBytes(SmallOptions()));
  const std::string key(kv::kKeyBytesMax, 'k');
  const std::string value(limits.value_bytes_max - kv::kKeyBytesMax - 100, 'v');
  CHECK(kv::kKeyBytesMax == 64 << 10);
  CHECK_OK(db->Put(key, value));
  CHECK(*db->Get(key) == value);
  CHECK_CODE(db->Put(key + "k", ""), kInvalidArgument);
  CHECK_CODE(db->Delete(key + "k"), kInvalidArgument);
  CHECK_CODE(db->Put("", std::string(limits.value_bytes_max + 1, 'v')), kInvalidArgument);
  WriteBatch batch;
  batch.Put(key + "k", "");
  CHECK_CODE(db->Write(batch), kInvalidArgument);
  batch.Clear();
  for (int i = 0; i < 2; ++i) batch.Put(std::to_string(i), value);
  CHECK_CODE(db->Write(batch), kInvalidArgument);
  CHECK_OK(db->Put("still", "works"));
}

TEST_CASE("a snapshot that is empty, moved from or of another store is refused by every read") {
  TestEnv env(1);
  const std::unique_ptr<Db> db = MustOpen(env.env(), kDir);
  const std::unique_ptr<Db> other = MustOpen(env.env(), "/other");
  REQUIRE_OK(db->Put("key", "value"));
  Snapshot moved_from = db->GetSnapshot();
  const Snapshot good = std::move(moved_from);
  const Snapshot empty;
  const Snapshot foreign = other->GetSnapshot();
  const std::vector<std::string_view> keys = {"key"};
  for (const Snapshot* snapshot : {&std::as_const(moved_from), &empty, &foreign}) {
    const ReadOptions options{.snapshot = snapshot};
    PinnedValue pinned;
    CHECK_CODE(db->Get("key", options).status(), kInvalidArgument);
    CHECK_CODE(db->GetPinned("key", &pinned, options), kInvalidArgument);
    CHECK_CODE(db->MultiGet(keys, options)[0].status(), kInvalidArgument);
    const auto walk = db->NewIterator(options);
    walk->SeekToFirst();
    CHECK_FALSE(walk->Valid());
    CHECK_CODE(walk->status(), kInvalidArgument);
  }
  CHECK(*db->Get("key", {.snapshot = &good}) == "value");
}

TEST_CASE("after Close every call answers that the database is closed, and Close does nothing more") {
  TestEnv env(1);
  const std::unique_ptr<Db> db = MustOpen(env.env(), kDir);
  REQUIRE_OK(db->Put("key", "value"));
  CHECK_OK(db->Close());
  CHECK_OK(db->Close());
  const std::vector<std::string_view> keys = {"key"};
  CHECK_CODE(db->Put("key", "value"), kFailedPrecondition);
  CHECK_CODE(db->Delete("key"), kFailedPrecondition);
  CHECK_CODE(db->Write(WriteBatch()), kFailedPrecondition);
  CHECK_CODE(db->Get("key").status(), kFailedPrecondition);
  CHECK_CODE(db->MultiGet(keys)[0].status(), kFailedPrecondition);
  CHECK_CODE(db->NewIterator()->status(), kFailedPrecondition);
  CHECK_CODE(db->Flush(), kFailedPrecondition);
  CHECK_CODE(db->CompactRange({}, {}), kFailedPrecondition);
  CHECK_CODE(db->CreateCheckpoint("/copy"), kFailedPrecondition);
  CHECK_CODE(db->VerifyChecksums(), kFailedPrecondition);
  CHECK_CODE(db->Resume(), kFailedPrecondition);
}

TEST_CASE("a write that is given up while writes are stalled was not done") {
  TestEnv env(1);
  const std::unique_ptr<Db> db = MustOpen(env.env(), kDir, SmallOptions());
  const std::string value(1000, 'v');
  // Nobody waits, so no flush runs.
  int written = 0;
  absl::Status status;
  while (status.ok() && written < 1000) {
    status = db->Put(std::to_string(written), value, {.timeout = absl::ZeroDuration()});
    written += status.ok() ? 1 : 0;
  }
  CHECK_CODE(status, kDeadlineExceeded);
  CHECK(written > 10);
  const std::string refused = std::to_string(written);
  CHECK_CODE(db->Get(refused).status(), kNotFound);
  REQUIRE_OK(db->Flush());
  CHECK_CODE(db->Get(refused).status(), kNotFound);
  CHECK_OK(db->Put(refused, value, {.timeout = absl::Seconds(1)}));
  for (int i = 0; i <= written; ++i) CHECK_OK(db->Get(std::to_string(i)).status());
}

}  // namespace bandb::test
