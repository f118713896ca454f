#include "net/resolver.h"

#include <algorithm>

#include "support/catch.h"

namespace bandb::test {

TEST_CASE("numeric addresses take no lookup, and what is none is refused without one") {
  net::SystemResolver resolver;
  for (const std::string address : {"127.0.0.1:7400", "[::1]:7400"}) {
    const auto now = resolver.ResolveNow(address);
    REQUIRE(now.has_value());
    REQUIRE_OK(now->status());
    CHECK(**now == net::AddressList{address});
  }
  for (const std::string address : {"", "host", "host:", "host:port", "host:99999", "::1:80"}) {
    const auto now = resolver.ResolveNow(address);
    REQUIRE(now.has_value());
    CHECK_CODE(now->status(), kInvalidArgument);
  }
  CHECK_FALSE(resolver.ResolveNow("localhost:7400").has_value());
}

TEST_CASE("a name becomes numeric addresses, one that nobody has an error") {
  net::SystemResolver resolver;
  const auto found = resolver.Resolve("localhost:7400");
  REQUIRE_OK(found.status());
  REQUIRE_FALSE(found->empty());
  for (const std::string& address : *found) CHECK(resolver.ResolveNow(address).has_value());
  // RFC 6761: never a name.
  CHECK_CODE(resolver.Resolve("nobody.invalid:7400").status(), kInvalidArgument);
}

}  // namespace bandb::test
