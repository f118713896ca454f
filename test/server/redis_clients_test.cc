// CLIENT and SLOWLOG of Redis.
#include "server/redis_clients.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <regex>
#include <string>
#include <vector>

#include "base/executor.h"
#include "base/mutex.h"
#include "net/quota.h"
#include "server/clients_endpoint.h"
#include "server/redis_wire.h"

namespace bandb::test {
namespace {

using server::RedisClientFilter;
using server::RedisClientRow;

std::string Line(WireClient* client) {
  std::string line;
  while (line.size() < 2 || line.substr(line.size() - 2) != "\r\n") {
    const std::string next = client->ReceiveText(1);
    if (next.empty()) return line;
    line += next;
  }
  return line.substr(0, line.size() - 2);
}

// The text of a bulk string.
std::string AskForText(WireClient* client, const std::string& request) {
  REQUIRE(client->Send(request + "\r\n"));
  const std::string head = Line(client);
  REQUIRE(head.substr(0, 1) == "$");
  const auto bytes = static_cast<size_t>(std::stoi(head.substr(1)));
  return client->ReceiveText(bytes + 2).substr(0, bytes);
}

int64_t AskForNumber(WireClient* client, const std::string& request) {
  REQUIRE(client->Send(request + "\r\n"));
  const std::string line = Line(client);
  REQUIRE(line.substr(0, 1) == ":");
  return std::stoll(line.substr(1));
}

}  // namespace

TEST_CASE("CLIENT LIST tells of every client of Redis, on whatever loop, as Redis does") {
  ServerFixture fixture(WithRedis(GENERATE(1, 4)));
  WireClient first(fixture.server->RedisAddress()), second(fixture.server->RedisAddress());
  WireClient other(fixture.address());
  REQUIRE(other.Ask(GetFrame("a")).has_value());
  CheckReply(&first, "CLIENT SETNAME me", "+OK\r\n");
  CheckReply(&second, "MULTI", "+OK\r\n");
  CheckReply(&second, "GET a", "+QUEUED\r\n");
  const int64_t own = AskForNumber(&first, "CLIENT ID");
  const std::string list = AskForText(&first, "CLIENT LIST");
  const std::string address = fixture.server->RedisAddress();
  const std::regex line(
      "id=\\d+ addr=127\\.0\\.0\\.1:\\d+ laddr=" + std::regex_replace(address, std::regex("\\."), "\\.") +
      " fd=-1 name=\\w* age=\\d+ idle=\\d+ flags=[Nx] db=0 sub=0 psub=0 ssub=0 multi=(-1|1) qbuf=\\d+ qbuf-free=0 "
      "argv-mem=0 multi-mem=\\d+ rbs=0 rbp=0 obl=0 oll=0 omem=0 tot-mem=\\d+ events=r cmd=(client\\|list|get) "
      "user=default redir=-1 resp=2");
  std::vector<std::string> lines;
  for (size_t at = 0; at < list.size();) {
    const size_t end = list.find('\n', at);
    REQUIRE(end != std::string::npos);
    lines.push_back(list.substr(at, end - at));
    CHECK(std::regex_match(lines.back(), line));
    at = end + 1;
  }
  REQUIRE(lines.size() == 2);
  CHECK(list.find("name=me ") != std::string::npos);
  CHECK(list.find("flags=x ") != std::string::npos);
  const std::string info = AskForText(&first, "CLIENT INFO");
  CHECK(info.starts_with(fmt::format("id={} ", own)));
  CHECK(info.find("cmd=client|info ") != std::string::npos);
  CHECK(AskForText(&first, fmt::format("CLIENT LIST ID 77 {}", own)).starts_with(fmt::format("id={} ", own)));
  CheckReply(&first, "CLIENT LIST TYPE pubsub", "$0\r\n\r\n");
  CheckReply(&first, "CLIENT LIST TYPE normal x", "-ERR syntax error\r\n");
  CheckReply(&first, "HELLO 3", "%7\r\n");
}

TEST_CASE("CLIENT KILL ends whom it means, and itself after its reply") {
  ServerFixture fixture(WithRedis(GENERATE(1, 4)));
  WireClient asker(fixture.server->RedisAddress()), victim(fixture.server->RedisAddress());
  WireClient other(fixture.address());
  const int64_t id = AskForNumber(&victim, "CLIENT ID");
  CheckReply(&asker, fmt::format("CLIENT KILL ID {}", id + 100), ":0\r\n");
  CheckReply(&asker, fmt::format("CLIENT KILL ID {} TYPE pubsub", id), ":0\r\n");
  CheckReply(&asker, "CLIENT KILL USER default LADDR 1.2.3.4:5", ":0\r\n");
  CheckReply(&victim, "PING", "+PONG\r\n");
  CheckReply(&asker, fmt::format("CLIENT KILL ID {}", id), ":1\r\n");
  CHECK(victim.SeesEnd());
  // Not itself, unless that is asked for; and nobody of another protocol.
  CheckReply(&asker, "CLIENT KILL TYPE normal", ":0\r\n");
  CheckReply(&asker, "PING", "+PONG\r\n");
  CheckReply(&asker, "CLIENT KILL TYPE normal SKIPME no", ":1\r\n");
  CHECK(asker.SeesEnd());
  CHECK(other.Ask(PutFrame("a", "1")) == OkReply());
  // The old form, which takes its own address.
  WireClient old(fixture.server->RedisAddress());
  const std::string info = AskForText(&old, "CLIENT INFO");
  const size_t at = info.find("addr=") + 5;
  CheckReply(&old, "CLIENT KILL 127.0.0.1:1", "-ERR No such client\r\n");
  CheckReply(&old, "CLIENT KILL " + info.substr(at, info.find(' ', at) - at), "+OK\r\n");
  CHECK(old.SeesEnd());
}

TEST_CASE("what asks about clients, and about what was slow, is none of a transaction's commands") {
  ServerFixture fixture(WithRedis(1));
  WireClient client(fixture.server->RedisAddress());
  for (const char* command :
       {"CLIENT LIST", "CLIENT INFO", "CLIENT KILL ID 1", "SLOWLOG GET", "SLOWLOG LEN", "SLOWLOG RESET"}) {
    CheckReply(&client, "MULTI", "+OK\r\n");
    CheckReply(&client, command, "-ERR Command not allowed inside a transaction\r\n");
    CheckReply(&client, "EXEC", "-EXECABORT Transaction discarded because of previous errors.\r\n");
  }
  CheckReply(&client, "MULTI", "+OK\r\n");
  CheckReply(&client, "CLIENT ID", "+QUEUED\r\n");
  CheckReply(&client, "EXEC", "*1\r\n:1\r\n");
}

TEST_CASE("who names nobody means nobody") {
  ServerFixture fixture(WithRedis(2));
  WireClient asker(fixture.server->RedisAddress()), other(fixture.server->RedisAddress());
  CheckReply(&other, "PING", "+PONG\r\n");
  CheckReply(&asker, "CLIENT KILL ADDR \"\"", ":0\r\n");
  CheckReply(&asker, "CLIENT KILL LADDR \"\"", ":0\r\n");
  CheckReply(&asker, "CLIENT KILL USER \"\"", "-ERR No such user ''\r\n");
  CheckReply(&asker, "CLIENT KILL \"\"", "-ERR No such client\r\n");
  // One that is of two kinds there is not either.
  CheckReply(&asker, "CLIENT KILL TYPE pubsub TYPE normal", ":0\r\n");
  CheckReply(&other, "PING", "+PONG\r\n");
}

TEST_CASE("a server ends while its loops are asked for their clients") {
  ServerFixture fixture(WithRedis(4));
  std::vector<std::unique_ptr<WireClient>> clients;
  for (int i = 0; i < 8; i++) {
    clients.push_back(std::make_unique<WireClient>(fixture.server->RedisAddress()));
    std::string asks;
    for (int j = 0; j < 200; j++) asks += "CLIENT LIST\r\n";
    REQUIRE(clients.back()->Send(asks));
  }
  REQUIRE(fixture.Eventually([&] { return fixture.server->Stats().replies > 0; }));
  fixture.server->Stop();
  CHECK(fixture.server->Stats().in_flight == 0);
}

namespace {

// On two loops in turns, the first of them held up by a hook until `go_on`.
class HeldLoop {
 public:
  explicit HeldLoop(int clients) {
    ServerOptions options = WithRedis(2);
    options.audit = [this](const AuditEvent& event) {
      base::MutexLock lock(&mutex_);
      told_.push_back(event.detail.substr(0, event.detail.find(',')));
    };
    ServerHooks hooks;
    hooks.before_operations.push_back([this](const ServerOperation& operation) {
      if (operation.kind != OperationKind::kPut) return HookResult::Pass();
      entered_.Set();
      go_on.BlockUntilSet(base::kForever);
      return HookResult::Pass();
    });
    fixture_ = std::make_unique<ServerFixture>(options, std::move(hooks));
    for (int i = 0; i < clients; i++) {
      all.push_back(std::make_unique<WireClient>(fixture_->server->RedisAddress()));
      CheckReply(all.back().get(), "PING", "+PONG\r\n");
    }
    REQUIRE(all[0]->Send("SET a 1\r\n"));
    entered_.BlockUntilSet(base::kForever);
  }
  ~HeldLoop() { go_on.Set(); }
  // What was recorded.
  std::vector<std::string> told() ABSL_LOCKS_EXCLUDED(mutex_) {
    base::MutexLock lock(&mutex_);
    return told_;
  }

