#include "cluster/apply_queue.h"

#include "support/catch.h"

namespace bandb::cluster {
namespace {

raft::Entries Range(raft::Index first, raft::Index last) {
  raft::Entries entries;
  for (raft::Index i = first; i <= last; ++i) entries.push_back({.term = 1, .index = i, .payload = {}});
  return entries;
}

raft::Committed With(raft::Index first, raft::Index last) { return {first, last, Range(first, last)}; }
raft::Committed Without(raft::Index first, raft::Index last) { return {first, last, {}}; }

}  // namespace

TEST_CASE("ranges that came with their entries need no read") {
  ApplyQueue queue;
  queue.Push(With(1, 2));
  queue.Push(With(3, 3));
  CHECK_FALSE(queue.NextFetch().has_value());
  raft::Entries entries;
  REQUIRE(queue.TakeReady(&entries));
  CHECK(entries == Range(1, 2));
  REQUIRE(queue.TakeReady(&entries));
  CHECK(entries == Range(3, 3));
  CHECK_FALSE(queue.TakeReady(&entries));
}

TEST_CASE("a range without entries is read once it is first, by one read at a time") {
  ApplyQueue queue;
  queue.Push(With(1, 1));
  queue.Push(Without(2, 9));
  CHECK_FALSE(queue.NextFetch().has_value());
  raft::Entries entries;
  REQUIRE(queue.TakeReady(&entries));
  CHECK_FALSE(queue.TakeReady(&entries));
  const std::optional<raft::Fetch> fetch = queue.NextFetch();
  REQUIRE(fetch.has_value());
  CHECK(fetch->first == 2);
  CHECK(fetch->last == 9);
  CHECK(ApplyQueue::Owns(fetch->fetch));
  CHECK_FALSE(queue.NextFetch().has_value());
  // More that is committed meanwhile waits for its turn.
  queue.Push(With(10, 10));
  CHECK_FALSE(queue.ready());

  // A read that brings a part leaves the other part to the next one.
  queue.OnFetched(fetch->fetch, Range(2, 5));
  REQUIRE(queue.TakeReady(&entries));
  CHECK(entries == Range(2, 5));
  const std::optional<raft::Fetch> rest = queue.NextFetch();
  REQUIRE(rest.has_value());
  CHECK(rest->first == 6);
  CHECK(rest->last == 9);
  CHECK(rest->fetch != fetch->fetch);
  queue.OnFetched(rest->fetch, Range(6, 9));
  REQUIRE(queue.TakeReady(&entries));
  REQUIRE(queue.TakeReady(&entries));
  CHECK(entries == Range(10, 10));
}

TEST_CASE("a read of before a snapshot is awaited by nobody after it") {
  ApplyQueue queue;
  queue.Push(Without(1, 3));
  const uint64_t old = queue.NextFetch()->fetch;
  CHECK(queue.Awaits(old));
  queue.Clear();
  CHECK_FALSE(queue.Awaits(old));
  queue.Push(Without(20, 22));
  const uint64_t young = queue.NextFetch()->fetch;
  CHECK_FALSE(queue.Awaits(old));
  CHECK(queue.Awaits(young));
}

TEST_CASE("the core's own reads are not the queue's") {
  CHECK_FALSE(ApplyQueue::Owns(1));
  CHECK_FALSE(ApplyQueue::Owns(uint64_t{1} << 40));
}

}  // namespace bandb::cluster
