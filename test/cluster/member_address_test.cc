#include "cluster/member_address.h"

#include "raft/types/configuration.h"
#include "support/catch.h"

namespace bandb::cluster {

TEST_CASE("the address of a member comes back as it was, and fits into a configuration") {
  const std::string longest(kMemberPartBytesMax, 'x');
  for (const MemberAddress& address :
       {MemberAddress{}, MemberAddress{.peer = "10.0.0.1:7400", .client = {}, .name = "a"},
        MemberAddress{.peer = longest, .client = longest, .name = longest}}) {
    const std::string bytes = EncodeMemberAddress(address);
    CHECK(bytes.size() <= raft::kMemberAddressBytesMax);
    MemberAddress decoded;
    REQUIRE(DecodeMemberAddress(bytes, &decoded));
    CHECK(decoded == address);
  }
}

TEST_CASE("what is cut short, longer, too long in a part or of another version is no address") {
  const std::string bytes = EncodeMemberAddress({.peer = "10.0.0.1:7400", .client = "10.0.0.1:8080", .name = "a"});
  MemberAddress address;
  for (size_t size = 0; size < bytes.size(); ++size) CHECK_FALSE(DecodeMemberAddress(bytes.substr(0, size), &address));
  CHECK_FALSE(DecodeMemberAddress(bytes + "x", &address));
  std::string newer = bytes;
  newer[0] = 2;
  CHECK_FALSE(DecodeMemberAddress(newer, &address));
  std::string oversized = "\x01\xc1\x02" + std::string(kMemberPartBytesMax + 1, 'x') + std::string(2, '\0');
  CHECK_FALSE(DecodeMemberAddress(oversized, &address));
  oversized[1] = '\xc0';
  oversized.erase(3, 1);
  CHECK(DecodeMemberAddress(oversized, &address));
}

}  // namespace bandb::cluster
