#include "sim/kv_machine.h"

#include "base/assert.h"
#include "base/checksum.h"
#include "base/coding.h"

namespace bandb::sim {

std::string EncodeCommand(const Command& command, size_t padding) {
  std::string bytes;
  base::PutFixed64(&bytes, command.id);
  base::PutFixed8(&bytes, static_cast<uint8_t>(command.kind));
  base::PutVarint(&bytes, command.key);
  base::PutVarint(&bytes, command.value);
  base::PutVarint(&bytes, command.expected);
  bytes.append(padding, 'p');
  return bytes;
}

bool DecodeCommand(std::string_view bytes, Command* command) {
  base::ByteReader reader(bytes);
  uint8_t kind = 0;
  if (!reader.ReadFixed(&command->id) || !reader.ReadFixed(&kind) || kind > static_cast<uint8_t>(OpKind::kCas)) {
    return false;
  }
  command->kind = static_cast<OpKind>(kind);
  return reader.ReadVarint(&command->key) && reader.ReadVarint(&command->value) &&
         reader.ReadVarint(&command->expected);
}

uint64_t KvMachine::Apply(std::string_view bytes) {
  Command command;
  const bool valid = DecodeCommand(bytes, &command);
  BANDB_ASSERT(valid);
  ++applied_;
  const uint64_t found = Get(command.key);
  switch (command.kind) {
    case OpKind::kGet:
      return kAbsent;
    case OpKind::kPut:
      values_[command.key] = command.value;
      return kAbsent;
    case OpKind::kDelete:
      values_.erase(command.key);
      return kAbsent;
    case OpKind::kCas:
      if (found == command.expected) values_[command.key] = command.value;
      return found;
  }
  return kAbsent;
}

uint64_t KvMachine::Get(uint64_t key) const {
  const auto it = values_.find(key);
  return it == values_.end() ? kAbsent : it->second;
}

std::shared_ptr<const std::string> KvMachine::Save() const {
  auto bytes = std::make_shared<std::string>();
  base::PutVarint(bytes.get(), applied_);
  for (const auto& [key, value] : values_) {
    base::PutVarint(bytes.get(), key);
    base::PutVarint(bytes.get(), value);
  }
  return bytes;
}

bool KvMachine::Load(std::string_view bytes) {
  base::ByteReader reader(bytes);
  uint64_t applied = 0;
  std::map<uint64_t, uint64_t> values;
  if (!reader.ReadVarint(&applied)) return false;
  while (!reader.empty()) {
    uint64_t key = 0;
    uint64_t value = 0;
    if (!reader.ReadVarint(&key) || !reader.ReadVarint(&value)) return false;
    values[key] = value;
  }
  applied_ = applied;
  values_ = std::move(values);
  return true;
}

void KvMachine::Clear() {
  applied_ = 0;
  values_.clear();
}

uint64_t KvMachine::Digest() const { return base::Hash64(*Save()); }

}  // namespace bandb::sim
