// What tests that speak to a server as clients of Redis share.
#ifndef BANDB_TEST_SERVER_REDIS_WIRE_H_
#define BANDB_TEST_SERVER_REDIS_WIRE_H_

#include <string>

#include "server/wire_client.h"
#include "support/catch.h"

namespace bandb::test {

inline ServerOptions WithRedis(int loops = 1) {
  ServerOptions options;
  options.redis_listen = "127.0.0.1:0";
  options.loops = loops;
  return options;
}

// Sends a line, and looks at what comes.
inline void CheckReply(WireClient* client, const std::string& line, const std::string& reply) {
  INFO(line.substr(0, 100));
  REQUIRE(client->Send(line + "\r\n"));
  CHECK(client->ReceiveText(reply.size()) == reply);
}

}  // namespace bandb::test

#endif  // BANDB_TEST_SERVER_REDIS_WIRE_H_
