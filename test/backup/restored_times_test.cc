// States by their times: which ones a backup has, and clocks that were ahead.
#include <functional>
#include <string>

#include "backup/history_rig.h"
#include "bandb/changes.h"
#include "support/catch.h"

namespace bandb::test {

TEST_CASE("a backup has all that was committed before its making began, and of later commits it does not say so") {
  HistoryRig rig(9);
  rig.BackUp();
  rig.Commit();
  rig.env.clock().AdvanceMillis(10);
  rig.OnceCopied([&] { rig.Commit(); });
  const absl::Time begun = absl::FromUnixMillis(rig.env.clock().WallMillis());
  const auto made = rig.repository.Create(rig.db.get(), {.logs = true});
  REQUIRE_OK(made.status());
  REQUIRE(rig.states.size() == 2);
  rig.env.clock().AdvanceMillis(10);
  CHECK(made->time == begun);
  CHECK(made->last_sequence < rig.states[1].sequence);
  const auto restored_to = [&](absl::Time time) {
    return rig.repository.Restore({.to_time = time, .dry_run = true}, "");
  };
  CHECK(restored_to(made->to_time)->last_sequence == rig.states[0].sequence);
  CHECK(restored_to(begun - absl::Milliseconds(1))->last_sequence == rig.states[0].sequence);
  CHECK_CODE(restored_to(begun).status(), kOutOfRange);
  CHECK_CODE(restored_to(rig.states[1].time).status(), kOutOfRange);
  // The next one knows.
  REQUIRE_OK(rig.repository.Create(rig.db.get(), {.logs = true}).status());
  CHECK(rig.Restored({.to_time = rig.states[1].time}) == rig.states[1].contents);
  CHECK(rig.Restored({.to_time = rig.states[1].time - absl::Milliseconds(1)}) == rig.states[0].contents);
}

TEST_CASE("a clock that is set back while a backup is made does not have it claim what it lacks") {
  HistoryRig rig(16);
  rig.BackUp();
  rig.Commit();
  REQUIRE_OK(rig.db->Flush());
  rig.env.clock().AdvanceMillis(10 * HistoryRig::kMinuteMillis);
  rig.OnceCopied([&] {
    rig.env.clock().JumpWallMillis(-5 * HistoryRig::kMinuteMillis);
    rig.Commit();
  });
  // With logs the database is asked for the time before.
  const auto made = rig.repository.Create(rig.db.get(), {});
  REQUIRE_OK(made.status());
  REQUIRE(rig.states.size() == 2);
  REQUIRE(made->last_sequence < rig.states[1].sequence);
  // When it was committed, as the database has it.
  ChangesOptions all;
  all.from = ChangesFrom::Oldest();
  all.undurable = true;
  const auto reader = rig.db->ReadChanges(all);
  REQUIRE_OK(reader.status());
  Commit commit;
  do {
    REQUIRE_OK((*reader)->Next(&commit, absl::ZeroDuration()));
    REQUIRE_FALSE(commit.empty());
  } while (commit.last_sequence < rig.states[1].sequence);
  // The backup lacks a commit of that time, and so does not say that it has all.
  const auto restored_to = [&](absl::Time time) {
    return rig.repository.Restore({.to_time = time, .dry_run = true}, "");
  };
  CHECK_CODE(restored_to(commit.time).status(), kOutOfRange);
  CHECK(restored_to(made->time - absl::Milliseconds(1))->last_sequence == rig.states[0].sequence);
}

TEST_CASE("what is to expire is restored though the clock was ahead before, and expires in its time") {
  HistoryRig rig(10);
  rig.BackUp();
  SECTION("when the backup was made that the restore begins with") {
    rig.CommitAhead([&] { rig.BackUp(); });
  }
  SECTION("between two backups, and again, in one log") { rig.CommitAhead(); }
  SECTION("between two backups, and again, in several logs") {
    rig.CommitAhead([&] { REQUIRE_OK(rig.db->Flush()); });
    REQUIRE_OK(rig.db->Put("between", "two logs"));
    rig.contents.insert_or_assign("between", "two logs");
    REQUIRE_OK(rig.db->Flush());
  }
  rig.CommitForAnHour();
  const HistoryRig::State hour = rig.states.back();
  rig.Commit();
  const HistoryRig::State next = rig.states.back();
  rig.CommitAhead();
  rig.Commit();
  rig.BackUp();
  for (const HistoryRig::State& state : {hour, next}) {
    RestoreInfo info;
    CHECK(rig.Restored({.to_sequence = state.sequence}, &info) == state.contents);
    CHECK(info.time == state.time);
    CHECK(rig.Restored({.to_time = state.time}, &info) == state.contents);
    CHECK(info.last_sequence == state.sequence);
  }
  // While the clock is ahead it counts as expired, but it is there.
  CHECK_FALSE(rig.Restored({.to_sequence = rig.states.back().sequence - 1}).contains("hour"));
  const std::string dir = fmt::format("/restored/{}", rig.restores);
  const std::unique_ptr<Db> restored = OpenAt(&rig.env, dir);
  REQUIRE_OK(restored->AcceptClock());
  CHECK_OK(restored->Get("hour").status());
  rig.env.clock().AdvanceMillis(3'600'000);
  CHECK_CODE(restored->Get("hour").status(), kNotFound);
}

TEST_CASE("of a backup that was made while the clock was ahead it is not known which times it has") {
  HistoryRig rig(13);
  rig.BackUp();
  rig.Commit();
  rig.BackUp();
  rig.Commit();
  rig.CommitAhead([&] { rig.BackUp(); });
  const RestoreOptions to{.to_time = rig.states[0].time};
  const absl::Status ahead = rig.repository.Restore(to, "/x").status();
  CHECK_CODE(ahead, kOutOfRange);
  CHECK(ahead.message().find("backup 3 was made while the clock was ahead") != std::string::npos);
  CHECK(rig.Restored({.number = 2, .to_time = to.to_time}) == rig.states[0].contents);
  CHECK(rig.Restored({.to_sequence = rig.states[1].sequence}) == rig.states[1].contents);
  rig.Commit();
  rig.BackUp();
  for (const size_t i : {0, 1, 3}) CHECK(rig.Restored({.to_time = rig.states[i].time}) == rig.states[i].contents);
}

TEST_CASE("a time is found in a log that ends later, also after one that a clock some minutes ahead had written") {
  HistoryRig rig(14);
  rig.BackUp();
  rig.Commit();
  const HistoryRig::State before = rig.states.back();
  rig.env.clock().AdvanceMillis(HistoryRig::kMinuteMillis);
  const std::function<void()> ends[] = {
      [&] { REQUIRE_OK(rig.db->Flush()); },
      [&] {
        REQUIRE_OK(rig.db->Close());
        rig.Open();
      },
      [&] { rig.BackUp(); },
      [] {},
  };
  const auto& end = ends[GENERATE(0, 1, 2, 3)];
  rig.CommitAhead(end, 5 * HistoryRig::kMinuteMillis);
  const HistoryRig::State ahead = rig.states.back();
  const auto commit_after = [&](int64_t minutes) {
    rig.env.clock().AdvanceMillis(minutes * HistoryRig::kMinuteMillis);
    rig.Commit();
    return rig.states.back();
  };
  const HistoryRig::State first = commit_after(1), second = commit_after(1), last = commit_after(8);
  REQUIRE(second.time < ahead.time);
  REQUIRE(ahead.time < last.time);
  rig.BackUp();
  const auto restored_to = [&](absl::Time time) {
    const auto restored = rig.repository.Restore({.to_time = time, .dry_run = true}, "");
    REQUIRE_OK(restored.status());
    return restored->last_sequence;
  };
  CHECK(restored_to(first.time - absl::Milliseconds(1)) == before.sequence);
  CHECK(restored_to(first.time) == first.sequence);
  CHECK(restored_to(second.time + absl::Minutes(1)) == second.sequence);
  CHECK(restored_to(ahead.time + absl::Minutes(1)) == second.sequence);
  CHECK(restored_to(last.time) == last.sequence);
  CHECK(rig.Restored({.to_time = second.time + absl::Minutes(1)}) == second.contents);
  CHECK(rig.Restored({.to_sequence = ahead.sequence}) == ahead.contents);
}

TEST_CASE("a backup whose last commit lies in the future lacks what is committed once the clock was accepted") {
  HistoryRig rig(15);
  rig.BackUp();
  rig.Commit();
  const HistoryRig::State before = rig.states.back();
  rig.env.clock().JumpWallMillis(HistoryRig::kYearMillis);
  rig.Commit();
  const HistoryRig::State ahead = rig.states.back();
  rig.env.clock().JumpWallMillis(-HistoryRig::kYearMillis);
  const BackupInfo made = rig.BackUp();
  REQUIRE_OK(rig.db->AcceptClock());
  rig.Commit();
  const HistoryRig::State after = rig.states.back();
  const auto restored_to = [&](absl::Time time) {
    return rig.repository.Restore({.to_time = time, .dry_run = true}, "");
  };
  CHECK_CODE(restored_to(made.time).status(), kOutOfRange);
  CHECK_CODE(restored_to(after.time).status(), kOutOfRange);
  CHECK_CODE(restored_to(ahead.time - absl::Milliseconds(1)).status(), kOutOfRange);
  CHECK(restored_to(made.time - absl::Milliseconds(1))->last_sequence == before.sequence);
  CHECK(restored_to(made.to_time)->last_sequence == ahead.sequence);
  rig.BackUp();
  CHECK(rig.Restored({.to_time = after.time}) == after.contents);
}

}  // namespace bandb::test
