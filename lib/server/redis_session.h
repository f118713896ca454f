// Commands that concern the connection itself.
#ifndef BANDB_SERVER_REDIS_SESSION_H_
#define BANDB_SERVER_REDIS_SESSION_H_

#include <optional>
#include <string>

#include "server/redis_command.h"

namespace bandb::server {

// What such commands change, once they have run.
struct RedisChange {
  enum class Replies : uint8_t { kOn, kOff, kSkip };
  std::optional<int> version;
  std::optional<std::string> name;
  std::optional<Replies> replies;

  void ApplyTo(RedisClient* client) const {
    if (version.has_value()) client->version = *version;
    if (name.has_value()) client->name = *name;
  }
};

// The user that a client says it is.
struct RedisLogin {
  std::string user;  // empty: nobody was named
  std::string token;
};

// AUTH and HELLO where there are users: what would be replied and changed, if the login is right.
void RunRedisLogin(RedisCall& call, RedisChange* change, RedisLogin* login);

// AUTH, CLIENT, HELLO, SELECT and UNWATCH.
void RunRedisSession(RedisCall& call, RedisChange* change);

}  // namespace bandb::server

#endif  // BANDB_SERVER_REDIS_SESSION_H_
