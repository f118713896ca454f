// Three nodes in one process: a write, a leader that is gone, and the value read from the others.
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "bandb/cluster.h"

namespace {

using Node = std::unique_ptr<bandb::Cluster>;

Node MustStart(const bandb::ClusterOptions& options) {
  absl::StatusOr<Node> node = bandb::Cluster::Start(options);
  if (node.ok()) return *std::move(node);
  std::cerr << options.dir << ": " << node.status() << "\n";
  std::exit(1);
}

void Must(const absl::Status& status) {
  if (status.ok()) return;
  std::cerr << status << "\n";
  std::exit(1);
}

// A node that was let in votes once it has caught up.
void AwaitVoters(bandb::Cluster* node, size_t voters) {
  for (size_t found = 0; found != voters;) {
    // Takes a round of messages, which is what this waits for.
    (void)node->Get("name");
    found = 0;
    const bandb::ClusterStatus status = node->GetStatus();
    for (const bandb::MemberStatus& member : status.members) found += member.voter && !status.members_changing ? 1 : 0;
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::filesystem::path dir =
      argc > 1 ? argv[1] : std::filesystem::temp_directory_path() / "bandb-replicated-node-example";
  std::filesystem::remove_all(dir);

  std::vector<Node> nodes;
  std::string first;  // where the first node is
  for (const std::string name : {"a", "b", "c"}) {
    bandb::ClusterOptions options;
    options.dir = dir / name;
    options.name = name;
    options.listen = "127.0.0.1:0";
    if (nodes.empty()) {
      options.bootstrap = true;
    } else {
      options.join = {first};
    }
    nodes.push_back(MustStart(options));
    if (nodes.size() == 1) first = nodes.front()->GetStatus().members.front().peer_address;
    AwaitVoters(nodes.front().get(), nodes.size());
  }

  // Any node takes any call.
  Must(nodes[2]->Put("name", "Alice"));

  // The leader is gone; the others go on without it.
  nodes.front().reset();
  const absl::StatusOr<std::string> name = nodes[1]->Get("name");
  Must(name.status());
  Must(nodes[2]->Put("name", "Bob"));
  std::cout << "name was " << *name << ", is " << nodes[1]->Get("name").value_or("gone") << "\n";
  for (Node& node : nodes) {
    if (node != nullptr) Must(node->Stop());
  }
  return 0;
}
