// Every message and command, by the user that asks for it.
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "proto/changes.h"
#include "server/feed_server.h"
#include "server/login_endpoint.h"
#include "server/message_table.h"
#include "server/users_fixture.h"
#include "support/catch.h"

namespace bandb::test {
namespace {

std::string Scan(const std::string& begin, const std::string& limit, const std::string& cursor = {}) {
  std::string frame;
  proto::Scan scan;
  scan.begin = begin;
  scan.limit = limit;
  scan.cursor = cursor;
  proto::AppendScan(&frame, scan);
  return frame;
}

std::string Changes(const std::string& begin, const std::string& limit) {
  std::string frame;
  proto::AppendChanges(&frame, {.begin = begin, .limit = limit});
  return frame;
}

class KeepingLogger final : public Logger {
 public:
  void Log(LogSeverity, std::string_view line) override {
    base::MutexLock lock(&mutex_);
    lines_.emplace_back(line);
  }
  // The first line with this in it; empty if there is none.
  std::string Find(std::string_view text) {
    base::MutexLock lock(&mutex_);
    for (const std::string& line : lines_) {
      if (line.find(text) != std::string::npos) return line;
    }
    return {};
  }

 private:
  base::Mutex mutex_;
  std::vector<std::string> lines_ ABSL_GUARDED_BY(mutex_);
};

// Who may, of nobody and Users(): "all reader ..."; the others are refused.
struct Row {
  uint32_t id = 0;
  std::string what{};
  std::string frame{};
  std::string allowed{};
};

proto::BatchOperation Put(std::string_view key) { return {.kind = proto::BatchKind::kPut, .key = key, .value = "v"}; }
proto::BatchOperation Clear(std::string_view begin, std::string_view limit) {
  return {.kind = proto::BatchKind::kRangeDelete, .key = begin, .value = limit};
}
proto::BatchCondition Absent(std::string_view key) { return {.check = proto::BatchCheck::kAbsent, .key = key}; }

std::vector<Row> Rows() {
  std::string ping, stats, admin, route, hello;
  proto::AppendPing(&ping, "x");
  proto::AppendStats(&stats);
  const std::string_view word = "flush";
  proto::AppendAdmin(&admin, absl::MakeConstSpan(&word, 1));
  proto::AppendFrame(&route, kRoute, "");
  proto::AppendHello(&hello, {});
  std::string snapshot;
  proto::AppendSnapshot(&snapshot, {});
  std::string acknowledge;
  proto::AppendAcknowledge(&acknowledge, "c", "t");
  std::string cursors[4];
  proto::AppendCursors(&cursors[0], {});
  proto::AppendCursors(&cursors[1], {.action = proto::CursorAction::kCreate, .from = {}, .name = "c"});
  proto::AppendCursors(&cursors[2], {.action = proto::CursorAction::kDrop, .from = {}, .name = "c"});
  proto::AppendCursors(&cursors[3], {.action = proto::CursorAction::kReset, .from = {}, .name = "c"});
  const std::string users = "all reader writer ops other mixed";
  return {
      {1, "put outside", PutFrame("k/1", "v"), "all writer"},
      {1, "put inside", PutFrame("o/1", "v"), "all writer other mixed"},
      {2, "get outside", GetFrame("k/none"), "all reader mixed"},
      {2, "get inside", GetFrame("o/none"), "all reader other"},
      {3, "delete outside", DeleteFrame("k/1"), "all writer"},
      {3, "delete inside", DeleteFrame("o/1"), "all writer other mixed"},
      {16, "hello", hello, users + " nobody"},
      {17, "ping", ping, users},
      {18, "empty batch", BatchFrame(proto::BatchBuilder()), "all reader writer other mixed"},
      {18, "batch inside", BatchFrame({Put("o/1"), Put("o/2")}), "all writer other mixed"},
      {18, "batch partly outside", BatchFrame({Put("o/1"), Put("k/2")}), "all writer"},
      {18, "condition inside", BatchFrame({Put("o/1")}, {Absent("o/none")}), "all other"},
      {18, "condition elsewhere", BatchFrame({Put("o/1")}, {Absent("k/none")}), "all mixed"},
      {18, "condition alone", BatchFrame({}, {Absent("k/none")}), "all reader mixed"},
      {18, "range delete inside", BatchFrame({Clear("o/", "o0")}), "all writer other mixed"},
      {18, "range delete across the end", BatchFrame({Clear("o/", "o1")}), "all writer"},
      {18, "range delete across the beginning", BatchFrame({Clear("n", "o/5")}), "all writer"},
      {19, "scan of all", Scan("", ""), "all reader"},
      {19, "scan inside", Scan("o/", "o0"), "all reader other"},
      {19, "scan to the end", Scan("o/", ""), "all reader"},
      {19, "scan across the end", Scan("o/", "o1"), "all reader"},
      {19, "scan of the other", Scan("k/", "k0"), "all reader mixed"},
      {20, "stats", stats, users},
      {21, "changes of all", Changes("", ""), "all reader"},
      {21, "changes inside", Changes("o/", "o0"), "all reader other"},
      {21, "changes across the end", Changes("o/", "o1"), "all reader"},
      {21, "changes of the other", Changes("k/", "k0"), "all reader mixed"},
      {22, "acknowledge", acknowledge, "all reader"},
      {23, "list of cursors", cursors[0], "all reader"},
      {23, "new cursor", cursors[1], "all reader"},
      {23, "drop of a cursor", cursors[2], "all reader"},
      {23, "a cursor elsewhere", cursors[3], "all reader"},
      {24, "snapshot", snapshot, "all reader other mixed"},
      {256, "admin", admin, "ops"},
      {kRoute, "route of the host", route, users},
  };
}

bool IsAmong(const std::string& name, const std::string& names) {
  return (" " + names + " ").find(" " + name + " ") != std::string::npos;
}

std::string Words(const std::string& line) { return line + "\r\n"; }

constexpr char kNoAuth[] = "-NOAUTH Authentication required.\r\n";
constexpr char kNoKey[] = "-NOPERM this user has no permissions to access one of the keys used as arguments\r\n";

std::string NoCommand(const std::string& name) {
  return "-NOPERM this user has no permissions to run the '" + name + "' command\r\n";
}

void CheckLine(WireClient* client, const std::string& line, const std::string& reply) {
  INFO(line);
  REQUIRE(client->Send(Words(line)));
  CHECK(client->ReceiveText(reply.size()) == reply);
}

std::unique_ptr<WireClient> RedisClientOf(const UsersFixture& users, const std::string& name) {
  auto client = std::make_unique<WireClient>(users.redis());
  if (!name.empty()) CheckLine(client.get(), "AUTH " + name + " " + TokenOf(name), "+OK\r\n");
  return client;
}

}  // namespace

TEST_CASE("every message is answered to those alone who may ask for it") {
  UsersFixture users(GENERATE(1, 4));
  const std::vector<Row> rows = Rows();
  // A new message has no row here, and fails.
  for (const server::Message& message : server::Messages()) {
    CHECK(std::any_of(rows.begin(), rows.end(),
                      [&](const Row& row) { return row.id == static_cast<uint32_t>(message.id); }));
  }
  std::vector<std::string> names{""};
  for (const auto& [name, allows] : Users()) names.push_back(name);
  for (const std::string& name : names) {
    for (const Row& row : rows) {
      INFO(row.what << " by '" << name << "'");
      const std::unique_ptr<WireClient> client = ClientOf(users, name);
      const uint16_t code = CodeOf(client.get(), row.frame);
      const bool refused = code == kDenied || code == kNobody;
      CHECK(refused != IsAmong(name.empty() ? "nobody" : name, row.allowed));
      if (refused) CHECK(code == (name.empty() ? kNobody : kDenied));
      // The connection goes on.
      CHECK(CodeOf(client.get(), HelloFrame("all", TokenOf("all"))) == 0);
    }
  }
}

TEST_CASE("clients of Redis are told of others, and of what was slow, if they may administer") {
  UsersFixture users;
  const std::unique_ptr<WireClient> all = RedisClientOf(users, "all"), ops = RedisClientOf(users, "ops");
  for (const char* name : {"client|list", "client|kill", "slowlog|get", "slowlog|len", "slowlog|reset"}) {
    const std::string line = std::string(name).replace(std::string(name).find('|'), 1, " ");
    CheckLine(all.get(), line + (line == "client kill" ? " id 99" : ""), NoCommand(name));
  }
  CheckLine(all.get(), "client getname", "$-1\r\n");
  CheckLine(ops.get(), "client kill id 99", ":0\r\n");
  CheckLine(ops.get(), "client list type pubsub", "$0\r\n\r\n");
  CheckLine(ops.get(), "slowlog len", ":0\r\n");
}

TEST_CASE("what was refused was not done, not in part either") {
  UsersFixture users;
  const std::unique_ptr<WireClient> all = ClientOf(users, "all");
  const std::unique_ptr<WireClient> other = ClientOf(users, "other");
  REQUIRE(CodeOf(all.get(), PutFrame("k/1", "v")) == 0);
  REQUIRE(CodeOf(all.get(), PutFrame("o/1", "v")) == 0);
  CHECK(CodeOf(other.get(), BatchFrame({Put("o/2"), Put("k/2")})) == kDenied);
  CHECK(CodeOf(other.get(), BatchFrame({Clear("a", "z")})) == kDenied);
  CHECK(CodeOf(all.get(), GetFrame("o/2")) == 5);
  CHECK(CodeOf(all.get(), GetFrame("k/1")) == 0);
  CHECK(CodeOf(all.get(), GetFrame("o/1")) == 0);
}

TEST_CASE("a cursor that a client made up leads to no key outside its range") {
  UsersFixture users;
  const std::unique_ptr<WireClient> all = ClientOf(users, "all");
  const std::unique_ptr<WireClient> other = ClientOf(users, "other");
  for (const char* key : {"a", "k/1", "o/1", "p"}) REQUIRE(CodeOf(all.get(), PutFrame(key, "v")) == 0);
  for (const std::string& cursor :
       {std::string("\1a"), std::string("\2a"), std::string("\1"), std::string("\2o1"), std::string("\1z")}) {
    for (const bool reverse : {false, true}) {
      std::string frame;
      proto::Scan scan;
      scan.begin = "o/";
      scan.limit = "o0";
      scan.cursor = cursor;
      scan.reverse = reverse;
      proto::AppendScan(&frame, scan);
      const std::optional<OwnedReply> reply = other->Ask(frame);
      REQUIRE(reply.has_value());
      REQUIRE(reply->ok);
      proto::ScanBodyReader body(reply->body);
      for (proto::ScanEntry entry; body.Next(&entry);) CHECK(entry.key == "o/1");
    }
  }
}

TEST_CASE("a hook and a route are told who asks") {
  UsersFixture users;
  const std::unique_ptr<WireClient> client = ClientOf(users, "reader");
  std::string route;
  proto::AppendFrame(&route, kRoute, "");
  CHECK(client->Ask(route) == OkReply("reader"));
}

TEST_CASE("a login is told whether there are users, and a wrong one is told late and changes nothing") {
  UsersFixture users;
  const std::unique_ptr<WireClient> client = ClientOf(users, "reader");
  CHECK(CodeOf(client.get(), HelloFrame("all", "wrong")) == kNobody);
  CHECK(CodeOf(client.get(), GetFrame("k/none")) == 5);
  CHECK(CodeOf(client.get(), PutFrame("k/1", "v")) == kDenied);
  std::string plain;
  proto::AppendHello(&plain, {});
  const std::optional<OwnedReply> reply = client->Ask(plain);
  REQUIRE(reply.has_value());
  proto::HelloReply hello;
  REQUIRE(proto::DecodeHelloBody(reply->body, &hello));
  CHECK(hello.features == proto::kFeatureUsers);
  CHECK(users.fixture->server->Stats().failed_logins == 1);
  CHECK(users.fixture->server->Stats().denials == 1);
}

TEST_CASE("a right login is answered at once, however many wrong ones of its address wait") {
  UsersFixture users;
  const std::unique_ptr<WireClient> guesser = ClientOf(users, "reader");
  std::string guesses;
  for (int i = 0; i < 400; i++) guesses += HelloFrame("all", "wrong");
  REQUIRE(guesser->Send(guesses));
  // More than may wait.
  REQUIRE(users.fixture->Eventually([&] { return users.fixture->server->Stats().failed_logins == 400; }));
  REQUIRE(users.fixture->server->Stats().overloaded > 0);
  const std::unique_ptr<WireClient> neighbour = ClientOf(users, "all");
  CHECK(CodeOf(neighbour.get(), PutFrame("k", "v")) == 0);
  CheckLine(std::make_unique<WireClient>(users.redis()).get(), "AUTH all " + TokenOf("all"), "+OK\r\n");
}

TEST_CASE("a wrong login is logged with its name, and without a token in the place of the name") {
  KeepingLogger logger;
  UsersFixture users(1, absl::Seconds(5), 10000, &logger);
  const std::string token = *tls::NewToken();
  const std::unique_ptr<WireClient> client = RedisClientOf(users, "");
  const std::string refused = "-WRONGPASS invalid username-password pair or user is disabled.\r\n";
  CheckLine(client.get(), "AUTH " + token + " all", refused);
  const std::string line = logger.Find("a wrong login");
  CHECK(line.find("with a token for a name from 127.0.0.1:") != std::string::npos);
  CHECK(line.find(token) == std::string::npos);
  UsersFixture others(1, absl::Seconds(5), 10000, &logger);
  CheckLine(RedisClientOf(others, "").get(), "AUTH somebody " + token, refused);
  CHECK_FALSE(logger.Find("a wrong login as 'somebody' from 127.0.0.1:").empty());
  CHECK(logger.Find(token).empty());
}

TEST_CASE("wrong logins of one address are answered later and later, and others are not touched") {
  server::FailureLog log;
  constexpr int64_t kNow = int64_t{1} << 40;
  int64_t last_nanos = 0;
  for (int i = 0; i < 40; i++) {
    const int64_t delay_nanos = log.Add("10.0.0.1:" + std::to_string(1000 + i), kNow);
    CHECK((delay_nanos == 2 * last_nanos || i == 0 || delay_nanos == server::FailureLog::kDelayNanosMax));
    last_nanos = delay_nanos;
  }
  CHECK(last_nanos == server::FailureLog::kDelayNanosMax);
  CHECK(log.Add("10.0.0.2:1", kNow) == server::FailureLog::kDelayNanosMin);
  CHECK(log.Has("10.0.0.1:7", kNow));
  CHECK_FALSE(log.Has("10.0.0.3:7", kNow));
  CHECK_FALSE(log.Has("10.0.0.1:7", kNow + 2 * server::FailureLog::kForgottenNanos));
  CHECK(log.Add("10.0.0.1:9", kNow + 2 * server::FailureLog::kForgottenNanos) == server::FailureLog::kDelayNanosMin);
  for (int i = 0; i < 5000; i++) log.Add(fmt::format("10.1.{}.{}:1", i / 250, i % 250), kNow + i);
  CHECK(log.size() == server::FailureLog::kAddressesMax);
}

TEST_CASE("users are read again as a whole or not at all, and revoked ones are nobody at once") {
  UsersFixture users(GENERATE(1, 4));
  const std::unique_ptr<WireClient> reader = ClientOf(users, "reader");
  const std::unique_ptr<WireClient> redis = RedisClientOf(users, "reader");
  const std::unique_ptr<WireClient> all = ClientOf(users, "all");
  base::PosixFileSystem files;
  REQUIRE_OK(base::ReplaceSecretFile(&files, users.path(), "[reader]\ntoken = 'sha2"));
  CHECK_CODE(users.fixture->server->Reload(), kInvalidArgument);
  CHECK(CodeOf(reader.get(), GetFrame("none")) == 5);
  users.WriteUsers("reader");
  REQUIRE_OK(users.fixture->server->Reload());
  CHECK(CodeOf(reader.get(), GetFrame("none")) == kNobody);
  CheckLine(redis.get(), "GET none", kNoAuth);
  CHECK(CodeOf(reader.get(), HelloFrame("reader", TokenOf("reader"))) == kNobody);
  CHECK(CodeOf(all.get(), PutFrame("k", "v")) == 0);
}

TEST_CASE("what was waited for is not given to a user who was revoked meanwhile, and to others it is") {
  const TempDir dir;
  const std::string path = dir.File("users.toml");
  WriteUsersTo(path, "");
  ServerOptions options;
  options.users_file = path;
  FeedServer fixture(GENERATE(1, 4), 64 << 20, {}, options);
  const std::unique_ptr<WireClient> reader = ClientAt(fixture.address(), "reader");
  const std::unique_ptr<WireClient> other = ClientAt(fixture.address(), "other");
  const std::unique_ptr<WireClient> all = ClientAt(fixture.address(), "all");
  REQUIRE(reader->Send(ChangesFrame({.wait_ms = kLong})));
  REQUIRE(other->Send(ChangesFrame({.wait_ms = kLong, .begin = "o/", .limit = "o0"})));
  REQUIRE(fixture.AwaitInFlight(2));
  WriteUsersTo(path, "reader");
  REQUIRE_OK(fixture.server->Reload());
  REQUIRE(CodeOf(all.get(), PutFrame("o/secret", "v")) == 0);
  const std::optional<OwnedReply> refused = reader->Receive();
  REQUIRE(refused.has_value());
  CHECK(refused->code == kNobody);
  CHECK(fixture.server->Stats().denials == 1);
  CHECK(refused->body.find("secret") == std::string::npos);
  const std::optional<OwnedReply> given = other->Receive();
  REQUIRE(given.has_value());
  CHECK(given->ok);
  CHECK(given->body.find("secret") != std::string::npos);
}

TEST_CASE("a server starts beyond loopback only with users, or when it is told that it may") {
  base::ThreadExecutor executor(1);
  MemoryStore store(&executor);
  ServerOptions options;
  options.listen = "0.0.0.0:0";
  const absl::Status refused = Server::Start(store, options).status();
  CHECK_CODE(refused, kInvalidArgument);
  CHECK(std::string(refused.message()).find("say insecure") != std::string::npos);
  options.insecure = true;
  CHECK_OK(Server::Start(store, options).status());
  options.insecure = false;
  options.users_file = "/nonexistent/users.toml";
  CHECK_CODE(Server::Start(store, options).status(), kNotFound);
  UsersFixture users;
  options.users_file = users.path();
  CHECK_OK(Server::Start(store, options).status());
  options.listen = "127.0.0.1:0";
  options.redis_listen = "[::]:0";
  options.users_file.clear();
  CHECK_CODE(Server::Start(store, options).status(), kInvalidArgument);
}

TEST_CASE("clients of Redis that have not logged in are told so, in Redis' words") {
  UsersFixture users(GENERATE(1, 4));
  const std::unique_ptr<WireClient> client = RedisClientOf(users, "");
  for (const char* line :
       {"PING", "GET a", "SET a b", "MULTI", "EXEC", "KEYS *", "DBSIZE", "FLUSHALL", "INFO", "COMMAND", "CLIENT ID",
        "WATCH a", "CONFIG GET *", "SELECT 0", "SCAN 0", "RANDOMKEY", "TIME", "ECHO a"}) {
    CheckLine(client.get(), line, kNoAuth);
  }
  CheckLine(client.get(), "NOSUCH", "-ERR unknown command 'NOSUCH', with args beginning with: \r\n");
  CheckLine(client.get(), "GET", "-ERR wrong number of arguments for 'get' command\r\n");
  CheckLine(
      client.get(), "HELLO 3",
      "-NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO AUTH <user> <pass> "
      "option can be used to authenticate the client and select the RESP protocol version at the same time\r\n");
  constexpr char kWrong[] = "-WRONGPASS invalid username-password pair or user is disabled.\r\n";
  CheckLine(client.get(), "AUTH all wrong", kWrong);
  CheckLine(client.get(), "AUTH wrong", kWrong);
  CheckLine(client.get(), "HELLO 3 AUTH all wrong", kWrong);
  CheckLine(client.get(), "AUTH a b c", "-ERR syntax error\r\n");
  CheckLine(client.get(), "HELLO 3 AUTH all " + TokenOf("all"), "%7\r\n$6\r\nserver\r\n");
  const std::unique_ptr<WireClient> known = RedisClientOf(users, "all");
  CheckLine(known.get(), "PING", "+PONG\r\n");
  CheckLine(known.get(), "RESET", "+RESET\r\n");
  CheckLine(known.get(), "PING", kNoAuth);
}

TEST_CASE("before a client of Redis has logged in it may send ten arguments of 4 KiB in all") {
  UsersFixture users;
  WireClient many(users.redis());
  REQUIRE(many.Send("*11\r\n"));
  const std::string arguments = "-ERR Protocol error: unauthenticated multibulk length\r\n";
  CHECK(many.ReceiveText(arguments.size()) == arguments);
  CHECK(many.SeesEnd());
  WireClient large(users.redis());
  REQUIRE(large.Send("*1\r\n$5000\r\n"));
  const std::string bulk = "-ERR Protocol error: unauthenticated bulk length\r\n";
  CHECK(large.ReceiveText(bulk.size()) == bulk);
  CHECK(large.SeesEnd());
  const std::unique_ptr<WireClient> known = RedisClientOf(users, "all");
  CheckLine(known.get(), "SET a " + std::string(20'000, 'x'), "+OK\r\n");
  CheckLine(known.get(), "DEL 1 2 3 4 5 6 7 8 9 10 11 12", ":0\r\n");
}

TEST_CASE("clients of Redis may do what their grants cover, in transactions as well") {
  UsersFixture users(GENERATE(1, 4));
  const std::unique_ptr<WireClient> all = RedisClientOf(users, "all");
  CheckLine(all.get(), "MSET k/1 a o/1 b o/2 c p d", "+OK\r\n");

  const std::unique_ptr<WireClient> reader = RedisClientOf(users, "reader");
  CheckLine(reader.get(), "GET k/1", "$1\r\na\r\n");
  for (const char* name :
       {"set", "setex", "incr", "del", "append", "getset", "expire", "rename", "mset", "flushall", "getdel"}) {
    std::string line = name;
    line += std::string(name) == "flushall" ? "" : " k/1";
    const bool two = IsAmong(name, "set setex append getset expire rename mset");
    if (two) line += " 1";
    if (line.starts_with("setex")) line += " 1";
    CheckLine(reader.get(), line, NoCommand(name));
  }
  CheckLine(reader.get(), "DBSIZE", ":4\r\n");

  const std::unique_ptr<WireClient> writer = RedisClientOf(users, "writer");
  CheckLine(writer.get(), "SET w 1", "+OK\r\n");
  CheckLine(writer.get(), "MSET w 1 x 2", "+OK\r\n");
  CheckLine(writer.get(), "SET w 1 NX", kNoKey);
  CheckLine(writer.get(), "SET w 1 GET", kNoKey);
  for (const char* name : {"get", "incr", "del", "strlen", "exists", "dbsize", "randomkey"}) {
    const bool bare = IsAmong(name, "dbsize randomkey");
    CheckLine(writer.get(), std::string(name) + (bare ? "" : " w"), NoCommand(name));
  }
  CheckLine(all.get(), "DEL w x", ":2\r\n");

  const std::unique_ptr<WireClient> other = RedisClientOf(users, "other");
  CheckLine(other.get(), "GET o/1", "$1\r\nb\r\n");
  CheckLine(other.get(), "SET o/3 d", "+OK\r\n");
  for (const char* line : {"GET k/1", "SET k/1 x", "MGET o/1 k/1", "MSET o/1 x k/1 y", "DEL o/1 k/1", "RENAME o/1 k/9",
                           "COPY k/1 o/9", "COPY o/1 k/9", "EXISTS p", "KEYS *", "KEYS o*", "KEYS *o/", "SCAN 0",
                           "SCAN 0 MATCH k/*", "DBSIZE", "RANDOMKEY", "WATCH k/1"}) {
    const uint64_t denials = users.fixture->server->Stats().denials;
    CheckLine(other.get(), line, kNoKey);
    CHECK(users.fixture->server->Stats().denials == denials + 1);
  }
  CheckLine(other.get(), "FLUSHALL", NoCommand("flushall"));
  CheckLine(other.get(), "FLUSHDB", NoCommand("flushdb"));
  CheckLine(other.get(), "KEYS o/*", "*3\r\n$3\r\no/1\r\n$3\r\no/2\r\n$3\r\no/3\r\n");
  CheckLine(other.get(), "SCAN 0 MATCH o/[12] COUNT 100", "*2\r\n$1\r\n0\r\n*2\r\n$3\r\no/1\r\n$3\r\no/2\r\n");
  CheckLine(other.get(), "KEYS o/1", "*1\r\n$3\r\no/1\r\n");

  // A mistake in MULTI discards it all.
  CheckLine(other.get(), "MULTI", "+OK\r\n");
  CheckLine(other.get(), "SET o/9 x", "+QUEUED\r\n");
  CheckLine(other.get(), "SET k/9 x", kNoKey);
  CheckLine(other.get(), "EXEC", "-EXECABORT Transaction discarded because of previous errors.\r\n");
  CheckLine(other.get(), "MULTI", "+OK\r\n");
  CheckLine(other.get(), "KEYS *", "+QUEUED\r\n");
  CheckLine(other.get(), "SET o/9 x", "+QUEUED\r\n");
  CheckLine(other.get(), "EXEC", kNoKey);
  CheckLine(all.get(), "EXISTS o/9 k/9", ":0\r\n");
  CheckLine(all.get(), "GET k/1", "$1\r\na\r\n");
  CheckLine(other.get(), "MULTI", "+OK\r\n");
  CheckLine(other.get(), "AUTH all " + TokenOf("all"), "-ERR Command not allowed inside a transaction\r\n");
  CheckLine(other.get(), "DISCARD", "+OK\r\n");
  // The cursor of another user is no way around.
  REQUIRE(all->Send("SCAN 0 COUNT 1\r\n"));
  const std::string head = all->ReceiveText(8);
  REQUIRE(head.substr(0, 4) == "*2\r\n");
  CheckLine(other.get(), "SCAN 1 MATCH k/*", kNoKey);
}

TEST_CASE("what a transaction queued is looked at again when it runs") {
  UsersFixture users;
  const std::unique_ptr<WireClient> client = RedisClientOf(users, "all");
  CheckLine(client.get(), "SET k/1 a", "+OK\r\n");
  CheckLine(client.get(), "MULTI", "+OK\r\n");
  CheckLine(client.get(), "SET k/1 b", "+QUEUED\r\n");
  users.WriteUsers("all");
  REQUIRE_OK(users.fixture->server->Reload());
  CheckLine(client.get(), "EXEC", kNoAuth);
  const std::unique_ptr<WireClient> reader = RedisClientOf(users, "reader");
  CheckLine(reader.get(), "GET k/1", "$1\r\na\r\n");
}

}  // namespace bandb::test
