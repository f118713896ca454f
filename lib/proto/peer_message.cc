#include "proto/peer_message.h"

#include <algorithm>
#include <memory>

#include "base/assert.h"
#include "base/coding.h"
#include "raft/types/configuration_codec.h"

namespace bandb::proto {

namespace {

using raft::MessageKind;

constexpr uint8_t kRejectFlag = 1;
constexpr uint8_t kForceFlag = 2;
constexpr uint8_t kLogFullFlag = 4;
constexpr uint8_t kFlagsMax = 7;
// kind, version, term, index and length of an entry take no less.
constexpr size_t kEntryBytesMin = 5;

void EncodeEntries(const raft::Entries& entries, std::string* to) {
  base::PutVarint(to, entries.size());
  for (const raft::Entry& entry : entries) {
    base::PutFixed8(to, static_cast<uint8_t>(entry.kind));
    base::PutFixed8(to, entry.version);
    base::PutVarint(to, entry.term);
    base::PutVarint(to, entry.index);
    base::PutLengthPrefixed(to, entry.payload.bytes());
  }
}

void EncodeSnapshot(const raft::SnapshotMeta& snapshot, std::string* to) {
  base::PutVarint(to, snapshot.index);
  base::PutVarint(to, snapshot.term);
  base::PutVarint(to, snapshot.id);
  raft::EncodeConfiguration(snapshot.configuration, to);
}

bool DecodeEntries(base::ByteReader* reader, raft::Message* message) {
  // One buffer for all of them.
  const raft::Payload all(reader->rest());
  const size_t begin = reader->remaining();
  uint64_t count = 0;
  if (!reader->ReadVarint(&count) || count > std::min(kPeerEntriesMax, reader->remaining() / kEntryBytesMin)) {
    return false;
  }
  // Each is many times the least that one takes here: what was announced takes no memory before it
  // has come.
  for (uint64_t i = 0; i < count; ++i) {
    raft::Entry& entry = message->entries.emplace_back();
    uint8_t kind = 0;
    std::string_view payload;
    if (!reader->ReadFixed(&kind) || kind > static_cast<uint8_t>(raft::EntryKind::kConfiguration) ||
        !reader->ReadFixed(&entry.version) || !reader->ReadVarint(&entry.term) || !reader->ReadVarint(&entry.index) ||
        !reader->ReadLengthPrefixed(&payload)) {
      return false;
    }
    entry.kind = static_cast<raft::EntryKind>(kind);
    entry.group = message->group;
    entry.payload = all.Slice(begin - reader->remaining() - payload.size(), payload.size());
  }
  return reader->empty();
}

bool DecodeSnapshot(base::ByteReader* reader, raft::Message* message) {
  auto snapshot = std::make_shared<raft::SnapshotMeta>();
  if (!reader->ReadVarint(&snapshot->index) || !reader->ReadVarint(&snapshot->term) ||
      !reader->ReadVarint(&snapshot->id) || !raft::DecodeConfiguration(reader->rest(), &snapshot->configuration)) {
    return false;
  }
  message->snapshot = std::move(snapshot);
  return true;
}

}  // namespace

std::optional<uint8_t> AgreeOnVersion(const VersionRange& a, const VersionRange& b) {
  const uint8_t highest = std::min(a.max, b.max);
  if (highest < std::max(a.min, b.min)) return std::nullopt;
  return highest;
}

void EncodePeerMessage(const raft::Message& message, std::string* to) {
  BANDB_ASSERT(message.entries.empty() || message.kind == MessageKind::kAppend);
  BANDB_ASSERT((message.snapshot != nullptr) == (message.kind == MessageKind::kSnapshot));
  base::PutFixed8(to, kPeerLayout);
  base::PutFixed8(to, static_cast<uint8_t>(message.kind));
  base::PutFixed8(to, message.version);
  base::PutFixed8(to, static_cast<uint8_t>((message.reject ? kRejectFlag : 0) | (message.force ? kForceFlag : 0) |
                                           (message.log_full ? kLogFullFlag : 0)));
  base::PutVarint(to, message.group);
  base::PutFixed64(to, message.cluster);
  base::PutFixed64(to, message.from);
  base::PutFixed64(to, message.to);
  for (const uint64_t number : {message.term, message.index, message.log_term, message.commit, message.hint,
                                message.hint_term, message.session, message.round}) {
    base::PutVarint(to, number);
  }
  if (message.kind == MessageKind::kAppend) EncodeEntries(message.entries, to);
  if (message.kind == MessageKind::kSnapshot) EncodeSnapshot(*message.snapshot, to);
}

bool DecodePeerMessage(std::string_view bytes, const VersionRange& versions, raft::Message* message) {
  if (bytes.size() > raft::Payload::kBytesMax) return false;
  *message = raft::Message();
  base::ByteReader reader(bytes);
  uint8_t layout = 0, kind = 0, flags = 0;
  if (!reader.ReadFixed(&layout) || layout != kPeerLayout || !reader.ReadFixed(&kind) || kind == 0 ||
      kind > raft::kMessageKindMax || !reader.ReadFixed(&message->version) || message->version < versions.min ||
      message->version > versions.max || !reader.ReadFixed(&flags) || flags > kFlagsMax ||
      !reader.ReadVarint32(&message->group) || !reader.ReadFixed(&message->cluster) ||
      !reader.ReadFixed(&message->from) || !reader.ReadFixed(&message->to)) {
    return false;
  }
  message->kind = static_cast<MessageKind>(kind);
  message->reject = (flags & kRejectFlag) != 0;
  message->force = (flags & kForceFlag) != 0;
  message->log_full = (flags & kLogFullFlag) != 0;
  for (uint64_t* const number : {&message->term, &message->index, &message->log_term, &message->commit, &message->hint,
                                 &message->hint_term, &message->session, &message->round}) {
    if (!reader.ReadVarint(number)) return false;
  }
  if (message->kind == MessageKind::kAppend) return DecodeEntries(&reader, message);
  if (message->kind == MessageKind::kSnapshot) return DecodeSnapshot(&reader, message);
  return reader.empty();
}

}  // namespace bandb::proto
