// One connection: its timeouts, what it answers before a payload is there, and what it gives back.
#include "net/connection.h"

#include <string>

#include "net/line_world.h"
#include "support/catch.h"

namespace bandb::test {
namespace {

// Lets every loop turn for a while without time going by.
void Turn(LineWorld* world) {
  int turns = 0;
  REQUIRE(world->RunUntil([&turns] { return ++turns == 4; }));
}

}  // namespace

TEST_CASE("time in which the process did not run is nobody's timeout") {
  LineWorld world(GENERATE(LineWorld::kStoppedSockets, LineWorld::kStoppedPollSockets));
  const bool unread = GENERATE(false, true);
  if (unread) {
    // More than the sockets take, for a client that is about to go on reading.
    world.client.StopReading();
    REQUIRE(world.RunUntil([&] {
      if (world.server().counters().pauses.Get() > 0) return true;
      for (int i = 0; i < 1000; i++) world.client.Send(fmt::format("1 {:x<90}\n", ""));
      return false;
    }));
  } else {
    world.client.Send("1 half a fr");
  }
  Turn(&world);
  world.clock.AdvanceMillis(100'000);
  Turn(&world);
  CHECK(world.server().counters().connections_timed_out.Get() == 0);
  if (unread) {
    world.client.StartReading();
    CHECK(world.RunUntil([&] { return world.server().counters().pauses.Get() > 0 && !world.client.received.empty(); }));
  }
  CHECK(world.gone.empty());
  // Time that it ran is another matter.
  if (unread) return;
  for (int i = 0; i < 130; i++) {
    world.clock.AdvanceMillis(240);
    Turn(&world);
  }
  CHECK(world.server().counters().connections_timed_out.Get() == 1);
  const std::string timed_out = ErrorLine(net::Refusal::kFrameTimedOut);
  CHECK(world.Answers(timed_out.size()) == timed_out);
}

TEST_CASE("a frame of an unknown message id is answered at its header, and skipped as it comes") {
  LineWorld world(GENERATE(kSockets, kPollSockets, 1, 2));
  world.client.Send("1 first\n99 +50\n12345");
  const std::string unknown = ErrorLine(net::Refusal::kUnknownMessage);
  CHECK(world.Answers(6 + unknown.size()) == fmt::format("first\n{}", unknown));
  world.client.Send(fmt::format("{:x<45}1 next\n", ""));
  CHECK(world.Answers(11 + unknown.size()) == fmt::format("first\n{}next\n", unknown));
  // Nothing of it was kept.
  CHECK(world.memory_bytes() < 1000);
}

TEST_CASE("a connection that once pipelined much gives its memory back when it is idle") {
  LineWorld world(GENERATE(LineWorld::kStoppedSockets, LineWorld::kStoppedPollSockets, 1));
  std::string asked;
  for (int i = 0; i < 60; i++) asked += "2 x\n";
  world.client.Send(asked);
  REQUIRE(world.RunUntil([&] { return world.tickets.size() == 60; }));
  CHECK(world.memory_bytes() > 4000);
  for (const net::Ticket& ticket : world.tickets) CHECK_OK(world.Complete(ticket, "y\n"));
  world.Answers(120);
  REQUIRE(world.RunUntil([&] {
    world.clock.AdvanceMillis(100);
    return world.memory_bytes() < 1024;
  }));
}

}  // namespace bandb::test
