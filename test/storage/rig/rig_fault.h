// Runs a scenario while file-system calls fail, and checks that every answer was true.
//
// A write that answered OK is there. One that answered kUnknown may be there. One that answered
// anything else is not. Reads never answer wrongly: the right value, or an error that is not
// kNotFound.
#ifndef BANDB_TEST_STORAGE_RIG_RIG_FAULT_H_
#define BANDB_TEST_STORAGE_RIG_RIG_FAULT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "storage/rig/rig_actor.h"

namespace bandb::test {

// Keeps every state that the answers so far allow.
class OutcomeOracle final : public RigObserver {
 public:
  OutcomeOracle() : candidates_(1) {}

  uint64_t Submitted(const ModelWrite& write) override;
  void Ended(uint64_t number, const absl::Status& status) override;
  void FlushEnded(const absl::Status& status) override { CallEnded("Flush", status); }
  void CheckpointEnded(const std::string&, const absl::Status& status) override { CallEnded("Checkpoint", status); }
  void CallEnded(const char* what, const absl::Status& status) override;
  void InvariantsChecked(const absl::Status& status) override {
    if (!status.ok()) Surprise(status);
  }

  // OK if `found` is one of the states that may be; from then on it is the only one.
  absl::Status Settle(const ModelEntries& found);
  // OK if a Get of `key` may have this result.
  absl::Status CheckGet(const std::string& key, const absl::StatusOr<std::string>& got) const;

  const std::vector<ModelState>& candidates() const { return candidates_; }
  // The first answer that is no answer of ours; OK if there was none.
  const absl::Status& surprise() const { return surprise_; }
  // Answers other than OK.
  uint64_t failures() const { return failures_; }

 private:
  struct Submission {
    ModelWrite write;
    bool ended = false;
    absl::Status status;
  };

  void Resolve(const Submission& submission);
  void Surprise(const absl::Status& status);

  // In the order of submission; those before `resolved_` have been taken into the candidates.
  std::vector<Submission> writes_;
  size_t resolved_ = 0;
  std::vector<ModelState> candidates_;
  absl::Status surprise_;
  uint64_t failures_ = 0;
};

struct FaultReport {
  uint64_t calls = 0;  // that the scenario makes without faults
  uint64_t runs = 0;
  uint64_t failures = 0;  // calls that failed on purpose
  uint64_t refusals = 0;  // answers of the database other than OK
  std::vector<std::string> violations;
};

// Fails call n of the scenario, for n = 1, 2 ... until it is over: that call alone, or all from it
// on until the process ends.
// Afterwards the faults end, the process is restarted, and the database must open and hold what was
// promised; and so must what is left of it if the power fails.
FaultReport RunFaults(const RigScenario& scenario, FaultKind kind, bool sticky);

}  // namespace bandb::test

#endif  // BANDB_TEST_STORAGE_RIG_RIG_FAULT_H_
