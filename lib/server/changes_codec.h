// The messages of the change feed in BanDB's own protocol: docs/protocol.md, lib/proto/changes.h.
#ifndef BANDB_SERVER_CHANGES_CODEC_H_
#define BANDB_SERVER_CHANGES_CODEC_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "server/commands.h"

namespace bandb::server {

// `frame_bytes_max`: the most that the payload of a reply may hold.
Failure DecodeChanges(std::string_view payload, uint32_t frame_bytes_max, Command* command);
Failure DecodeAcknowledge(std::string_view payload, Command* command);
Failure DecodeCursors(std::string_view payload, Command* command);
// The body of the reply to a list.
std::string CursorsBody(const CursorsAnswer& cursors);

}  // namespace bandb::server

#endif  // BANDB_SERVER_CHANGES_CODEC_H_
