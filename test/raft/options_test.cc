// Options that are refused.
#include "raft/options.h"

#include "support/catch.h"

namespace bandb::raft {
namespace {

TEST_CASE("wrong options are all named", "[raft]") {
  Options options;
  options.heartbeat_interval_nanos = options.election_timeout_nanos;
  const absl::Status status = options.Validate();
  CHECK_CODE(status, kInvalidArgument);
  CHECK(status.ToString().find("self") != std::string::npos);
  CHECK(status.ToString().find("heartbeat_interval_nanos") != std::string::npos);
}

}  // namespace
}  // namespace bandb::raft
