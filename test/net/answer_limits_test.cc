#include "net/answer_limits.h"

#include <optional>
#include <string>
#include <string_view>

#include "support/catch.h"
#include "support/sim_streams.h"

namespace bandb::test {

namespace {

constexpr int64_t kLimitNanos = 1'000'000;

// What is heard of one request. Steps: 'L' its time passes, 'W' it returns from its worker, 'A' it
// is answered.
std::string Hear(std::string_view steps, bool runs) {
  SimNetwork network({});
  const std::unique_ptr<base::EventLoop> loop = network.MakeLoop();
  std::string heard;
  net::AnswerLimits limits(loop.get(), [&heard](const net::AnswerLimits::Overrun& overrun) {
    CHECK(overrun.message_id == 7);
    CHECK(overrun.limit_nanos == kLimitNanos);
    heard += overrun.has_begun ? "over" : "not begun";
    if (overrun.unanswered) heard += ", refuse";
    if (overrun.is_lost) heard += ", lost";
    heard += ";";
  });
  const net::Ticket ticket{.connection = {1, 2}, .sequence = 3};
  const net::Ticket other{.connection = {1, 2}, .sequence = 4};
  limits.Add(ticket, 7, kLimitNanos, [runs] { return !runs; });
  for (const char step : steps) {
    CHECK(limits.MayAnswer(other));
    CHECK_FALSE(limits.TakeBack(other));
    if (step == 'L') {
      network.RunFor(2 * kLimitNanos);
    } else if (step == 'W') {
      heard += limits.TakeBack(ticket) ? "found;" : "back;";
    } else {
      heard += limits.MayAnswer(ticket) ? "answer;" : "late;";
    }
  }
  // Nothing is kept of it.
  const std::string before = heard;
  CHECK(limits.MayAnswer(ticket));
  CHECK_FALSE(limits.TakeBack(ticket));
  network.RunFor(2 * kLimitNanos);
  CHECK(heard == before);
  return heard;
}

}  // namespace

TEST_CASE("a request is refused at its limit if no answer has come, and one that comes later is dropped") {
  CHECK(Hear("WA", true) == "back;answer;");
  CHECK(Hear("AW", true) == "answer;back;");
  CHECK(Hear("LWA", true) == "over, refuse, lost;found;late;");
  CHECK(Hear("LAW", true) == "over, refuse, lost;late;found;");
  CHECK(Hear("WLA", true) == "back;over, refuse;late;");
  // It was answered, but has not returned.
  CHECK(Hear("ALW", true) == "answer;over, lost;found;");
}

TEST_CASE("what no worker came to in its time is not run any more, and no worker is lost with it") {
  CHECK(Hear("LW", false) == "not begun, refuse;back;");
}

namespace {

// A request whose loop is held for `held_nanos`, as where the process is stopped; it returned and
// was answered before that ended, if `answered`.
struct HeldLoop {
  HeldLoop(int64_t held_nanos, bool answered) {
    limits.Add(ticket, 7, kLimitNanos, [] { return false; });
    network.Hold(loop.get(), true);
    network.RunFor(held_nanos);
    if (answered) {
      loop->Post([this] {
        limits.TakeBack(ticket);
        heard += limits.MayAnswer(ticket) ? "answer;" : "late;";
      });
    }
    network.Hold(loop.get(), false);
  }

  SimNetwork network{{}};
  std::unique_ptr<base::EventLoop> loop = network.MakeLoop();
  std::string heard;
  net::AnswerLimits limits{loop.get(), [this](const auto&) { heard += "over;"; }};
  const net::Ticket ticket{.connection = {1, 2}, .sequence = 3};
};

}  // namespace

TEST_CASE("an answer that is on its way when the time has passed comes in time") {
  HeldLoop held(GENERATE(2, 20, 3000) * kLimitNanos, true);
  held.network.RunFor(3 * kLimitNanos);
  CHECK(held.heard == "answer;");
}

TEST_CASE("time in which the loop did not run counts once, and no longer than the limit itself") {
  HeldLoop held(GENERATE(20, 3000) * kLimitNanos, false);
  held.network.RunFor(kLimitNanos / 2);
  CHECK(held.heard.empty());
  held.network.RunFor(kLimitNanos);
  CHECK(held.heard == "over;");
}

TEST_CASE("limits that have passed and were not yet told of end with what keeps them") {
  SimNetwork network({});
  const std::unique_ptr<base::EventLoop> loop = network.MakeLoop();
  std::optional<net::AnswerLimits> limits(std::in_place, loop.get(), [](const auto&) { FAIL("it is gone"); });
  limits->Add({.connection = {1, 2}, .sequence = 3}, 7, kLimitNanos, [] { return false; });
  // After the limit has come due, in the same turn.
  loop->After(kLimitNanos, [&] { limits.reset(); });
  network.RunFor(2 * kLimitNanos);
  CHECK_FALSE(limits.has_value());
}

TEST_CASE("what waits in vain for a worker is bounded in number") {
  SimNetwork network({});
  const std::unique_ptr<base::EventLoop> loop = network.MakeLoop();
  net::AnswerLimits limits(loop.get(), [](const auto&) {});
  uint64_t sequence = 0;
  while (!limits.IsFull()) {
    limits.Add({.connection = {1, 2}, .sequence = sequence++}, 7, kLimitNanos, [] { return true; });
    network.RunFor(2 * kLimitNanos);
  }
  CHECK(sequence == net::AnswerLimits::kCancelledMax);
  CHECK_FALSE(limits.TakeBack({.connection = {1, 2}, .sequence = 0}));
  CHECK_FALSE(limits.IsFull());
}

TEST_CASE("limits that are not reached end with what keeps them") {
  SimNetwork network({});
  const std::unique_ptr<base::EventLoop> loop = network.MakeLoop();
  std::optional<net::AnswerLimits> limits(std::in_place, loop.get(), [](const auto&) { FAIL("it is gone"); });
  limits->Add({.connection = {1, 2}, .sequence = 3}, 7, kLimitNanos, [] { return false; });
  limits.reset();
  network.RunFor(2 * kLimitNanos);
}

}  // namespace bandb::test
