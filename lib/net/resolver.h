// From the name of a peer to the addresses that it has now. A seam: the operating system, or a list
// of the test's.
#ifndef BANDB_NET_RESOLVER_H_
#define BANDB_NET_RESOLVER_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace bandb::net {

using AddressList = std::vector<std::string>;

// Thread safety: any thread.
class Resolver {
 public:
  virtual ~Resolver() = default;
  // The answer, if it takes no lookup: for an address that is a number, or no address at all.
  virtual std::optional<absl::StatusOr<AddressList>> ResolveNow(const std::string& address) = 0;
  // At least one HOST:PORT with a numeric host, in the order in which to try them. May block for
  // long: never on a loop. Errors: kInvalidArgument.
  virtual absl::StatusOr<AddressList> Resolve(const std::string& address) = 0;
};

class SystemResolver final : public Resolver {
 public:
  std::optional<absl::StatusOr<AddressList>> ResolveNow(const std::string& address) override;
  absl::StatusOr<AddressList> Resolve(const std::string& address) override;
};

}  // namespace bandb::net

#endif  // BANDB_NET_RESOLVER_H_
