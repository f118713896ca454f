#include "server/redis_codec.h"

#include <deque>
#include <string>
#include <utility>
#include <variant>

#include "support/catch.h"

namespace bandb::test {
namespace {

using server::RedisClass;

constexpr size_t kRequestBytesMax = 4096;

struct Environment : server::RedisEnvironment {
  Environment() {
    value_bytes_max = 2000;
    reply_bytes_max = 1 << 20;
    stats = [] { return std::string(); };
    now_ms = [] { return int64_t{1000}; };
  }
};

// A connection's codec, without the connection.
struct CodecRig {
  // What the next request is, and what it asks for.
  net::Cut Next(std::string_view bytes) { return codec.Next(bytes, &frame, &frame_bytes); }
  // What it answers is made of views of the request, which the rig keeps.
  server::Command Decode(std::string text) {
    const std::string& request = requests.emplace_back(std::move(text));
    REQUIRE(Next(request) == net::Cut::kFrame);
    REQUIRE(frame_bytes == request.size());
    server::Command command;
    REQUIRE(codec.Decode(frame.message_id, frame.payload, &command).code == 0);
    return command;
  }
  RedisClass ClassOf(const std::string& request) {
    REQUIRE(Next(request) == net::Cut::kFrame);
    return static_cast<RedisClass>(frame.message_id);
  }
  // Of what needs no store.
  std::string Ask(const std::string& request) {
    server::Command command = Decode(request);
    auto* const ready = std::get_if<server::ReadyCommand>(&command);
    return ready == nullptr ? "(needs the store)" : Reply(ready->reply);
  }
  std::string Reply(std::string text) {
    server::Outcome outcome;
    outcome.answer = server::EntriesAnswer{std::move(text)};
    std::string bytes;
    net::Quota quota;
    const net::Reply reply = codec.Encode(&outcome, &quota, &bytes);
    return std::string(reply.head);
  }

