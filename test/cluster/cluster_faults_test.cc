// What happens around a node: its directory moves, its disk has no room, it is set up wrongly.
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include "cluster/cluster_rig.h"
#include "support/catch.h"
#include "support/length_limit.h"

namespace bandb::test {

namespace {

// More than two files of the log.
void FillLog(Cluster* node, char value) {
  for (int i = 0; i < 24; ++i) REQUIRE_OK(node->Put("key" + std::to_string(i % 8), std::string(1 << 20, value)));
}

}  // namespace

TEST_CASE("a node goes on in its directory whatever becomes of the name, and touches no other of that name") {
  TempDir dir;
  const std::unique_ptr<Cluster> node = MustStart(Alone(dir));
  REQUIRE_OK(node->Put("first", "1"));
  std::filesystem::rename(dir.File("node"), dir.File("moved"));
  // Somebody else's, under the names of files that a log has.
  const std::filesystem::path other = dir.File("node/groups/0/log");
  std::filesystem::create_directories(other);
  constexpr int kSegments = 12;
  for (int i = 1; i <= kSegments; ++i) {
    std::ofstream(other / (std::string(i < 10 ? "00000" : "0000") + std::to_string(i) + ".seg")) << "other";
  }
  FillLog(node.get(), 'a');
  CHECK_OK(node->GetStatus().health);
  CHECK_OK(node->Stop());
  int others = 0;
  for (const auto& entry : std::filesystem::directory_iterator(other)) others += entry.file_size() == 5 ? 1 : 0;
  CHECK(others == kSegments);
  ClusterOptions moved = Alone(dir);
  moved.dir = dir.File("moved");
  const std::unique_ptr<Cluster> again = MustStart(moved);
  CHECK(*again->Get("first") == "1");
  CHECK(again->Get("key7")->front() == 'a');
}

TEST_CASE("a write that the disk has no room for is refused, large as it is, and the node goes on") {
  TempDir dir;
  ClusterOptions options = Alone(dir);
  options.storage.write_buffer_bytes = 64 << 20;
  std::unique_ptr<Cluster> node = MustStart(options);
  REQUIRE_OK(node->Put("small", "1"));
  {
    const LengthLimit limit(10 << 20);
    CHECK_CODE(node->Put("large", std::string(30 << 20, 'x')), kResourceExhausted);
    REQUIRE_OK(node->Put("small", "2"));
    CHECK(*node->Get("small") == "2");
  }
  REQUIRE_OK(node->Put("large", std::string(30 << 20, 'y')));
  node.reset();
  node = MustStart(options);
  CHECK(*node->Get("small") == "2");
  CHECK(node->Get("large")->size() == 30 << 20);
}

TEST_CASE("what a node is told of addresses and times has to make sense, before anything is made") {
  TempDir dir;
  ClusterOptions options = Alone(dir);
  options.election_timeout = absl::Microseconds(50'700);
  options.heartbeat_interval = absl::Microseconds(16'950);
  CHECK_CODE(Cluster::Start(options).status(), kInvalidArgument);
  options = Alone(dir);
  for (const char* any : {"0.0.0.0:7400", "[::]:7400"}) {
    options.listen = any;
    CHECK_CODE(Cluster::Start(options).status(), kInvalidArgument);
  }
  CHECK_FALSE(std::filesystem::exists(options.dir));
}

TEST_CASE("a member of a cluster that is told to listen to nobody does not start") {
  Nodes nodes(2);
  nodes.Kill("b");
  ClusterOptions deaf = nodes.OptionsOf("b");
  deaf.listen = "";
  deaf.join.clear();
  CHECK_CODE(Cluster::Start(deaf).status(), kInvalidArgument);
  nodes.Start("b");
  REQUIRE_OK(nodes["b"].Put("key", "value"));
}

}  // namespace bandb::test
