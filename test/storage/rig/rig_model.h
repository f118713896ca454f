// What a database ought to hold: operations, the state that they make, and which states a crash may leave.
#ifndef BANDB_TEST_STORAGE_RIG_RIG_MODEL_H_
#define BANDB_TEST_STORAGE_RIG_RIG_MODEL_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "bandb/db.h"

namespace bandb::test {

using RigState = std::map<std::string, std::string>;

struct RigChange {
  enum class Kind { kPut, kDelete, kDeleteRange, kPutLong, kPutBrief };
  Kind kind = Kind::kPut;
  std::string key;
  // For kDeleteRange the limit. kPutLong expires in an hour, kPutBrief in a millisecond: all who look look later.
  std::string value{};
};

struct RigCondition {
  enum class Kind { kValue, kPresent, kAbsent };
  Kind kind = Kind::kPresent;
  std::string key;
  std::string value{};
};

// One write: a batch.
struct RigOp {
  std::vector<RigChange> changes;
  std::vector<RigCondition> conditions{};
  bool sync = false;

  bool Holds(const RigState& state) const;
  void Apply(RigState* state) const;
  WriteBatch ToBatch() const;
};

uint64_t HashState(const RigState& state);
// What an iterator finds, forward; and checks that backward it finds the same, and that Get agrees with it on every key
// of `probes`. Errors: what the database answers; kInternal if its answers disagree.
absl::StatusOr<RigState> ReadAll(Db* db, const RigState& probes);

// Told of every write by whoever makes it.
class RigObserver {
 public:
  virtual ~RigObserver() = default;
  // Before the call; the number names it afterwards.
  virtual uint64_t Submitted(const RigOp& op) = 0;
  virtual void Ended(uint64_t number, const absl::Status& status) = 0;
  // Flush, Close, and whatever else may be answered.
  virtual void FlushEnded(const absl::Status& status) = 0;
  virtual void CheckpointEnded(const std::string& dir, const absl::Status& status) = 0;
  virtual void CallEnded(const char* what, const absl::Status& status) = 0;
};

// Knows the state after each write of a run without faults, and so which states may be found after a crash: a prefix of
// the writes that contains everything acknowledged at its level.
class PrefixOracle final : public RigObserver {
 public:
  struct Checkpoint {
    std::string dir;
    uint64_t index;
  };

  PrefixOracle();

  uint64_t Submitted(const RigOp& op) override;
  void Ended(uint64_t number, const absl::Status& status) override;
  void FlushEnded(const absl::Status& status) override;
  void CheckpointEnded(const std::string& dir, const absl::Status& status) override;
  void CallEnded(const char* what, const absl::Status& status) override;

  // Writes that a crash of each kind must keep, and writes that it may keep.
  uint64_t durable() const { return durable_; }
  uint64_t acknowledged() const { return acknowledged_; }
  uint64_t submitted() const { return hashes_.size() - 1; }
  const std::vector<Checkpoint>& checkpoints() const { return checkpoints_; }
  // The present state, all submitted writes included.
  const RigState& state() const { return state_; }
  uint64_t HashAt(uint64_t index) const { return hashes_[index]; }

  // The longest prefix of at least `low` and at most `high` writes that makes this state; what is wrong, if there is
  // none.
  absl::StatusOr<uint64_t> Match(const RigState& found, uint64_t low, uint64_t high) const;
  // The first answer that the run should not have got; OK if there was none.
  const absl::Status& surprise() const { return surprise_; }

 private:
  struct Pending {
    uint64_t index;
    bool sync;
    bool aborts;
  };

  RigState state_;
  std::vector<uint64_t> hashes_;
  std::vector<Pending> pending_;
  std::vector<Checkpoint> checkpoints_;
  uint64_t acknowledged_ = 0;
  uint64_t durable_ = 0;
  absl::Status surprise_;
};

}  // namespace bandb::test

#endif  // BANDB_TEST_STORAGE_RIG_RIG_MODEL_H_
