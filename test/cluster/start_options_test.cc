// What a node makes of the public options.
#include "cluster/start_options.h"

#include "support/catch.h"

namespace bandb::cluster {

TEST_CASE("what is on its way to a peer, and what is not agreed on, fits into a file of the log several times") {
  ClusterOptions options;
  for (const uint64_t log_file_bytes : {8ull << 20, 16ull << 20, 64ull << 20, 512ull << 20}) {
    options.log_file_bytes = log_file_bytes;
    const NodeOptions node = NodeOptionsOf(options, "127.0.0.1:0");
    CHECK(node.segment_bytes == log_file_bytes);
    CHECK(node.core.uncommitted_bytes_max <= log_file_bytes / 4);
    CHECK(node.core.inflight_bytes_max <= log_file_bytes / 4);
  }
  // A large file is no reason to send more at once.
  CHECK(NodeOptionsOf(options, "127.0.0.1:0").core.inflight_bytes_max == raft::Options().inflight_bytes_max);
}

}  // namespace bandb::cluster
