// What happens to those who are still at it when the database closes, stops or resumes.
#include <algorithm>
#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "bandb/event_listener.h"
#include "base/forwarding_file_system.h"
#include "base/status.h"
#include "storage/db/open_db.h"
#include "storage/file/file_names.h"
#include "support/catch.h"
#include "support/test_env.h"
#include "support/threaded_world.h"

namespace bandb::test {

namespace {

constexpr char kDir[] = "/data/db";

bool HasTable(base::FileSystem& files) {
  const auto names = files.List(storage::EngineDir(kDir));
  return names.ok() &&
         std::any_of(names->begin(), names->end(), [](const auto& name) { return name.ends_with(".tbl"); });
}

struct ErrorList final : EventListener {
  void OnBackgroundError(const absl::Status& error) override { codes.push_back(error.code()); }
  std::vector<absl::StatusCode> codes;
};

// Something happens while a database is about to look how much of the disk is free.
class FreeBytesHook final : public base::ForwardingFileSystem {
 public:
  FreeBytesHook(base::FileSystem* files, std::function<void()>* hook) : ForwardingFileSystem(files), hook_(hook) {}

  absl::StatusOr<uint64_t> FreeBytes(const std::string& path) override {
    if (*hook_) std::exchange(*hook_, nullptr)();
    return target().FreeBytes(path);
  }
  absl::StatusOr<std::unique_ptr<base::FileSystem>> Pin(const std::string& path) override {
    BANDB_ASSIGN_OR_RETURN(std::unique_ptr<base::FileSystem> pinned, target().Pin(path));
    return std::unique_ptr<base::FileSystem>(new FreeBytesHook(std::move(pinned), hook_));
  }

 private:
  FreeBytesHook(std::unique_ptr<base::FileSystem> pinned, std::function<void()>* hook)
      : ForwardingFileSystem(pinned.get()), pinned_(std::move(pinned)), hook_(hook) {}