  std::deque<std::string> requests;
  Environment environment;
  server::RedisCodec codec{&environment, kRequestBytesMax, 7};
  net::Frame frame;
  size_t frame_bytes = 0;
};

std::string Error(const std::string& text) { return "-" + text + "\r\n"; }

}  // namespace

TEST_CASE("what a command needs is known before it starts") {
  CodecRig rig;
  const struct {
    const char* request;
    RedisClass redis_class;
  } rows[] = {
      {"GET a\r\n", RedisClass::kGet},          {"get a b\r\n", RedisClass::kReady},
      {"SET a b\r\n", RedisClass::kPut},        {"SET a b EX 5\r\n", RedisClass::kPut},
      {"SET a b EX x\r\n", RedisClass::kWrite}, {"SET a b NX\r\n", RedisClass::kWrite},
      {"SET a b GET\r\n", RedisClass::kWrite},  {"MGET a b\r\n", RedisClass::kRead},
      {"INCR a\r\n", RedisClass::kWrite},       {"KEYS *\r\n", RedisClass::kRead},
      {"PING\r\n", RedisClass::kReady},         {"nosuch\r\n", RedisClass::kReady},
      {"MULTI\r\n", RedisClass::kChange},       {"HELLO 3\r\n", RedisClass::kChange},
      {"WATCH a\r\n", RedisClass::kRead},       {"EXEC\r\n", RedisClass::kWrite},
  };
  for (const auto& row : rows) {
    INFO(row.request);
    CHECK(rig.ClassOf(row.request) == row.redis_class);
  }
  CHECK(rig.Next("\r\n") == net::Cut::kNothing);
  CHECK(rig.Next("QUIT\r\n") == net::Cut::kGoodbye);
  CHECK(rig.Next("*2\r\n$4\r\nPI") == net::Cut::kIncomplete);
}

TEST_CASE("a plain GET or SET is a get or put as any other; a failed one is told in Redis' words") {
  CodecRig rig;
  server::Command command = rig.Decode("*3\r\n$3\r\nSET\r\n$1\r\na\r\n$2\r\n\r\n\r\n");
  auto* single = std::get_if<server::SingleCommand>(&command);
  REQUIRE(single != nullptr);
  CHECK(single->operation.kind == OperationKind::kPut);
  CHECK(single->operation.key == "a");
  CHECK(single->operation.value == "\r\n");
  command = rig.Decode("set a b PX 1500\r\n");
  single = std::get_if<server::SingleCommand>(&command);
  REQUIRE(single != nullptr);
  CHECK(single->operation.time_to_live == absl::Milliseconds(1500));
  std::string bytes;
  net::Quota quota;
  server::Outcome absent;
  absent.failure = server::ToFailure(absl::NotFoundError("no such key"));
  CHECK(rig.codec.Encode(&absent, &quota, &bytes).head == "$-1\r\n");
  server::Outcome failed;
  failed.failure = server::ToFailureOfAll(absl::DataLossError("damaged"));
  CHECK(rig.codec.Encode(&failed, &quota, &bytes).head == Error("ERR damaged"));
  CHECK(rig.Ask("HELLO 3\r\n").substr(0, 4) == "%7\r\n");
  CHECK(rig.codec.Encode(&absent, &quota, &bytes).head == "_\r\n");
}

TEST_CASE("between MULTI and EXEC commands are queued, and a mistake among them discards them all") {
  CodecRig rig;
  CHECK(rig.Ask("EXEC\r\n") == Error("ERR EXEC without MULTI"));
  CHECK(rig.Ask("DISCARD\r\n") == Error("ERR DISCARD without MULTI"));
  CHECK(rig.Ask("MULTI\r\n") == "+OK\r\n");
  CHECK(rig.Ask("MULTI\r\n") == Error("ERR MULTI calls can not be nested"));
  CHECK(rig.Ask("WATCH a\r\n") == Error("ERR WATCH inside MULTI is not allowed"));
  CHECK(rig.ClassOf("SET a b\r\n") == RedisClass::kReady);
  CHECK(rig.Ask("SET a b\r\n") == "+QUEUED\r\n");
  CHECK(rig.Ask("MGET a c\r\n") == "+QUEUED\r\n");
  CHECK(rig.codec.held_bytes() > 0);
  server::Command command = rig.Decode("EXEC\r\n");
  auto* const exec = std::get_if<server::TransactionCommand>(&command);
  REQUIRE(exec != nullptr);
  CHECK(exec->writes);
  CHECK_FALSE(exec->walks);
  // A hook on gets sees those of MGET.
  REQUIRE(exec->reads.size() == 2);
  // What was queued counts as on its way now.
  CHECK(exec->bytes > 200);
  CHECK(exec->reads[1].key == "c");
  CHECK(rig.codec.held_bytes() == 0);

  CHECK(rig.Ask("MULTI\r\n") == "+OK\r\n");
  CHECK(rig.Ask("SET a b\r\n") == "+QUEUED\r\n");
  CHECK(rig.Ask("SET a\r\n") == Error("ERR wrong number of arguments for 'set' command"));
  CHECK(rig.Ask("EXEC\r\n") == Error("EXECABORT Transaction discarded because of previous errors."));
  CHECK(rig.Ask("EXEC\r\n") == Error("ERR EXEC without MULTI"));
}

TEST_CASE("an EXEC that is refused ends the transaction, whatever is wrong with it") {
  CodecRig rig;
  const std::string wrong =
      Error("EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command");
  CHECK(rig.Ask("EXEC x\r\n") == wrong);
  CHECK(rig.Ask("MULTI\r\n") == "+OK\r\n");
  CHECK(rig.Ask("SET a b\r\n") == "+QUEUED\r\n");
  CHECK(rig.Ask("EXEC x\r\n") == wrong);
  CHECK(rig.codec.held_bytes() == 0);
  CHECK(rig.Ask("EXEC\r\n") == Error("ERR EXEC without MULTI"));
}

TEST_CASE("what is refused before it is looked at discards the transaction, and EXEC ends it") {
  CodecRig rig;
  for (const bool queued : {true, false}) {
    CHECK(rig.Ask("MULTI\r\n") == "+OK\r\n");
    CHECK(rig.Ask("SET a b\r\n") == "+QUEUED\r\n");
    const std::string request = queued ? "SET a c\r\n" : "EXEC\r\n";
    REQUIRE(rig.Next(request) == net::Cut::kFrame);
    CHECK_FALSE(rig.codec.NeedsNoMemory());
    rig.codec.OnRefused();
    if (queued) CHECK(rig.Ask("EXEC\r\n") == Error("EXECABORT Transaction discarded because of previous errors."));
    CHECK(rig.codec.held_bytes() == 0);
    CHECK(rig.Ask("PING\r\n") == "+PONG\r\n");
  }
  for (const std::string request : {"DISCARD\r\n", "multi\r\n", "RESET\r\n", "UNWATCH\r\n"}) {
    REQUIRE(rig.Next(request) == net::Cut::kFrame);
    CHECK(rig.codec.NeedsNoMemory());
  }
}

TEST_CASE("a transaction that is queued holds no more than one request may") {
  CodecRig rig;
  CHECK(rig.Ask("MULTI\r\n") == "+OK\r\n");
  const std::string request = "SET a " + std::string(1000, 'x') + "\r\n";
  int queued = 0;
  while (rig.Ask(request) == "+QUEUED\r\n") queued++;
  CHECK(queued == 3);
  // What is refused is held by nobody.
  for (int i = 0; i < 100; i++) rig.Ask(request);
  CHECK(rig.codec.held_bytes() <= 2 * kRequestBytesMax);
  CHECK(rig.Ask("EXEC\r\n") == Error("EXECABORT Transaction discarded because of previous errors."));
  CHECK(rig.codec.held_bytes() == 0);
}

TEST_CASE("what commands of a transaction may do to the session is counted with them") {
  CodecRig rig;
  CHECK(rig.Ask("MULTI\r\n") == "+OK\r\n");
  for (int i = 0; i < 50; i++) CHECK(rig.Ask("PING\r\n") == "+QUEUED\r\n");
  server::Command command = rig.Decode("EXEC\r\n");
  const auto* const exec = std::get_if<server::TransactionCommand>(&command);
  REQUIRE(exec != nullptr);
  CHECK(exec->bytes >= 50 * (sizeof(server::RedisChange) + 32));
}

TEST_CASE("lengths and counts over the limits end the connection before anything of them is there") {
  for (const char* request : {"*1000000000\r\n", "*129\r\n", "*1\r\n$1073741824\r\n", "*1\r\n$2001\r\n"}) {
    CodecRig rig;
    INFO(request);
    CHECK(rig.Next(request) == net::Cut::kTooLong);
    CHECK(rig.codec.MessageOf(net::Refusal::kFrameTooLong).substr(0, 15) == "Protocol error:");
    CHECK(rig.codec.held_bytes() == 0);
  }
}

TEST_CASE("a request is announced by its last argument, unless only the whole of it can be answered") {
  CodecRig rig;
  const std::string head = "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1500\r\n";
  REQUIRE(rig.Next(head + "x") == net::Cut::kHeader);
  CHECK(rig.frame_bytes == head.size() + 1502);
  // It was refused; what follows is another request.
  rig.codec.Skipped();
  CHECK(rig.Ask("PING\r\n") == "+PONG\r\n");
  CHECK(rig.Ask("MULTI\r\n") == "+OK\r\n");
  CHECK(rig.Next(head + "x") == net::Cut::kIncomplete);
}

TEST_CASE("replies are left out when the client asks for it") {
  CodecRig rig;
  CHECK(rig.Ask("CLIENT REPLY SKIP\r\n").empty());
  CHECK(rig.ClassOf("PING\r\n") == RedisClass::kChange);
  CHECK(rig.Ask("PING\r\n").empty());
  CHECK(rig.Ask("PING\r\n") == "+PONG\r\n");
  CHECK(rig.Ask("CLIENT REPLY OFF\r\n").empty());
  CHECK(rig.Ask("PING\r\n").empty());
  CHECK(rig.Ask("CLIENT REPLY ON\r\n") == "+OK\r\n");
}

TEST_CASE("what needs no store takes no thousands of arguments") {
  CodecRig rig;
  server::RedisCodec codec(&rig.environment, 1 << 20, 1);
  std::string request = "*2000\r\n$4\r\nINFO\r\n";
  for (int i = 1; i < 2000; i++) request += "$1\r\nx\r\n";
  size_t frame_bytes = 0;
  REQUIRE(codec.Next(request, &rig.frame, &frame_bytes) == net::Cut::kFrame);
  server::Command command;
  REQUIRE(codec.Decode(rig.frame.message_id, rig.frame.payload, &command).code == 0);
  REQUIRE(std::holds_alternative<server::ReadyCommand>(command));
  CHECK(std::get<server::ReadyCommand>(command).reply == Error("ERR more than 1024 arguments for 'info' command"));
}

}  // namespace bandb::test
