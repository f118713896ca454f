#include "cluster/waiting.h"

#include <map>
#include <memory>
#include <string>

#include "base/status.h"
#include "cluster/proposals.h"
#include "cluster/write_rig.h"
#include "support/catch.h"

namespace bandb::cluster {

TEST_CASE("a write is done when an entry of its term is applied at its index, with the result of its command") {
  WriteRig rig;
  Waiting waiting;
  waiting.Add(2, 10, {rig.Passed("a"), rig.Passed("b")});
  waiting.Add(2, 11, {rig.Passed("c")});
  CHECK(waiting.Applied(2, 9, {}).empty());
  CHECK(rig.ends.empty());
  const CommandResult results[] = {{}, {.status = absl::AbortedError("no")}};
  CHECK(waiting.Applied(2, 10, results).empty());
  CHECK(rig.ends["a"].ok());
  CHECK_CODE(rig.ends["b"], kAborted);
  CHECK(rig.ends.count("c") == 0);
  CHECK_FALSE(waiting.empty());
}

TEST_CASE("a write is certainly not done when an entry of another term is applied at its index") {
  WriteRig rig;
  Waiting waiting;
  waiting.Add(2, 10, {rig.Passed("old")});
  // This node led again, and its log had been cut.
  waiting.Add(4, 10, {rig.Passed("new")});
  const CommandResult done[] = {{}};
  const std::vector<ClientWritePtr> not_done = waiting.Applied(4, 10, done);
  REQUIRE(not_done.size() == 1);
  CHECK(rig.ends["new"].ok());
  CHECK(rig.ends.count("old") == 0);
  CHECK(waiting.empty());
  // It may be proposed again, once more from the front.
  Proposals proposals;
  proposals.Add(rig.Make("later"));
  proposals.PutBack(not_done);
  const auto batch = proposals.TakeBatch({.commit_ms = 1}, 0);
  REQUIRE(batch.has_value());
  REQUIRE(batch->writes.size() == 2);
  CHECK(batch->writes.front() == not_done.front());
}

TEST_CASE(
    "an entry of a later term decides all that was proposed after it in earlier terms, also if nothing follows it") {
  WriteRig rig;
  Waiting waiting;
  waiting.Add(2, 10, {rig.Passed("at")});
  waiting.Add(2, 12, {rig.Passed("after")});
  waiting.Add(3, 13, {rig.Passed("later term")});
  CHECK(waiting.Applied(2, 9, {}).empty());
  CHECK(waiting.Applied(3, 10, {}).size() == 2);
  CHECK(rig.ends.empty());
  const CommandResult done[] = {{}};
  CHECK(waiting.Applied(3, 13, done).empty());
  CHECK(rig.ends["later term"].ok());
  CHECK(waiting.empty());
}

TEST_CASE("what a snapshot jumps over, what takes too long and what the node leaves is unknown, and nothing else") {
  WriteRig rig;
  Waiting waiting;
  waiting.Add(1, 5, {rig.Passed("jumped")});
  waiting.Add(1, 6, {rig.Passed("late", 100), rig.Passed("patient")});
  waiting.Add(1, 7, {rig.Passed("left")});
  waiting.Skipped(5);
  CHECK_CODE(rig.ends["jumped"], kUnknown);
  waiting.Expire(99);
  CHECK(rig.ends.size() == 1);
  waiting.Expire(100);
  CHECK_CODE(rig.ends["late"], kUnknown);
  // Told once, whatever comes later.
  const CommandResult results[] = {{}, {}};
  CHECK(waiting.Applied(1, 6, results).empty());
  CHECK_CODE(rig.ends["late"], kUnknown);
  CHECK(rig.ends["patient"].ok());
  waiting.GiveUp("the node was stopped");
  CHECK_CODE(rig.ends["left"], kUnknown);
  CHECK(base::Message(rig.ends["left"]).find("the node was stopped") != std::string_view::npos);
  CHECK(waiting.empty());
}

TEST_CASE("one that took too long and was not done is not proposed again") {
  WriteRig rig;
  Waiting waiting;
  waiting.Add(1, 5, {rig.Passed("late", 100)});
  waiting.Expire(100);
  CHECK(waiting.Applied(2, 5, {}).empty());
  CHECK_CODE(rig.ends["late"], kUnknown);
}

}  // namespace bandb::cluster
