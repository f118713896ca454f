// What applies entries, and has one owner at a time: the node's thread, or a job on the executor.
#ifndef BANDB_CLUSTER_APPLIER_WORK_H_
#define BANDB_CLUSTER_APPLIER_WORK_H_

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "base/executor.h"
#include "cluster/applier_entry.h"
#include "raft/types/entry.h"
#include "storage/engine/engine.h"

namespace bandb::cluster {

// Keeps an engine from coming to rest, for work in the background that uses it.
// Lifetime: when the last one is gone, so may be an engine that is being closed.
class EngineUse {
 public:
  explicit EngineUse(storage::Engine* engine) : engine_(engine->Enter() ? engine : nullptr) {}
  ~EngineUse() {
    if (engine_ != nullptr) engine_->Leave();
  }
  EngineUse(const EngineUse&) = delete;
  EngineUse& operator=(const EngineUse&) = delete;

  // False if the engine is closing, or closed.
  bool entered() const { return engine_ != nullptr; }

 private:
  storage::Engine* const engine_;
};

// Thread safety: the owner's thread, but for `give_back`.
struct ApplyWork {
  explicit ApplyWork(EntryApplier entry_applier) : applier(std::move(entry_applier)) {}

  EntryApplier applier;
  // In order; the first one follows what is applied.
  std::deque<raft::Entry> queue;
  // Set by any thread: the applying thread is to end after the present entry.
  std::atomic<bool> give_back{false};
};

// A bounded piece of it: what was applied, and why it ended.
struct ApplyStretch {
  enum class End : uint8_t {
    kDrained,    // nothing is left in the queue
    kEnough,     // it was as much as was asked for, or `give_back` is set
    kNoRoom,     // the next entry finds none
    kNeedsDisk,  // the next entry may block, or takes long
    kFailed,     // `status`; the next entry is not applied
  };
  End end = End::kDrained;
  absl::Status status{};
  std::vector<AppliedRecord> records{};
  bool froze = false;
};

// What one turn of the node's thread applies: a few milliseconds of work.
inline constexpr uint64_t kTurnBytes = 256 << 10;

// Applies entries that cost `bytes_max` together. `may_block`: if so, also the first one whatever
// it costs; if not, an entry that needs the disk, or costs more than kTurnBytes, ends it.
ApplyStretch ApplyFrom(ApplyWork* work, uint64_t bytes_max, bool may_block);

// Applies all that is in the queue, a stretch in each step.
class ApplyJob final : public base::Job {
 public:
  // `report` is told of each stretch, on a thread of the executor. The last one is the first whose
  // end is not kEnough, or that comes once `give_back` is set: with it the work is given back.
  using Report = std::function<void(ApplyStretch stretch, bool is_last)>;
  ApplyJob(std::shared_ptr<ApplyWork> work, std::shared_ptr<const EngineUse> use, Report report)
      : work_(std::move(work)), use_(std::move(use)), report_(std::move(report)) {}

  Next Step() override;

 private:
  const std::shared_ptr<ApplyWork> work_;
  const std::shared_ptr<const EngineUse> use_;
  const Report report_;
};

}  // namespace bandb::cluster

#endif  // BANDB_CLUSTER_APPLIER_WORK_H_
