// One account of memory: what counts, what is refused when it is short, and who is closed.
#include <string>

#include "net/line_world.h"
#include "support/catch.h"

namespace bandb::test {
namespace {

constexpr int64_t kLimit = 400000;

net::ServerLimits SmallMemory() {
  net::ServerLimits limits;
  limits.memory_bytes_max = kLimit;
  return limits;
}

uint64_t Written(const LineWorld& world) { return world.Sum(&net::Counters::bytes_written); }

std::string Large(size_t bytes) { return fmt::format("2 +{}\n", bytes) + std::string(bytes, 'x'); }

}  // namespace

TEST_CASE("what the requests of a client that is gone hold is counted until they are done") {
  LineWorld world(GENERATE(kSockets, kPollSockets, 1, 2), {}, GENERATE(1, 4));
  world.later_bytes = 50000;
  RecordingEnd vanishing;
  world.Connect(&vanishing);
  // A reply that it does not read makes its end a reset.
  vanishing.StopReading();
  vanishing.Send("1 unread\n2 one\n2 two\n");
  REQUIRE(world.RunUntil([&] { return world.tickets.size() == 2 && Written(world) == 7; }));
  vanishing.Close();
  REQUIRE(world.RunUntil([&] { return world.gone.size() == 1; }));
  CHECK(world.memory_bytes() >= 100000);
  CHECK_CODE(world.Complete(world.tickets[0], "late\n"), kNotFound);
  CHECK(world.memory_bytes() >= 50000);
  CHECK(world.memory_bytes() < 100000);
  CHECK_CODE(world.Complete(world.tickets[1], "late\n"), kNotFound);
  CHECK(world.memory_bytes() < 1000);
}

TEST_CASE("clients that ask for much and vanish, again and again, get no further than the limit") {
  LineWorld world(GENERATE(kSockets, kPollSockets, 1), SmallMemory(), GENERATE(1, 4));
  world.later_bytes = 50000;
  uint64_t answered = 0;
  for (size_t i = 0; i < 30; i++) {
    RecordingEnd vanishing;
    world.Connect(&vanishing);
    vanishing.StopReading();
    const uint64_t written = Written(world);
    const uint64_t overloaded = world.Sum(&net::Counters::overloaded);
    vanishing.Send("1 unread\n2 one\n");
    REQUIRE(world.RunUntil(
        [&] { return Written(world) > written && world.tickets.size() + world.Sum(&net::Counters::overloaded) > i; }));
    if (world.Sum(&net::Counters::overloaded) > overloaded) answered++;
    vanishing.Close();
    REQUIRE(world.RunUntil([&] { return world.gone.size() == i + 1; }));
  }
  CHECK(world.tickets.size() == kLimit / 50000);
  CHECK(world.memory_bytes() < kLimit + 10000);
  CHECK(world.Sum(&net::Counters::overloaded) == answered);
  // Whatever asks the store nothing is answered all the same.
  world.client.Send("1 here\n2 later\n");
  const std::string overloaded = ErrorLine(net::Refusal::kOverloaded);
  CHECK(world.Answers(5 + overloaded.size()) == fmt::format("here\n{}", overloaded));
  for (const net::Ticket& ticket : world.tickets) world.Complete(ticket, "late\n").IgnoreError();
  CHECK(world.evictions == 0);
}

TEST_CASE("while memory is tight a large frame is answered overloaded at its header, and the connection goes on") {
  LineWorld world(GENERATE(kSockets, kPollSockets, 1, 2), SmallMemory(), GENERATE(1, 4));
  world.later_bytes = kLimit / 4 * 3;
  RecordingEnd other;
  world.Connect(&other);
  other.Send("2 holds much\n");
  REQUIRE(world.RunUntil([&] { return world.tickets.size() == 1; }));
  world.client.Send(Large(90000).substr(0, 1000));
  const std::string overloaded = ErrorLine(net::Refusal::kOverloaded);
  CHECK(world.Answers(overloaded.size()) == overloaded);
  // The rest is skipped, in pieces.
  world.client.Send(Large(90000).substr(1000) + "1 next\n");
  CHECK(world.Answers(overloaded.size() + 5) == fmt::format("{}next\n", overloaded));
  CHECK(world.memory_bytes() < kLimit / 4 * 3 + 20000);
  world.later_bytes = 0;
  CHECK_OK(world.Complete(world.tickets[0], "done\n"));
  REQUIRE(world.RunUntil([&] { return world.memory_bytes() < kLimit / 2; }));
  // And when it is not tight any more it is served.
  world.client.Send(Large(90000));
  REQUIRE(world.RunUntil([&] { return world.tickets.size() == 2; }));
  CHECK_OK(world.Complete(world.tickets[1], "large\n"));
  CHECK(world.Answers(overloaded.size() + 11) == fmt::format("{}next\nlarge\n", overloaded));
}

TEST_CASE("frames half read are given up when memory gets tight, largest demands first, and nobody is closed") {
  LineWorld world(GENERATE(kSockets, kPollSockets, 1), SmallMemory(), GENERATE(1, 4));
  constexpr size_t kHoarders = 20;
  const std::string frame = Large(60000);
  std::vector<std::unique_ptr<RecordingEnd>> hoarders;
  for (size_t i = 0; i < kHoarders; i++) {
    hoarders.push_back(std::make_unique<RecordingEnd>());
    world.Connect(hoarders.back().get());
    hoarders.back()->Send(frame.substr(0, frame.size() - 1));
  }
  const auto read = [&] { return world.Sum(&net::Counters::bytes_read); };
  REQUIRE(world.RunUntil([&] { return read() == kHoarders * (frame.size() - 1); }));
  CHECK(world.memory_bytes() <= kLimit);
  for (auto& hoarder : hoarders) hoarder->Send("x1 alive\n");
  size_t done = 0;
  REQUIRE(world.RunUntil([&] {
    for (; done < world.tickets.size(); done++) CHECK_OK(world.Complete(world.tickets[done], "stored\n"));
    return std::all_of(hoarders.begin(), hoarders.end(),
                       [](const auto& h) { return h->received.ends_with("alive\n"); });
  }));
  for (const auto& hoarder : hoarders) {
    CHECK((hoarder->received == "stored\nalive\n" ||
           hoarder->received == fmt::format("{}alive\n", ErrorLine(net::Refusal::kOverloaded))));
  }
  CHECK(done > 0);
  CHECK(done < kHoarders);
  CHECK(world.evictions == 0);
}

TEST_CASE("beyond the limit only the connection that holds more than its share is closed, whichever loop it is on") {
  LineWorld world(GENERATE(kSockets, kPollSockets, 1, 2), SmallMemory(), GENERATE(1, 4));
  std::vector<std::unique_ptr<RecordingEnd>> small;
  for (int i = 0; i < 16; i++) {
    small.push_back(std::make_unique<RecordingEnd>());
    world.Connect(small.back().get());
    small.back()->Send("2 small\n");
  }
  REQUIRE(world.RunUntil([&] { return world.tickets.size() == 16; }));
  // One request may hold more than was left.
  world.later_bytes = kLimit;
  world.client.Send("2 hog\n");
  REQUIRE(world.RunUntil([&] { return world.client.ended || world.client.broken; }));
  // It may have been done: the client is told that nobody knows.
  CHECK(world.client.received == ErrorLine(net::Refusal::kOutcomeUnknown));
  CHECK(world.evictions == 1);
  CHECK(world.Sum(&net::Counters::connections_evicted) == 1);
  for (size_t i = 0; i < 17; i++) world.Complete(world.tickets[i], "done\n").IgnoreError();
  REQUIRE(world.RunUntil(
      [&] { return std::all_of(small.begin(), small.end(), [](const auto& s) { return s->received == "done\n"; }); }));
  CHECK(world.memory_bytes() < kLimit / 2);
}

TEST_CASE("memory that many replies share is counted once, until the last of them is gone") {
  net::Quota quota;
  const std::string value(1000, 'v');
  quota.Share(value.data(), value.size());
  quota.Share(value.data(), value.size());
  CHECK(quota.memory_bytes == 1000);
  quota.Unshare(value.data());
  CHECK(quota.memory_bytes == 1000);
  quota.Unshare(value.data());
  CHECK(quota.memory_bytes == 0);
}

}  // namespace bandb::test
