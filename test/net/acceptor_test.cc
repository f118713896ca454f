// Who serves a connection: one socket, several loops.
#include "net/acceptor.h"

#include <array>

#include "net/line_world.h"
#include "support/catch.h"

namespace bandb::test {

TEST_CASE("connections are dealt out to all loops alike") {
  LineWorld world(GENERATE(kSockets, kPollSockets, 1, 2), {}, 4);
  std::vector<std::unique_ptr<RecordingEnd>> clients;
  for (int i = 0; i < 11; i++) {
    clients.push_back(std::make_unique<RecordingEnd>());
    world.Connect(clients.back().get());
    clients.back()->Send("1 hello\n");
  }
  REQUIRE(world.RunUntil([&] {
    return std::all_of(clients.begin(), clients.end(), [](const auto& c) { return c->received == "hello\n"; });
  }));
  std::array<int, 4> of_loop{};
  for (const net::ConnectionId& id : world.connected) of_loop[id.index >> 24]++;
  CHECK(of_loop == std::array<int, 4>{3, 3, 3, 3});
}

TEST_CASE("a connection that comes while its loop drains is told so, and one that comes later is closed") {
  LineWorld world(GENERATE(kSockets, kPollSockets, 1), {}, 2);
  // The first client is on loop 0, the next will be on loop 1.
  bool drained = false;
  world.server(1).Drain(int64_t{60} * 1'000'000'000, [&drained](const net::DrainOutcome&) { drained = true; });
  RecordingEnd late;
  world.Connect(&late);
  REQUIRE(world.RunUntil([&] { return late.ended || late.broken; }));
  CHECK(late.received == ErrorLine(net::Refusal::kShuttingDown));
  late.Close();
  REQUIRE(world.RunUntil([&] { return drained && world.server(1).idle(); }));
  world.server(1).CloseAll();
  RecordingEnd on_first, later;
  world.Connect(&on_first);
  world.Connect(&later);
  REQUIRE(world.RunUntil([&] { return later.ended || later.broken; }));
  CHECK(later.received.empty());
  on_first.Send("1 served\n");
  CHECK(world.RunUntil([&] { return on_first.received == "served\n"; }));
}

}  // namespace bandb::test
