// A client that speaks no gRPC: a socket.
#ifndef BANDB_TEST_GRPC_RAW_CLIENT_H_
#define BANDB_TEST_GRPC_RAW_CLIENT_H_

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "support/catch.h"

namespace bandb::test {

// A socket that is connected to HOST:PORT.
class RawClient {
 public:
  explicit RawClient(const std::string& address) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<uint16_t>(std::atoi(address.c_str() + address.rfind(':') + 1)));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(::connect(socket_, reinterpret_cast<const sockaddr*>(&to), sizeof(to)) == 0);
    const timeval minute{.tv_sec = 60, .tv_usec = 0};
    ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &minute, sizeof(minute));
  }
  ~RawClient() { ::close(socket_); }
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;

  void Send(std::string_view bytes) { (void)!::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL); }
  // True if the server ends the connection within a minute.
  bool SeesEnd() {
    char bytes[4096];
    ssize_t got = 1;
    while (got > 0) got = ::recv(socket_, bytes, sizeof(bytes), 0);
    return got == 0 || errno == ECONNRESET;
  }

 private:
  const int socket_;
};

}  // namespace bandb::test

#endif  // BANDB_TEST_GRPC_RAW_CLIENT_H_
