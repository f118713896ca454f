// What there is to know of a key besides its value, and batches that require it to be so.
#include <fmt/format.h>

#include <memory>
#include <string>
#include <vector>

#include "bandb/changes.h"
#include "storage/db/open_db.h"
#include "storage/file/file_names.h"
#include "support/catch.h"
#include "support/test_env.h"

namespace bandb::test {

namespace {

constexpr char kDir[] = "/data/db";

Entry MustGet(Db* db, std::string_view key, const Snapshot* snapshot = nullptr) {
  const absl::StatusOr<Entry> entry = db->GetEntry(key, {.snapshot = snapshot});
  REQUIRE_OK(entry.status());
  return *entry;
}

absl::Status PutIfVersion(Db* db, std::string_view key, std::string_view value, uint64_t version) {
  WriteBatch batch;
  batch.RequireVersion(key, version);
  batch.Put(key, value);
  return db->Write(batch);
}

absl::Status PutIfEmpty(Db* db, std::string_view begin, std::string_view limit) {
  WriteBatch batch;
  batch.RequireEmptyRange(begin, limit);
  batch.Put("done", "yes");
  return db->Write(batch);
}

absl::Status DeleteRange(Db* db, std::string_view begin, std::string_view limit) {
  WriteBatch batch;
  batch.DeleteRange(begin, limit);
  return db->Write(batch);
}

// Every key with its version, forward, which backward must be the same.
std::string Versions(Db* db) {
  const std::unique_ptr<Iterator> it = db->NewIterator();
  CHECK(it->version() == 0);
  std::string forward, backward;
  const auto describe = [&] {
    const Entry entry = MustGet(db, it->key());
    CHECK(entry.value == it->value());
    CHECK(entry.version == it->version());
    CHECK(entry.expiry == it->expiry());
    return fmt::format("{}@{} ", it->key(), it->version());
  };
  for (it->SeekToFirst(); it->Valid(); it->Next()) forward += describe();
  for (it->SeekToLast(); it->Valid(); it->Prev()) backward.insert(0, describe());
  CHECK(it->version() == 0);
  CHECK_OK(it->status());
  CHECK(forward == backward);
  return forward;
}

}  // namespace

TEST_CASE("a value that was put with a time to live, or until a time, is gone when that has come") {
  TestEnv env(1);
  const std::unique_ptr<Db> db = MustOpen(env.env(), kDir);
  const absl::Time now = absl::FromUnixMillis(env.clock().WallMillis());
  REQUIRE_OK(db->PutWithTtl("ttl", "1", absl::Milliseconds(500)));
  REQUIRE_OK(db->PutUntil("until", "2", now + absl::Milliseconds(700), {.sync = true}));
  REQUIRE_OK(db->PutWithTtl("ever", "3", absl::InfiniteDuration()));
  REQUIRE_OK(db->PutWithTtl("never", "4", absl::ZeroDuration()));
  CHECK(MustGet(db.get(), "ttl").expiry == now + absl::Milliseconds(500));
  CHECK(MustGet(db.get(), "until").expiry == now + absl::Milliseconds(700));
  CHECK(MustGet(db.get(), "ever").expiry == absl::InfiniteFuture());
  CHECK_CODE(db->GetEntry("never").status(), kNotFound);
  env.clock().Advance(500'000'000);
  CHECK_CODE(db->GetEntry("ttl").status(), kNotFound);
  CHECK(MustGet(db.get(), "until").value == "2");
  env.clock().Advance(200'000'000);
  CHECK_CODE(db->GetEntry("until").status(), kNotFound);
  CHECK_CODE(db->PutWithTtl(std::string(65 << 10, 'k'), "v", absl::Seconds(1)), kInvalidArgument);
}

TEST_CASE("the version of a value is its place in the order of operations, wherever the value lies") {
  TestEnv env(1);
  std::string versions;
  {
    const std::unique_ptr<Db> db = MustOpen(env.env(), kDir);
    REQUIRE_OK(db->Put("a", "1"));
    REQUIRE_OK(db->PutWithTtl("b", std::string(5000, 'x'), absl::Hours(1)));
    WriteBatch batch;
    batch.Put("c", "first");
    batch.Delete("d");
    batch.Put("c", "second");
    batch.Put("e", "3");
    REQUIRE_OK(db->Write(batch));
    versions = Versions(db.get());
    CHECK(versions == "a@1 b@2 c@5 e@6 ");
    const Snapshot snapshot = db->GetSnapshot();
    REQUIRE_OK(db->Put("a", "1"));
    CHECK(MustGet(db.get(), "a").version == 7);
    CHECK(MustGet(db.get(), "a", &snapshot).version == 1);
    versions = Versions(db.get());
    REQUIRE_OK(db->Flush());
    CHECK(Versions(db.get()) == versions);
    CHECK(MustGet(db.get(), "a", &snapshot).version == 1);
    REQUIRE_OK(db->CompactRange("", ""));
    CHECK(Versions(db.get()) == versions);
    CHECK(MustGet(db.get(), "a", &snapshot).version == 1);
    REQUIRE_OK(db->CreateCheckpoint("/data/copy"));
  }
  for (const char* dir : {kDir, "/data/copy"}) {
    const std::unique_ptr<Db> db = MustOpen(env.env(), dir);
    CHECK(Versions(db.get()) == versions);
    REQUIRE_OK(PutIfVersion(db.get(), "a", "2", 7));
    CHECK(MustGet(db.get(), "a").version > 7);
  }
}

TEST_CASE("the change feed tells the version of what it gives") {
  TestEnv env(1);
  const std::unique_ptr<Db> db = MustOpen(env.env(), kDir);
  REQUIRE_OK(db->Put("a", "1"));
  const auto reader = db->ReadChanges({.from = ChangesFrom::Oldest(), .undurable = true});
  REQUIRE_OK(reader.status());
  Commit commit;
  REQUIRE_OK((*reader)->Next(&commit, absl::ZeroDuration()));
  REQUIRE(commit.changes.size() == 1);
  CHECK(commit.first_sequence == MustGet(db.get(), "a").version);
}

TEST_CASE("a batch that requires a version is done only while that value is the newest one") {
  TestEnv env(1);
  std::unique_ptr<Db> db = MustOpen(env.env(), kDir, SmallOptions());
  REQUIRE_OK(PutIfVersion(db.get(), "a", "1", 0));
  const uint64_t first = MustGet(db.get(), "a").version;
  CHECK_CODE(PutIfVersion(db.get(), "a", "2", 0), kAborted);
  CHECK_CODE(PutIfVersion(db.get(), "a", "2", first + 1), kAborted);
  REQUIRE_OK(PutIfVersion(db.get(), "a", "2", first));
  // The same value again is another version.
  REQUIRE_OK(db->Put("a", "1"));
  CHECK_CODE(PutIfVersion(db.get(), "a", "3", first), kAborted);
  const uint64_t again = MustGet(db.get(), "a").version;
  REQUIRE_OK(db->Flush());
  REQUIRE_OK(db->CompactRange("", ""));
  REQUIRE_OK(db->Close());
  db = MustOpen(env.env(), kDir, SmallOptions());
  CHECK_CODE(PutIfVersion(db.get(), "a", "3", 0), kAborted);
  REQUIRE_OK(PutIfVersion(db.get(), "a", "3", again));
  // What was deleted, or has expired, has none.
  REQUIRE_OK(DeleteRange(db.get(), "a", "b"));
  CHECK_CODE(PutIfVersion(db.get(), "a", "4", again), kAborted);
  REQUIRE_OK(PutIfVersion(db.get(), "a", "4", 0));
  REQUIRE_OK(db->PutWithTtl("a", "5", absl::Milliseconds(10)));
  const uint64_t expiring = MustGet(db.get(), "a").version;
  env.clock().Advance(10'000'000);
  CHECK_CODE(PutIfVersion(db.get(), "a", "6", expiring), kAborted);
  REQUIRE_OK(PutIfVersion(db.get(), "a", "6", 0));
  CHECK(*db->Get("a") == "6");
}

TEST_CASE("a batch that requires an empty range is done only while no key shows there") {
  TestEnv env(1);
  std::unique_ptr<Db> db = MustOpen(env.env(), kDir, SmallOptions());
  REQUIRE_OK(PutIfEmpty(db.get(), "", ""));
  CHECK_CODE(PutIfEmpty(db.get(), "", ""), kAborted);
  REQUIRE_OK(db->Put("b", "1"));
  for (const bool flushed : {false, true}) {
    if (flushed) REQUIRE_OK(db->Flush());
    CHECK_CODE(PutIfEmpty(db.get(), "a", "c"), kAborted);
    CHECK_CODE(PutIfEmpty(db.get(), "b", std::string("b\0", 2)), kAborted);
    CHECK_OK(PutIfEmpty(db.get(), "a", "b"));
    CHECK_OK(PutIfEmpty(db.get(), "b0", "c"));
    CHECK_OK(PutIfEmpty(db.get(), "e", ""));
    CHECK_OK(PutIfEmpty(db.get(), "c", "b"));
    CHECK_OK(PutIfEmpty(db.get(), "b", "b"));
  }
  REQUIRE_OK(db->Delete("b"));
  CHECK_OK(PutIfEmpty(db.get(), "a", "c"));
  REQUIRE_OK(db->PutWithTtl("b", "2", absl::Milliseconds(10)));
  CHECK_CODE(PutIfEmpty(db.get(), "a", "c"), kAborted);
  env.clock().Advance(10'000'000);
  CHECK_OK(PutIfEmpty(db.get(), "a", "c"));
  for (int i = 0; i < 2000; ++i) REQUIRE_OK(db->Put(fmt::format("q{:04}", i), std::string(100, 'x')));
  CHECK_CODE(PutIfEmpty(db.get(), "q", "r"), kAborted);
  REQUIRE_OK(DeleteRange(db.get(), "q", "q1999"));
  CHECK_OK(PutIfEmpty(db.get(), "q", "q1999"));
  CHECK_CODE(PutIfEmpty(db.get(), "q", "r"), kAborted);
  REQUIRE_OK(db->Close());
  db = MustOpen(env.env(), kDir, SmallOptions());
  CHECK_OK(PutIfEmpty(db.get(), "q", "q1999"));
  CHECK_CODE(PutIfEmpty(db.get(), "q", "r"), kAborted);
  // What the batch itself writes does not count: conditions are of the state before it.
  WriteBatch batch;
  batch.Put("s", "1");
  batch.RequireEmptyRange("s", "t");
  CHECK_OK(db->Write(batch));
  CHECK_CODE(db->Write(batch), kAborted);
}

TEST_CASE("asynchronous batches that require something are each held against those before them") {
  TestEnv env(1);
  const std::unique_ptr<Db> db = MustOpen(env.env(), kDir);
  std::vector<absl::Status> outcomes;
  for (int i = 0; i < 3; ++i) {
    WriteBatch batch;
    batch.RequireEmptyRange("a", "b");
    batch.RequireVersion("c", 0);
    batch.Put("a", std::to_string(i));
    db->WriteAsync(std::move(batch), {}, [&](absl::Status status) { outcomes.push_back(std::move(status)); });
  }
  env.executor().RunReady();
  REQUIRE(outcomes.size() == 3);
  CHECK_OK(outcomes[0]);
  CHECK_CODE(outcomes[1], kAborted);
  CHECK_CODE(outcomes[2], kAborted);
  CHECK(*db->Get("a") == "0");
}

TEST_CASE("a range that cannot be read is no empty one, and the batch that requires it is not done") {
  TestEnv env(1);
  {
    const std::unique_ptr<Db> db = MustOpen(env.env(), kDir, SmallOptions());
    REQUIRE_OK(db->Put("b", "1"));
    REQUIRE_OK(db->Flush());
  }
  for (const auto& [path, bytes] : env.files().Files()) {
    if (path.ends_with(".tbl")) REQUIRE_OK(env.files().Remove(path));
  }
  const std::unique_ptr<Db> db = MustOpen(env.env(), kDir, SmallOptions());
  CHECK_CODE(PutIfEmpty(db.get(), "a", "c"), kInternal);
  CHECK_CODE(PutIfVersion(db.get(), "b", "2", 0), kInternal);
  CHECK_CODE(db->Get("done").status(), kNotFound);
  CHECK_CODE(db->GetEntry("b").status(), kInternal);
}

TEST_CASE("a walk over a prefix is one over the keys that begin with it, within the bounds that are given") {
  TestEnv env(1);
  const std::unique_ptr<Db> db = MustOpen(env.env(), kDir);
  for (const char* key :
       {"a", "user", "user:", "user:1", "user:2", "user:\xff", "user;", "\xff", "\xff\xff", "\xff\xffx"}) {
    REQUIRE_OK(db->Put(key, "v"));
  }
  const auto keys = [&](std::string_view prefix, const ReadOptions& options = {}) {
    std::string found;
    const std::unique_ptr<Iterator> it = db->NewPrefixIterator(prefix, options);
    for (it->SeekToFirst(); it->Valid(); it->Next()) found += std::string(it->key()) + " ";
    CHECK_OK(it->status());
    return found;
  };
  CHECK(keys("user:") == "user: user:1 user:2 user:\xff ");
  CHECK(keys("user:", {.lower_bound = "user:1", .upper_bound = "user:2"}) == "user:1 ");
  CHECK(keys("user:", {.lower_bound = "a", .upper_bound = "z"}) == "user: user:1 user:2 user:\xff ");
  CHECK(keys("user:", {.lower_bound = "v"}).empty());
  CHECK(keys("\xff\xff") == "\xff\xff \xff\xffx ");
  CHECK(keys("\xff\xff", {.upper_bound = "\xff\xffx"}) == "\xff\xff ");
  CHECK(keys("none").empty());
  CHECK(keys("", {.upper_bound = "user"}) == "a ");
}

}  // namespace bandb::test
