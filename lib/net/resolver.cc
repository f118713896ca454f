#include "net/resolver.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "base/status.h"
#include "net/address.h"

namespace bandb::net {

namespace {

bool HostIsNumeric(const std::string& address) {
  std::string host = address.substr(0, address.rfind(':'));
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  in6_addr parsed;  // large enough for both
  return ::inet_pton(AF_INET, host.c_str(), &parsed) == 1 || ::inet_pton(AF_INET6, host.c_str(), &parsed) == 1;
}

}  // namespace

std::optional<absl::StatusOr<AddressList>> SystemResolver::ResolveNow(const std::string& address) {
  if (!IsAddress(address)) {
    return base::Error(absl::StatusCode::kInvalidArgument, "'{}' is not HOST:PORT", address);
  }
  if (!HostIsNumeric(address)) return std::nullopt;
  return Resolve(address);
}

absl::StatusOr<AddressList> SystemResolver::Resolve(const std::string& address) {
  BANDB_ASSIGN_OR_RETURN(const std::vector<SocketAddress> found, ParseAddresses(address));
  AddressList addresses;
  for (const SocketAddress& one : found) addresses.push_back(FormatAddress(one));
  return addresses;
}

}  // namespace bandb::net
