#include "raft/progress.h"

#include "support/catch.h"

namespace bandb::raft {
namespace {

TEST_CASE("an acknowledgement that comes late takes nothing back", "[raft]") {
  Progress peer;
  peer.next = 10;
  CHECK(peer.Acknowledge(7));
  CHECK_FALSE(peer.Acknowledge(5));
  CHECK(peer.match == 7);
  CHECK(peer.next == 10);
  CHECK(peer.Acknowledge(12));
  CHECK(peer.match == 12);
  CHECK(peer.next == 13);
}

}  // namespace
}  // namespace bandb::raft
