#include "cluster/segment_format.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/assert.h"
#include "base/checksum.h"
#include "base/coding.h"
#include "raft/types/configuration_codec.h"

namespace bandb::cluster {

namespace {

using storage::RecordType;

constexpr std::string_view kSegmentSuffix = ".seg";
constexpr size_t kDigitsMin = 6;
constexpr size_t kDigitsMax = 18;
constexpr uint8_t kResetFlag = 1;
constexpr std::string_view kMarkPayload = "\x01";

// Never 0, which is what room looks like that was never written.
uint16_t SectorTag(uint64_t checksum_seed, uint64_t sector) {
  const auto tag = static_cast<uint16_t>(base::BlockChecksum(checksum_seed, sector, {}));
  return tag == 0 ? 1 : tag;
}

}  // namespace

std::string NumberedName(uint64_t number, std::string_view suffix) { return fmt::format("{:06}{}", number, suffix); }

std::optional<uint64_t> ParseNumberedName(std::string_view name, std::string_view suffix) {
  if (!name.ends_with(suffix)) return std::nullopt;
  const std::string_view digits = name.substr(0, name.size() - suffix.size());
  if (digits.size() < kDigitsMin || digits.size() > kDigitsMax) return std::nullopt;
  uint64_t number = 0;
  for (const char digit : digits) {
    if (digit < '0' || digit > '9') return std::nullopt;
    number = number * 10 + static_cast<uint64_t>(digit - '0');
  }
  if (number == 0 || NumberedName(number, suffix) != name) return std::nullopt;
  return number;
}

std::string SegmentName(uint64_t number) { return NumberedName(number, kSegmentSuffix); }

std::optional<uint64_t> ParseSegmentName(std::string_view name) { return ParseNumberedName(name, kSegmentSuffix); }

void AppendSectors(uint64_t checksum_seed, uint64_t offset, std::string_view stream, std::string* to) {
  while (!stream.empty()) {
    const uint64_t in_sector = offset % kSectorDataBytes;
    if (in_sector == 0) base::PutFixed16(to, SectorTag(checksum_seed, offset / kSectorDataBytes));
    const size_t bytes = std::min<size_t>(stream.size(), kSectorDataBytes - in_sector);
    to->append(stream.substr(0, bytes));
    stream.remove_prefix(bytes);
    offset += bytes;
  }
}

SectorData StripSectors(uint64_t checksum_seed, uint64_t first, std::string_view bytes) {
  SectorData data;
  data.stream.reserve(bytes.size());
  for (uint64_t sector = first; bytes.size() > kSectorTagBytes; ++sector) {
    const std::string_view whole = bytes.substr(0, kSectorBytes);
    data.tagged.push_back(base::LoadFixed<uint16_t>(whole.data()) == SectorTag(checksum_seed, sector));
    data.stream.append(whole.substr(kSectorTagBytes));
    bytes.remove_prefix(whole.size());
  }
  return data;
}

storage::RecordHead EncodeSegmentHead(const SegmentHead& head, std::string* to) {
  base::PutVarint(to, head.number);
  base::PutVarint(to, head.previous_number);
  base::PutVarint(to, head.previous_end);
  base::PutFixed8(to, head.reset ? kResetFlag : 0);
  base::PutVarint(to, head.hard_state.term);
  base::PutVarint(to, head.hard_state.vote);
  base::PutVarint(to, head.hard_state.commit);
  raft::EncodeConfiguration(head.configuration, to);
  return {.type = RecordType::kSegmentHead, .term = head.previous_term, .index = head.previous_index};
}

bool DecodeSegmentHead(const storage::ParsedRecord& record, SegmentHead* head) {
  base::ByteReader reader(record.payload);
  uint8_t flags = 0;
  if (record.head.type != RecordType::kSegmentHead || !reader.ReadVarint(&head->number) ||
      !reader.ReadVarint(&head->previous_number) || !reader.ReadVarint(&head->previous_end) ||
      !reader.ReadFixed(&flags) || flags > kResetFlag || !reader.ReadVarint(&head->hard_state.term) ||
      !reader.ReadVarint(&head->hard_state.vote) || !reader.ReadVarint(&head->hard_state.commit)) {
    return false;
  }
  head->reset = flags == kResetFlag;
  head->previous_term = record.head.term;
  head->previous_index = record.head.index;
  return raft::DecodeConfiguration(reader.rest(), &head->configuration, /*allow_empty=*/true);
}

namespace {

RecordType TypeOf(raft::EntryKind kind) {
  switch (kind) {
    case raft::EntryKind::kNoop:
      return RecordType::kEntryNoop;
    case raft::EntryKind::kData:
      return RecordType::kEntryData;
    case raft::EntryKind::kConfiguration:
      return RecordType::kEntryConfiguration;
  }
  BANDB_UNREACHABLE();
}

raft::EntryKind KindOf(RecordType type) {
  if (type == RecordType::kEntryNoop) return raft::EntryKind::kNoop;
  return type == RecordType::kEntryData ? raft::EntryKind::kData : raft::EntryKind::kConfiguration;
}

}  // namespace

bool IsEntry(RecordType type) {
  return type == RecordType::kEntryNoop || type == RecordType::kEntryData || type == RecordType::kEntryConfiguration;
}

storage::RecordHead EncodeEntry(const raft::Entry& entry, raft::Index commit, std::string* to) {
  base::PutFixed8(to, entry.version);
  to->append(entry.payload.bytes());
  return {.type = TypeOf(entry.kind),
          .group = entry.group,
          .term = entry.term,
          .index = entry.index,
          .commit_hint = commit};
}

bool DecodeEntry(const storage::ParsedRecord& record, raft::Entry* entry) {
  base::ByteReader reader(record.payload);
  if (!IsEntry(record.head.type) || record.head.group > UINT32_MAX || !reader.ReadFixed(&entry->version)) return false;
  entry->kind = KindOf(record.head.type);
  entry->group = static_cast<raft::GroupId>(record.head.group);
  entry->term = record.head.term;
  entry->index = record.head.index;
  entry->payload = raft::Payload(reader.rest());
  return true;
}

storage::RecordHead EncodeHardState(const raft::HardState& state, std::string* to) {
  base::PutVarint(to, state.vote);
  return {.type = RecordType::kHardState, .term = state.term, .commit_hint = state.commit};
}

storage::RecordHead EncodeSyncedMark(std::string* to) {
  to->append(kMarkPayload);
  return {.type = RecordType::kSyncedMark};
}

bool IsSyncedMark(const storage::ParsedRecord& record) {
  return record.head.type == RecordType::kSyncedMark && record.payload == kMarkPayload;
}

bool DecodeHardState(const storage::ParsedRecord& record, raft::HardState* state) {
  base::ByteReader reader(record.payload);
  if (record.head.type != RecordType::kHardState || !reader.ReadVarint(&state->vote)) return false;
  state->term = record.head.term;
  state->commit = record.head.commit_hint;
  return reader.empty();
}

}  // namespace bandb::cluster
