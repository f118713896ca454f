#include "server/snapshot_leases.h"

#include <memory>
#include <set>
#include <vector>

#include "support/catch.h"
#include "support/manual_clock.h"

namespace bandb::test {

namespace {

using server::SnapshotLeases;

constexpr int64_t kSecond = 1'000'000'000;

std::shared_ptr<const Snapshot> NewSnapshot() { return std::make_shared<const Snapshot>(); }

}  // namespace

TEST_CASE("a snapshot lives as long as it is used, and for its lease after that") {
  ManualClock clock;
  SnapshotLeases leases(&clock, 1);
  CHECK(leases.Expire() == base::kForever);
  const std::shared_ptr<const Snapshot> snapshot = NewSnapshot();
  const uint64_t id = leases.Add(snapshot, 10 * kSecond).value();
  REQUIRE(id != 0);
  for (int i = 0; i < 5; i++) {
    clock.Advance(9 * kSecond);
    CHECK(leases.Expire() == 1 * kSecond);
    CHECK(leases.Use(id) == snapshot);
    CHECK(leases.Expire() == 10 * kSecond);
  }
  clock.Advance(10 * kSecond);
  // Nobody has looked yet, and it is gone all the same.
  CHECK(leases.Use(id) == nullptr);
  CHECK(!leases.Renew(id, kSecond));
  CHECK(!leases.Drop(id));
  CHECK(snapshot.use_count() == 2);
  CHECK(leases.Expire() == base::kForever);
  CHECK(snapshot.use_count() == 1);
  CHECK(leases.size() == 0);
}

TEST_CASE("a renewed snapshot has another lease, and a dropped one none") {
  ManualClock clock;
  SnapshotLeases leases(&clock, 2);
  const std::shared_ptr<const Snapshot> first = NewSnapshot(), second = NewSnapshot();
  const uint64_t one = leases.Add(first, 10 * kSecond).value();
  const uint64_t two = leases.Add(second, 10 * kSecond).value();
  REQUIRE(one != two);
  CHECK(leases.Renew(one, 30 * kSecond));
  clock.Advance(20 * kSecond);
  CHECK(leases.Use(one) == first);
  CHECK(leases.Use(two) == nullptr);
  // What is in use stays with those that have it, and only with them.
  const std::shared_ptr<const Snapshot> used = leases.Use(one);
  CHECK(leases.Drop(one));
  CHECK(!leases.Drop(one));
  CHECK(leases.Use(one) == nullptr);
  CHECK(first.use_count() == 2);
  const uint64_t three = leases.Add(second, kSecond).value();
  leases.Clear();
  CHECK(leases.Use(three) == nullptr);
  CHECK(second.use_count() == 1);
}

TEST_CASE("there are so many snapshots and no more, and those that have run out make room") {
  ManualClock clock;
  SnapshotLeases leases(&clock, 3);
  std::set<uint64_t> ids;
  for (size_t i = 0; i < SnapshotLeases::kSnapshotsMax; i++) {
    ids.insert(leases.Add(NewSnapshot(), (i % 2 == 0 ? 10 : 100) * kSecond, {}, i).value());
  }
  CHECK(ids.size() == SnapshotLeases::kSnapshotsMax);
  CHECK_CODE(leases.Add(NewSnapshot(), kSecond).status(), kResourceExhausted);
  clock.Advance(10 * kSecond);
  for (size_t i = 0; i < SnapshotLeases::kSnapshotsMax / 2; i++) {
    REQUIRE_OK(leases.Add(NewSnapshot(), 100 * kSecond, {}, i).status());
  }
  CHECK_CODE(leases.Add(NewSnapshot(), kSecond).status(), kResourceExhausted);
}

TEST_CASE("where there are no users no connection has all snapshots, and each may use those of others") {
  ManualClock clock;
  SnapshotLeases leases(&clock, 7);
  const uint64_t id = leases.Add(NewSnapshot(), kSecond, {}, 1).value();
  for (size_t i = 1; i < SnapshotLeases::kSnapshotsOfUserMax; i++) {
    REQUIRE_OK(leases.Add(NewSnapshot(), kSecond, {}, 1).status());
  }
  CHECK_CODE(leases.Add(NewSnapshot(), kSecond, {}, 1).status(), kResourceExhausted);
  REQUIRE_OK(leases.Add(NewSnapshot(), kSecond, {}, 2).status());
  CHECK(leases.Use(id) != nullptr);
  CHECK(leases.Drop(id));
  REQUIRE_OK(leases.Add(NewSnapshot(), kSecond, {}, 1).status());
}

TEST_CASE("the numbers of one run of a server are none of another") {
  ManualClock clock;
  SnapshotLeases before(&clock, 4), after(&clock, 5);
  const uint64_t id = before.Add(NewSnapshot(), kSecond).value();
  REQUIRE_OK(after.Add(NewSnapshot(), kSecond).status());
  CHECK(after.Use(id) == nullptr);
}

TEST_CASE("a snapshot is its user's alone, and no user has all of them") {
  ManualClock clock;
  SnapshotLeases leases(&clock, 6);
  const uint64_t id = leases.Add(NewSnapshot(), kSecond, "ann").value();
  CHECK(leases.Use(id, "bob") == nullptr);
  CHECK(leases.Use(id) == nullptr);
  CHECK(!leases.Renew(id, kSecond, "bob"));
  CHECK(!leases.Drop(id, "bob"));
  CHECK(leases.Use(id, "ann") != nullptr);
  for (size_t i = 1; i < SnapshotLeases::kSnapshotsOfUserMax; i++) {
    REQUIRE_OK(leases.Add(NewSnapshot(), kSecond, "ann").status());
  }
  CHECK_CODE(leases.Add(NewSnapshot(), kSecond, "ann").status(), kResourceExhausted);
  REQUIRE_OK(leases.Add(NewSnapshot(), kSecond, "bob").status());
  CHECK(leases.Drop(id, "ann"));
  REQUIRE_OK(leases.Add(NewSnapshot(), kSecond, "ann").status());
}

}  // namespace bandb::test
