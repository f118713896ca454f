// An application with a node of a cluster: prints what it stored, and that certificates that are
// not there are no reason to end.
#include <bandb/cluster.h>

#include <iostream>

int main(int, char** argv) {
  bandb::ClusterOptions options;
  options.dir = argv[1];
  options.bootstrap = true;
  const auto tls = bandb::PeerTls::Load({"none.crt", "none.crt", "none.key"});
  if (tls.ok()) return 1;
  const auto node = bandb::Cluster::Start(options);
  if (!node.ok() || !(*node)->Put("name", "Alice").ok()) return 1;
  const absl::StatusOr<std::string> name = (*node)->Get("name");
  if (!name.ok()) return 1;
  std::cout << *name << "\n";
  return 0;
}
