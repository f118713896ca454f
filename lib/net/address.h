// HOST:PORT, and what the socket calls want instead.
#ifndef BANDB_NET_ADDRESS_H_
#define BANDB_NET_ADDRESS_H_

#include <sys/socket.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace bandb::net {

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t length = 0;
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

// True if the text has the form HOST:PORT; whether there is such a host is not looked up.
bool IsAddress(const std::string& text);

// HOST is a numeric address, in brackets if IPv6, or a name, which may block to be looked up; empty
// means every interface. Errors: kInvalidArgument.
absl::StatusOr<SocketAddress> ParseAddress(const std::string& text);

// All addresses that the name has, at least one, in the order in which to try them: "localhost" is
// often two.
absl::StatusOr<std::vector<SocketAddress>> ParseAddresses(const std::string& text);

// HOST of HOST:PORT, without brackets.
std::string HostOf(const std::string& text);
uint16_t PortOf(const SocketAddress& address);
// Whether it means every interface.
bool IsWildcard(const SocketAddress& address);

// Whether none but this machine can reach it.
bool IsLoopback(const SocketAddress& address);

// HOST:PORT of it.
std::string FormatAddress(const SocketAddress& address);

}  // namespace bandb::net

#endif  // BANDB_NET_ADDRESS_H_
