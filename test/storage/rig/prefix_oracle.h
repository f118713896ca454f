// Which states of a database a crash may leave.
#ifndef BANDB_TEST_STORAGE_RIG_PREFIX_ORACLE_H_
#define BANDB_TEST_STORAGE_RIG_PREFIX_ORACLE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "storage/rig/rig_observer.h"

namespace bandb::test {

// Knows the state after each write of a run without faults, and so which states may be found after
// a crash: a prefix of the writes that contains everything acknowledged at its level.
class PrefixOracle final : public RigObserver {
 public:
  struct Checkpoint {
    std::string dir;
    uint64_t index;
  };

  PrefixOracle();

  uint64_t Submitted(const ModelWrite& write) override;
  void Ended(uint64_t number, const absl::Status& status) override;
  void FlushEnded(const absl::Status& status) override;
  void CheckpointEnded(const std::string& dir, const absl::Status& status) override;
  void CallEnded(const char* what, const absl::Status& status) override;
  void InvariantsChecked(const absl::Status& status) override { CallEnded("the invariants", status); }

  // Writes that a crash of each kind must keep, and writes that it may keep.
  uint64_t durable() const { return durable_; }
  uint64_t acknowledged() const { return acknowledged_; }
  uint64_t submitted() const { return hashes_.size() - 1; }
  const std::vector<Checkpoint>& checkpoints() const { return checkpoints_; }
  // The present state, all submitted writes included.
  const ModelState& state() const { return state_; }
  uint64_t HashAt(uint64_t index) const { return hashes_[index]; }

  // The longest prefix of at least `low` and at most `high` writes that makes this state; what is
  // wrong, if there is none.
  absl::StatusOr<uint64_t> Match(const ModelEntries& found, uint64_t low, uint64_t high) const;
  // The first answer that the run should not have got; OK if there was none.
  const absl::Status& surprise() const { return surprise_; }

 private:
  struct Pending {
    uint64_t index;
    bool sync;
    bool aborts;
  };

  ModelState state_;
  std::vector<uint64_t> hashes_;
  std::vector<Pending> pending_;
  std::vector<Checkpoint> checkpoints_;
  uint64_t acknowledged_ = 0;
  uint64_t durable_ = 0;
  absl::Status surprise_;
};

}  // namespace bandb::test

#endif  // BANDB_TEST_STORAGE_RIG_PREFIX_ORACLE_H_
