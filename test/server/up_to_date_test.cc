// Reads of a store that has to ask others before it knows its present state, as a node with peers.
#include <fmt/format.h>

#include <string>
#include <vector>

#include "proto/message_id.h"
#include "proto/request.h"
#include "server/wire_client.h"
#include "support/catch.h"

namespace bandb::test {

namespace {

std::string RedisRequest(const std::vector<std::string>& arguments) {
  std::string request = fmt::format("*{}\r\n", arguments.size());
  for (const std::string& argument : arguments) request += fmt::format("${}\r\n{}\r\n", argument.size(), argument);
  return request;
}

}  // namespace

TEST_CASE("no read is answered before the barrier, whatever asks and however many keys") {
  ServerOptions options;
  options.redis_listen = "127.0.0.1:0";
  ServerFixture fixture(options);
  REQUIRE_OK(fixture.store.Put("k", "old"));
  fixture.store.SetAsksOthers(true);
  std::string scan;
  proto::AppendScan(&scan, {});
  std::string snapshot;
  proto::AppendSnapshot(&snapshot, {});
  const struct {
    bool is_redis;
    std::string request;
    std::string reply;  // of Redis
  } rows[] = {{false, GetFrame("k"), ""},
              {false, scan, ""},
              {false, snapshot, ""},
              {true, RedisRequest({"GET", "k"}), "$3\r\nnew\r\n"},
              {true, RedisRequest({"MGET", "k", "k"}), "*2\r\n$3\r\nnew\r\n$3\r\nnew\r\n"},
              {true, RedisRequest({"SETNX", "k", "mine"}), ":0\r\n"},
              {true, RedisRequest({"EXISTS", "k"}), ":1\r\n"}};
  for (const auto& row : rows) {
    INFO(row.request);
    fixture.store.SetHolding(true);
    WireClient client(row.is_redis ? fixture.server->RedisAddress() : fixture.address());
    REQUIRE(client.Send(row.request));
    // It waits for the barrier; what is written before that opens it sees.
    REQUIRE(fixture.Eventually([&] { return fixture.store.held() == 1; }));
    REQUIRE_OK(fixture.store.Put("k", "new"));
    fixture.store.SetHolding(false);
    if (row.is_redis) {
      CHECK(client.ReceiveText(row.reply.size()) == row.reply);
    } else {
      CHECK(client.Receive()->ok);
    }
    REQUIRE_OK(fixture.store.Put("k", "old"));
  }
}

TEST_CASE("without a leader a GET ends the connection of who may take any error for no such key, and no other's") {
  ServerFixture fixture;
  REQUIRE_OK(fixture.store.Put("k", "v"));
  fixture.store.SetAsksOthers(true);
  fixture.store.FailBarriersWith(absl::DeadlineExceededError("no leader is known"));
  WireClient original(fixture.address()), modern(fixture.address()), other(fixture.address());
  std::string hello;
  proto::AppendHello(&hello, {});
  REQUIRE(modern.Ask(hello)->ok);
  REQUIRE(original.Send(GetFrame("k") + PutFrame("a", "1")));
  CHECK(original.SeesEnd());
  const std::optional<OwnedReply> told = modern.Ask(GetFrame("k"));
  REQUIRE(told.has_value());
  CHECK(told->code == proto::ToCode(absl::StatusCode::kDeadlineExceeded));
  // A put is no read: its error is none of "no such key".
  CHECK(other.Ask(PutFrame("b", "1")) == OkReply());
  fixture.store.FailBarriersWith(absl::OkStatus());
  CHECK(modern.Ask(GetFrame("k")) == ValueReply("v"));
  CHECK(other.Ask(GetFrame("k")) == ValueReply("v"));
}

}  // namespace bandb::test
