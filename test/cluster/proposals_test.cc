#include "cluster/proposals.h"

#include <optional>
#include <string>
#include <utility>

#include "cluster/entry_payload.h"
#include "cluster/write_rig.h"
#include "support/catch.h"

namespace bandb::cluster {

TEST_CASE("all writes of a turn become one entry, in their order") {
  WriteRig rig;
  Proposals proposals;
  for (const char* key : {"a", "b", "c"}) proposals.Add(rig.Make(key));
  const auto batch = proposals.TakeBatch({.commit_ms = 7}, 0);
  REQUIRE(batch.has_value());
  CHECK(batch->writes.size() == 3);
  DecodedEntry entry;
  REQUIRE(DecodeCommands(batch->payload, &entry));
  CHECK(entry.commit_time_ms == 7);
  REQUIRE(entry.commands.size() == 3);
  for (size_t i = 0; i < 3; ++i) CHECK(entry.commands[i].operations == batch->writes[i]->content().operations);
  CHECK(proposals.empty());
  CHECK(proposals.bytes() == 0);
  CHECK_FALSE(proposals.TakeBatch({.commit_ms = 8}, 0).has_value());
  // Nobody can take back what is passed on.
  CHECK_FALSE(batch->writes.front()->Withdraw());
}

TEST_CASE("an entry ends before it is too large, and a write that is larger is one by itself") {
  WriteRig rig;
  Proposals proposals;
  const auto add = [&](const std::string& key, size_t bytes) {
    WriteBatch batch;
    batch.Put(key, std::string(bytes, 'x'));
    WriteContent content{.operations = WriteBatchAccess::Operations(batch)};
    proposals.Add(std::make_shared<ClientWrite>(std::move(content), [](absl::Status) {}));
  };
  for (int i = 0; i < 20; ++i) add("small", 100 << 10);
  add("large", 3 << 20);
  add("last", 1);
  std::vector<size_t> sizes;
  while (const auto batch = proposals.TakeBatch({.commit_ms = 1}, 0)) sizes.push_back(batch->writes.size());
  CHECK(sizes == std::vector<size_t>{10, 10, 1, 1});
}

TEST_CASE("what was withdrawn or is past its deadline is not passed on") {
  WriteRig rig;
  Proposals proposals;
  const ClientWritePtr withdrawn = rig.Make("withdrawn");
  proposals.Add(withdrawn);
  proposals.Add(rig.Make("late", {.deadline_nanos = 10}));
  proposals.Add(rig.Make("kept", {.deadline_nanos = 11}));
  CHECK(withdrawn->Withdraw());
  const auto batch = proposals.TakeBatch({.commit_ms = 1}, 10);
  REQUIRE(batch.has_value());
  CHECK(batch->writes.size() == 1);
  CHECK_CODE(rig.ends["late"], kDeadlineExceeded);
  CHECK(rig.ends.count("withdrawn") == 0);
  // All that waits is the same.
  proposals.Add(rig.Make("later", {.deadline_nanos = 20}));
  proposals.Expire(19, "no leader");
  CHECK(rig.ends.count("later") == 0);
  proposals.Expire(20, "no leader");
  CHECK_CODE(rig.ends["later"], kDeadlineExceeded);
  CHECK(proposals.bytes() == 0);
}

TEST_CASE("those that peers forwarded, or that must not wait, end by themselves") {
  WriteRig rig;
  Proposals proposals;
  proposals.Add(rig.Make("forwarded", {.forwarded = true}));
  proposals.Add(rig.Make("own"));
  proposals.Add(rig.Make("impatient", {.impatient = true}));
  proposals.FailForwarded(absl::FailedPreconditionError("not the leader"));
  CHECK_CODE(rig.ends["forwarded"], kFailedPrecondition);
  proposals.FailImpatient(absl::UnavailableError("no leader"));
  CHECK_CODE(rig.ends["impatient"], kUnavailable);
  CHECK(proposals.size() == 1);
  proposals.FailAll(absl::FailedPreconditionError("stopped"));
  CHECK_CODE(rig.ends["own"], kFailedPrecondition);
  CHECK(proposals.empty());
}

TEST_CASE("which of those that peers forwarded wait is known, however they came and go") {
  WriteRig rig;
  Proposals proposals;
  const auto add = [&](uint64_t number) {
    proposals.Add(rig.Make(std::to_string(number), {.session = 7, .number = number, .forwarded = true}));
  };
  proposals.Add(rig.Make("mine", {.session = 7, .number = 1}));
  CHECK_FALSE(proposals.HasForwarded(7, 1));
  CHECK(proposals.TakeOne() != nullptr);
  add(1);
  add(2);
  CHECK(proposals.HasForwarded(7, 1));
  CHECK(proposals.HasForwarded(7, 2));
  CHECK_FALSE(proposals.HasForwarded(8, 1));
  std::optional<Proposals::Batch> batch = proposals.TakeBatch({}, 0);
  REQUIRE(batch.has_value());
  CHECK_FALSE(proposals.HasForwarded(7, 1));
  proposals.PutBack(std::move(batch->writes));
  CHECK(proposals.HasForwarded(7, 1));
  proposals.FailForwarded(absl::UnavailableError("another leads"));
  CHECK_FALSE(proposals.HasForwarded(7, 1));
  CHECK_FALSE(proposals.HasForwarded(7, 2));
  CHECK(proposals.empty());
}

TEST_CASE("malformed operations end by themselves, and not the others with them") {
  WriteRig rig;
  Proposals proposals;
  absl::Status end;
  proposals.Add(std::make_shared<ClientWrite>(WriteContent{.operations = "\x07"},
                                              [&end](absl::Status status) { end = std::move(status); }));
  proposals.Add(rig.Make("good"));
  const auto batch = proposals.TakeBatch({.commit_ms = 1}, 0);
  CHECK_CODE(end, kInvalidArgument);
  REQUIRE(batch.has_value());
  CHECK(batch->writes.size() == 1);
}

TEST_CASE("what may not be in the log is told why, and the rest goes") {
  WriteRig rig;
  Proposals proposals;
  proposals.Add(rig.Make("first"));
  proposals.Add(rig.Make("clock", {.kind = CommandKind::kAcceptClock}));
  proposals.Add(rig.Make("last"));
  const auto batch = proposals.TakeBatch({.commit_ms = 1}, 0, [](CommandKind kind) {
    return kind == CommandKind::kWrite ? absl::OkStatus() : absl::UnimplementedError("older");
  });
  REQUIRE(batch.has_value());
  CHECK(batch->writes.size() == 2);
  CHECK_CODE(rig.ends["clock"], kUnimplemented);
  CHECK(proposals.empty());
}

}  // namespace bandb::cluster
