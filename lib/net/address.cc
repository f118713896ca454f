#include "net/address.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>

#include <charconv>
#include <cstring>

#include "base/status.h"

namespace bandb::net {

namespace {

absl::Status NotAnAddress(const std::string& text) {
  return base::Error(absl::StatusCode::kInvalidArgument, "'{}' is not HOST:PORT", text);
}

bool ParsePort(std::string_view text, uint16_t* port) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *port);
  return error == std::errc() && end == text.data() + text.size();
}

bool Split(const std::string& text, std::string* host, uint16_t* port) {
  const size_t colon = text.rfind(':');
  if (colon == std::string::npos || !ParsePort(std::string_view(text).substr(colon + 1), port)) return false;
  *host = text.substr(0, colon);
  if (host->size() >= 2 && host->front() == '[' && host->back() == ']') {
    *host = host->substr(1, host->size() - 2);
    return true;
  }
  return host->find(':') == std::string::npos;
}

}  // namespace

bool IsAddress(const std::string& text) {
  std::string host;
  uint16_t port = 0;
  return Split(text, &host, &port);
}

absl::StatusOr<std::vector<SocketAddress>> ParseAddresses(const std::string& text) {
  std::string host;
  uint16_t port = 0;
  if (!Split(text, &host, &port)) return NotAnAddress(text);
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV | (host.empty() ? AI_PASSIVE : 0);
  addrinfo* found = nullptr;
  const std::string service = std::to_string(port);
  const int error = ::getaddrinfo(host.empty() ? nullptr : host.c_str(), service.c_str(), &hints, &found);
  if (error != 0 || found == nullptr) {
    return base::Error(absl::StatusCode::kInvalidArgument, "'{}': {}", text, ::gai_strerror(error));
  }
  std::vector<SocketAddress> addresses;
  for (const addrinfo* at = found; at != nullptr; at = at->ai_next) {
    SocketAddress address;
    std::memcpy(&address.storage, at->ai_addr, at->ai_addrlen);
    address.length = at->ai_addrlen;
    addresses.push_back(address);
  }
  ::freeaddrinfo(found);
  return addresses;
}

absl::StatusOr<SocketAddress> ParseAddress(const std::string& text) {
  BANDB_ASSIGN_OR_RETURN(const std::vector<SocketAddress> addresses, ParseAddresses(text));
  return addresses.front();
}

std::string HostOf(const std::string& text) {
  std::string host;
  uint16_t port = 0;
  return Split(text, &host, &port) ? host : "";
}

uint16_t PortOf(const SocketAddress& address) {
  if (address.storage.ss_family == AF_INET6) {
    return ntohs(reinterpret_cast<const sockaddr_in6*>(&address.storage)->sin6_port);
  }
  return ntohs(reinterpret_cast<const sockaddr_in*>(&address.storage)->sin_port);
}

bool IsWildcard(const SocketAddress& address) {
  if (address.storage.ss_family == AF_INET6) {
    return IN6_IS_ADDR_UNSPECIFIED(&reinterpret_cast<const sockaddr_in6*>(&address.storage)->sin6_addr) != 0;
  }
  return reinterpret_cast<const sockaddr_in*>(&address.storage)->sin_addr.s_addr == INADDR_ANY;
}

bool IsLoopback(const SocketAddress& address) {
  constexpr uint32_t kLoopbackNet = 127;
  if (address.storage.ss_family == AF_INET6) {
    const in6_addr* const host = &reinterpret_cast<const sockaddr_in6*>(&address.storage)->sin6_addr;
    if (IN6_IS_ADDR_V4MAPPED(host) != 0) return host->s6_addr[12] == kLoopbackNet;
    return IN6_IS_ADDR_LOOPBACK(host) != 0;
  }
  return ntohl(reinterpret_cast<const sockaddr_in*>(&address.storage)->sin_addr.s_addr) >> 24 == kLoopbackNet;
}

std::string FormatAddress(const SocketAddress& address) {
  char host[INET6_ADDRSTRLEN] = "";
  if (address.storage.ss_family == AF_INET6) {
    const auto* in6 = reinterpret_cast<const sockaddr_in6*>(&address.storage);
    ::inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof(host));
    return fmt::format("[{}]:{}", host, ntohs(in6->sin6_port));
  }
  if (address.storage.ss_family != AF_INET) return "unknown";
  const auto* in = reinterpret_cast<const sockaddr_in*>(&address.storage);
  ::inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host));
  return fmt::format("{}:{}", host, ntohs(in->sin_port));
}

}  // namespace bandb::net
