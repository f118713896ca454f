// Which server a program talks to, and as which user.
#ifndef BANDB_TOOLS_CLIENT_TARGET_H_
#define BANDB_TOOLS_CLIENT_TARGET_H_

#include <memory>
#include <string>
#include <utility>

#include "tls/context.h"

namespace bandb::client {

struct Target {
  Target() = default;
  // An address alone: of a server that asks nobody who it is.
  Target(std::string host_and_port) : address(std::move(host_and_port)) {}  // NOLINT(google-explicit-constructor)

  std::string address{};  // HOST:PORT
  std::string user{};     // empty: nobody
  std::string token{};
  std::shared_ptr<tls::Context> tls{};  // null: plain
};

}  // namespace bandb::client

#endif  // BANDB_TOOLS_CLIENT_TARGET_H_
