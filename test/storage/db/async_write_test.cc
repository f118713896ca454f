// Asynchronous writes: how many may be on their way, and what their callbacks may do.
#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/executor.h"
#include "base/status.h"
#include "storage/db.h"
#include "support/catch.h"
#include "support/temp_dir.h"
#include "support/test_env.h"

namespace bandb::test {

TEST_CASE("asynchronous writes beyond a bound are refused, and those before it are done") {
  TestEnv env(1);
  Options options;
  options.write_buffer_bytes = 1 << 20;
  auto db = storage::OpenDb(env.env(), "/db", options);
  REQUIRE_OK(db.status());
  for (const bool sync : {true, false}) {
    uint64_t done = 0, refused = 0, called = 0;
    constexpr uint64_t kWrites = 5'000;
    for (uint64_t i = 0; i < kWrites; ++i) {
      WriteBatch batch;
      batch.Put("key" + std::to_string(i % 10), "v");
      (*db)->WriteAsync(std::move(batch), {.sync = sync}, [&](absl::Status status) {
        ++called;
        if (status.ok()) ++done;
        if (absl::IsUnavailable(status) && base::Message(status).find("overloaded") == 0) ++refused;
      });
    }
    // Nothing calls back from inside a call.
    CHECK(called == 0);
    env.executor().RunReady();
    CHECK(called == kWrites);
    CHECK(done + refused == kWrites);
    // Each counts as a little more than 512 bytes.
    CHECK(done > 1'500);
    CHECK(done < 2'100);
    // The room is free again.
    absl::Status last = absl::InternalError("not called");
    WriteBatch batch;
    batch.Put("last", "v");
    (*db)->WriteAsync(std::move(batch), {.sync = sync}, [&](absl::Status status) { last = std::move(status); });
    env.executor().RunReady();
    CHECK_OK(last);
  }
  // A batch larger than the bound may go alone.
  WriteBatch large;
  large.Put("large", std::string(2 << 20, 'x'));
  absl::Status outcome = absl::InternalError("not called");
  (*db)->WriteAsync(std::move(large), {}, [&](absl::Status status) { outcome = std::move(status); });
  env.executor().RunReady();
  CHECK_OK(outcome);
}

TEST_CASE("an asynchronous write that is refused gives its batch back: invalid, one too many, or late") {
  TestEnv env(1);
  Options options;
  options.write_buffer_bytes = 1 << 20;
  auto db = storage::OpenDb(env.env(), "/db", options);
  REQUIRE_OK(db.status());
  const auto write = [&](WriteBatch batch, std::vector<std::pair<absl::StatusCode, std::string>>* told) {
    (*db)->WriteAsyncOrReturn(std::move(batch), {}, [told](const absl::Status& status, const WriteBatch& back) {
      told->emplace_back(status.code(), back.empty() ? "" : back.Serialize());
    });
  };
  std::vector<std::pair<absl::StatusCode, std::string>> told;
  WriteBatch invalid;
  invalid.DeleteRange("a", "");
  WriteBatch large;
  large.Put("large", std::string(1 << 20, 'x'));
  WriteBatch late;
  late.Put("late", "v");
  for (const WriteBatch& batch : {invalid, large, late}) write(batch, &told);
  CHECK(told.empty());
  env.executor().RunReady();
  using Code = absl::StatusCode;
  REQUIRE(told.size() == 3);
  std::sort(told.begin(), told.end());
  CHECK(told[0] == std::pair(Code::kOk, std::string()));
  CHECK(told[1] == std::pair(Code::kInvalidArgument, invalid.Serialize()));
  // Beside the large one there was no room.
  CHECK(told[2] == std::pair(Code::kUnavailable, late.Serialize()));
  REQUIRE_OK((*db)->Close());
  told.clear();
  write(late, &told);
  REQUIRE(told.size() == 1);
  CHECK(told[0] == std::pair(Code::kFailedPrecondition, late.Serialize()));
}

TEST_CASE("asynchronous writes wait while the store is stalled, in their order, and are done when it goes on") {
  TestEnv env(1);
  Options options;
  options.write_buffer_bytes = 1 << 20;
  auto db = storage::OpenDb(env.env(), "/db", options);
  REQUIRE_OK(db.status());
  // Many small operations take several times their bytes of a memtable: more than fits into it and
  // the next one, while no background task runs that would flush.
  std::vector<int> order;
  int refused = 0;
  const auto write = [&](int number, absl::Duration timeout) {
    WriteBatch batch;
    batch.Put("last", std::to_string(number));
    for (int i = 0; i < 2000; ++i) batch.Put(std::to_string(number * 2000 + i), "v");
    (*db)->WriteAsync(std::move(batch), {.timeout = timeout}, [&, number](const absl::Status& status) {
      if (status.ok()) order.push_back(number);
      if (absl::IsUnavailable(status)) ++refused;
    });
  };
  constexpr int kWrites = 30;
  for (int i = 0; i < kWrites; ++i) write(i, absl::InfiniteDuration());
  // It is stalled: a write that must not wait is refused, and nothing else.
  write(kWrites, absl::ZeroDuration());
  env.executor().RunReady();
  CHECK(refused == 1);
  REQUIRE(order.size() == kWrites);
  CHECK(std::is_sorted(order.begin(), order.end()));
  CHECK((*db)->Get("last").value() == std::to_string(kWrites - 1));
  CHECK((*db)->Get(std::to_string(kWrites * 2000 - 1)).value() == "v");
}

TEST_CASE("an asynchronous write neither begins a log nor reads for a condition on its caller's thread") {
  TestEnv env(1);
  Options options;
  options.write_buffer_bytes = 64 << 10;
  auto db = storage::OpenDb(env.env(), "/db", options);
  REQUIRE_OK(db.status());
  const auto logs = [&] {
    size_t count = 0;
    for (const auto& [path, bytes] : env.files().Files()) count += Matches("*.log", path) ? 1 : 0;
    return count;
  };
  const size_t logs_at_first = logs();
  uint64_t done = 0;
  const auto write = [&](int number, bool conditional) {
    WriteBatch batch;
    if (conditional) batch.RequireAbsent("absent");
    batch.Put("key" + std::to_string(number), std::string(1000, 'v'));
    (*db)->WriteAsync(std::move(batch), {}, [&](const absl::Status& status) { done += status.ok() ? 1 : 0; });
  };
  // More than the memtable holds.
  constexpr int kWrites = 200;
  for (int i = 0; i < kWrites; ++i) write(i, false);
  CHECK(logs() == logs_at_first);
  // What fitted is there; what came after it waits for the background.
  CHECK_OK((*db)->Get("key0").status());
  CHECK_CODE((*db)->Get("key" + std::to_string(kWrites - 1)).status(), kNotFound);
  env.executor().RunReady();
  CHECK(done == kWrites);
  CHECK_OK((*db)->Get("key" + std::to_string(kWrites - 1)).status());
  // So it is with a condition, and with what comes after it.
  write(kWrites, true);
  write(kWrites + 1, false);
  CHECK_CODE((*db)->Get("key" + std::to_string(kWrites)).status(), kNotFound);
  CHECK_CODE((*db)->Get("key" + std::to_string(kWrites + 1)).status(), kNotFound);
  env.executor().RunReady();
  CHECK(done == kWrites + 2);
  CHECK_OK((*db)->Get("key" + std::to_string(kWrites + 1)).status());
}

TEST_CASE("a callback may wait for writes of its own, whatever they wait for, with one background thread") {
  TempDir dir;
  Options options;
  options.background_threads = 1;
  // Small, so that writes wait for flushes all the time.
  options.write_buffer_bytes = 64 << 10;
  options.level0_tables = 1;
  auto db = Db::Open(dir.File("db"), options);
  REQUIRE_OK(db.status());
  base::Event done;
  absl::Status worst;
  WriteBatch batch;
  batch.Put("first", "value");
  (*db)->WriteAsync(std::move(batch), {.sync = true}, [&](absl::Status status) {
    worst = std::move(status);
    for (int i = 0; i < 300 && worst.ok(); ++i) {
      worst = (*db)->Put("key" + std::to_string(i), std::string(4000, 'v'), {.sync = i % 50 == 0});
      if (worst.ok()) worst = (*db)->Get("key" + std::to_string(i)).status();
    }
    done.Set();
  });
  done.BlockUntilSet(base::kForever);
  CHECK_OK(worst);
  CHECK_OK((*db)->Close());
}

TEST_CASE("a read tells whether what it saw may still be lost with the power") {
  TestEnv env(1);
  auto db = storage::OpenDb(env.env(), "/db", {});
  REQUIRE_OK(db.status());
  const auto saw_undurable = [&](std::string_view key) {
    bool saw = false;
    (*db)->Get(key, {.saw_undurable = &saw}).IgnoreError();
    return saw;
  };
  const auto walk_saw_undurable = [&] {
    bool saw = false;
    (*db)->NewIterator({.saw_undurable = &saw});
    return saw;
  };
  REQUIRE_OK((*db)->Put("durable", "1", {.sync = true}));
  CHECK_FALSE(saw_undurable("durable"));
  CHECK_FALSE(walk_saw_undurable());
  REQUIRE_OK((*db)->Put("put", "1"));
  REQUIRE_OK((*db)->Delete("durable"));
  CHECK(saw_undurable("put"));
  // That a key is gone may be lost, too; that there never was one may not.
  CHECK(saw_undurable("durable"));
  CHECK_FALSE(saw_undurable("never"));
  CHECK(walk_saw_undurable());
  // An empty batch makes durable what was written before it.
  REQUIRE_OK((*db)->Write(WriteBatch(), {.sync = true}));
  CHECK_FALSE(saw_undurable("put"));
  CHECK_FALSE(saw_undurable("durable"));
  CHECK_FALSE(walk_saw_undurable());
  // What was recovered is durable, and so is what was flushed.
  REQUIRE_OK((*db)->Put("last", "1"));
  REQUIRE_OK((*db)->Close());
  db = storage::OpenDb(env.env(), "/db", {});
  REQUIRE_OK(db.status());
  CHECK_FALSE(saw_undurable("last"));
  REQUIRE_OK((*db)->Put("last", "2"));
  CHECK(saw_undurable("last"));
  REQUIRE_OK((*db)->Flush());
  CHECK_FALSE(saw_undurable("last"));
}

}  // namespace bandb::test
