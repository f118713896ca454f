// A cluster that has lost a majority for good, and those that are left.
#include <string>
#include <vector>

#include "cluster/cluster_rig.h"
#include "cluster/lost_quorum.h"
#include "raft/types/configuration.h"
#include "support/catch.h"

namespace bandb::test {

namespace {

// As it ran before: at the same address, and with nobody to ask.
ClusterOptions Again(Nodes* nodes, const std::string& name, const std::string& address) {
  ClusterOptions options = nodes->OptionsOf(name);
  options.join.clear();
  options.listen = address;
  return options;
}

std::vector<std::string> Describe(const std::vector<ClusterOptions>& survivors) {
  std::vector<std::string> texts;
  for (const ClusterOptions& survivor : survivors) {
    const absl::StatusOr<std::string> text = Cluster::DescribeSurvivor(survivor);
    REQUIRE_OK(text.status());
    texts.push_back(*text);
  }
  return texts;
}

}  // namespace

TEST_CASE("two of five voters go on without the others, who are refused when they come back") {
  Nodes nodes(5);
  std::map<std::string, ClusterOptions> again;
  for (const char* name : {"a", "b", "c", "d", "e"}) again[name] = Again(&nodes, name, nodes.AddressOf(name));
  REQUIRE_OK(nodes["a"].Put("before", "1"));
  for (const char* name : {"d", "e"}) CHECK(*nodes[name].Get("before") == "1");
  const uint64_t old_cluster = nodes["d"].GetStatus().cluster_id;
  CHECK_CODE(Cluster::DescribeSurvivor(again["d"]).status(), kFailedPrecondition);
  for (const char* name : {"a", "b", "c", "d", "e"}) nodes.Kill(name);

  const std::vector<ClusterOptions> survivors = {again["d"], again["e"]};
  const std::vector<std::string> texts = Describe(survivors);
  CHECK_CODE(Cluster::RecoverLostQuorum(again["c"], texts).status(), kInvalidArgument);
  CHECK_CODE(Cluster::RecoverLostQuorum(again["d"], {texts[0], "noise"}).status(), kInvalidArgument);
  CHECK_CODE(Cluster::RecoverLostQuorum(again["d"], {}).status(), kInvalidArgument);
  const std::vector<std::string> three = Describe({again["c"], again["d"], again["e"]});
  CHECK_CODE(Cluster::RecoverLostQuorum(again["d"], three).status(), kFailedPrecondition);
  // In another order, and each of them twice: the result is the same.
  uint64_t new_cluster = 0;
  for (int time = 0; time < 2; ++time) {
    for (size_t i = 0; i < survivors.size(); ++i) {
      const auto recovery =
          Cluster::RecoverLostQuorum(survivors[i], i == 0 ? texts : std::vector<std::string>{texts[1], texts[0]});
      REQUIRE_OK(recovery.status());
      CHECK(recovery->cluster_id != old_cluster);
      CHECK((new_cluster == 0 || recovery->cluster_id == new_cluster));
      new_cluster = recovery->cluster_id;
      CHECK(recovery->voters.size() == 2);
      CHECK(recovery->new_voters.empty());
    }
  }
  for (const char* name : {"d", "e"}) nodes.StartWith(name, again[name]);
  REQUIRE_OK(nodes["e"].Put("after", "2"));
  for (const char* name : {"d", "e"}) {
    CHECK(*nodes[name].Get("before") == "1");
    CHECK(*nodes[name].Get("after") == "2");
    CHECK(nodes[name].GetStatus().cluster_id == new_cluster);
    CHECK(nodes[name].GetStatus().members.size() == 2);
  }
  // Those that were believed lost can still elect one of them: what they agree on is nothing to us.
  for (const char* name : {"a", "b", "c"}) nodes.StartWith(name, again[name]);
  REQUIRE_OK(nodes["a"].Put("after", "old"));
  nodes.Await("a", [&](const ClusterStatus& status) {
    for (const MemberStatus& member : status.members) {
      if (member.name == "d" && member.trouble.find("another cluster") != std::string::npos) return true;
    }
    return false;
  });
  CHECK(*nodes["d"].Get("after") == "2");
  CHECK(nodes["d"].GetStatus().members.size() == 2);
  // The recovered cluster grows again as any other.
  ClusterOptions fresh = nodes.OptionsOf("f");
  fresh.join = {again["d"].listen};
  nodes.StartWith("f", fresh);
  nodes.AwaitVoters("e", 3);
  CHECK(*nodes["f"].Get("after") == "2");
}

TEST_CASE("a learner on the list of survivors votes from then on, and the call says so") {
  Nodes nodes(1);
  ClusterOptions learner = nodes.OptionsOf("l");
  learner.join_as_learner = true;
  nodes.StartWith("l", learner);
  REQUIRE_OK(nodes["a"].Put("key", "value"));
  CHECK(*nodes["l"].Get("key") == "value");
  const uint64_t id = nodes.IdOf("l");
  nodes.Kill("a");
  nodes.Kill("l");
  const std::vector<std::string> texts = Describe({learner});
  const auto recovery = Cluster::RecoverLostQuorum(learner, texts);
  REQUIRE_OK(recovery.status());
  CHECK(recovery->voters == std::vector<uint64_t>{id});
  CHECK(recovery->new_voters == std::vector<uint64_t>{id});
  nodes.StartWith("l", learner);
  CHECK(*nodes["l"].Get("key") == "value");
  REQUIRE_OK(nodes["l"].Put("key", "again"));
  CHECK(nodes["l"].GetStatus().members.size() == 1);
  // The text was of the time before; with the same list the call has nothing more to do.
  nodes.Kill("l");
  CHECK_OK(Cluster::RecoverLostQuorum(learner, texts).status());
  nodes.StartWith("l", learner);
  CHECK(*nodes["l"].Get("key") == "again");
}

TEST_CASE("what a survivor says of itself comes back as it was, and nothing else is taken for it") {
  cluster::SurvivorPosition position{
      .cluster = 5, .log = {.node = 7, .last_term = 3, .last_index = 9, .hard_state_term = 4, .configuration = {}}};
  position.log.configuration = raft::MakeConfiguration({7, 8, 9});
  const std::string text = cluster::EncodeSurvivor(position);
  REQUIRE(cluster::DecodeSurvivor(text).ok());
  CHECK(*cluster::DecodeSurvivor(text) == position);
  for (size_t i = 0; i < text.size(); ++i) {
    std::string damaged = text;
    damaged[i] = damaged[i] == '0' ? '1' : '0';
    CHECK_CODE(cluster::DecodeSurvivor(damaged).status(), kInvalidArgument);
    CHECK_CODE(cluster::DecodeSurvivor(text.substr(0, i)).status(), kInvalidArgument);
  }
  CHECK_CODE(cluster::DecodeSurvivor(text + "00").status(), kInvalidArgument);
}

}  // namespace bandb::test
