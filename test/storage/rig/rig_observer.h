// Learns of everything that a RigActor does to a database.
#ifndef BANDB_TEST_STORAGE_RIG_RIG_OBSERVER_H_
#define BANDB_TEST_STORAGE_RIG_RIG_OBSERVER_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "storage/model/model_state.h"

namespace bandb::test {

// Rigs write at time 0 of the model, and look at what is there so much later: what was to live for
// a moment has expired by then, and what was to live for an hour has not.
inline constexpr uint64_t kRigLookMs = 1000;
inline constexpr uint64_t kRigMomentMs = 1;
inline constexpr uint64_t kRigHourMs = 3'600'000;

class RigObserver {
 public:
  virtual ~RigObserver() = default;
  // Before the call; the number names it afterwards.
  virtual uint64_t Submitted(const ModelWrite& write) = 0;
  virtual void Ended(uint64_t number, const absl::Status& status) = 0;
  // Flush, Close, and whatever else may be answered.
  virtual void FlushEnded(const absl::Status& status) = 0;
  virtual void CheckpointEnded(const std::string& dir, const absl::Status& status) = 0;
  virtual void CallEnded(const char* what, const absl::Status& status) = 0;
  // After each call: whether the parts of the database agree with each other.
  virtual void InvariantsChecked(const absl::Status& status) = 0;
};

}  // namespace bandb::test

#endif  // BANDB_TEST_STORAGE_RIG_RIG_OBSERVER_H_
