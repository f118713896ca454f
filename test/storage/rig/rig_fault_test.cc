// Every file-system call failing in its turn, once and for good; disks that fill up, and syncs that
// fail.
#include "storage/rig/rig_fault.h"

#include <string>

#include "base/status.h"
#include "support/catch.h"
#include "support/random_data.h"

namespace bandb::test {

namespace {

ModelWrite PutOp(const std::string& key, const std::string& value, bool sync) {
  return {.changes = {{ModelChange::Kind::kPut, key, value}}, .sync = sync};
}

void CheckFaults(FaultKind kind, bool sticky) {
  for (const RigScenario& scenario : RigScenarios()) {
    const FaultReport report = RunFaults(scenario, kind, sticky);
    CAPTURE(scenario.name, report.calls, report.runs, report.failures);
    for (const std::string& violation : report.violations) FAIL_CHECK(violation);
    CHECK(report.runs > 60);
    // Every call failed in its turn, but for the few of processes that are being killed.
    CHECK(report.runs + 60 > report.calls);
    CHECK(report.refusals > 0);
  }
}

}  // namespace

TEST_CASE("whichever call fails once, the answers are true and nothing acknowledged is lost") {
  CheckFaults(FaultKind::kIoError, false);
}

TEST_CASE("whichever call all calls fail from, the answers are true and nothing acknowledged is lost") {
  CheckFaults(FaultKind::kIoError, true);
}

TEST_CASE("whichever call finds the disk full, once or for good, the answers are true and nothing is lost") {
  CheckFaults(FaultKind::kNoSpace, GENERATE(false, true));
}

TEST_CASE("a full disk refuses writes and serves reads, and Resume goes on once there is space") {
  OutcomeOracle oracle;
  RigActor actor(3, &oracle, [](CrashFileSystem*) {});
  actor.Open();
  REQUIRE(actor.db() != nullptr);
  for (int i = 0; i < 60; ++i) actor.Write(PutOp(NumberedKey(i), RandomBytes(&actor.random(), 1500), i % 10 == 0));
  actor.env().files().SetFreeBytes(40'000);
  absl::Status status;
  for (int i = 0; i < 200 && status.ok(); ++i) {
    const uint64_t before = oracle.failures();
    actor.Write(PutOp(NumberedKey(100 + i), RandomBytes(&actor.random(), 1500), false));
    if (oracle.failures() > before) status = actor.db()->Put("refused", "", {});
  }
  CHECK_CODE(status, kResourceExhausted);
  for (const auto& [key, value] : oracle.candidates()[0]) CHECK(actor.db()->Get(key).value() == value.value);
  CHECK_CODE(actor.db()->Resume(), kResourceExhausted);
  actor.env().files().SetFreeBytes(10 << 20);
  REQUIRE_OK(actor.db()->Resume());
  const uint64_t refused = oracle.failures();
  for (int i = 0; i < 100; ++i)
    actor.Write(PutOp(NumberedKey(300 + i), RandomBytes(&actor.random(), 1500), i % 10 == 0));
  CHECK(oracle.failures() == refused);
  CHECK_OK(actor.db()->Flush());
  actor.Reopen();
  REQUIRE(actor.db() != nullptr);
  const auto found = ReadAll(actor.db(), oracle.candidates()[0]);
  REQUIRE_OK(found.status());
  CHECK_OK(oracle.Settle(*found));
  CHECK_OK(oracle.surprise());
}

TEST_CASE("a sync that fails leaves the outcome unknown and the database read-only until it is reopened") {
  OutcomeOracle oracle;
  RigActor actor(3, &oracle, [](CrashFileSystem*) {});
  actor.Open();
  REQUIRE(actor.db() != nullptr);
  actor.Write(PutOp("before", "1", true));
  actor.env().files().Inject({.calls = {FileCall::kSync}, .pattern = "*.log"});
  const uint64_t number = oracle.Submitted(PutOp("during", "2", true));
  const absl::Status unknown = actor.db()->Put("during", "2", {.sync = true});
  oracle.Ended(number, unknown);
  CHECK_CODE(unknown, kUnknown);
  CHECK_CODE(actor.db()->Put("after", "3", {}), kFailedPrecondition);
  CHECK_CODE(actor.db()->Put("after", "3", {.sync = true}), kFailedPrecondition);
  CHECK_CODE(actor.db()->Flush(), kFailedPrecondition);
  CHECK_CODE(actor.db()->Resume(), kFailedPrecondition);
  CHECK(actor.db()->Get("before").value() == "1");
  CHECK_CODE(actor.db()->Get("after").status(), kNotFound);
  actor.Kill();
  REQUIRE(actor.db() != nullptr);
  const auto found = ReadAll(actor.db(), {});
  REQUIRE_OK(found.status());
  CHECK_OK(oracle.Settle(*found));
  CHECK_OK(actor.db()->Put("after", "3", {.sync = true}));
}

}  // namespace bandb::test
