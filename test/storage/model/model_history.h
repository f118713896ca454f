// The writes that were acknowledged, and so the states that a crash may leave.
//
// The death of the process loses nothing that was acknowledged. Power loss may take what was not
// made durable, but only from the end: what is left is a prefix of the writes, with all up to the
// last one that was synced.
#ifndef BANDB_TEST_STORAGE_MODEL_MODEL_HISTORY_H_
#define BANDB_TEST_STORAGE_MODEL_MODEL_HISTORY_H_

#include <cstddef>
#include <vector>

#include "storage/model/model_state.h"

namespace bandb::test {

class ModelHistory {
 public:
  // `synced`: durable, and with it all before it.
  void Acknowledged(ModelWrite write, bool synced);
  // All so far survives power loss.
  void AllDurable();

  // After all writes.
  const ModelState& state() const { return state_; }
  // Writes that power loss may take.
  size_t losable() const { return losable_.size(); }

  // Goes back to the last of the states that a crash may have left which looks like this at
  // `now_ms`, and has it durable from here on. False if there is none.
  bool Recover(const ModelEntries& found, uint64_t now_ms, bool power_lost);

 private:
  ModelState durable_;
  std::vector<ModelWrite> losable_;  // after durable_
  ModelState state_;
};

}  // namespace bandb::test

#endif  // BANDB_TEST_STORAGE_MODEL_MODEL_HISTORY_H_
