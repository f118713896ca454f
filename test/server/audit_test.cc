// What hosts are told of those who do, or try, what has to be accounted for.
#include <fmt/format.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "bandb/logger.h"
#include "base/mutex.h"
#include "proto/changes.h"
#include "server/feed_server.h"
#include "server/users_fixture.h"
#include "support/catch.h"

namespace bandb::test {
namespace {

// What hosts are told, as "what: user, detail".
class KeptEvents {
 public:
  Audit Keep() {
    return [this](const AuditEvent& event) {
      base::MutexLock lock(&mutex_);
      events_.push_back(fmt::format("{}: {}, {}", event.what, event.user, event.detail));
      from_clients_ = from_clients_ && event.address.substr(0, 10) == "127.0.0.1:";
    };
  }
  std::vector<std::string> Take() {
    base::MutexLock lock(&mutex_);
    return std::exchange(events_, {});
  }
  bool from_clients() {
    base::MutexLock lock(&mutex_);
    return from_clients_;
  }

 private:
  base::Mutex mutex_;
  std::vector<std::string> events_ ABSL_GUARDED_BY(mutex_);
  bool from_clients_ ABSL_GUARDED_BY(mutex_) = true;
};

std::string AdminFrame() {
  std::string frame;
  const std::string_view words[] = {"compact", "a-key", "z-key"};
  proto::AppendAdmin(&frame, words);
  return frame;
}

void CheckLine(WireClient* client, const std::string& line, const std::string& reply) {
  INFO(line);
  REQUIRE(client->Send(line + "\r\n"));
  CHECK(client->ReceiveText(reply.size()) == reply);
}

std::string NoCommand(const std::string& name) {
  return "-NOPERM this user has no permissions to run the '" + name + "' command\r\n";
}

std::unique_ptr<WireClient> RedisClientOf(const UsersFixture& users, const std::string& name) {
  auto client = std::make_unique<WireClient>(users.redis());
  if (!name.empty()) CheckLine(client.get(), "AUTH " + name + " " + TokenOf(name), "+OK\r\n");
  return client;
}

class LastLine final : public Logger {
 public:
  void Log(LogSeverity, std::string_view line) override {
    base::MutexLock lock(&mutex_);
    line_ = line;
  }
  std::string Get() {
    base::MutexLock lock(&mutex_);
    return line_;
  }

