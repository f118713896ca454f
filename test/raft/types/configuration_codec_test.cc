// The bytes of a configuration.
#include "raft/types/configuration_codec.h"

#include <string>

#include "support/catch.h"

namespace bandb::raft {
namespace {

TEST_CASE("a configuration survives its encoding, and no other bytes pass for one", "[raft]") {
  Configuration configuration = MakeConfiguration({1, 2, 900}, {4, 5});
  configuration.members[3].promote = true;
  configuration.members[3].replaces = 2;
  configuration.members[0].outgoing = true;
  configuration.members[0].address = "10.0.0.1:7000";
  configuration.auto_leave = true;
  configuration.index = 77;
  std::string bytes;
  EncodeConfiguration(configuration, &bytes);
  Configuration decoded;
  REQUIRE(DecodeConfiguration(bytes, &decoded));
  CHECK(decoded == configuration);
  for (size_t size = 0; size < bytes.size(); ++size) CHECK_FALSE(DecodeConfiguration(bytes.substr(0, size), &decoded));
  CHECK_FALSE(DecodeConfiguration(bytes + '\0', &decoded));
  std::string huge;
  base::PutFixed8(&huge, kConfigurationFormat);
  base::PutFixed8(&huge, 0);
  for (int i = 0; i < 3; ++i) base::PutVarint(&huge, uint64_t{1} << 60);
  CHECK_FALSE(DecodeConfiguration(huge, &decoded));
}

}  // namespace
}  // namespace bandb::raft