  const std::unique_ptr<base::FileSystem> pinned_;
  std::function<void()>* const hook_;
};

}  // namespace

TEST_CASE("an asynchronous write to a closed database calls back once and is refused") {
  TestEnv env(1);
  std::unique_ptr<Db> db = MustOpen(env.env(), kDir);
  REQUIRE_OK(db->Close());
  std::vector<absl::StatusCode> codes;
  WriteBatch batch;
  batch.Put("key", "value");
  db->WriteAsync(batch, {}, [&](absl::Status status) { codes.push_back(status.code()); });
  batch.DeleteRange("a", "");
  db->WriteAsync(batch, {}, [&](absl::Status status) { codes.push_back(status.code()); });
  db->ReadBarrierAsync({}, [&](absl::Status status) { codes.push_back(status.code()); });
  env.executor().RunReady();
  CHECK(codes == std::vector<absl::StatusCode>{absl::StatusCode::kFailedPrecondition,
                                               absl::StatusCode::kFailedPrecondition,
                                               absl::StatusCode::kFailedPrecondition});
}

TEST_CASE("no write is acknowledged and forgotten while writes stop and resume") {
  ThreadedWorld world(2);
  std::unique_ptr<Db> db = MustOpen(world.env(), kDir);
  std::atomic<bool> done{false};
  std::vector<std::string> written;
  std::thread writer([&]() {
    for (int i = 0; !done.load(); ++i) {
      const std::string key = std::to_string(i % 50'000);
      if (db->Put(key, key).ok()) written.push_back(key);
    }
  });
  for (int round = 0; round < 500; ++round) {
    world.files().Inject({.kind = FaultKind::kNoSpace, .calls = {FileCall::kReserve}, .pattern = "*.log", .count = 1});
    while (world.files().failures() <= static_cast<uint64_t>(round)) std::this_thread::yield();
    // Once the failure has been seen, the store stops; Resume is OK before that, too.
    while (db->Put("probe", "1").ok()) std::this_thread::yield();
    CHECK_OK(db->Resume());
  }
  done.store(true);
  writer.join();
  REQUIRE_OK(db->Resume());
  for (const std::string& key : written) {
    if (db->Get(key).ok()) continue;
    FAIL("acknowledged and gone: " << key);
  }
  REQUIRE_OK(db->Put("last", "1"));
}

TEST_CASE("a full disk does not hide that a sync has failed: there is nothing to resume") {
  TestEnv env(1);
  const std::unique_ptr<Db> db = MustOpen(env.env(), kDir);
  REQUIRE_OK(db->Put("a", "1", {.sync = true}));
  env.files().Inject({.calls = {FileCall::kSync}, .pattern = "*.log"});
  env.files().Inject({.kind = FaultKind::kNoSpace, .calls = {FileCall::kReserve}, .pattern = "*.log", .skip = 1});
  // While the sync of one write is under way, which will fail, another one finds the disk full.
  // Before the sync come a reservation and the append.
  int changes = 0;
  env.files().SetHook([&](uint64_t) {
    if (++changes != 3) return;
    CHECK_CODE(db->Put("b", std::string(2 << 20, 'b')), kResourceExhausted);
  });
  CHECK_CODE(db->Put("c", "3", {.sync = true}), kUnknown);
  env.files().SetHook(nullptr);
  REQUIRE(env.files().failures() == 2);
  CHECK_CODE(db->Resume(), kFailedPrecondition);
  CHECK_CODE(db->Put("d", "4"), kFailedPrecondition);
}

TEST_CASE("a manifest that fails while the disk is full is nothing that Resume could mend") {
  // The disk is found full by a put that comes at each moment of a flush in turn, once that writes
  // its table.
  int both = 0;
  for (int moment = 1; moment <= 10; ++moment) {
    TestEnv env(1);
    ErrorList errors;
    Options options;
    options.listener = &errors;
    const std::unique_ptr<Db> db = MustOpen(env.env(), kDir, options);
    REQUIRE_OK(db->Put("a", "1"));
    env.files().Inject({.calls = {FileCall::kSync}, .pattern = "*MANIFEST*"});
    int changes = 0;
    env.files().SetHook([&](uint64_t) {
      if (!HasTable(env.files()) || ++changes != moment) return;
      env.files().Inject({.kind = FaultKind::kNoSpace, .calls = {FileCall::kReserve}, .pattern = "*.log"});
      CHECK_CODE(db->Put("b", std::string(4 << 20, 'b')), kResourceExhausted);
    });
    CHECK_FALSE(db->Flush().ok());
    env.files().SetHook(nullptr);
    if (env.files().failures() != 2) continue;
    CHECK_CODE(db->Resume(), kFailedPrecondition);
    CHECK_CODE(db->Put("c", "3"), kFailedPrecondition);
    CHECK(errors.codes.back() == absl::StatusCode::kInternal);
    both += errors.codes.size() == 2 ? 1 : 0;
  }
  CHECK(both > 0);
}

TEST_CASE("those who wait for a compaction are told when writes stop for good") {
  TestEnv env(3);
  Options options;
  options.write_buffer_bytes = 64 << 10;
  std::unique_ptr<Db> db = MustOpen(env.env(), kDir, options);
  for (int i = 0; i < 3; ++i) {
    REQUIRE_OK(db->Put("key" + std::to_string(i), std::string(1000, 'v')));
    REQUIRE_OK(db->Flush());
  }
  env.files().Inject({.calls = {FileCall::kSync}, .pattern = "*.tbl", .count = Fault::kSticky});
  CHECK_CODE(db->CompactRange({}, {}), kInternal);
  // No thread is left waiting: this would wait forever, which the executor takes for a deadlock.
  CHECK_CODE(db->CompactRange({}, {}), kFailedPrecondition);
  CHECK_CODE(db->Flush(), kFailedPrecondition);
  CHECK_CODE(db->Resume(), kFailedPrecondition);
  CHECK(db->Get("key1").ok());
}

TEST_CASE("a walk survives its database, and a caller who does not look") {
  TestEnv env(4);
  std::unique_ptr<Db> db = MustOpen(env.env(), kDir);
  REQUIRE_OK(db->Put("a", "1"));
  const auto iterator = db->NewIterator();
  iterator->Next();
  iterator->Prev();
  CHECK(iterator->key().empty());
  iterator->SeekToFirst();
  REQUIRE(iterator->Valid());
  PinnedValue pinned;
  REQUIRE_OK(db->Put("large", std::string(100'000, 'x')));
  REQUIRE_OK(db->GetPinned("large", &pinned));
  Snapshot snapshot = db->GetSnapshot();
  db.reset();
  CHECK(iterator->key() == "a");
  iterator->Next();
  CHECK_FALSE(iterator->Valid());
  CHECK_CODE(iterator->status(), kFailedPrecondition);
  iterator->Next();
  CHECK(pinned.value() == std::string(100'000, 'x'));
  db = MustOpen(env.env(), kDir);
  CHECK_CODE(db->Get("a", {.snapshot = &snapshot}).status(), kInvalidArgument);
}

TEST_CASE("Resume says so where writes stop for good while it looks for room") {
  TestEnv world(5);
  std::function<void()> hook;
  FreeBytesHook files(&world.files(), &hook);
  base::Env env = world.env();
  env.files = &files;
  std::unique_ptr<Db> db = MustOpen(env, kDir);
  // One that waits for a sync in the background.
  absl::StatusCode code = absl::StatusCode::kOk;
  WriteBatch batch;
  batch.Put("key", "value");
  db->WriteAsync(batch, {.sync = true}, [&](const absl::Status& status) { code = status.code(); });
  world.files().Inject({.kind = FaultKind::kNoSpace, .calls = {FileCall::kReserve}, .count = 1});
  CHECK_CODE(db->Put("more", "value"), kResourceExhausted);
  REQUIRE(code == absl::StatusCode::kOk);
  hook = [&]() {
    world.files().Inject({.calls = {FileCall::kSync}, .pattern = "*.log", .count = 1});
    world.executor().RunReady();
  };
  CHECK_CODE(db->Resume(), kFailedPrecondition);
  CHECK(code == absl::StatusCode::kUnknown);
  CHECK_CODE(db->Put("more", "value"), kFailedPrecondition);
}

}  // namespace bandb::test