 private:
  base::Mutex mutex_;
  std::string line_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

TEST_CASE("it is told who asked for what operators do without the right to") {
  KeptEvents events;
  UsersFixture users(1, absl::Seconds(5), 10000, nullptr, events.Keep());
  const std::string admin = AdminFrame();
  const std::unique_ptr<WireClient> all = ClientOf(users, "all");
  CHECK(CodeOf(all.get(), admin) == kDenied);
  CHECK(CodeOf(ClientOf(users, "ops").get(), admin) == 0);
  // Strangers are many, and other rights are not recorded.
  CHECK(CodeOf(ClientOf(users, "").get(), admin) == kNobody);
  CHECK(CodeOf(ClientOf(users, "reader").get(), PutFrame("k", "v")) == kDenied);
  CHECK(events.Take() == std::vector<std::string>{"administration denied: all, admin"});
  const std::unique_ptr<WireClient> redis = RedisClientOf(users, "all");
  CheckLine(redis.get(), "CLIENT KILL ID 7", NoCommand("client|kill"));
  CheckLine(redis.get(), "SLOWLOG RESET", NoCommand("slowlog|reset"));
  CheckLine(redis.get(), "CLIENT GETNAME", "$-1\r\n");
  CheckLine(RedisClientOf(users, "ops").get(), "SLOWLOG LEN", ":0\r\n");
  CheckLine(RedisClientOf(users, "reader").get(), "SET k v", NoCommand("set"));
  CheckLine(RedisClientOf(users, "").get(), "SLOWLOG LEN", "-NOAUTH Authentication required.\r\n");
  CHECK(events.Take() == std::vector<std::string>{"administration denied: all, client|kill",
                                                  "administration denied: all, slowlog|reset"});
  CHECK(events.from_clients());
}

TEST_CASE("it is told who had Redis' slow log forgotten, since what it showed is gone") {
  KeptEvents events;
  UsersFixture users(1, absl::Seconds(5), 10000, nullptr, events.Keep());
  const std::unique_ptr<WireClient> ops = RedisClientOf(users, "ops");
  CheckLine(ops.get(), "SLOWLOG LEN", ":0\r\n");
  CheckLine(ops.get(), "CLIENT ID", ":1\r\n");
  CheckLine(ops.get(), "SLOWLOG RESET", "+OK\r\n");
  CheckLine(ops.get(), "PING", "+PONG\r\n");
  CHECK(events.Take() == std::vector<std::string>{"administration: ops, slowlog|reset: done"});
  CHECK(events.from_clients());
}

TEST_CASE("no change of users is left out, however many there are") {
  KeptEvents events;
  UsersFixture users(1, absl::Seconds(5), 10000, nullptr, events.Keep());
  server::UserTable table;
  for (int i = 0; i < 500; i++) {
    server::User user{fmt::format("a{}", i), tls::DigestOf("x"), {}};
    REQUIRE_OK(table.Add(std::move(user)));
  }
  base::PosixFileSystem files;
  REQUIRE_OK(base::ReplaceSecretFile(&files, users.path(), table.ToText()));
  REQUIRE_OK(users.fixture->server->Reload());
  std::string all;
  for (const std::string& event : events.Take()) {
    CHECK(event.starts_with("users changed: , "));
    CHECK(event.size() < 1200);
    all += event.substr(event.rfind(": , ") + 4) + ", ";
  }
  for (int i = 0; i < 500; i++) CHECK(all.find(fmt::format("added a{}, ", i)) != std::string::npos);
  for (const auto& [name, allows] : Users()) CHECK(all.find(fmt::format("removed {}, ", name)) != std::string::npos);
}

TEST_CASE("it is told who dropped a cursor of the change feed, or put it elsewhere") {
  KeptEvents events;
  ServerOptions options;
  options.audit = events.Keep();
  FeedServer fixture(1, 64 << 20, {}, options);
  WireClient client(fixture.address());
  const auto ask = [&](proto::CursorAction action, const std::string& name) {
    std::string frame;
    proto::FeedPlace from;
    if (action == proto::CursorAction::kCreate || action == proto::CursorAction::kReset) {
      from.from = proto::FeedFrom::kOldest;
    }
    proto::AppendCursors(&frame, {.action = action, .from = from, .name = name});
    return CodeOf(&client, frame);
  };
  CHECK(ask(proto::CursorAction::kCreate, "in\ndexer") == 0);
  CHECK(ask(proto::CursorAction::kReset, "in\ndexer") == 0);
  CHECK(ask(proto::CursorAction::kList, "") == 0);
  CHECK(ask(proto::CursorAction::kDrop, "in\ndexer") == 0);
  // Nothing was done by these.
  CHECK(ask(proto::CursorAction::kDrop, "in\ndexer") != 0);
  CHECK(ask(proto::CursorAction::kReset, "other") != 0);
  CHECK(events.Take() == std::vector<std::string>{"cursor reset: , in\\ndexer", "cursor dropped: , in\\ndexer"});
  CHECK(events.from_clients());
}

TEST_CASE("a host that throws when it is told ends nothing") {
  LastLine logger;
  UsersFixture users(1, absl::Seconds(5), 10000, &logger, [](const AuditEvent&) { throw 1; });
  const std::unique_ptr<WireClient> all = RedisClientOf(users, "all"), ops = RedisClientOf(users, "ops");
  CheckLine(all.get(), "CLIENT LIST", NoCommand("client|list"));
  CheckLine(all.get(), "FLUSHALL", "+OK\r\n");
  CHECK(logger.Get() == "the host's audit has thrown, and may not have: keys deleted");
  CheckLine(ops.get(), "CLIENT KILL TYPE normal", ":1\r\n");
  CHECK(all->SeesEnd());
  CheckLine(ops.get(), "PING", "+PONG\r\n");
  CHECK(CodeOf(ClientOf(users, "all").get(), AdminFrame()) == kDenied);
}

TEST_CASE("a name at a login that is none of a user ends no part of the line") {
  KeptEvents events;
  LastLine logger;
  UsersFixture users(1, absl::Seconds(5), 10000, &logger, events.Keep());
  CheckLine(RedisClientOf(users, "").get(), "*3\r\n$4\r\nAUTH\r\n$9\r\nroot'from\r\n$5\r\ntoken",
            "-WRONGPASS invalid username-password pair or user is disabled.\r\n");
  const std::string line = logger.Get();
  CAPTURE(line);
  CHECK(line.starts_with("a wrong login as 'root\\'from' from 127.0.0.1:"));
  // A field of its own, as it is.
  CHECK(events.Take() == std::vector<std::string>{"login refused: root'from, "});
}

}  // namespace bandb::test
