#include "storage/commit/write_requests.h"

#include "support/catch.h"
#include "support/test_env.h"

namespace bandb::storage {

TEST_CASE("a request refers to what it was made of until it owns its bytes") {
  BlockingWrite write;
  std::string key = "key";
  const kv::Operation operation{.kind = kv::Kind::kPut, .key = key, .value = "value"};
  write.FromOperation(&operation);
  CHECK(write.single == &operation);
  CHECK(write.operation_count == 1);
  CHECK(write.payload_bytes == kv::EncodedBytes(operation));
  write.OwnBytes();
  key = "xxx";
  CHECK(write.single == nullptr);
  kv::OperationReader cursor(write.operations);
  kv::Operation owned;
  REQUIRE(cursor.Next(&owned));
  CHECK(owned.key == "key");
  CHECK(owned.value == "value");
  CHECK_FALSE(cursor.Next(&owned));
}

TEST_CASE("a request of a batch takes over its operations and its conditions") {
  BlockingWrite write;
  std::string operations, conditions;
  {
    WriteBatch batch;
    batch.PutWithTtl("a", "1", absl::Seconds(1));
    batch.Delete("b");
    batch.RequireAbsent("c");
    write.FromBatch(batch);
    operations = WriteBatchAccess::Operations(batch);
    conditions = WriteBatchAccess::Conditions(batch);
    write.OwnBytes();
  }
  CHECK(write.operation_count == 2);
  CHECK(write.has_time_to_live);
  CHECK(write.operations == operations);
  CHECK(write.conditions == conditions);
}

TEST_CASE("who waits for a write gets its outcome, whether it is there before him or not") {
  test::TestEnv env(1);
  BlockingWrite early;
  early.Complete(absl::AbortedError("early"));
  CHECK(early.IsComplete());
  CHECK(early.Wait(&env.executor(), base::kForever));
  CHECK_CODE(early.TakeOutcome(), kAborted);
  BlockingWrite late;
  env.executor().Post(base::Priority::kNormal, [&] { late.Complete(absl::OkStatus()); });
  CHECK_FALSE(late.IsComplete());
  CHECK(late.Wait(&env.executor(), base::kForever));
  CHECK_OK(late.TakeOutcome());
}

TEST_CASE("a write that its caller gives up destroys itself, or has its outcome after all") {
  test::TestEnv env(1);
  auto* given_up = new BlockingWrite();
  CHECK_FALSE(given_up->Wait(&env.executor(), 1000));
  REQUIRE(given_up->Abandon());
  // A leak, or a second destruction, is for the address sanitizer to find.
  given_up->Complete(absl::OkStatus());
  BlockingWrite complete;
  CHECK_FALSE(complete.Wait(&env.executor(), 1000));
  complete.Complete(absl::UnknownError("late"));
  CHECK_FALSE(complete.Abandon());
  CHECK_CODE(complete.TakeOutcome(), kUnknown);
}

TEST_CASE("the callback of an asynchronous write runs on the executor, once, and then what was to follow") {
  test::TestEnv env(1);
  WriteBatch batch;
  batch.Put("a", "1");
  std::string told;
  auto* write = new AsyncWrite<WriteCallback>(
      std::move(batch), WriteOptions{.sync = true}, 0,
      [&](absl::Status status) { told += status.ok() ? "ok " : "error "; }, &env.executor(),
      [&](bool threw) { told += threw ? "threw " : "finished "; });
  CHECK(write->sync);
  CHECK_FALSE(write->fail_if_stalled);
  CHECK(write->operation_count == 1);
  write->Complete(absl::OkStatus());
  CHECK(told.empty());
  env.executor().RunReady();
  CHECK(told == "ok finished ");
}

TEST_CASE("an asynchronous write whose callback throws is finished, and says so") {
  test::TestEnv env(1);
  std::string told;
  auto* write = new AsyncWrite<WriteCallback>(
      WriteBatch(), WriteOptions{}, 0, [](const absl::Status&) { throw 1; }, &env.executor(),
      [&](bool threw) { told = threw ? "threw" : "finished"; });
  write->Complete(absl::OkStatus());
  env.executor().RunReady();
  CHECK(told == "threw");
}

TEST_CASE("an asynchronous write that was not done gives its batch back, and no other") {
  test::TestEnv env(1);
  for (const absl::Status& outcome : {absl::OkStatus(), absl::UnknownError("?"), absl::UnavailableError("no")}) {
    INFO(outcome.ToString());
    WriteBatch batch;
    batch.Put("a", "1");
    batch.RequireAbsent("a");
    const std::string bytes = batch.Serialize();
    std::string given;
    auto* write = new AsyncWrite<ReturningWriteCallback>(
        std::move(batch), WriteOptions{}, 0,
        [&](const absl::Status& status, const WriteBatch& back) {
          CHECK(status == outcome);
          given = back.empty() ? "" : back.Serialize();
        },
        &env.executor(), [](bool threw) { CHECK_FALSE(threw); });
    write->Complete(outcome);
    env.executor().RunReady();
    CHECK(given == (absl::IsUnavailable(outcome) ? bytes : ""));
  }
}

TEST_CASE("an asynchronous write that is slowed down is answered later, and one that must not wait says so") {
  test::TestEnv env(1);
  bool told = false;
  auto* write = new AsyncWrite<WriteCallback>(
      WriteBatch(), WriteOptions{.timeout = absl::ZeroDuration()}, 5'000'000, [&](const absl::Status&) { told = true; },
      &env.executor(), [](bool) {});
  CHECK(write->fail_if_stalled);
  write->Complete(absl::OkStatus());
  env.executor().RunReady();
  CHECK_FALSE(told);
  env.executor().RunFor(5'000'000);
  CHECK(told);
}

}  // namespace bandb::storage
