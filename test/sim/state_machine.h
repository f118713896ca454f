// StateMachine: what the log drives. A seam: the storage engine can take the place of the
// simulator's own (kv_machine.h).
#ifndef BANDB_TEST_SIM_STATE_MACHINE_H_
#define BANDB_TEST_SIM_STATE_MACHINE_H_

#include <cstdint>
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

class StateMachine {
 public:
  virtual ~StateMachine() = default;

  // Takes a committed command into effect. The result is what a kCas found; else kAbsent.
  virtual uint64_t Apply(std::string_view command) = 0;
  virtual uint64_t Get(uint64_t key) const = 0;
  // The whole state as bytes, and back. Load is false if `bytes` are no state; then nothing
  // changed.
  virtual std::shared_ptr<const std::string> Save() const = 0;
  virtual bool Load(std::string_view bytes) = 0;
  virtual void Clear() = 0;
  // Equal states have equal digests, however they came about.
  virtual uint64_t Digest() const = 0;
};

}  // namespace bandb::sim

#endif  // BANDB_TEST_SIM_STATE_MACHINE_H_
