#include "server/message_table.h"

#include <algorithm>
#include <iterator>

#include "server/frame_codec.h"

namespace bandb::server {

namespace {

using proto::MessageId;

// A batch may have conditions, which are reads.
constexpr Message kMessages[] = {
    {MessageId::kPut, "PUT", Permission::kWrite, kWriteLane, true, FrameCodec::DecodePut},
    {MessageId::kGet, "GET", Permission::kRead, kReadLane, true, FrameCodec::DecodeGet},
    {MessageId::kDelete, "DELETE", Permission::kWrite, kWriteLane, true, FrameCodec::DecodeDelete},
    {MessageId::kHello, "HELLO", Permission::kNone, net::kLaneFree, false, FrameCodec::DecodeHello},
    {MessageId::kPing, "PING", Permission::kUser, net::kLaneFree, false, FrameCodec::DecodePing},
    {MessageId::kBatch, "BATCH", Permission::kReadWrite, kWriteLane, false, FrameCodec::DecodeBatch},
    {MessageId::kScan, "SCAN", Permission::kRead, net::kLaneExclusive, false, FrameCodec::DecodeScan},
    {MessageId::kStats, "STATS", Permission::kUser, net::kLaneFree, false, FrameCodec::DecodeStats},
    {MessageId::kSnapshot, "SNAPSHOT", Permission::kRead, net::kLaneExclusive, false, FrameCodec::DecodeSnapshot},
    {MessageId::kChanges, "CHANGES", Permission::kRead, kReadLane, false, FrameCodec::DecodeChanges},
    {MessageId::kAcknowledge, "ACKNOWLEDGE", Permission::kRead, kReadLane, false, FrameCodec::DecodeAcknowledge},
    {MessageId::kCursors, "CURSORS", Permission::kRead, net::kLaneExclusive, false, FrameCodec::DecodeCursors},
};

}  // namespace

absl::Span<const Message> Messages() { return kMessages; }

const Message* FindMessage(uint32_t id) {
  const auto* const found = std::find_if(std::begin(kMessages), std::end(kMessages),
                                         [id](const Message& m) { return static_cast<uint32_t>(m.id) == id; });
  return found == std::end(kMessages) ? nullptr : found;
}

Permission PermissionOf(uint32_t id) {
  if (const Message* const message = FindMessage(id); message != nullptr) return message->permission;
  return id == static_cast<uint32_t>(MessageId::kAdmin) ? Permission::kAdmin : Permission::kUser;
}

}  // namespace bandb::server
