// BanDB's own messages: BATCH, HELLO, PING, STATS.
#include <string>
#include <utility>

#include "server/wire_client.h"
#include "support/catch.h"

namespace bandb::test {

TEST_CASE("a batch of more operations and conditions than the server takes is too large, and its neighbours are not") {
  ServerOptions options;
  options.loops = GENERATE(1, 4);
  if (GENERATE(false, true)) options.batch_operations_max = 12;
  const int most = options.batch_operations_max;
  ServerFixture fixture(options);
  WireClient client(fixture.address());
  proto::BatchBuilder batch;
  batch.Require({proto::BatchCheck::kAbsent, "x"});
  for (int i = 1; i < most; ++i) batch.Add({proto::BatchKind::kPut, std::to_string(i), "v"});
  REQUIRE(client.Ask(BatchFrame(batch)) == OkReply());
  batch.Add({proto::BatchKind::kPut, "one more", "v"});
  REQUIRE(client.Send(PutFrame("a", "1") + BatchFrame(batch) + PutFrame("b", "2")));
  const std::vector<OwnedReply> replies = client.ReceiveMany(3);
  REQUIRE(replies.size() == 3);
  CHECK(replies[0] == OkReply());
  CHECK(replies[1].code == ToCode(proto::ErrorCode::kTooLarge));
  CHECK(replies[2] == OkReply());
  CHECK_CODE(fixture.store.Get("one more").status(), kNotFound);
}

TEST_CASE("a batch is applied whole, in its order") {
  ServerFixture fixture;
  WireClient client(fixture.address());
  proto::BatchBuilder batch;
  batch.Add({proto::BatchKind::kPut, "a", "1"});
  batch.Add({proto::BatchKind::kPut, "b", "2"});
  batch.Add({proto::BatchKind::kPut, "c", "3"});
  batch.Add({proto::BatchKind::kDelete, "a", ""});
  batch.Add({proto::BatchKind::kRangeDelete, "b", "c"});
  batch.Add({proto::BatchKind::kPutWithTtl, "d", "4", 1000000});
  batch.Add({proto::BatchKind::kPutWithTtl, "e", "5", UINT64_MAX});
  CHECK(client.Ask(BatchFrame(batch)) == OkReply());
  for (const auto& [key, value] : {std::pair{"c", "3"}, {"d", "4"}, {"e", "5"}}) {
    CHECK(client.Ask(GetFrame(key)) == ValueReply(value));
  }
  CHECK(fixture.store.size() == 3);
  CHECK(client.Ask(BatchFrame(proto::BatchBuilder())) == OkReply());
}

TEST_CASE("a conditional batch applies only if all its conditions hold, at its place in the order") {
  ServerFixture fixture;
  WireClient client(fixture.address());
  proto::BatchBuilder create;
  create.Require({proto::BatchCheck::kAbsent, "lock", ""});
  create.Add({proto::BatchKind::kPut, "lock", "mine"});
  proto::BatchBuilder swap;
  swap.Require({proto::BatchCheck::kHasValue, "lock", "mine"});
  swap.Require({proto::BatchCheck::kPresent, "lock", ""});
  swap.Add({proto::BatchKind::kPut, "lock", "yours"});
  REQUIRE(
      client.Send(BatchFrame(swap) + BatchFrame(create) + BatchFrame(create) + BatchFrame(swap) + BatchFrame(swap)));
  const auto replies = client.ReceiveMany(5);
  REQUIRE(replies.size() == 5);
  CHECK(replies[0].code == proto::ToCode(absl::StatusCode::kAborted));
  CHECK(replies[1] == OkReply());
  CHECK(replies[2].code == proto::ToCode(absl::StatusCode::kAborted));
  CHECK(replies[3] == OkReply());
  CHECK(replies[4].code == proto::ToCode(absl::StatusCode::kAborted));
  CHECK(client.Ask(GetFrame("lock")) == ValueReply("yours"));
}

TEST_CASE("what a batch must not hold is refused before anything of it is done") {
  ServerFixture fixture;
  WireClient client(fixture.address());
  proto::BatchBuilder no_limit;
  no_limit.Add({proto::BatchKind::kPut, "a", "1"});
  no_limit.Add({proto::BatchKind::kRangeDelete, "a", ""});
  const std::string long_key((64 << 10) + 1, 'k');
  proto::BatchBuilder too_long;
  too_long.Add({proto::BatchKind::kPut, long_key, "1"});
  for (const proto::BatchBuilder* batch : {&no_limit, &too_long}) {
    const auto reply = client.Ask(BatchFrame(*batch));
    REQUIRE(reply.has_value());
    CHECK(reply->code == proto::ToCode(absl::StatusCode::kInvalidArgument));
  }
  // A million elements announced and none there: refused, and nothing was allocated for them.
  std::string bomb;
  proto::AppendFrame(&bomb, 18, std::string("\0\x40\x42\x0f\0\x40\x42\x0f\0", 9));
  const auto reply = client.Ask(bomb);
  REQUIRE(reply.has_value());
  CHECK(reply->code == ToCode(proto::ErrorCode::kMalformed));
  CHECK(fixture.store.size() == 0);
}

TEST_CASE("HELLO names the version and the limits, and refuses versions it does not speak") {
  ServerFixture fixture;
  WireClient client(fixture.address());
  std::string frame;
  proto::AppendHello(&frame, {.version_min = 1, .version_max = 9, .features = ~uint64_t{0}, .name = "test"});
  const auto reply = client.Ask(frame);
  REQUIRE(reply.has_value());
  proto::HelloReply hello;
  REQUIRE(proto::DecodeHelloBody(reply->body, &hello));
  CHECK(hello.version == 1);
  CHECK(hello.features == 0);
  CHECK(hello.frame_bytes_max == 16 << 20);
  CHECK(hello.key_bytes_max == 64 << 10);
  // A PUT with such a value and an empty key is exactly a frame.
  CHECK(hello.value_bytes_max == (16 << 20) - 8);
  frame.clear();
  proto::AppendHello(&frame, {.version_min = 2, .version_max = 9, .features = 0, .name = ""});
  const auto refused = client.Ask(frame);
  REQUIRE(refused.has_value());
  CHECK(refused->code == ToCode(proto::ErrorCode::kUnsupportedVersion));
}

TEST_CASE("PING echoes, and STATS lists counters by name") {
  ServerFixture fixture;
  WireClient client(fixture.address());
  std::string frame;
  proto::AppendPing(&frame, "anybody there?");
  CHECK(client.Ask(frame) == OkReply("anybody there?"));
  frame.clear();
  proto::AppendStats(&frame);
  const auto reply = client.Ask(frame);
  REQUIRE(reply.has_value());
  std::string_view text;
  REQUIRE(proto::DecodeTextBody(reply->body, &text));
  CHECK(text.find("connections_open 1\n") != std::string_view::npos);
  CHECK(text.find("replies 1\n") != std::string_view::npos);
}

}  // namespace bandb::test
