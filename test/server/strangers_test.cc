// What a server with users bears from those who have not logged in.
#include <memory>
#include <string>
#include <vector>

#include "server/users_fixture.h"
#include "support/catch.h"

namespace bandb::test {

TEST_CASE("who is not known may send little, has one request under way, and is closed in time") {
  UsersFixture users(GENERATE(1, 4), absl::Milliseconds(300));
  SECTION("a large frame") {
    const std::unique_ptr<WireClient> client = ClientOf(users, "");
    CHECK(CodeOf(client.get(), PutFrame("k", std::string(5000, 'v'))) == 257);
    CHECK(client->SeesEnd());
  }
  SECTION("large frames, once it is known") {
    const std::unique_ptr<WireClient> client = ClientOf(users, "all");
    CHECK(CodeOf(client.get(), PutFrame("k", std::string(100'000, 'v'))) == 0);
  }
  SECTION("nothing at all") {
    WireClient client(users.fixture->address());
    const std::optional<OwnedReply> reply = client.Receive();
    REQUIRE(reply.has_value());
    CHECK(reply->code == kNobody);
    CHECK(client.SeesEnd());
    WireClient redis(users.redis());
    const std::string told = "-ERR no user logged in in time\r\n";
    CHECK(redis.ReceiveText(told.size()) == told);
    CHECK(redis.SeesEnd());
  }
  SECTION("requests without end, whose replies it does not read") {
    WireClient client(users.fixture->address());
    std::string pings;
    for (int i = 0; i < 1000; i++) proto::AppendPing(&pings, std::string(100, 'x'));
    for (int i = 0; i < 2000 && client.SendSome(pings) > 0; i++) {
    }
    CHECK(users.fixture->Eventually([&] { return users.fixture->server->Stats().connections_open == 0; }));
    CHECK(users.fixture->server->Stats().memory_bytes < 100'000);
  }
  SECTION("who has logged in may stay") {
    const std::unique_ptr<WireClient> client = ClientOf(users, "reader");
    const std::unique_ptr<WireClient> nobody = ClientOf(users, "");
    REQUIRE(nobody->Receive().has_value());
    REQUIRE(nobody->SeesEnd());
    CHECK(CodeOf(client.get(), GetFrame("none")) == 5);
  }
}

TEST_CASE("strangers that take every place make room, the oldest first, and keep nobody out") {
  UsersFixture users(1, absl::Seconds(600), 8);
  const std::unique_ptr<WireClient> known = ClientOf(users, "all");
  std::vector<std::unique_ptr<WireClient>> strangers;
  for (int i = 0; i < 7; i++) {
    strangers.push_back(std::make_unique<WireClient>(users.fixture->address()));
    const uint64_t open = static_cast<uint64_t>(i) + 2;
    REQUIRE(users.fixture->Eventually([&] { return users.fixture->server->Stats().connections_open == open; }));
  }
  for (int i = 0; i < 5; i++) {
    const std::unique_ptr<WireClient> next = ClientOf(users, "reader");
    CHECK(CodeOf(next.get(), GetFrame("none")) == 5);
    CHECK(CodeOf(known.get(), PutFrame("k", "v")) == 0);
    // Its place is free again before the next one comes.
    next->Close();
    REQUIRE(users.fixture->Eventually([&] { return users.fixture->server->Stats().connections_open <= 7; }));
    strangers.push_back(std::make_unique<WireClient>(users.fixture->address()));
    REQUIRE(users.fixture->Eventually([&] { return users.fixture->server->Stats().connections_open == 8; }));
  }
  CHECK(strangers[0]->SeesEnd());
  CHECK(users.fixture->server->Stats().connections_evicted == 5);
  CHECK(users.fixture->server->Stats().connections_refused == 0);
}

TEST_CASE("where every place is taken by clients that are known, one more is refused") {
  UsersFixture users(1, absl::Seconds(600), 2);
  const std::unique_ptr<WireClient> one = ClientOf(users, "all");
  const std::unique_ptr<WireClient> two = ClientOf(users, "all");
  WireClient three(users.fixture->address());
  const std::optional<OwnedReply> reply = three.Receive();
  REQUIRE(reply.has_value());
  CHECK(reply->code == 261);
  CHECK(CodeOf(one.get(), PutFrame("k", "v")) == 0);
  CHECK(CodeOf(two.get(), PutFrame("k", "v")) == 0);
}

}  // namespace bandb::test
