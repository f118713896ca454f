// Replies that wait for those before them.
#include "net/reply_queue.h"

#include <deque>
#include <string>

#include "base/random.h"
#include "support/catch.h"

namespace bandb::test {
namespace {

std::string Take(net::OutputQueue* output) {
  std::string bytes;
  while (!output->empty()) {
    std::string_view piece;
    output->Gather(absl::MakeSpan(&piece, 1));
    bytes += piece;
    output->Consume(piece.size());
  }
  return bytes;
}

}  // namespace

TEST_CASE("replies leave in the order of their requests, whatever the order in which they come") {
  net::BlockPool pool;
  net::OutputQueue output(&pool);
  net::ReplyQueue queue;
  base::Random random(2);
  struct Waiting {
    uint64_t number;
    std::string reply;  // empty: not given yet
  };
  std::deque<Waiting> waiting;
  for (int step = 0; step < 5000; step++) {
    const std::string text = std::to_string(step) + ";";
    switch (random.Uniform(3)) {
      case 0:
        waiting.push_back({queue.PushPending(net::kLaneFree, 1, nullptr), ""});
        break;
      case 1:
        if (waiting.empty()) break;
        waiting.push_back({0, text});
        queue.PushReady({.head = text});
        break;
      default:
        if (waiting.empty()) break;
        Waiting& one = waiting[random.Uniform(waiting.size())];
        if (!one.reply.empty()) break;
        net::ReplyQueue::Place* place = queue.FindPending(one.number);
        REQUIRE(place != nullptr);
        queue.Fill(place, {.head = text});
        CHECK(queue.FindPending(one.number) == nullptr);
        one.reply = text;
    }
    queue.Drain(&output);
    std::string expected;
    while (!waiting.empty() && !waiting.front().reply.empty()) {
      expected += waiting.front().reply;
      waiting.pop_front();
    }
    REQUIRE(Take(&output) == expected);
    REQUIRE(queue.empty() == waiting.empty());
  }
}

TEST_CASE("the memory of the ring is counted, and given back when it is empty") {
  net::BlockPool pool;
  net::OutputQueue output(&pool);
  net::ReplyQueue queue;
  CHECK(queue.held_bytes() == 0);
  std::vector<uint64_t> numbers;
  for (int i = 0; i < 40; i++) numbers.push_back(queue.PushPending(net::kLaneFree, 1, nullptr));
  CHECK(queue.held_bytes() >= 40 * sizeof(net::ReplyQueue::Place));
  queue.Shrink();
  for (const uint64_t number : numbers) queue.Fill(queue.FindPending(number), {.head = "x"});
  CHECK(queue.bytes() == 40);
  queue.Drain(&output);
  CHECK(queue.bytes() == 0);
  queue.Shrink();
  CHECK(queue.held_bytes() == 0);
}

TEST_CASE("a ticket of before finds nothing once the queue was cleared") {
  net::ReplyQueue queue;
  const uint64_t before = queue.PushPending(net::kLaneFree, 1, nullptr);
  queue.Clear();
  CHECK(queue.FindPending(before) == nullptr);
  const uint64_t after = queue.PushPending(net::kLaneFree, 1, nullptr);
  CHECK(after != before);
  CHECK(queue.FindPending(after) != nullptr);
}

}  // namespace bandb::test
