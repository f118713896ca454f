// KvMachine: a small key-value state machine in memory.
//
//   command := id:fixed64 kind:u8 key:varint value:varint expected:varint padding*
//   state   := applied:varint (key:varint value:varint)*, by ascending key
#ifndef BANDB_TEST_SIM_KV_MACHINE_H_
#define BANDB_TEST_SIM_KV_MACHINE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "sim/history.h"

namespace bandb::sim {

// A command of the key-value store, as clients send it and entries carry it.
struct Command {
  // Unique in a run; by it a client knows its answer, and the checks know a command that took
  // effect twice.
  uint64_t id = 0;
  OpKind kind = OpKind::kPut;
  uint64_t key = 0;
  uint64_t value = kAbsent;
  uint64_t expected = kAbsent;
};

// `padding` bytes of nothing make entries of all sizes.
std::string EncodeCommand(const Command& command, size_t padding);
// False if `bytes` are no command.
bool DecodeCommand(std::string_view bytes, Command* command);

class KvMachine {
 public:
  // Takes a committed command into effect. The result is what a kCas found; else kAbsent.
  uint64_t Apply(std::string_view command);
  uint64_t Get(uint64_t key) const;
  // The whole state as bytes, and back. Load is false if `bytes` are no state; then nothing
  // changed.
  std::shared_ptr<const std::string> Save() const;
  bool Load(std::string_view bytes);
  void Clear();
  // Equal states have equal digests, however they came about.
  uint64_t Digest() const;

 private:
  std::map<uint64_t, uint64_t> values_;
  // Commands that took effect: part of the state, so that one that took effect twice shows in the
  // digest.
  uint64_t applied_ = 0;
};

}  // namespace bandb::sim

#endif  // BANDB_TEST_SIM_KV_MACHINE_H_
