// KvMachine: a small key-value state machine in memory.
//
//   command := id:fixed64 kind:u8 key:varint value:varint expected:varint padding*
//   state   := applied:varint (key:varint value:varint)*, by ascending key
#ifndef BANDB_TEST_SIM_KV_MACHINE_H_
#define BANDB_TEST_SIM_KV_MACHINE_H_

#include <map>

#include "sim/state_machine.h"

namespace bandb::sim {

class KvMachine : public StateMachine {
 public:
  uint64_t Apply(std::string_view command) override;
  uint64_t Get(uint64_t key) const override;
  std::shared_ptr<const std::string> Save() const override;
  bool Load(std::string_view bytes) override;
  void Clear() override;
  uint64_t Digest() const override;

 private:
  std::map<uint64_t, uint64_t> values_;
  // Commands that took effect: part of the state, so that one that took effect twice shows in the
  // digest.
  uint64_t applied_ = 0;
};

}  // namespace bandb::sim

#endif  // BANDB_TEST_SIM_KV_MACHINE_H_
