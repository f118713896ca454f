// In the program that this is linked into, every loop for which nobody chose a kind is one by poll.
#include "net/socket_loop.h"
#include "support/catch.h"

namespace bandb::net {

LoopKind DefaultLoopKind() { return LoopKind::kPoll; }

}  // namespace bandb::net

namespace bandb::test {

TEST_CASE("the loops of this program are by poll") {
  base::SystemClock clock;
  const auto loop = net::SocketLoop::Create(&clock);
  REQUIRE_OK(loop.status());
  CHECK((*loop)->kind() == net::LoopKind::kPoll);
}

}  // namespace bandb::test
