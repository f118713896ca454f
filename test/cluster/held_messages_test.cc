#include "cluster/held_messages.h"

#include <vector>

#include "support/catch.h"

namespace bandb::cluster {
namespace {

raft::Outgoing Waiting(raft::Index index, uint64_t log_write, uint64_t hard_state_write) {
  raft::Outgoing outgoing;
  outgoing.message.index = index;
  outgoing.after_log_write = log_write;
  outgoing.after_hard_state_write = hard_state_write;
  return outgoing;
}

std::vector<raft::Index> Ready(HeldMessages* held) {
  std::vector<raft::Message> messages;
  held->TakeReady(&messages);
  std::vector<raft::Index> indexes;
  for (const raft::Message& message : messages) indexes.push_back(message.index);
  return indexes;
}

using Indexes = std::vector<raft::Index>;

}  // namespace

TEST_CASE("a message leaves when the writes that it waits for are durable, and not before") {
  HeldMessages held;
  held.Hold(Waiting(1, 3, 0));
  held.Hold(Waiting(2, 0, 4));
  held.Hold(Waiting(3, 3, 4));
  CHECK(Ready(&held).empty());
  held.LogDurable(2);
  CHECK(Ready(&held).empty());
  held.LogDurable(3);
  CHECK(Ready(&held) == Indexes{1});
  held.HardStateDurable(4);
  CHECK(Ready(&held) == Indexes{2, 3});
  CHECK(held.size() == 0);
}

TEST_CASE("a durable hard state says nothing of the log, although one counter numbers both") {
  HeldMessages held;
  held.Hold(Waiting(1, 5, 6));
  held.HardStateDurable(6);
  CHECK(Ready(&held).empty());
  held.LogDurable(5);
  CHECK(Ready(&held) == Indexes{1});
}

TEST_CASE("a later write covers the earlier ones, and what leaves keeps its order") {
  HeldMessages held;
  for (raft::Index i = 1; i <= 6; ++i) held.Hold(Waiting(i, i % 2 == 0 ? 9 : i, 0));
  held.LogDurable(7);
  CHECK(Ready(&held) == Indexes{1, 3, 5});
  CHECK(held.size() == 3);
  held.LogDurable(12);
  CHECK(Ready(&held) == Indexes{2, 4, 6});
}

TEST_CASE("what is dropped is never said, whatever becomes durable later") {
  HeldMessages held;
  held.Hold(Waiting(1, 1, 0));
  held.Drop();
  held.LogDurable(1);
  CHECK(Ready(&held).empty());
}

}  // namespace bandb::cluster
