#include "storage/engine/engine_lifecycle.h"

#include "support/catch.h"

namespace bandb::storage {

namespace {

using Phase = Lifecycle::Phase;

absl::Status Full() { return absl::ResourceExhaustedError("no space left"); }
absl::Status Broken() { return absl::InternalError("the log could not be synced"); }

struct Running {
  Running() { lifecycle.Run(); }
  ~Running() { CHECK_OK(lifecycle.CheckInvariants()); }
  void Close() {
    lifecycle.BeginClose([this](absl::Status) { at_rest = true; });
  }

  Lifecycle lifecycle;
  bool at_rest = false;
};

}  // namespace

TEST_CASE("writes are refused until the database runs") {
  Lifecycle lifecycle;
  CHECK(lifecycle.phase() == Phase::kOpening);
  CHECK(lifecycle.RefusesWrites());
  lifecycle.Run();
  CHECK_FALSE(lifecycle.RefusesWrites());
  CHECK_OK(lifecycle.MayWrite());
  CHECK_OK(lifecycle.CheckInvariants());
}

TEST_CASE("a full disk stops writes until Resume, any other error for good") {
  Running full;
  CHECK(full.lifecycle.Stop(Full()));
  CHECK(full.lifecycle.phase() == Phase::kStopped);
  CHECK_CODE(full.lifecycle.MayWrite(), kResourceExhausted);
  CHECK_OK(full.lifecycle.MayResume());
  CHECK(full.lifecycle.Resume());
  CHECK_OK(full.lifecycle.MayWrite());
  CHECK_OK(full.lifecycle.StopCause());
  CHECK_FALSE(full.lifecycle.Resume());

  Running broken;
  CHECK(broken.lifecycle.Stop(Broken()));
  CHECK_CODE(broken.lifecycle.MayWrite(), kFailedPrecondition);
  CHECK_CODE(broken.lifecycle.MayResume(), kFailedPrecondition);
  CHECK_FALSE(broken.lifecycle.Resume());
  CHECK(broken.lifecycle.phase() == Phase::kStopped);
}

TEST_CASE("a database that is only read refuses writes from the beginning on, for good, and in its own words") {
  const absl::Status refusal = absl::FailedPreconditionError("opened for reading only");
  Lifecycle lifecycle;
  lifecycle.RunReadOnly(refusal);
  CHECK(lifecycle.phase() == Phase::kStopped);
  CHECK(lifecycle.RefusesWrites());
  CHECK(lifecycle.MayWrite() == refusal);
  CHECK(lifecycle.MayResume() == refusal);
  CHECK(lifecycle.StopCause() == refusal);
  CHECK_FALSE(lifecycle.Resume());
  CHECK_FALSE(lifecycle.Stop(Full()));
  CHECK(lifecycle.MayWrite() == refusal);
  CHECK_OK(lifecycle.MayContinue());
  CHECK(lifecycle.Enter());
  lifecycle.Leave();
  CHECK_OK(lifecycle.CheckInvariants());
  bool at_rest = false;
  lifecycle.BeginClose([&at_rest](const absl::Status&) { at_rest = true; });
  CHECK(lifecycle.MayWrite() != refusal);
  lifecycle.Leave();
  CHECK(at_rest);
  CHECK_OK(lifecycle.CheckInvariants());
}

TEST_CASE("what cannot be resumed outweighs what can, and the same again is no news") {
  Running f;
  CHECK(f.lifecycle.Stop(Full()));
  CHECK_FALSE(f.lifecycle.Stop(Full()));
  CHECK(f.lifecycle.Stop(Broken()));
  CHECK_FALSE(f.lifecycle.Stop(Full()));
  CHECK_FALSE(f.lifecycle.Stop(Broken()));
  CHECK(f.lifecycle.StopCause() == Broken());
  CHECK_CODE(f.lifecycle.MayResume(), kFailedPrecondition);
}

TEST_CASE("a closing database comes to rest when the last activity ends, and only syncs begin until then") {
  Running f;
  REQUIRE(f.lifecycle.Enter());
  f.Close();
  CHECK_FALSE(f.lifecycle.Enter());
  CHECK_CODE(f.lifecycle.MayContinue(), kFailedPrecondition);
  CHECK_CODE(f.lifecycle.MayWrite(), kFailedPrecondition);
  REQUIRE(f.lifecycle.EnterUntilRest());
  f.lifecycle.Leave();
  f.lifecycle.Leave();
  CHECK_FALSE(f.at_rest);
  CHECK_OK(f.lifecycle.CheckInvariants());
  // That of closing itself.
  f.lifecycle.Leave();
  CHECK(f.at_rest);
  CHECK(f.lifecycle.phase() == Phase::kAtRest);
  CHECK_FALSE(f.lifecycle.EnterUntilRest());
  CHECK_FALSE(f.lifecycle.IsClosed());
  const auto closed = f.lifecycle.closed();
  f.lifecycle.Close();
  CHECK(f.lifecycle.IsClosed());
  CHECK(closed->load());
}

TEST_CASE("what stopped writes is remembered by a database that closes, and Resume comes too late") {
  Running f;
  CHECK(f.lifecycle.Stop(Full()));
  f.Close();
  CHECK_CODE(f.lifecycle.MayResume(), kFailedPrecondition);
  CHECK_FALSE(f.lifecycle.Resume());
  CHECK(f.lifecycle.StopCause() == Full());
  CHECK(f.lifecycle.Stop(Broken()));
  CHECK(f.lifecycle.phase() == Phase::kClosing);
  f.lifecycle.Leave();
  CHECK(f.lifecycle.StopCause() == Broken());
}

}  // namespace bandb::storage
