// Commands of Redis that have little to do with what is stored, and what they tell of it.
#include <string>

#include "server/redis_wire.h"

namespace bandb::test {
namespace {

// One after the other, each with its reply.
struct Exchange {
  std::string request;
  std::string reply;
};

void Check(WireClient* client, const std::vector<Exchange>& exchanges) {
  for (const Exchange& exchange : exchanges) {
    INFO(exchange.request);
    REQUIRE(client->Send(exchange.request + "\r\n"));
    CHECK(client->ReceiveText(exchange.reply.size()) == exchange.reply);
  }
}

// The text of a bulk string.
std::string AskForText(WireClient* client, const std::string& request) {
  REQUIRE(client->Send(request + "\r\n"));
  std::string head;
  while (!head.ends_with("\r\n")) {
    const std::string next = client->ReceiveText(1);
    if (next.empty()) return {};
    head += next;
  }
  REQUIRE(head[0] == '$');
  const auto bytes = static_cast<size_t>(std::stoi(head.substr(1)));
  return client->ReceiveText(bytes + 2).substr(0, bytes);
}

bool HasLine(const std::string& info, const std::string& line) {
  return ("\n" + info).find("\n" + line + "\r\n") != std::string::npos;
}

}  // namespace

TEST_CASE("CONFIG SET takes what is so already, and names what it refuses as Redis does") {
  ServerFixture fixture(WithRedis());
  WireClient client(fixture.server->RedisAddress());
  const std::string failed = "-ERR CONFIG SET failed (possibly related to argument ";
  Check(&client,
        {{"CONFIG SET save \"\"", "+OK\r\n"},
         {"CONFIG SET MAXMEMORY 0 maxmemory-policy NoEviction", "+OK\r\n"},
         {"CONFIG SET maxmemory bla", failed + "'maxmemory') - can't set immutable config\r\n"},
         {"CONFIG SET save \"\" appendfsync everysec", failed + "'appendfsync') - can't set immutable config\r\n"},
         {"CONFIG SET databases 1", failed + "'databases') - can't set immutable config\r\n"},
         {"CONFIG SET maxmemory 1 maxmemory 2", failed + "'maxmemory') - duplicate parameter\r\n"},
         {"CONFIG SET nosuch 1", "-ERR Unknown option or number of arguments for CONFIG SET - 'nosuch'\r\n"},
         {"CONFIG SET maxmemory 0 save", "-ERR syntax error\r\n"},
         {"CONFIG GET maxmemory", "*2\r\n$9\r\nmaxmemory\r\n$1\r\n0\r\n"},
         {"CONFIG GET notify*", "*2\r\n$22\r\nnotify-keyspace-events\r\n$0\r\n\r\n"}});
  // Of a transaction it is one command among others.
  Check(&client, {{"MULTI", "+OK\r\n"},
                  {"SET a 1", "+QUEUED\r\n"},
                  {"CONFIG SET maxmemory bla", "+QUEUED\r\n"},
                  {"EXEC", "*2\r\n+OK\r\n" + failed + "'maxmemory') - can't set immutable config\r\n"}});
}

TEST_CASE("what a command of a transaction does to the connection holds for the next one") {
  ServerFixture fixture(WithRedis());
  WireClient client(fixture.server->RedisAddress());
  Check(&client, {{"MULTI", "+OK\r\n"},
                  {"CLIENT SETNAME me", "+QUEUED\r\n"},
                  {"CLIENT GETNAME", "+QUEUED\r\n"},
                  {"EXEC", "*2\r\n+OK\r\n$2\r\nme\r\n"},
                  {"CLIENT GETNAME", "$2\r\nme\r\n"}});
}

TEST_CASE("of databases there is one, and every command that names another says so") {
  ServerFixture fixture(WithRedis());
  WireClient client(fixture.server->RedisAddress());
  const std::string range = "-ERR value is out of range, value must between -2147483648 and 2147483647\r\n";
  const std::string none = "-ERR DB index is out of range\r\n",
                    wrong = "-ERR value is not an integer or out of range\r\n";
  const std::string same = "-ERR source and destination objects are the same\r\n";
  Check(&client, {{"SET a 1", "+OK\r\n"},
                  {"SELECT 2147483648", range},
                  {"SELECT 1", none},
                  {"COPY a b DB 2147483648", range},
                  {"COPY a b DB 1", none},
                  {"COPY a a DB 0", same},
                  {"MOVE a 0", same},
                  {"MOVE nothing 0", same},
                  {"MOVE a 3", none},
                  {"MOVE a x", wrong},
                  {"MOVE a -2147483649", range},
                  {"SWAPDB 0 0", "+OK\r\n"},
                  {"SWAPDB 0 1", none},
                  {"SWAPDB x 0", "-ERR invalid first DB index\r\n"},
                  {"SWAPDB 1 2147483648", "-ERR invalid second DB index\r\n"},
                  {"EXISTS a b", ":1\r\n"}});
}

TEST_CASE("there are no functions, scripts and replicas, and what asks for them is told so") {
  ServerFixture fixture(WithRedis());
  WireClient client(fixture.server->RedisAddress());
  Check(&client,
        {{"FUNCTION FLUSH", "+OK\r\n"},
         {"FUNCTION FLUSH async", "+OK\r\n"},
         {"FUNCTION FLUSH x", "-ERR FUNCTION FLUSH only supports SYNC|ASYNC option\r\n"},
         {"FUNCTION FLUSH a b",
          "-ERR unknown subcommand or wrong number of arguments for 'FLUSH'. Try FUNCTION HELP.\r\n"},
         {"FUNCTION LIST", "*0\r\n"},
         {"FUNCTION LIST libraryname", "-ERR library name argument was not given\r\n"},
         {"FUNCTION LIST libraryname x withcode", "*0\r\n"},
         {"FUNCTION LIST x", "-ERR Unknown argument x\r\n"},
         {"FUNCTION LIST " + std::string(1000, 'x'), "-ERR Unknown argument " + std::string(128, 'x') + "\r\n"},
         {"FUNCTION LOAD x", "-ERR BanDB has no command 'function|load'\r\n"},
         {"SCRIPT FLUSH sync", "+OK\r\n"},
         {"SCRIPT FLUSH x", "-ERR SCRIPT FLUSH only support SYNC|ASYNC option\r\n"},
         {"SCRIPT EXISTS a b", "*2\r\n:0\r\n:0\r\n"},
         {"SCRIPT LOAD x", "-ERR BanDB has no command 'script|load'\r\n"},
         {"WAIT 1 100000", ":0\r\n"},
         {"WAIT x 0", "-ERR value is not an integer or out of range\r\n"},
         {"WAIT 0 x", "-ERR timeout is not an integer or out of range\r\n"},
         {"WAIT 0 -1", "-ERR timeout is negative\r\n"},
         {"ROLE", "*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n"},
         {"ACL WHOAMI", "$7\r\ndefault\r\n"},
         {"ACL LIST", "-ERR BanDB has no command 'acl|list'\r\n"}});
}

TEST_CASE("no client waits or is told of changes, and what asks for that is told so") {
  ServerFixture fixture(WithRedis());
  WireClient client(fixture.server->RedisAddress());
  Check(&client, {{"CLIENT UNBLOCK 1", ":0\r\n"},
                  {"CLIENT UNBLOCK 1 error", ":0\r\n"},
                  {"CLIENT UNBLOCK 1 x", "-ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR\r\n"},
                  {"CLIENT UNBLOCK x", "-ERR value is not an integer or out of range\r\n"},
                  {"CLIENT GETREDIR", ":-1\r\n"},
                  {"CLIENT TRACKING off", "+OK\r\n"},
                  {"CLIENT TRACKING on", "-ERR BanDB does not track what is read\r\n"},
                  {"CLIENT TRACKING x", "-ERR syntax error\r\n"},
                  {"CLIENT TRACKINGINFO",
                   "*6\r\n$5\r\nflags\r\n*1\r\n$3\r\noff\r\n$8\r\nredirect\r\n:-1\r\n$8\r\nprefixes\r\n*0\r\n"},
                  {"MONITOR", "-ERR BanDB holds strings, and has no command 'MONITOR'\r\n"},
                  {"SUBSCRIBE a", "-ERR BanDB holds strings, and has no command 'SUBSCRIBE'\r\n"}});
}

TEST_CASE("what a key takes is told, and what is not kept is not made up") {
  ServerFixture fixture(WithRedis());
  WireClient client(fixture.server->RedisAddress());
  const std::string null = "$-1\r\n", text(44, 'x');
  Check(&client, {{"MSET key value n -12 s " + text + " l " + text + "x", "+OK\r\n"},
                  {"MEMORY USAGE key", ":8\r\n"},
                  {"MEMORY USAGE key samples 5", ":8\r\n"},
                  {"MEMORY USAGE key samples -1", "-ERR syntax error\r\n"},
                  {"MEMORY USAGE key samples", "-ERR syntax error\r\n"},
                  {"MEMORY USAGE nothing", null},
                  {"MEMORY STATS", "-ERR BanDB has no command 'memory|stats'\r\n"},
                  {"OBJECT ENCODING n", "$3\r\nint\r\n"},
                  {"OBJECT ENCODING s", "$6\r\nembstr\r\n"},
                  {"OBJECT ENCODING l", "$3\r\nraw\r\n"},
                  {"OBJECT ENCODING nothing", null},
                  {"OBJECT REFCOUNT key", ":1\r\n"},
                  {"OBJECT IDLETIME nothing", null},
                  {"OBJECT IDLETIME key", "-ERR BanDB does not keep when a key was last used\r\n"},
                  {"OBJECT ENCODING", "-ERR wrong number of arguments for 'object|encoding' command\r\n"}});
}

TEST_CASE("COMMAND LIST has subcommands, too, and is filtered by patterns") {
  ServerFixture fixture(WithRedis());
  WireClient client(fixture.server->RedisAddress());
  Check(
      &client,
      {{"COMMAND LIST x", "-ERR syntax error\r\n"},
       {"COMMAND LIST filterby x", "-ERR syntax error\r\n"},
       {"COMMAND LIST filterby x y", "-ERR syntax error\r\n"},
       {"COMMAND LIST filterby module x", "*0\r\n"},
       {"COMMAND LIST filterby aclcat nosuch", "*0\r\n"},
       {"COMMAND LIST filterby pattern GeT", "*1\r\n$3\r\nget\r\n"},
       {"COMMAND LIST filterby pattern *[" + std::string(1000, 'z') + "]",
        "-ERR the patterns take too long to match\r\n"},
       {"COMMAND LIST filterby pattern config|*set*", "*2\r\n$16\r\nconfig|resetstat\r\n$10\r\nconfig|set\r\n"},
       {"COMMAND INFO memory", "*1\r\n*10\r\n$6\r\nmemory\r\n:-2\r\n*0\r\n:0\r\n:0\r\n:0\r\n*0\r\n*0\r\n*0\r\n*0\r\n"},
       {"COMMAND GETKEYS object encoding k", "*1\r\n$1\r\nk\r\n"},
       {"COMMAND GETKEYS memory usage k samples 1", "*1\r\n$1\r\nk\r\n"},
       {"CONFIG HELP",
        "*5\r\n+BanDB has of CONFIG:\r\n+CONFIG GET\r\n+CONFIG HELP\r\n+CONFIG RESETSTAT\r\n+CONFIG SET\r\n"}});
  REQUIRE(client.Send("COMMAND LIST\r\n"));
  const std::string first = client.ReceiveText(8);
  CHECK(first[0] == '*');
  CHECK(std::stoi(first.substr(1)) > 100);
}

TEST_CASE("INFO has the sections that are asked for, with what clients of Redis look for in them") {
  ServerFixture fixture(WithRedis());
  WireClient client(fixture.server->RedisAddress()), other(fixture.server->RedisAddress());
  Check(&other, {{"PING", "+PONG\r\n"}});
  const std::string info = AskForText(&client, "INFO");
  for (const char* line : {"redis_version:7.0.15", "connected_clients:2", "blocked_clients:0", "maxclients:10000",
                           "maxmemory_policy:noeviction", "loading:0", "rdb_bgsave_in_progress:0", "role:master"}) {
    INFO(line);
    CHECK(HasLine(info, line));
  }
  for (const char* name : {"used_memory:", "used_memory_human:", "uptime_in_seconds:", "total_commands_processed:"}) {
    INFO(name);
    CHECK(info.find(std::string("\n") + name) != std::string::npos);
  }
  CHECK(AskForText(&client, "INFO nosuch").empty());
  CHECK(AskForText(&client, "INFO replication nosuch").starts_with("# Replication\r\nrole:master\r\n"));
  const std::string two = AskForText(&client, "INFO Server clients");
  CHECK(two.starts_with("# Server\r\n"));
  CHECK(two.find("\r\n\r\n# Clients\r\n") != std::string::npos);
  CHECK(two.find("# Stats") == std::string::npos);
  // Of clients of Redis alone, and of those that are there.
  WireClient own(fixture.address());
  REQUIRE(own.Ask(GetFrame("a")).has_value());
  Check(&client, {{"CLIENT KILL TYPE normal", ":1\r\n"}});
  CHECK(other.SeesEnd());
  CHECK(HasLine(AskForText(&client, "INFO clients"), "connected_clients:1"));
}

TEST_CASE("CLIENT INFO tells of the request that asks") {
  ServerFixture fixture(WithRedis());
  WireClient client(fixture.server->RedisAddress());
  REQUIRE(client.Send("*2\r\n$6\r\nCLIENT\r\n$4\r\nINFO\r\n"));
  const std::string head = client.ReceiveText(6);
  REQUIRE(head[0] == '$');
  const std::string line = client.ReceiveText(static_cast<size_t>(std::stoi(head.substr(1))) + 2);
  CHECK(line.find(" qbuf=26 ") != std::string::npos);
}

}  // namespace bandb::test
