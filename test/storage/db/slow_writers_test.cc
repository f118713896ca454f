// Writers whose compactions cannot keep up are slowed, however long they are willing to wait.
#include <memory>
#include <string>
#include <utility>

#include "bandb/event_listener.h"
#include "storage/db/open_db.h"
#include "support/catch.h"
#include "support/test_env.h"

namespace bandb::test {

namespace {

struct StallList final : EventListener {
  void OnStallChanged(StallState, StallState now) override { state = now; }
  StallState state = StallState::kNone;
};

}  // namespace

TEST_CASE("a writer is slowed with a deadline and without, for half of its time at the most, and answered later") {
  TestEnv env(1);
  StallList list;
  Options options;
  options.write_buffer_bytes = 64 << 20;
  options.listener = &list;
  const std::unique_ptr<Db> db = MustOpen(env.env(), "/db", options);
  // Compactions cannot open what they are to read; flushes need not.
  env.files().Inject(
      {.kind = FaultKind::kNoDescriptor, .calls = {FileCall::kOpen}, .pattern = "*.tbl", .count = Fault::kSticky});
  for (int i = 0; i < 16; ++i) {
    REQUIRE_OK(db->Put("key", std::to_string(i)));
    REQUIRE_OK(db->Flush());
  }
  REQUIRE(list.state == StallState::kSlowed);
  // 8 MiB/s at the most; a fifth of that delay is due at 16 tables, and 25 ms for this value.
  const std::string value(1 << 20, 'v');
  const auto millis_of = [&](const auto& write) {
    const int64_t begin = env.clock().MonotonicNanos();
    write();
    return (env.clock().MonotonicNanos() - begin) / 1'000'000;
  };
  for (const absl::Duration timeout : {absl::InfiniteDuration(), absl::Hours(1)}) {
    const uint64_t stalls = db->GetStats().stall_count;
    CHECK(millis_of([&] { CHECK_OK(db->Put("large", value, {.timeout = timeout})); }) >= 25);
    CHECK(db->GetStats().stall_count == stalls + 1);
  }
  // In a hurry: what is left of the delay is for the next one.
  CHECK(millis_of([&] { CHECK_OK(db->Put("large", value, {.timeout = absl::Milliseconds(20)})); }) == 10);
  CHECK(millis_of([&] { CHECK_OK(db->Put("large", value, {.timeout = absl::ZeroDuration()})); }) == 0);
  CHECK(millis_of([&] { CHECK_OK(db->Put("large", value)); }) >= 25 + 15 + 25);
  bool answered = false;
  WriteBatch batch;
  batch.Put("large", value);
  CHECK(millis_of([&] {
          db->WriteAsync(std::move(batch), {}, [&](const absl::Status& status) { answered = status.ok(); });
          CHECK_OK(db->Get("large").status());
        }) == 0);
  env.executor().RunFor(10'000'000);
  CHECK_FALSE(answered);
  env.executor().RunFor(1'000'000'000);
  CHECK(answered);
  CHECK(list.state == StallState::kSlowed);
}

}  // namespace bandb::test
