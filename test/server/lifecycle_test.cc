// Starting, grouping, draining and stopping.
#include <atomic>
#include <string>

#include "bandb/logger.h"
#include "base/mutex.h"
#include "base/thread.h"
#include "server/held_put.h"
#include "server/server_options.h"
#include "server/wire_client.h"
#include "support/catch.h"

namespace bandb::test {

TEST_CASE("options that make no sense are refused, all at once") {
  base::ThreadExecutor executor(1);
  MemoryStore store(&executor);
  ServerOptions options;
  options.loops = 0;
  options.frame_bytes_max = (65u << 20) + 1;
  options.frame_timeout = absl::ZeroDuration();
  options.keepalive = absl::Hours(24);
  options.listen = "";
  const absl::Status status = Server::Start(store, options).status();
  CHECK_CODE(status, kInvalidArgument);
  const std::string message(status.message());
  for (const char* name : {"loops", "frame_bytes_max", "frame_timeout", "keepalive is 24h, more than", "listen"}) {
    CHECK(message.find(name) != std::string::npos);
  }
  CHECK(message.find("worker_threads") == std::string::npos);
}

TEST_CASE("connections leave the store the files that it takes by default") {
  ServerOptions options;
  const auto room = [&options](uint64_t process_max) { return server::RoomFor(options, process_max).connections_max; };
  CHECK(room(1 << 20) == 10000);
  CHECK(room(10000 + 8192 + 100) == 10000);
  CHECK(room(10000) < 10000 - 5000);
  CHECK(room(1024) > 400);
  CHECK(room(1024) < 512);
  // However few there are, somebody is served.
  for (uint64_t process_max = 0; process_max <= 64; ++process_max) CHECK(room(process_max) >= 1);
  CHECK(room(64) <= 4);
  options.connections_max = 3;
  CHECK(room(1024) == 3);
  options.loops = 4;
  CHECK(server::RoomFor(options, 1 << 20).refused_max == 64);
  CHECK(server::RoomFor(options, 1024).refused_max == 14);
}

TEST_CASE("a server whose hook does not return is not alive until it does") {
  ServerOptions options;
  options.loops = GENERATE(1, 2);
  HeldPut held;
  ServerFixture fixture(options, held.Hooks());
  CHECK(fixture.server->IsAlive());
  CHECK(fixture.Eventually([&] { return fixture.server->IsAlive(); }));
  WireClient client(fixture.address());
  client.Send(PutFrame("k", "v"));
  REQUIRE(held.entered.BlockUntilSet(base::kForever));
  // What was asked for before it may have been done; what is asked for now is not.
  (void)fixture.server->IsAlive();
  for (int i = 0; i < 3; ++i) CHECK_FALSE(fixture.server->IsAlive());
  held.go_on.Set();
  CHECK(client.Receive() == OkReply());
  CHECK(fixture.Eventually([&] { return fixture.server->IsAlive(); }));
}

TEST_CASE("an address that is taken or none is refused with its code, whatever the number of loops") {
  ServerOptions options;
  options.loops = GENERATE(1, 4);
  ServerFixture fixture(options);
  base::ThreadExecutor executor(1);
  MemoryStore store(&executor);
  options.listen = fixture.address();
  CHECK_CODE(Server::Start(store, options).status(), kFailedPrecondition);
  options.loops = 5 - options.loops;
  CHECK_CODE(Server::Start(store, options).status(), kFailedPrecondition);
  CHECK_CODE(Server::Start(store, {.listen = "no port"}).status(), kInvalidArgument);
  CHECK_CODE(Server::Start(store, {.listen = "192.0.2.1:1"}).status(), kInvalidArgument);
}

TEST_CASE("a drain answers what was asked, closes, and takes nobody new") {
  ServerFixture fixture;
  fixture.store.SetHolding(true);
  WireClient client(fixture.address()), idle(fixture.address());
  REQUIRE(idle.Ask(GetFrame("x")).has_value());
  REQUIRE(client.Send(PutFrame("a", "1") + GetFrame("a")));
  REQUIRE(fixture.Eventually([&] { return fixture.server->Stats().in_flight == 1; }));
  absl::Status drained;
  {
    base::Thread drain([&] { drained = fixture.server->Drain(); });
    CHECK(idle.SeesEnd());
    CHECK_FALSE(WireClient(fixture.address()).connected());
    fixture.store.SetHolding(false);
    CHECK(client.Receive() == OkReply());
    CHECK(client.Receive() == ValueReply("1"));
    CHECK(client.SeesEnd());
    client.Close();
    idle.Close();
  }
  CHECK_OK(drained);
  CHECK(fixture.server->Stats().connections_open == 0);
  fixture.server->Stop();
  fixture.server->Stop();
}

TEST_CASE("what arrives while the server drains is refused with the code for it, in order, behind what is answered") {
  ServerFixture fixture;
  fixture.store.SetHolding(true);
  WireClient client(fixture.address()), idle(fixture.address());
  REQUIRE(idle.Ask(GetFrame("x")).has_value());
  REQUIRE(client.Send(PutFrame("a", "1") + PutFrame("later", "2").substr(0, 9)));
  REQUIRE(fixture.Eventually([&] { return fixture.server->Stats().in_flight == 1; }));
  base::Thread drain([&] { fixture.server->Drain().IgnoreError(); });
  // Once one connection is closed all of this loop know.
  CHECK(idle.SeesEnd());
  REQUIRE(client.Send(PutFrame("later", "2").substr(9) + GetFrame("a") + std::string("\0\0\0", 3)));
  const uint64_t frames = 4;
  REQUIRE(fixture.Eventually([&] { return fixture.server->Stats().frames_read == frames; }));
  fixture.store.SetHolding(false);
  CHECK(client.Receive() == OkReply());
  for (int i = 0; i < 2; i++) {
    const auto reply = client.Receive();
    REQUIRE(reply.has_value());
    CHECK(reply->code == ToCode(proto::ErrorCode::kShuttingDown));
    CHECK(reply->message == "the server is shutting down");
  }
  CHECK(client.SeesEnd());
  client.Close();
  idle.Close();
  drain.Join();
  CHECK(fixture.store.Get("a").value() == "1");
  CHECK_CODE(fixture.store.Get("later").status(), kNotFound);
}

TEST_CASE("a client that asks on and on does not keep a drain from ending") {
  ServerFixture fixture;
  WireClient client(fixture.address());
  REQUIRE(client.Ask(PutFrame("a", "1")) == OkReply());
  absl::Status drained;
  base::Thread drain([&] { drained = fixture.server->Drain(); });
  bool refused = false;
  while (client.Send(GetFrame("a"))) {
    const auto reply = client.Receive();
    if (!reply.has_value()) break;
    CHECK((reply->ok ? !refused : reply->code == ToCode(proto::ErrorCode::kShuttingDown)));
    refused = refused || !reply->ok;
  }
  client.Close();
  drain.Join();
  CHECK_OK(drained);
}

TEST_CASE("a drain that takes too long says so, and has closed what was left") {
  ServerOptions options;
  options.drain_timeout = absl::Milliseconds(100);
  ServerFixture fixture(options);
  fixture.store.SetHolding(true);
  WireClient client(fixture.address());
  REQUIRE(client.Send(PutFrame("a", "1")));
  REQUIRE(fixture.Eventually([&] { return fixture.server->Stats().in_flight == 1; }));
  CHECK_CODE(fixture.server->Drain(), kDeadlineExceeded);
  CHECK(client.SeesEnd());
  CHECK(fixture.server->Stats().connections_open == 0);
}

TEST_CASE("clients that do not take their replies are cut by a drain, which is no error and says how many") {
  struct CountingLogger final : Logger {
    void Log(LogSeverity, std::string_view message) override {
      base::MutexLock lock(&mutex);
      lines += std::string(message) + "\n";
    }
    base::Mutex mutex;
    std::string lines;
  } logger;
  ServerOptions options;
  options.loops = GENERATE(1, 4);
  options.logger = &logger;
  options.drain_timeout = absl::Milliseconds(100);
  ServerFixture fixture(options);
  REQUIRE_OK(fixture.store.Put("large", std::string(15 << 20, 'L')));
  std::vector<std::unique_ptr<WireClient>> deaf;
  for (int i = 0; i < 3; i++) {
    deaf.push_back(std::make_unique<WireClient>(fixture.address()));
    REQUIRE(deaf.back()->Send(GetFrame("large")));
  }
  REQUIRE(fixture.Eventually([&] { return fixture.server->Stats().replies == 3; }));
  CHECK_OK(fixture.server->Drain());
  base::MutexLock lock(&logger.mutex);
  CHECK(logger.lines.find("closed 3 connections whose clients did not take their replies") != std::string::npos);
}

TEST_CASE("a server stops although a route does not return from its worker") {
  ServerOptions options;
  options.loops = GENERATE(1, 4);
  options.drain_timeout = absl::Milliseconds(50);
  // Never set: the worker is there until the process ends, and so is this.
  struct Stuck {
    std::atomic<bool> begun{false};
    base::Event never;
  };
  auto stuck = std::make_shared<Stuck>();
  ServerHooks hooks;
  hooks.routes.push_back({kFirstUserMessage,
                          [stuck](const ServerRequest&, const Responder&) {
                            stuck->begun = true;
                            stuck->never.BlockUntilSet(base::kForever);
                          },
                          {.on_worker = true}});
  ServerFixture fixture(options, std::move(hooks));
  WireClient client(fixture.address());
  std::string frame;
  proto::AppendFrame(&frame, kFirstUserMessage, "hang");
  REQUIRE(client.Send(frame));
  REQUIRE(fixture.Eventually([&] { return stuck->begun.load(); }));
  CHECK_CODE(fixture.server->Drain(), kDeadlineExceeded);
  fixture.server->Stop();
  CHECK(client.SeesEnd());
}

TEST_CASE("under load a drain loses no acknowledged write, and every client sees whole replies and then the end") {
  ServerOptions options;
  options.loops = GENERATE(1, 2);
  ServerFixture fixture(options);
  constexpr int kClients = 4;
  std::vector<int> acknowledged(kClients, 0);
  std::atomic<int> running{0};
  {
    std::vector<std::unique_ptr<base::Thread>> threads;
    for (int c = 0; c < kClients; c++) {
      threads.push_back(std::make_unique<base::Thread>([&, c] {
        WireClient client(fixture.address());
        running++;
        for (int i = 0;; i++) {
          if (!client.Send(PutFrame(std::to_string(c) + "/" + std::to_string(i), "v"))) break;
          const auto reply = client.Receive();
          if (!reply.has_value() || !reply->ok) break;
          acknowledged[static_cast<size_t>(c)] = i + 1;
        }
      }));
    }
    REQUIRE(fixture.Eventually([&] { return running == kClients && fixture.store.size() > 1000; }));
    CHECK_OK(fixture.server->Drain());
  }
  for (int c = 0; c < kClients; c++) {
    for (int i = 0; i < acknowledged[static_cast<size_t>(c)]; i++) {
      REQUIRE(fixture.store.Get(std::to_string(c) + "/" + std::to_string(i)).ok());
    }
  }
}

TEST_CASE("a server stops at once with clients at every stage, and without its store's leave it does not go") {
  ServerFixture fixture;
  fixture.store.SetHolding(true);
  WireClient half(fixture.address()), waiting(fixture.address()), idle(fixture.address());
  REQUIRE(half.Send(PutFrame("a", "1").substr(0, 5)));
  REQUIRE(waiting.Send(PutFrame("a", "1")));
  REQUIRE(fixture.Eventually([&] { return fixture.server->Stats().in_flight == 1; }));
  std::atomic<bool> stopped{false};
  base::Thread stop([&] {
    fixture.server->Stop();
    stopped = true;
  });
  CHECK(waiting.SeesEnd());
  CHECK(half.SeesEnd());
  CHECK_FALSE(stopped);
  fixture.store.SetHolding(false);
  stop.Join();
  CHECK(stopped);
}

}  // namespace bandb::test
