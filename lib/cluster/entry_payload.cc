#include "cluster/entry_payload.h"

#include <algorithm>

#include "base/assert.h"
#include "base/coding.h"
#include "cluster/cursors.h"
#include "kv/batch_format.h"
#include "kv/limits.h"

namespace bandb::cluster {

namespace {

// session, number and the two lengths take no less.
constexpr size_t kCommandBytesMin = 4;

bool ConditionsAreWhole(std::string_view conditions) {
  kv::ConditionReader reader(conditions);
  for (kv::Condition condition; reader.Next(&condition);) {
  }
  return reader.ok();
}

bool OperationsAreWhole(std::string_view operations) {
  kv::OperationReader reader(operations);
  for (kv::Operation operation; reader.Next(&operation);) {
  }
  return reader.ok();
}

bool ReadAhead(std::string_view operations, uint64_t* ahead_ms) {
  base::ByteReader reader(operations);
  return reader.ReadVarint(ahead_ms) && reader.empty();
}

bool IsWhole(const Command& command) {
  uint64_t ahead_ms = 0;
  switch (command.kind) {
    case CommandKind::kWrite:
      return ConditionsAreWhole(command.conditions) && OperationsAreWhole(command.operations);
    case CommandKind::kCursors:
      return command.conditions.empty() && IsCursorChanges(command.operations);
    case CommandKind::kAcceptClock:
      return command.conditions.empty() && ReadAhead(command.operations, &ahead_ms);
  }
  return false;
}

// As a time of the log: a time to live counts from its own, an absolute time is what clocks show.
uint64_t ExpiryInLog(const EntryTime& time, uint64_t expiry_ms) {
  const uint64_t at_ms = kv::ExpiryAt(time.commit_ms, expiry_ms);
  if ((expiry_ms & kv::kAbsoluteExpiry) == 0 || at_ms >= INT64_MAX) return at_ms;
  return std::min<uint64_t>(at_ms + std::min<uint64_t>(time.ahead_ms, INT64_MAX), INT64_MAX);
}

bool DecodeHead(base::ByteReader* reader, DecodedEntry* entry, uint64_t* count, std::string_view* kinds) {
  uint8_t version = 0;
  if (!reader->ReadFixed(&version) || version < kCommandVersion || version > kAheadVersion ||
      !reader->ReadVarint(&entry->commit_time_ms)) {
    return false;
  }
  entry->ahead_ms = 0;
  if (version == kAheadVersion &&
      (!reader->ReadVarint(&entry->ahead_ms) || entry->ahead_ms == 0 || entry->ahead_ms > entry->commit_time_ms)) {
    return false;
  }
  return reader->ReadVarint(count) && *count <= reader->remaining() / kCommandBytesMin &&
         (version == kCommandVersion || reader->ReadBytes(*count, kinds));
}

bool DecodeKind(char byte, CommandKind* kind) {
  *kind = static_cast<CommandKind>(byte);
  return static_cast<uint8_t>(byte) <= static_cast<uint8_t>(CommandKind::kAcceptClock);
}

// What passes here is in the log for good, and every replica has to apply it.
bool IsAdmissible(const kv::Operation& operation) {
  return kv::IsWithinLimits(operation) && (operation.kind != kv::Kind::kRangeDelete || !operation.value.empty());
}

bool ConditionsAreAdmissible(std::string_view conditions) {
  kv::ConditionReader reader(conditions);
  for (kv::Condition condition; reader.Next(&condition);) {
    if (!kv::IsWithinLimits(condition)) return false;
  }
  return reader.ok();
}

}  // namespace

bool EntryBuilder::AppendOperations(const Command& command, std::string* to) const {
  if (command.kind == CommandKind::kCursors) {
    to->assign(command.operations);
    return command.conditions.empty() && IsCursorChanges(command.operations);
  }
  if (command.kind == CommandKind::kAcceptClock) {
    base::PutVarint(to, time_.accepted_ahead_ms);
    return command.conditions.empty() && command.operations.empty();
  }
  to->reserve(command.operations.size());
  kv::OperationReader reader(command.operations);
  for (kv::Operation operation; reader.Next(&operation);) {
    if (!IsAdmissible(operation)) return false;
    if (operation.kind == kv::Kind::kPutWithExpiry) {
      operation.expiry_ms = ExpiryInLog(time_, operation.expiry_ms);
    }
    kv::AppendOperation(to, operation);
  }
  return reader.ok() && ConditionsAreAdmissible(command.conditions);
}

bool EntryBuilder::Add(const Command& command) {
  std::string operations;
  if (!AppendOperations(command, &operations)) return false;
  all_write_ = all_write_ && command.kind == CommandKind::kWrite;
  kinds_.push_back(static_cast<char>(command.kind));
  base::PutVarint(&commands_, command.session);
  base::PutVarint(&commands_, command.number);
  base::PutLengthPrefixed(&commands_, command.conditions);
  base::PutLengthPrefixed(&commands_, operations);
  return true;
}

std::string EntryBuilder::Build() const {
  std::string payload;
  payload.reserve(bytes());
  const bool is_ahead = time_.ahead_ms != 0;
  base::PutFixed8(&payload, is_ahead ? kAheadVersion : all_write_ ? kCommandVersion : kCommandKindsVersion);
  base::PutVarint(&payload, time_.commit_ms);
  if (is_ahead) base::PutVarint(&payload, time_.ahead_ms);
  base::PutVarint(&payload, count());
  if (is_ahead || !all_write_) payload.append(kinds_);
  payload.append(commands_);
  return payload;
}

bool DecodeCommands(std::string_view payload, DecodedEntry* entry) {
  base::ByteReader reader(payload);
  uint64_t count = 0;
  entry->commands.clear();
  std::string_view kinds;
  if (!DecodeHead(&reader, entry, &count, &kinds)) return false;
  for (uint64_t i = 0; i < count; ++i) {
    Command& command = entry->commands.emplace_back();
    if (!kinds.empty() && !DecodeKind(kinds[i], &command.kind)) return false;
    if (!reader.ReadVarint(&command.session) || !reader.ReadVarint(&command.number) ||
        !reader.ReadLengthPrefixed(&command.conditions) || !reader.ReadLengthPrefixed(&command.operations) ||
        !IsWhole(command)) {
      return false;
    }
  }
  return reader.empty();
}

uint64_t AcceptedAheadMs(const Command& command) {
  uint64_t ahead_ms = 0;
  const bool whole = command.kind == CommandKind::kAcceptClock && ReadAhead(command.operations, &ahead_ms);
  BANDB_ASSERT(whole);
  return ahead_ms;
}

}  // namespace bandb::cluster
