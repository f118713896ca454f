#include "cluster/entry_payload.h"

#include "base/coding.h"
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

// What passes here is in the log for good, and every replica has to apply it.
bool IsAdmissible(const kv::Operation& operation) {
  return kv::IsWithinLimits(operation) && (operation.kind != kv::Kind::kRangeDelete || !operation.value.empty());
}

bool ConditionsAreAdmissible(std::string_view conditions) {
  kv::ConditionReader reader(conditions);
  for (kv::Condition condition; reader.Next(&condition);) {
    if (condition.key.size() > kv::kKeyBytesMax || condition.value.size() > kv::kValueBytesMax) return false;
  }
  return reader.ok();
}

}  // namespace

bool EntryBuilder::Add(const Command& command) {
  std::string operations;
  operations.reserve(command.operations.size());
  kv::OperationReader reader(command.operations);
  for (kv::Operation operation; reader.Next(&operation);) {
    if (!IsAdmissible(operation)) return false;
    if (operation.kind == kv::Kind::kPutWithExpiry) {
      operation.expiry_ms = kv::ExpiryAt(commit_time_ms_, operation.expiry_ms);
    }
    kv::AppendOperation(&operations, operation);
  }
  if (!reader.ok() || !ConditionsAreAdmissible(command.conditions)) return false;
  base::PutVarint(&commands_, command.session);
  base::PutVarint(&commands_, command.number);
  base::PutLengthPrefixed(&commands_, command.conditions);
  base::PutLengthPrefixed(&commands_, operations);
  ++count_;
  return true;
}

std::string EntryBuilder::Build() const {
  std::string payload;
  payload.reserve(bytes());
  base::PutFixed8(&payload, kCommandVersion);
  base::PutVarint(&payload, commit_time_ms_);
  base::PutVarint(&payload, count_);
  payload.append(commands_);
  return payload;
}

bool DecodeCommands(std::string_view payload, DecodedEntry* entry) {
  base::ByteReader reader(payload);
  uint8_t version = 0;
  uint64_t count = 0;
  entry->commands.clear();
  if (!reader.ReadFixed(&version) || version != kCommandVersion || !reader.ReadVarint(&entry->commit_time_ms) ||
      !reader.ReadVarint(&count) || count > reader.remaining() / kCommandBytesMin) {
    return false;
  }
  entry->commands.reserve(count);
  for (uint64_t i = 0; i < count; ++i) {
    Command& command = entry->commands.emplace_back();
    if (!reader.ReadVarint(&command.session) || !reader.ReadVarint(&command.number) ||
        !reader.ReadLengthPrefixed(&command.conditions) || !reader.ReadLengthPrefixed(&command.operations) ||
        !ConditionsAreWhole(command.conditions) || !OperationsAreWhole(command.operations)) {
      return false;
    }
  }
  return reader.empty();
}

}  // namespace bandb::cluster
