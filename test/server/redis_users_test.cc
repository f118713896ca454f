// Clients of Redis with users: what each is shown of others.
#include <map>
#include <string>
#include <utility>

#include "server/users_fixture.h"
#include "server/wire_client.h"
#include "support/catch.h"

namespace bandb::test {
namespace {

std::string Line(WireClient* client) {
  std::string line;
  while (!line.ends_with("\r\n")) {
    const std::string next = client->ReceiveText(1);
    if (next.empty()) return line;
    line += next;
  }
  return line.substr(0, line.size() - 2);
}

void WriteUsers(const std::string& path, const std::map<std::string, std::string>& grants) {
  server::UserTable table;
  for (const auto& [name, allow] : grants) {
    server::User user{name, tls::DigestOf(TokenOf(name)), {}};
    REQUIRE_OK(user.grants.Add(allow));
    REQUIRE_OK(table.Add(std::move(user)));
  }
  base::PosixFileSystem files;
  REQUIRE_OK(base::ReplaceSecretFile(&files, path, table.ToText()));
}

void LogIn(WireClient* client, const std::string& name) {
  REQUIRE(client->Send("AUTH " + name + " " + TokenOf(name) + "\r\n"));
  REQUIRE(Line(client) == "+OK");
}

// What SLOWLOG shows of the last request: its operation, and its key, if that is shown.
std::string LastSlow(WireClient* client) {
  REQUIRE(client->Send("SLOWLOG GET 1\r\n"));
  REQUIRE(Line(client) == "*1");
  REQUIRE(Line(client) == "*6");
  for (int i = 0; i < 3; i++) REQUIRE(Line(client).starts_with(":"));
  const std::string words = Line(client);
  Line(client);
  std::string told = Line(client);
  if (words == "*2") {
    Line(client);
    told += " " + Line(client);
  }
  for (int i = 0; i < 4; i++) Line(client);
  return told;
}

}  // namespace

TEST_CASE("SLOWLOG shows a user the keys that this user may read, whoever the connection was before") {
  TempDir dir;
  const std::string path = dir.path() + "/users.toml";
  WriteUsers(path, {{"all", "read,write"}, {"ops", "admin"}, {"chief", "read,admin"}});
  ServerOptions options;
  options.users_file = path;
  options.redis_listen = "127.0.0.1:0";
  ServerFixture fixture(options);
  Server* const server = fixture.server.get();
  WireClient writer(server->RedisAddress()), client(server->RedisAddress());
  LogIn(&writer, "all");
  LogIn(&client, "chief");
  server->SetSlowLog(absl::ZeroDuration(), 32);
  REQUIRE(writer.Send("SET key value\r\n"));
  REQUIRE(Line(&writer) == "+OK");
  // It is kept at the end of the turn that answered it.
  REQUIRE(fixture.Eventually([&] { return !server->SlowRequests(1).empty(); }));
  server->SetSlowLog(absl::InfiniteDuration(), 32);
  // Before any other command, and after some.
  CHECK(LastSlow(&client) == "set key");
  REQUIRE(client.Send("EXISTS nothing\r\n"));
  REQUIRE(Line(&client) == ":0");
  CHECK(LastSlow(&client) == "set key");
  LogIn(&client, "ops");
  CHECK(LastSlow(&client) == "set");
  LogIn(&client, "chief");
  CHECK(LastSlow(&client) == "set key");
}

TEST_CASE("a client of Redis needs no right to read what a command writes over") {
  UsersFixture users(GENERATE(1, 4));
  WireClient all(users.redis()), mixed(users.redis());
  LogIn(&all, "all");
  LogIn(&mixed, "mixed");
  const auto ask = [](WireClient* client, const std::string& line) {
    REQUIRE(client->Send(line + "\r\n"));
    return Line(client);
  };
  REQUIRE(ask(&all, "MSET k/1 a o/1 b") == "+OK");
  CHECK(ask(&mixed, "COPY k/1 o/8 REPLACE") == ":1");
  CHECK(ask(&mixed, "BITOP NOT o/8 k/1") == ":1");
  for (const char* line : {"COPY k/1 o/8", "COPY o/8 o/7 REPLACE", "BITOP NOT k/1 k/1", "BITOP NOT o/8 o/1",
                           "BITOP OR o/8 k/1 o/1", "RENAME k/1 o/8", "SET o/8 1 GET"}) {
    INFO(line);
    CHECK(ask(&mixed, line) == "-NOPERM this user has no permissions to access one of the keys used as arguments");
  }
}

TEST_CASE("CLIENT KILL USER ends the connections of a user that has been removed") {
  UsersFixture users(GENERATE(1, 3));
  WireClient ops(users.redis()), gone(users.redis()), stays(users.redis());
  LogIn(&ops, "ops");
  LogIn(&gone, "reader");
  LogIn(&stays, "writer");
  users.WriteUsers("reader");
  REQUIRE_OK(users.fixture->server->Reload());
  const auto kill = [&ops](const std::string& user) {
    REQUIRE(ops.Send("CLIENT KILL USER " + user + "\r\n"));
    return Line(&ops);
  };
  CHECK(kill("reader") == ":1");
  CHECK(gone.SeesEnd());
  // A user of whom there is nothing any more, and one of whom there never was.
  CHECK(kill("reader") == "-ERR No such user 'reader'");
  CHECK(kill("nobody") == "-ERR No such user 'nobody'");
  // A user without a connection is a user all the same.
  CHECK(kill("all") == ":0");
  CHECK(kill("writer") == ":1");
  CHECK(stays.SeesEnd());
}

}  // namespace bandb::test
