// CLIENT LIST, INFO and KILL of Redis: which clients they mean, and what they tell of a connection.
#ifndef BANDB_SERVER_REDIS_CLIENTS_H_
#define BANDB_SERVER_REDIS_CLIENTS_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bandb::server {

// A connection of Redis' protocol, as it is now.
struct RedisClientRow {
  uint64_t id = 0;          // as CLIENT ID
  uint64_t connection = 0;  // as ClientInfo::id
  std::string address{};
  std::string local_address{};
  std::string name{};
  std::string user{};
  std::string command{};  // the last one; empty: there was none
  int64_t age_seconds = 0;
  int64_t idle_seconds = 0;
  int version = 2;
  std::optional<size_t> queued{};  // commands of its MULTI
  size_t queued_bytes = 0;
  size_t request_bytes = 0;  // of the request that it waits for
  size_t held_bytes = 0;     // by requests that are not complete, and its session
  size_t output_bytes = 0;   // of replies that it has not taken
};

// A line of CLIENT LIST, as Redis has them, without its end.
std::string ToLine(const RedisClientRow& row);

// The clients that a command means: those of which all holds that is said.
struct RedisClientFilter {
  std::vector<uint64_t> ids;  // any of these; empty: any client
  // Nothing: whatever it is.
  std::optional<std::string> address{};
  std::optional<std::string> local_address{};
  std::optional<std::string> user{};
  bool nobody = false;  // a kind of client that BanDB has none of

  bool Matches(const RedisClientRow& row) const;
};

// What one of these commands asks all loops for.
struct ClientsCommand {
  enum class Action : uint8_t { kInfo, kList, kKill };
  Action action = Action::kInfo;
  RedisClientFilter filter{};
  bool skip_me = false;  // of kKill
  // Of all others: what the rows may take, and the reply.
  size_t reply_bytes_max = SIZE_MAX;
  // Of those that it means, in the order of their ids.
  std::function<std::string(const std::vector<RedisClientRow>& rows)> reply;
};

}  // namespace bandb::server

#endif  // BANDB_SERVER_REDIS_CLIENTS_H_
