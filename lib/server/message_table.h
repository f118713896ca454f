// Every message that a client of BanDB's own protocol may send, in one table; whatever is not in it
// is refused at its header.
#ifndef BANDB_SERVER_MESSAGE_TABLE_H_
#define BANDB_SERVER_MESSAGE_TABLE_H_

#include <cstdint>
#include <string_view>

#include "absl/types/span.h"
#include "net/router.h"
#include "proto/message_id.h"
#include "server/commands.h"
#include "server/session.h"

namespace bandb::server {

class FrameCodec;

// Writes overlap: the store keeps the order of WriteAsync. Reads overlap: the ReadEndpoint keeps
// theirs.
inline constexpr net::Lane kWriteLane = 1;
inline constexpr net::Lane kReadLane = 2;

struct Message {
  proto::MessageId id;
  std::string_view name;
  Permission permission;
  net::Lane lane;
  bool is_operation;  // one operation and nothing else, so that hooks on it are hooks on that
  Failure (*decode)(const FrameCodec& codec, std::string_view payload, Command* command);

  // Waits while the store takes no writes.
  bool IsGated() const { return permission == Permission::kWrite || permission == Permission::kReadWrite; }
};

absl::Span<const Message> Messages();
// Null: there is none.
const Message* FindMessage(uint32_t id);
// Of any id: also of ADMIN, and of routes of the host's, which decides about their users itself.
Permission PermissionOf(uint32_t id);

}  // namespace bandb::server

#endif  // BANDB_SERVER_MESSAGE_TABLE_H_
