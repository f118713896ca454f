// Who is connected, and closing a connection from outside.
#include <optional>
#include <string>

#include "server/held_put.h"
#include "server/wire_client.h"
#include "support/catch.h"

namespace bandb::test {
namespace {

ClientList Clients(const Server& server, size_t count_max = 100) {
  absl::StatusOr<ClientList> list = server.Clients(count_max);
  REQUIRE_OK(list.status());
  return *std::move(list);
}

}  // namespace

TEST_CASE("the list tells of each client what it is and what it did, on whatever loop it is") {
  ServerOptions options;
  options.loops = GENERATE(1, 4);
  options.redis_listen = "127.0.0.1:0";
  ServerFixture fixture(options);
  const Server& server = *fixture.server;
  CHECK(Clients(server).clients.empty());
  WireClient first(fixture.address());
  const std::string put = PutFrame("a", std::string(1000, 'v'));
  CHECK(first.Ask(put) == OkReply());
  WireClient redis(server.RedisAddress());
  REQUIRE(redis.Send("APPEND b 1\r\n"));
  CHECK(redis.ReceiveText(4) == ":1\r\n");
  WireClient silent(fixture.address());
  REQUIRE(fixture.Eventually([&] { return Clients(server).clients.size() == 3; }));

  const ClientList list = Clients(server);
  CHECK(list.omitted == 0);
  const auto find = [&list](std::string_view protocol, std::string_view operation) -> const ClientInfo* {
    for (const ClientInfo& client : list.clients) {
      if (client.protocol == protocol && client.last_operation == operation) return &client;
    }
    return nullptr;
  };
  const ClientInfo* const putting = find("bandb", "put");
  REQUIRE(putting != nullptr);
  CHECK(putting->bytes_read == put.size());
  CHECK(putting->bytes_written == 9);
  CHECK(putting->in_flight == 0);
  CHECK(putting->output_bytes == 0);
  CHECK(putting->user.empty());
  CHECK_FALSE(putting->tls);
  CHECK(putting->address.starts_with("127.0.0.1:"));
  CHECK(putting->age >= putting->idle);
  REQUIRE(find("redis", "append") != nullptr);
  REQUIRE(find("bandb", "") != nullptr);
  CHECK(find("bandb", "")->bytes_read == 0);

  const ClientList some = Clients(server, 2);
  CHECK(some.clients.size() == 2);
  CHECK(some.omitted == 1);
  CHECK(Clients(server, 0).omitted == 3);
}

TEST_CASE("a client that is killed sees the end, others do not, and its id is never another's") {
  ServerOptions options;
  options.loops = GENERATE(1, 4);
  ServerFixture fixture(options);
  Server& server = *fixture.server;
  WireClient victim(fixture.address());
  CHECK(victim.Ask(PutFrame("a", "1")) == OkReply());
  const uint64_t id = Clients(server).clients.at(0).id;
  WireClient other(fixture.address());
  CHECK(other.Ask(PutFrame("a", "2")) == OkReply());
  REQUIRE_OK(server.KillClient(id));
  CHECK(victim.SeesEnd());
  CHECK(other.Ask(GetFrame("a")) == ValueReply("2"));
  // The place is free again, for somebody else with another id.
  WireClient next(fixture.address());
  CHECK(next.Ask(GetFrame("a")) == ValueReply("2"));
  CHECK(absl::IsNotFound(server.KillClient(id)));
  CHECK(next.Ask(GetFrame("a")) == ValueReply("2"));
  CHECK(absl::IsNotFound(server.KillClient(0)));
  CHECK(absl::IsNotFound(server.KillClient(UINT64_MAX)));
  CHECK(Clients(server).clients.size() == 2);
}

TEST_CASE("a loop that a hook holds up makes the list fail in bounded time, and answers again after it") {
  HeldPut held;
  ServerFixture fixture({}, held.Hooks());
  WireClient client(fixture.address());
  REQUIRE(client.Send(PutFrame("a", "1")));
  held.entered.BlockUntilSet(base::kForever);
  CHECK(absl::IsDeadlineExceeded(fixture.server->Clients(10).status()));
  held.go_on.Set();
  CHECK(client.Receive() == OkReply());
  CHECK(Clients(*fixture.server).clients.size() == 1);
}

TEST_CASE("what a loop did not do in time to end a client is not done later, either") {
  HeldPut held;
  ServerFixture fixture({}, held.Hooks());
  WireClient client(fixture.address());
  REQUIRE(client.Ask(GetFrame("a")).has_value());
  const uint64_t id = Clients(*fixture.server).clients.at(0).id;
  REQUIRE(client.Send(PutFrame("a", "1")));
  held.entered.BlockUntilSet(base::kForever);
  const absl::Status killed = fixture.server->KillClient(id);
  CHECK(absl::IsDeadlineExceeded(killed));
  CHECK(std::string(killed.message()).find("nothing was closed") != std::string::npos);
  held.go_on.Set();
  CHECK(client.Receive() == OkReply());
  CHECK(client.Ask(GetFrame("a")) == ValueReply("1"));
  CHECK(Clients(*fixture.server).clients.size() == 1);
}

}  // namespace bandb::test
