// Names that are addresses.
#ifndef BANDB_TEST_SUPPORT_PLAIN_RESOLVER_H_
#define BANDB_TEST_SUPPORT_PLAIN_RESOLVER_H_

#include <optional>
#include <string>

#include "net/resolver.h"

namespace bandb::test {

class PlainResolver final : public net::Resolver {
 public:
  std::optional<absl::StatusOr<net::AddressList>> ResolveNow(const std::string& address) override {
    return absl::StatusOr<net::AddressList>(net::AddressList{address});
  }
  absl::StatusOr<net::AddressList> Resolve(const std::string& address) override { return net::AddressList{address}; }
};

}  // namespace bandb::test

#endif  // BANDB_TEST_SUPPORT_PLAIN_RESOLVER_H_
