// BanNet alone: routes, hooks, workers, order, ends.
#include "net/frame_server.h"

#include <fmt/format.h>

#include <optional>
#include <string>

#include "net/line_world.h"
#include "support/catch.h"

namespace bandb::test {

TEST_CASE("frames go to the route of their message id, and replies come in the order of requests") {
  LineWorld world(GENERATE(kSockets, kPollSockets, 1, 2, 3));
  world.client.Send("2 first\n2 second\n1 third\n");
  REQUIRE(world.RunUntil([&] { return world.tickets.size() == 2; }));
  CHECK(world.client.received.empty());
  CHECK_OK(world.Complete(world.tickets[1], "B\n"));
  CHECK_OK(world.Complete(world.tickets[0], "A\n"));
  CHECK(world.Answers(10) == "A\nB\nthird\n");
}

TEST_CASE("a request of another lane does not start before those in front of it are answered") {
  LineWorld world(GENERATE(kSockets, kPollSockets, 1, 2));
  world.client.Send("2 one\n2 two\n3 other lane\n");
  REQUIRE(world.RunUntil([&] { return world.tickets.size() == 2; }));
  CHECK_OK(world.Complete(world.tickets[0], "1\n"));
  CHECK(world.Answers(2) == "1\n");
  CHECK(world.after.empty());
  CHECK_OK(world.Complete(world.tickets[1], "2\n"));
  CHECK(world.Answers(15) == "1\n2\nother lane\n");
  CHECK(world.after == std::vector<std::string>{"other lane true 0"});
}

TEST_CASE("hooks in front of a handler let pass, change, drop and reject, and those behind it see how it ended") {
  LineWorld world(GENERATE(kSockets, kPollSockets, 1, 2));
  world.client.Send("3 pass\n3 change\n3 drop\n3 reject\n");
  CHECK(world.Answers(33) == "pass\nchanged\nok\nerror 7 not here\n");
  // What never came to the handler has no end.
  CHECK(world.after == std::vector<std::string>{"pass true 0", "changed true 0"});
  CHECK(world.server().counters().hook_drops.Get() == 1);
  CHECK(world.server().counters().hook_rejections.Get() == 1);
}

TEST_CASE("a route on a worker answers from there, behind its hooks, and in the order of requests") {
  LineWorld world(GENERATE(kSockets, kPollSockets, 1, 2));
  world.client.Send("4 work\n1 behind\n4 reject\n4 drop\n4 change\n1 end\n");
  CHECK(world.Answers(44) == "work\nbehind\nerror 7 not here\nok\nchanged\nend\n");
}

TEST_CASE("an unknown message id is answered, and the connection goes on") {
  LineWorld world(GENERATE(kSockets, kPollSockets, 1));
  world.client.Send("99 what\n1 still here\n");
  CHECK(world.Answers(29) == "error 100 refused\nstill here\n");
}

TEST_CASE("a frame that is too long is answered, and closes its connection and no other") {
  LineWorld world(GENERATE(kSockets, kPollSockets, 1));
  RecordingEnd other;
  world.Connect(&other);
  world.client.Send("1 fits\n1 " + std::string(kLineBytesMax, 'x') + "\n1 never read\n");
  REQUIRE(world.RunUntil([&] { return world.client.ended || world.client.broken; }));
  CHECK(world.client.received == std::string("fits\n") + ErrorLine(net::Refusal::kFrameTooLong));
  other.Send("1 here\n");
  CHECK(world.RunUntil([&] { return other.received == "here\n"; }));
}

TEST_CASE("a reply that comes when its connection is gone finds nobody") {
  LineWorld world(GENERATE(kSockets, kPollSockets, 1));
  world.client.Send("2 wait\n");
  REQUIRE(world.RunUntil([&] { return world.tickets.size() == 1; }));
  world.server().CloseAll();
  REQUIRE(world.RunUntil([&] { return world.gone.size() == 1; }));
  CHECK(world.gone[0] == world.connected[0]);
  CHECK_CODE(world.Complete(world.tickets[0], "late\n"), kNotFound);
}

TEST_CASE("what one turn answers leaves in one write") {
  LineWorld world(GENERATE(kSockets, kPollSockets));
  std::string asked, answered;
  for (int i = 0; i < 100; ++i) {
    asked += fmt::format("1 {}\n", i);
    answered += fmt::format("{}\n", i);
  }
  world.client.Send(asked);
  CHECK(world.Answers(answered.size()) == answered);
  CHECK(world.server().counters().replies.Get() == 100);
  CHECK(world.server().counters().write_calls.Get() == 1);
}

TEST_CASE("a connection that a hook refuses is told why and closed") {
  LineWorld world(GENERATE(kSockets, kPollSockets, 1));
  world.refusal = {.verdict = net::HookDecision::Verdict::kReject, .code = 9, .text = "strangers"};
  RecordingEnd stranger;
  world.Connect(&stranger);
  REQUIRE(world.RunUntil([&] { return stranger.ended || stranger.broken; }));
  CHECK(stranger.received == "error 9 strangers\n");
  CHECK(world.gone.empty());
  world.client.Send("1 served\n");
  CHECK(world.Answers(7) == "served\n");
}

TEST_CASE("a server that drains answers what it had read, and then has nobody left") {
  LineWorld world(GENERATE(kSockets, kPollSockets, 1));
  world.client.Send("2 wait\n");
  REQUIRE(world.RunUntil([&] { return world.tickets.size() == 1; }));
  std::optional<net::DrainOutcome> outcome;
  world.Drain(int64_t{60} * 1'000'000'000, [&outcome](const net::DrainOutcome& done) { outcome = done; });
  int turns = 0;
  REQUIRE(world.RunUntil([&turns] { return ++turns == 100; }));
  CHECK_FALSE(outcome.has_value());
  CHECK_OK(world.Complete(world.tickets[0], "done\n"));
  REQUIRE(world.RunUntil([&] { return world.client.ended; }));
  CHECK(world.client.received == "done\n");
  world.client.Close();
  REQUIRE(world.RunUntil([&] { return outcome.has_value(); }));
  CHECK(outcome->unanswered == 0);
  CHECK(world.server().idle());
}

}  // namespace bandb::test
