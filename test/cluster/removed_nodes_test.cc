// The ids of nodes that were removed: which is one, and what is stored.
#include "cluster/removed_nodes.h"

#include <string>
#include <utility>
#include <vector>

#include "cluster/system_space.h"
#include "raft/types/configuration_codec.h"
#include "support/catch.h"

namespace bandb::cluster {
namespace {

std::string Encode(const raft::Configuration& configuration) {
  std::string bytes;
  raft::EncodeConfiguration(configuration, &bytes);
  return bytes;
}

using Ids = std::vector<raft::NodeId>;

}  // namespace

TEST_CASE("who was a member and is none is removed; who changes what it does is not") {
  const std::string three = Encode(raft::MakeConfiguration({1, 2, 3}));
  CHECK(LeftBetween(three, three).empty());
  CHECK(LeftBetween(three, Encode(raft::MakeConfiguration({2}, {4}))) == Ids{1, 3});
  CHECK(LeftBetween(three, Encode(raft::MakeConfiguration({1, 3}, {2}))).empty());
  // During a joint change who leaves is still one.
  raft::Configuration joint = raft::MakeConfiguration({1, 2, 3});
  joint.members[2].voter = false;
  joint.members[2].outgoing = joint.auto_leave = true;
  REQUIRE(raft::IsValid(joint));
  CHECK(LeftBetween(three, Encode(joint)).empty());
  CHECK(LeftBetween(Encode(joint), Encode(raft::MakeConfiguration({1, 2}))) == Ids{3});
  // A directory that was no node's has had no members.
  CHECK(LeftBetween("", three).empty());
}

TEST_CASE("what is kept of removed nodes is read back, and anything else is damage") {
  SystemSpace space;
  space.Put("removec", "of others");
  space.Put("removee", "of others");
  REQUIRE(space.Apply(KeepRemoved({5, uint64_t{1} << 62})) == 2);
  const std::string key = std::string("removed") + std::string(7, '\0') + '\5';
  CHECK(space.Get(key) == "\x01");
  const absl::StatusOr<RemovedNodes> removed = RemovedNodes::Load(space.NewIterator().get());
  REQUIRE_OK(removed.status());
  CHECK(removed->size() == 2);
  CHECK(removed->Contains(5));
  CHECK(removed->Contains(uint64_t{1} << 62));
  CHECK_FALSE(removed->Contains(6));
  const std::vector<std::pair<std::string, std::string>> damaged = {
      {key, ""},           {key, "\x02"},       {key, "\x01x"},
      {key + "x", "\x01"}, {"removed", "\x01"}, {std::string("removed") + std::string(8, '\0'), "\x01"}};
  for (const auto& [bad_key, bad_value] : damaged) {
    SystemSpace bad = space;
    bad.Put(bad_key, bad_value);
    CHECK_CODE(RemovedNodes::Load(bad.NewIterator().get()).status(), kDataLoss);
  }
}

}  // namespace bandb::cluster
