#include "cluster/read_waiters.h"

#include <string>
#include <vector>

#include "base/status.h"
#include "support/catch.h"

namespace bandb::cluster {

namespace {

struct ReadRig {
  void Add(const std::string& name, int64_t deadline_nanos = base::kForever) {
    reads.Add({.deadline_nanos = deadline_nanos, .done = [this, name](const absl::Status& status) {
                 ends.push_back(name + " " + std::string(base::ToStd(absl::StatusCodeToString(status.code()))));
               }});
  }
  std::vector<std::string> Take() { return std::exchange(ends, {}); }

  ReadWaiters reads;
  std::vector<std::string> ends;
};

using Ends = std::vector<std::string>;

}  // namespace

TEST_CASE("all reads that wait share one question, and are served once its index is applied") {
  ReadRig rig;
  CHECK_FALSE(rig.reads.Ask().has_value());
  rig.Add("a");
  rig.Add("b");
  const auto id = rig.reads.Ask();
  REQUIRE(id.has_value());
  CHECK_FALSE(rig.reads.Ask().has_value());
  rig.Add("later");
  rig.reads.Answered({.id = *id, .index = 10}, 9);
  CHECK(rig.Take().empty());
  rig.reads.AppliedTo(10);
  CHECK(rig.Take() == Ends{"a OK", "b OK"});
  // A question of its own: the first one was before it.
  const auto next = rig.reads.Ask();
  REQUIRE(next.has_value());
  rig.reads.Answered({.id = *next, .index = 10}, 10);
  CHECK(rig.Take() == Ends{"later OK"});
  CHECK(rig.reads.empty());
}

TEST_CASE("reads that are to be told the time wait for the entry that tells it, and no longer than there is hope") {
  ReadRig rig;
  rig.Add("told");
  const auto told = rig.reads.Ask(12);
  REQUIRE(told.has_value());
  rig.reads.Answered({.id = *told, .index = 10}, 11);
  CHECK(rig.Take().empty());
  rig.Add("next");
  const auto next = rig.reads.Ask(14);
  REQUIRE(next.has_value());
  rig.reads.AppliedTo(12);
  CHECK(rig.Take() == Ends{"told OK"});

  rig.reads.Answered({.id = *next, .index = 12}, 12);
  rig.Add("later");
  const auto later = rig.reads.Ask(15);
  REQUIRE(later.has_value());
  rig.reads.ForgetEntries();
  // That question is still open, but names no entry any more; what was answered is asked again.
  rig.reads.Answered({.id = *later, .index = 12}, 12);
  CHECK(rig.Take() == Ends{"later OK"});
  const auto again = rig.reads.Ask();
  REQUIRE(again.has_value());
  rig.reads.Answered({.id = *again, .index = 12}, 12);
  CHECK(rig.Take() == Ends{"next OK"});
  CHECK(rig.reads.empty());
}

TEST_CASE("a question that there was no room for is asked once another one has its answer") {
  ReadRig rig;
  rig.Add("first");
  const auto first = rig.reads.Ask();
  REQUIRE(first.has_value());
  rig.Add("second");
  rig.reads.Refused(*rig.reads.Ask());
  CHECK_FALSE(rig.reads.Ask().has_value());
  rig.reads.Answered({.id = *first, .index = 1}, 1);
  CHECK(rig.Take() == Ends{"first OK"});
  const auto second = rig.reads.Ask();
  REQUIRE(second.has_value());
  rig.reads.Answered({.id = *second, .index = 1}, 1);
  CHECK(rig.Take() == Ends{"second OK"});
}

TEST_CASE("what the core refuses is asked again once something has changed, and no sooner") {
  ReadRig rig;
  rig.Add("a");
  rig.reads.Refused(*rig.reads.Ask());
  rig.Add("b");
  CHECK_FALSE(rig.reads.Ask().has_value());
  rig.reads.MayAsk();
  const auto id = rig.reads.Ask();
  REQUIRE(id.has_value());
  // The leader has changed meanwhile.
  rig.reads.Answered({.id = *id, .code = absl::StatusCode::kUnavailable}, 0);
  const auto again = rig.reads.Ask();
  REQUIRE(again.has_value());
  rig.reads.Answered({.id = *id, .index = 1}, 5);
  CHECK(rig.Take().empty());
  rig.reads.Answered({.id = *again, .index = 5}, 5);
  CHECK(rig.Take() == Ends{"a OK", "b OK"});
}

TEST_CASE("reads past their deadline end, wherever they wait") {
  ReadRig rig;
  rig.Add("applying", 10);
  rig.reads.Answered({.id = *rig.reads.Ask(), .index = 7}, 6);
  rig.Add("asked", 10);
  const auto id = rig.reads.Ask();
  REQUIRE(id.has_value());
  rig.Add("waiting", 10);
  rig.Add("patient");
  rig.reads.Expire(9, "no leader is known");
  CHECK(rig.Take().empty());
  rig.reads.Expire(10, "no leader is known");
  CHECK(rig.Take() == Ends{"waiting DEADLINE_EXCEEDED", "asked DEADLINE_EXCEEDED", "applying DEADLINE_EXCEEDED"});
  rig.reads.FailAll(absl::FailedPreconditionError("stopped"));
  CHECK(rig.Take() == Ends{"patient FAILED_PRECONDITION"});
  CHECK(rig.reads.empty());
}

TEST_CASE("reads without a deadline give no reason to look whether one has passed") {
  ReadRig rig;
  rig.Add("patient");
  CHECK_FALSE(rig.reads.may_expire());
  rig.Add("served", 10);
  CHECK(rig.reads.may_expire());
  rig.reads.Answered({.id = *rig.reads.Ask(), .index = 7}, 7);
  CHECK(rig.Take() == Ends{"patient OK", "served OK"});
  CHECK_FALSE(rig.reads.may_expire());
  rig.Add("late", 10);
  rig.Add("later", 11);
  rig.Add("patient");
  rig.reads.Refused(*rig.reads.Ask());
  rig.reads.Expire(10, "no leader is known");
  CHECK(rig.reads.may_expire());
  rig.reads.Expire(11, "no leader is known");
  CHECK_FALSE(rig.reads.may_expire());
  CHECK_FALSE(rig.reads.empty());
  rig.Add("stopped", 20);
  rig.reads.FailAll(absl::FailedPreconditionError("stopped"));
  CHECK_FALSE(rig.reads.may_expire());
}

}  // namespace bandb::cluster
