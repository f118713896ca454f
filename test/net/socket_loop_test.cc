// What the byte-stream seam promises, kept by sockets, however watched, and by the simulation.
#include "net/socket_loop.h"

#include <algorithm>

#include "base/thread.h"
#include "net/stream_world.h"
#include "support/catch.h"

namespace bandb::test {
namespace {

// A connection of which both ends are up.
struct Pair {
  explicit Pair(StreamWorld* world) : world(world), server_loop(world->MakeLoop()), client_loop(world->MakeLoop()) {
    REQUIRE_OK(listener.Listen(server_loop.get(), "127.0.0.1:0"));
    auto stream = client_loop->Connect(listener.address(), &client);
    REQUIRE(stream.ok());
    client.Own(*std::move(stream));
    REQUIRE(world->RunUntil([&] { return client.connected && listener.ends.size() == 1; }));
  }
  RecordingEnd& server() { return *listener.ends.at(0); }

  StreamWorld* const world;
  const std::unique_ptr<base::EventLoop> server_loop;
  const std::unique_ptr<base::EventLoop> client_loop;
  RecordingListener listener;
  RecordingEnd client;
};

class TurnCounter final : public base::TurnHandler {
 public:
  void OnTurnEnd() override { turns++; }
  int turns = 0;
};

}  // namespace

TEST_CASE("bytes arrive whole and in order, both ways, however they are split on the way") {
  auto world = MakeWorld(GENERATE(kSockets, kPollSockets, 1, 2, 3));
  Pair pair(world.get());
  std::string there, back;
  for (int i = 0; i < 300000; i++) there.push_back(static_cast<char>(i * 7 + i / 256));
  back.assign(there.rbegin(), there.rend());
  pair.client.Send(there);
  pair.server().Send(back);
  REQUIRE(world->RunUntil(
      [&] { return pair.server().received.size() >= there.size() && pair.client.received.size() >= back.size(); }));
  CHECK(pair.server().received == there);
  CHECK(pair.client.received == back);
}

TEST_CASE("the end is read behind the last byte, and the other direction stays open") {
  auto world = MakeWorld(GENERATE(kSockets, kPollSockets, 1, 2));
  Pair pair(world.get());
  pair.client.Send("last words");
  REQUIRE(world->RunUntil([&] { return pair.server().received == "last words"; }));
  pair.client.stream()->CloseWrite();
  REQUIRE(world->RunUntil([&] { return pair.server().ended; }));
  pair.server().Send("an answer");
  REQUIRE(world->RunUntil([&] { return pair.client.received == "an answer"; }));
  CHECK_FALSE(pair.client.ended);
  CHECK_FALSE(pair.client.broken);
}

TEST_CASE("a connection to nobody is broken, not an exception") {
  auto world = MakeWorld(GENERATE(kSockets, kPollSockets, 1));
  const auto loop = world->MakeLoop();
  RecordingListener gone;
  REQUIRE_OK(gone.Listen(loop.get(), "127.0.0.1:0"));
  const std::string address = gone.address();
  gone.Close();
  RecordingEnd client;
  auto stream = loop->Connect(address, &client);
  REQUIRE(stream.ok());
  client.Own(*std::move(stream));
  CHECK(world->RunUntil([&] { return client.broken; }));
}

TEST_CASE("an address that is taken or none is refused with its code") {
  auto world = MakeWorld(GENERATE(kSockets, kPollSockets, 1));
  const auto loop = world->MakeLoop();
  RecordingListener first, second;
  REQUIRE_OK(first.Listen(loop.get(), "127.0.0.1:0"));
  CHECK_CODE(second.Listen(loop.get(), first.address()), kFailedPrecondition);
  CHECK_CODE(second.Listen(loop.get(), "nonsense"), kInvalidArgument);
  RecordingEnd client;
  CHECK_CODE(loop->Connect("nonsense", &client).status(), kInvalidArgument);
}

TEST_CASE("a writer that nobody reads is held up, and goes on when somebody does") {
  auto world = MakeWorld(GENERATE(kSockets, kPollSockets, 1, 2));
  Pair pair(world.get());
  pair.server().StopReading();
  // More than any socket buffer takes.
  const std::string much(12 << 20, 'm');
  pair.client.Send(much);
  world->RunUntil([turns = 0]() mutable { return ++turns > 200; });
  CHECK(pair.server().received.empty());
  pair.server().StartReading();
  REQUIRE(world->RunUntil([&] { return pair.server().received.size() == much.size(); }));
}

TEST_CASE("a stream that closes with bytes unread is seen broken by its peer") {
  auto world = MakeWorld(GENERATE(kSockets, kPollSockets, 1, 2));
  Pair pair(world.get());
  pair.client.Send("unread");
  pair.server().close_when_readable = true;
  CHECK(world->RunUntil([&] { return pair.client.broken; }));
}

TEST_CASE("handlers may destroy their stream, and each other's, in any turn") {
  auto world = MakeWorld(GENERATE(kSockets, kPollSockets, 1, 2, 3, 4));
  Pair pair(world.get());
  RecordingEnd others[4];
  for (RecordingEnd& other : others) {
    auto stream = pair.client_loop->Connect(pair.listener.address(), &other);
    REQUIRE(stream.ok());
    other.Own(*std::move(stream));
  }
  REQUIRE(world->RunUntil([&] { return pair.listener.ends.size() == 5; }));
  for (auto& end : pair.listener.ends) end->close_when_readable = true;
  for (RecordingEnd& other : others) other.Send("x");
  pair.client.Send("x");
  CHECK(world->RunUntil([&] {
    return std::all_of(std::begin(others), std::end(others), [](const RecordingEnd& e) { return e.broken || e.ended; });
  }));
}

TEST_CASE("timers run in the order of their times, and not when cancelled") {
  auto world = MakeWorld(GENERATE(kSockets, kPollSockets, 1));
  const auto loop = world->MakeLoop();
  std::string order;
  loop->After(3000000, [&] { order += 'c'; });
  loop->After(1000000, [&] { order += 'a'; });
  const base::TimerId cancelled = loop->After(2000000, [&] { order += 'x'; });
  loop->After(2000000, [&] { order += 'b'; });
  loop->Cancel(cancelled);
  loop->Cancel(cancelled);
  loop->Cancel(base::kNoTimer);
  CHECK(world->RunUntil([&] { return order.size() == 3; }));
  CHECK(order == "abc");
}

TEST_CASE("a timer that adds a timer does not keep the loop from its turn's end") {
  auto world = MakeWorld(GENERATE(kSockets, kPollSockets, 1));
  const auto loop = world->MakeLoop();
  TurnCounter counter;
  loop->AddTurnHandler(&counter);
  int runs = 0;
  std::function<void()> again = [&] {
    runs++;
    loop->After(0, [&] { again(); });
  };
  again();
  CHECK(world->RunUntil([&] { return runs > 10; }));
  CHECK(counter.turns >= 9);
  loop->RemoveTurnHandler(&counter);
}

TEST_CASE("tasks posted from many threads all run, each thread's in its order") {
  auto world = MakeWorld(GENERATE(kSockets, kPollSockets));
  const auto loop = world->MakeLoop();
  constexpr int kThreads = 4;
  constexpr int kTasks = 2000;
  std::vector<int> last(kThreads, -1);
  int ran = 0;
  bool in_order = true;
  {
    std::vector<std::unique_ptr<base::Thread>> threads;
    for (int t = 0; t < kThreads; t++) {
      threads.push_back(std::make_unique<base::Thread>([&, t] {
        for (int i = 0; i < kTasks; i++) {
          loop->Post([&, t, i] {
            in_order = in_order && last[static_cast<size_t>(t)] == i - 1;
            last[static_cast<size_t>(t)] = i;
            ran++;
          });
        }
      }));
    }
    CHECK(world->RunUntil([&] { return ran == kThreads * kTasks; }));
  }
  CHECK(in_order);
}

TEST_CASE("a task posted by a task runs in a later turn") {
  auto world = MakeWorld(GENERATE(kSockets, kPollSockets, 1));
  const auto loop = world->MakeLoop();
  TurnCounter counter;
  loop->AddTurnHandler(&counter);
  int turns_between = -1;
  loop->Post([&] {
    const int before = counter.turns;
    loop->Post([&, before] { turns_between = counter.turns - before; });
  });
  CHECK(world->RunUntil([&] { return turns_between >= 0; }));
  CHECK(turns_between == 1);
}

}  // namespace bandb::test
