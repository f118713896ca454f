// Bytes on their way out: whole, in order, and counted once.
#include "net/output_queue.h"

#include <array>
#include <string>

#include "base/random.h"
#include "support/catch.h"

namespace bandb::test {
namespace {

// What one gathering write would take.
std::string Front(const net::OutputQueue& queue) {
  std::array<std::string_view, 64> pieces;
  const size_t count = queue.Gather(absl::MakeSpan(pieces));
  std::string bytes;
  for (size_t i = 0; i < count; i++) bytes += pieces[i];
  return bytes;
}

}  // namespace

TEST_CASE("what is appended, copied or owned, comes out in order, however it is consumed") {
  net::BlockPool pool;
  net::OutputQueue queue(&pool);
  base::Random random(1);
  std::string expected;
  for (int step = 0; step < 3000; step++) {
    if (random.OneIn(2)) {
      const std::string bytes(random.Uniform(random.OneIn(10) ? 9000 : 50),
                              static_cast<char>('a' + random.Uniform(26)));
      random.OneIn(3) ? queue.AppendOwned(net::OwnedBytes::Of(std::string(bytes))) : queue.Append(bytes);
      expected += bytes;
    } else {
      const std::string front = Front(queue);
      REQUIRE(expected.substr(0, front.size()) == front);
      const size_t taken = random.Uniform(front.size() + 1);
      queue.Consume(taken);
      expected.erase(0, taken);
    }
    REQUIRE(queue.bytes() == expected.size());
    REQUIRE(queue.empty() == expected.empty());
    REQUIRE(queue.held_bytes() >= queue.bytes());
  }
  queue.Clear();
  CHECK(queue.held_bytes() == 0);
}

TEST_CASE("bytes that others count are shared, and let go when they were written") {
  net::BlockPool pool;
  net::OutputQueue queue(&pool);
  const std::string value(100000, 'v');
  int released = 0;
  queue.AppendOwned(net::OwnedBytes(value, 0, &released, [](void* count) { ++*static_cast<int*>(count); }));
  CHECK(queue.bytes() == value.size());
  CHECK(queue.shared_bytes() == value.size());
  CHECK(queue.held_bytes() < 10000);
  queue.Consume(value.size() - 1);
  CHECK(released == 0);
  queue.Consume(1);
  CHECK(released == 1);
  CHECK(queue.shared_bytes() == 0);
  CHECK(queue.held_bytes() == 0);
}

TEST_CASE("between two replies is where nothing of those in the queue was written") {
  net::BlockPool pool;
  net::OutputQueue queue(&pool);
  CHECK(queue.AtFrameEdge());
  queue.Append("reply");
  CHECK(queue.AtFrameEdge());
  queue.Consume(2);
  CHECK_FALSE(queue.AtFrameEdge());
  queue.Append("next");
  CHECK_FALSE(queue.AtFrameEdge());
  queue.Consume(7);
  CHECK(queue.AtFrameEdge());
  queue.Append("last");
  queue.Consume(1);
  queue.Clear();
  CHECK(queue.AtFrameEdge());
}

}  // namespace bandb::test