  base::Event go_on;
  std::vector<std::unique_ptr<WireClient>> all;

 private:
  base::Mutex mutex_;
  std::vector<std::string> told_ ABSL_GUARDED_BY(mutex_);
  base::Event entered_;
  std::unique_ptr<ServerFixture> fixture_;
};

constexpr char kSilent[] = "-ERR a loop of the server did not answer within 2 s";

}  // namespace

TEST_CASE("a loop that is held up makes CLIENT LIST fail in bounded time, for all who ask at once") {
  HeldLoop held(6);
  REQUIRE(held.all[1]->Send("CLIENT LIST\r\n"));
  REQUIRE(held.all[3]->Send("CLIENT LIST\r\n"));
  REQUIRE(held.all[5]->Send("CLIENT KILL ID 99\r\n"));
  CHECK(Line(held.all[1].get()) == kSilent);
  CHECK(Line(held.all[3].get()) == kSilent);
  CHECK(Line(held.all[5].get()) == std::string(kSilent) + ": 0 clients were closed, and no others will be");
  held.go_on.Set();
  CHECK(held.all[0]->ReceiveText(5) == "+OK\r\n");
  const std::string list = AskForText(held.all[1].get(), "CLIENT LIST");
  CHECK(std::count(list.begin(), list.end(), '\n') == 6);
  CHECK(held.told().empty());
}

TEST_CASE("what a loop did not do in time for CLIENT KILL is not done later, and what was done is recorded") {
  HeldLoop held(4);
  CheckReply(held.all[1].get(), "CLIENT KILL TYPE normal SKIPME no",
             std::string(kSilent) + ": 1 clients were closed, and no others will be\r\n");
  CHECK(held.all[3]->SeesEnd());
  CHECK(held.told() == std::vector<std::string>{"1 clients of Redis"});
  held.go_on.Set();
  CHECK(held.all[0]->ReceiveText(5) == "+OK\r\n");
  // By the second reply the loop has seen what it was asked before.
  for (int i = 0; i < 2; i++) CheckReply(held.all[2].get(), "PING", "+PONG\r\n");
  CheckReply(held.all[1].get(), "CLIENT KILL TYPE normal", ":2\r\n");
  CHECK(held.told() == std::vector<std::string>{"1 clients of Redis", "2 clients of Redis"});
}

TEST_CASE("a list that is longer than a reply may be is refused, and what it took is given back") {
  ServerOptions options = WithRedis(GENERATE(1, 2));
  options.frame_bytes_max = 64 << 10;
  options.memory_bytes_max = 256 << 10;
  ServerFixture fixture(options);
  std::vector<std::unique_ptr<WireClient>> clients;
  for (int i = 0; i < 60; i++) {
    clients.push_back(std::make_unique<WireClient>(fixture.server->RedisAddress()));
    CheckReply(clients.back().get(), "CLIENT SETNAME " + std::string(1000, 'n'), "+OK\r\n");
  }
  const uint64_t before = fixture.server->Stats().memory_bytes;
  CheckReply(clients[0].get(), "CLIENT LIST", "-ERR the reply would be longer than this server allows\r\n");
  CHECK(AskForText(clients[0].get(), "CLIENT LIST ID 1 2").size() > 2000);
  REQUIRE(fixture.Eventually([&] { return fixture.server->Stats().memory_bytes < before + 1000; }));
  CheckReply(clients[0].get(), "CLIENT KILL TYPE normal", ":59\r\n");
}

TEST_CASE("where memory is short there is no list, but clients can be ended") {
  ServerOptions options = WithRedis(1);
  options.frame_bytes_max = 64 << 10;
  options.memory_bytes_max = 256 << 10;
  ServerFixture fixture(options);
  WireClient asker(fixture.server->RedisAddress());
  CheckReply(&asker, "PING", "+PONG\r\n");
  fixture.store.SetHolding(true);
  const auto memory = [&] { return fixture.server->Stats().memory_bytes; };
  // A reply is on the account for a moment after its client has it.
  REQUIRE(fixture.Eventually([&] { return memory() < 4000; }));
  std::vector<std::unique_ptr<WireClient>> holders;
  // Each holds less than what is left then, and the rows of all are more than that.
  while (memory() + 6000 < (256 << 10)) {
    holders.push_back(std::make_unique<WireClient>(fixture.server->RedisAddress()));
    const uint64_t before = memory();
    REQUIRE(holders.back()->Send("SET held " + std::string(4000, 'x') + "\r\n"));
    REQUIRE(fixture.Eventually([&] { return memory() >= before + 4000; }));
  }
  CheckReply(&asker, "CLIENT LIST", "-ERR the server is short of memory\r\n");
  CheckReply(&asker, "CLIENT KILL TYPE normal", fmt::format(":{}\r\n", holders.size()));
  for (const auto& holder : holders) CHECK(holder->SeesEnd());
  fixture.store.SetHolding(false);
  REQUIRE(fixture.Eventually([&] { return memory() < 10'000; }));
  CHECK(AskForText(&asker, "CLIENT LIST").starts_with("id=1 "));
}

TEST_CASE("rows are counted in sum, and are on the account until they are given back") {
  net::Quota quota;
  const RedisClientRow row{.id = 1, .connection = 1, .address = std::string(100, 'a')};
  server::ClientTally few(&quota, {.rows_max = 2});
  CHECK_OK(few.Add(row));
  CHECK_OK(few.Add(row));
  CHECK(few.Add(row).message() == "there are more than 2 clients: name some by ID");
  const int64_t bytes = quota.memory_bytes.load();
  CHECK(bytes >= static_cast<int64_t>(2 * (sizeof(row) + 100)));
  {
    server::ClientTally small(&quota, {.bytes_max = sizeof(row) + 150});
    CHECK_OK(small.Add(row));
    CHECK(absl::IsResourceExhausted(small.Add(row)));
    server::ClientTally late(&quota, {.memory_bytes_max = bytes});
    const absl::Status full = late.Add(row);
    CHECK(absl::IsUnavailable(full));
    CHECK(full.message() == "the server is short of memory");
  }
  CHECK(quota.memory_bytes.load() == bytes);
  few.GiveBack();
  CHECK(quota.memory_bytes.load() == 0);
}

TEST_CASE("what is gathered after an inquiry has ended leaves nothing on an account that may be gone") {
  auto quota = std::make_unique<net::Quota>();
  const auto tally = std::make_unique<server::ClientTally>(quota.get(), server::ClientTally::Limits());
  CHECK_OK(tally->Add({.id = 1, .connection = 1}));
  tally->GiveBackIfEnded();
  CHECK(quota->memory_bytes.load() > 0);
  tally->End();
  CHECK(quota->memory_bytes.load() == 0);
  CHECK_OK(tally->Add({.id = 2, .connection = 2}));
  tally->GiveBackIfEnded();
  CHECK(quota->memory_bytes.load() == 0);
  // A loop that nobody runs any more may keep it for longer than there is a server.
  quota.reset();
}

TEST_CASE("SLOWLOG tells what was slow as Redis does") {
  ServerOptions options = WithRedis(1);
  options.slow_log_threshold = absl::ZeroDuration();
  ServerFixture fixture(options);
  WireClient client(fixture.server->RedisAddress());
  CheckReply(&client, "CLIENT SETNAME me", "+OK\r\n");
  CheckReply(&client, "SET key value", "+OK\r\n");
  CheckReply(&client, "GET key", "$5\r\nvalue\r\n");
  REQUIRE(client.Send("SLOWLOG GET 2\r\n"));
  CHECK(Line(&client) == "*2");
  for (const char* command : {"get", "set"}) {
    CHECK(Line(&client) == "*6");
    for (int i = 0; i < 3; i++) CHECK(Line(&client).substr(0, 1) == ":");
    CHECK(Line(&client) == "*2");
    CHECK(Line(&client) == "$3");
    CHECK(Line(&client) == command);
    CHECK(Line(&client) == "$3");
    CHECK(Line(&client) == "key");
    Line(&client);
    CHECK(Line(&client).starts_with("127.0.0.1:"));
    CHECK(Line(&client) == "$2");
    CHECK(Line(&client) == "me");
  }
  CHECK(AskForNumber(&client, "SLOWLOG LEN") == 4);
  CheckReply(&client, "SLOWLOG GET 0", "*0\r\n");
  CheckReply(&client, "SLOWLOG GET -2", "-ERR count should be greater than or equal to -1\r\n");
  fixture.server->SetSlowLog(absl::InfiniteDuration(), 32);
  CheckReply(&client, "SLOWLOG RESET", "+OK\r\n");
  CheckReply(&client, "SLOWLOG LEN", ":0\r\n");
}

TEST_CASE("it is told who ended clients, and who deleted all keys") {
  base::Mutex mutex;
  std::string told;
  ServerOptions options = WithRedis(1);
  options.audit = [&](const AuditEvent& event) {
    base::MutexLock lock(&mutex);
    told += fmt::format("{} from {};", event.what, event.address.substr(0, 10));
  };
  ServerFixture fixture(options);
  WireClient client(fixture.server->RedisAddress()), victim(fixture.server->RedisAddress());
  const int64_t id = AskForNumber(&victim, "CLIENT ID");
  CheckReply(&client, fmt::format("CLIENT KILL ID {}", id), ":1\r\n");
  CheckReply(&client, fmt::format("CLIENT KILL ID {}", id), ":0\r\n");
  CheckReply(&client, "FLUSHALL", "+OK\r\n");
  base::MutexLock lock(&mutex);
  CHECK(told == "clients closed from 127.0.0.1:;keys deleted from 127.0.0.1:;");
}

TEST_CASE("it is told who may have deleted all keys") {
  base::Mutex mutex;
  std::vector<std::string> told;
  ServerOptions options = WithRedis(1);
  options.audit = [&](const AuditEvent& event) {
    base::MutexLock lock(&mutex);
    told.push_back(event.what + ": " + event.detail);
  };
  ServerFixture fixture(options);
  WireClient client(fixture.server->RedisAddress());
  fixture.store.FailWritesWith(absl::UnavailableError("not done"));
  CheckReply(&client, "FLUSHALL", "-ERR not done\r\n");
  fixture.store.FailWritesWith(absl::UnknownError("who knows"));
  CheckReply(&client, "FLUSHALL", "-ERR who knows\r\n");
  fixture.store.FailWritesWith(absl::OkStatus());
  CheckReply(&client, "FLUSHALL", "+OK\r\n");
  base::MutexLock lock(&mutex);
  CHECK(told == std::vector<std::string>{"keys deleted: outcome unknown", "keys deleted: "});
}

TEST_CASE("a client is meant if all holds that was said of it") {
  const RedisClientRow row{
      .id = 5, .connection = 9, .address = "1.1.1.1:1", .local_address = "2.2.2.2:2", .user = "ann"};
  CHECK(RedisClientFilter().Matches(row));
  CHECK(RedisClientFilter{.ids = {4, 5}}.Matches(row));
  CHECK_FALSE(RedisClientFilter{.ids = {4, 9}}.Matches(row));
  CHECK(
      RedisClientFilter{.ids = {5}, .address = "1.1.1.1:1", .local_address = "2.2.2.2:2", .user = "ann"}.Matches(row));
  CHECK_FALSE(RedisClientFilter{.ids = {}, .address = "1.1.1.1:2"}.Matches(row));
  CHECK_FALSE(RedisClientFilter{.ids = {}, .address = {}, .local_address = "1.1.1.1:1"}.Matches(row));
  CHECK_FALSE(RedisClientFilter{.ids = {}, .address = {}, .local_address = {}, .user = "default"}.Matches(row));
  CHECK_FALSE(
      RedisClientFilter{.ids = {}, .address = {}, .local_address = {}, .user = {}, .nobody = true}.Matches(row));
}

}  // namespace bandb::test
