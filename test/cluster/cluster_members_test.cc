// What is asked of the members of a cluster, at every node.
#include <filesystem>
#include <mutex>
#include <string>
#include <string_view>

#include "bandb/logger.h"
#include "cluster/cluster_rig.h"
#include "support/catch.h"

namespace bandb::test {

TEST_CASE("leadership that is handed over at the word of a follower moves once, and where it is told to") {
  Nodes nodes(3);
  for (int round = 0; round < 3; ++round) {
    const std::string leader = nodes.AwaitLeader();
    const uint64_t term = nodes[leader].GetStatus().term;
    const std::string follower = leader == "a" ? "b" : "a";
    REQUIRE_OK(nodes[follower].TransferLeadership());
    // All that was asked for is agreed on before this is.
    REQUIRE_OK(nodes["c"].Put("key", "value"));
    CHECK(nodes["c"].GetStatus().term == term + 1);
    const std::string next = nodes.AwaitLeader();
    const std::string to = next == "a" ? "b" : "a";
    const std::string third = next == "c" || to == "c" ? (next == "a" || to == "a" ? "b" : "a") : "c";
    REQUIRE_OK(nodes[third].TransferLeadership(to));
    CHECK(nodes.AwaitLeader() == to);
    CHECK_CODE(nodes[third].TransferLeadership(to), kFailedPrecondition);
  }
  CHECK_CODE(nodes["a"].TransferLeadership("nobody"), kNotFound);
}

TEST_CASE("a member that is removed is told and rests, whichever it was and whoever was asked") {
  Nodes nodes(3);
  ClusterOptions learner = nodes.OptionsOf("l");
  learner.join_as_learner = true;
  nodes.StartWith("l", learner);
  // Itself, by itself; the learner; and the leader.
  REQUIRE_OK(nodes["c"].RemoveMember("c"));
  REQUIRE_OK(nodes["l"].RemoveMember("l"));
  const std::string leader = nodes.AwaitLeader();
  const std::string last = leader == "a" ? "b" : "a";
  REQUIRE_OK(nodes[last].RemoveMember(leader));
  const std::string removed[] = {"c", "l", leader};
  for (const std::string& name : removed) {
    INFO(name);
    nodes.Await(name, [](const ClusterStatus& status) { return !status.health.ok(); });
    CHECK_CODE(nodes[name].Put("key", name), kFailedPrecondition);
    CHECK_CODE(nodes[name].Get("key").status(), kFailedPrecondition);
    CHECK_CODE(nodes[name].RemoveMember(last), kFailedPrecondition);
    CHECK_CODE(nodes[name].TransferLeadership(), kFailedPrecondition);
    CHECK_OK(nodes[name].Stop());
    CHECK(nodes.changes(name).removals == 1);
    CHECK(nodes.changes(name).failures == 0);
  }
  REQUIRE_OK(nodes[last].Put("key", "last"));
  CHECK(*nodes[last].Get("key") == "last");
  CHECK_CODE(nodes[last].RemoveMember(last), kInvalidArgument);
  CHECK(nodes[last].GetStatus().members.size() == 1);
}

TEST_CASE("a node that has begun a cluster of its own stays in it when it is told to join another, and says so") {
  struct Lines final : Logger {
    void Log(LogSeverity, std::string_view message) override {
      const std::lock_guard<std::mutex> lock(mutex);
      all.append(message).append("\n");
    }
    std::mutex mutex;
    std::string all;
  };
  const TempDir dir;
  Nodes nodes(1);
  ClusterOptions alone = Alone(dir);
  alone.listen = "127.0.0.1:0";
  {
    const auto node = MustStart(alone);
    REQUIRE_OK(node->Put("key", "value"));
    REQUIRE_OK(node->Stop());
  }
  Lines lines;
  ClusterOptions joining = nodes.OptionsOf("b");
  joining.dir = alone.dir;
  joining.storage.logger = &lines;
  {
    const auto node = MustStart(joining);
    CHECK(*node->Get("key") == "value");
    CHECK(node->GetStatus().members.size() == 1);
    REQUIRE_OK(node->Stop());
  }
  CHECK(lines.all.find(alone.dir.string() + ": this node is the only member of its cluster") != std::string::npos);
  std::filesystem::remove_all(alone.dir);
  REQUIRE_OK(MustStart(joining)->Put("other", "value"));
}

TEST_CASE("a node keeps its list of whom to join when the others are gone, be it the first or one that joined") {
  const bool first = GENERATE(true, false);
  Nodes nodes(2);
  const std::string stays = first ? "a" : "b", goes = first ? "b" : "a";
  ClusterOptions options = nodes.OptionsOf(stays);
  options.listen = nodes.AddressOf(stays);
  options.join = {nodes.AddressOf(goes)};
  REQUIRE_OK(nodes[stays].RemoveMember(goes));
  nodes.AwaitVoters(stays, 1);
  REQUIRE_OK(nodes[stays].Put("key", "value"));
  nodes.Kill(goes);
  nodes.Kill(stays);
  nodes.StartWith(stays, options);
  CHECK(*nodes[stays].Get("key") == "value");
}

TEST_CASE("a member that was away when it was removed is told when it comes back, each time") {
  Nodes nodes(2);
  ClusterOptions learner = nodes.OptionsOf("l");
  learner.join_as_learner = true;
  nodes.StartWith("l", learner);
  REQUIRE_OK(nodes["l"].Put("key", "value"));
  nodes.Kill("l");
  REQUIRE_OK(nodes["b"].RemoveMember("l"));
  for (int time = 0; time < 2; ++time) {
    nodes.StartWith("l", learner);
    nodes.Await("l", [](const ClusterStatus& status) { return !status.health.ok(); });
    CHECK_CODE(nodes["l"].Put("key", "value"), kFailedPrecondition);
    nodes.Kill("l");
    CHECK(nodes.changes("l").removals == time + 1);
  }
}

TEST_CASE("a node that was let in, died before it knew and was removed meanwhile does not come in again") {
  Nodes nodes(1);
  ClusterOptions joining = nodes.OptionsOf("b");
  joining.advertise = "127.0.0.1:1";
  CHECK_CODE(Cluster::Start(joining, absl::Milliseconds(500)).status(), kDeadlineExceeded);
  REQUIRE_OK(nodes["a"].RemoveMember("b"));
  for (int time = 0; time < 2; ++time) CHECK_CODE(Cluster::Start(joining).status(), kFailedPrecondition);
  CHECK(nodes["a"].GetStatus().members.size() == 1);
}

TEST_CASE("what makes no sense is refused with the reason, and changes nothing") {
  Nodes nodes(2);
  ClusterOptions learner = nodes.OptionsOf("l");
  learner.join_as_learner = true;
  nodes.StartWith("l", learner);
  const uint64_t version = nodes["a"].GetStatus().members_version;
  for (const std::string at : {"a", "b", "l"}) {
    INFO(at);
    CHECK_CODE(nodes[at].ReplaceMember("a", "a"), kAlreadyExists);
    CHECK_CODE(nodes[at].ReplaceMember("a", "b"), kAlreadyExists);
    CHECK_CODE(nodes[at].ReplaceMember("l", "l"), kNotFound);
    CHECK_CODE(nodes[at].ReplaceMember("nobody", "l"), kNotFound);
    CHECK_CODE(nodes[at].PromoteMember("b"), kAlreadyExists);
    CHECK_CODE(nodes[at].PromoteMember(""), kNotFound);
    CHECK_CODE(nodes[at].RemoveMember("0"), kNotFound);
    CHECK_CODE(nodes[at].TransferLeadership("l"), kNotFound);
  }
  CHECK(nodes["a"].GetStatus().members_version == version);
  REQUIRE_OK(nodes["l"].ReplaceMember("b", "l"));
  nodes.Await("a", [&](const ClusterStatus& status) { return status.members.size() == 2; });
  nodes.Await("b", [](const ClusterStatus& status) { return !status.health.ok(); });
  REQUIRE_OK(nodes["l"].Put("key", "value"));
  CHECK(nodes.Member("l", "l").voter);
}

TEST_CASE("a node that was let in and died before it knew is let in again, wherever it listens now") {
  Nodes nodes(1);
  ClusterOptions joining = nodes.OptionsOf("b");
  // Nobody answers where it says it is, so it stays as if it had died once it was let in.
  joining.advertise = "127.0.0.1:1";
  CHECK_CODE(Cluster::Start(joining, absl::Milliseconds(500)).status(), kDeadlineExceeded);
  CHECK(nodes["a"].GetStatus().members.size() == 2);
  // It knows nobody, and its directory is a node's.
  joining.advertise = "";
  nodes.StartWith("b", joining);
  REQUIRE_OK(nodes["b"].Put("key", "value"));
  nodes.AwaitVoters("a", 2);
  CHECK(nodes.Member("a", "b").peer_address == nodes.AddressOf("b"));
}

}  // namespace bandb::test
