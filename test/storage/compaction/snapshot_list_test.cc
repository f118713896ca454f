#include "storage/compaction/snapshot_list.h"

#include "support/catch.h"

namespace bandb::storage {

TEST_CASE("a merge must leave what the live snapshots see, each sequence once, and go by the earliest of their times") {
  const auto list = std::make_shared<SnapshotList>();
  std::atomic<Sequence> last{5};
  uint64_t now_ms = 1000;
  const auto clock = [&] { return now_ms; };
  CHECK(list->Horizon(7).snapshots.empty());
  CHECK(list->Horizon(7).now_ms == 7);
  CHECK(list->Oldest() == 0);
  auto first = std::make_unique<DbSnapshot>(list, 0, last, clock);
  CHECK(first->sequence() == 5);
  CHECK(first->now_ms() == 1000);
  now_ms = 900;
  auto second = std::make_unique<DbSnapshot>(list, 0, last, clock);
  last = 9;
  now_ms = 2000;
  auto third = std::make_unique<DbSnapshot>(list, 0, last, clock);
  CHECK(list->Count() == 3);
  CHECK(list->Oldest() == 5);
  CHECK(list->Horizon(5000).snapshots == std::vector<Sequence>{5, 9});
  CHECK(list->Horizon(5000).now_ms == 900);
  CHECK(list->Horizon(800).now_ms == 800);
  second.reset();
  CHECK(list->Horizon(5000).snapshots == std::vector<Sequence>{5, 9});
  CHECK(list->Horizon(5000).now_ms == 1000);
  first.reset();
  CHECK(list->Oldest() == 9);
  third.reset();
  CHECK(list->Count() == 0);
}

TEST_CASE("the sequence and the time of a moment belong together, whatever is written meanwhile") {
  std::atomic<Sequence> last{5};
  uint64_t now_ms = 100;
  // As a clock that is read before others write, or after that.
  for (const bool first : {true, false}) {
    int writes = 3;
    const auto slow_clock = [&] {
      const uint64_t read_ms = now_ms;
      if (writes-- > 0) {
        ++last;
        now_ms += 100;
      }
      return first ? read_ms : now_ms;
    };
    const Moment moment = PresentMoment(last, slow_clock);
    CHECK(moment.sequence == last);
    CHECK(moment.now_ms == now_ms);
    // Not one more than it takes.
    CHECK(writes == -1);
  }
}

TEST_CASE("a snapshot is of one moment, too") {
  const auto list = std::make_shared<SnapshotList>();
  std::atomic<Sequence> last{5};
  bool written = false;
  const DbSnapshot snapshot(list, 0, last, [&]() -> uint64_t {
    if (!std::exchange(written, true)) last = 6;
    return 7;
  });
  CHECK(snapshot.sequence() == 6);
  CHECK(list->Oldest() == 6);
}

TEST_CASE("while something is due to be forgotten, snapshots are told, and then they are in nobody's way") {
  const auto list = std::make_shared<SnapshotList>();
  std::atomic<Sequence> last{5};
  const auto clock = [] { return uint64_t{1}; };
  auto early = std::make_unique<DbSnapshot>(list, 0, last, clock);
  CHECK_FALSE(early->amid_forgetting());
  CHECK(list->Horizon(1).newest_reader == 5);
  CHECK_FALSE(list->BeginForgetting(5));
  list->SetForgettingDue(true);
  last = 8;
  auto late = std::make_unique<DbSnapshot>(list, 0, last, clock);
  CHECK(late->amid_forgetting());
  // A merge leaves what it sees.
  CHECK(list->Horizon(1).snapshots == std::vector<Sequence>{5, 8});
  CHECK(list->Horizon(1).newest_reader == 5);
  CHECK_FALSE(list->BeginForgetting(5));
  early.reset();
  CHECK(list->Horizon(1).newest_reader == 0);
  REQUIRE(list->BeginForgetting(5));
  list->SetForgettingDue(false);
  auto amid = std::make_unique<DbSnapshot>(list, 0, last, clock);
  CHECK(amid->amid_forgetting());
  list->EndForgetting();
  const DbSnapshot after(list, 0, last, clock);
  CHECK_FALSE(after.amid_forgetting());
  CHECK(list->Horizon(1).newest_reader == 8);
  late.reset();
  amid.reset();
  CHECK(list->Horizon(1).newest_reader == 8);
}

TEST_CASE("a snapshot may outlive those who know of its list") {
  auto list = std::make_shared<SnapshotList>();
  const std::atomic<Sequence> last{5};
  auto snapshot = std::make_unique<DbSnapshot>(list, 0, last, [] { return uint64_t{1}; });
  list.reset();
  CHECK(snapshot->sequence() == 5);
  snapshot.reset();
}

}  // namespace bandb::storage
