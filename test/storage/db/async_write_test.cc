// Asynchronous writes: how many may be on their way, and what their callbacks may do.
#include <memory>
#include <string>
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

}  // namespace bandb::test
