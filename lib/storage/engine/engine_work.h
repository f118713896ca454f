// Background work of the engine: what flushes and compactions have in common, and the job that
// takes their steps. Of engine_background.cc and engine_compaction.cc alone.
#ifndef BANDB_STORAGE_ENGINE_ENGINE_WORK_H_
#define BANDB_STORAGE_ENGINE_ENGINE_WORK_H_

#include <memory>
#include <utility>
#include <vector>

#include "base/status.h"
#include "storage/engine/engine.h"

namespace bandb::storage {

// Work of a job, which ends in an edit: the job takes its steps, and the edit then keeps it until
// it is told how it ended. What stops it before that ends it in the same way.
class Engine::Work : public EditSource {
 public:
  // What it drops was over at `time_ms`, and at `horizon_ms` for all snapshots that see it.
  Work(Engine* engine, bool is_flush, uint64_t time_ms, uint64_t horizon_ms)
      : engine_(engine),
        is_flush_(is_flush),
        time_ms_(time_ms),
        horizon_ms_(horizon_ms),
        begin_nanos_(engine->env_.clock->MonotonicNanos()),
        generation_(engine->generation_->load(std::memory_order_relaxed)),
        resumes_seen_(engine->lifecycle_.resumes()) {}
  bool is_flush() const { return is_flush_; }
  // False of what only says in the manifest where tables are, or that they are gone.
  virtual bool Writes() const { return true; }
  void BeginStep() { resumes_seen_ = engine_->lifecycle_.resumes(); }
  // One step. True once *edit says what the work has made.
  virtual absl::StatusOr<bool> Step(PendingEdit* edit) = 0;
  absl::Status Prepare(const ManifestState& /*present*/, PendingEdit* /*edit*/) override {
    BANDB_RETURN_IF_ERROR(CheckState());
    // The clock may have come to where it was, and a snapshot may have been taken on the way.
    return CheckClock(horizon_ms_, engine_->snapshots_->Horizon(engine_->EditTimeMs()).now_ms);
  }
  // Errors: kAborted another state has taken the place of the one that this works on; or, which
  // counts as given up, a clock was accepted by which what goes is not over.
  absl::Status CheckState() {
    if (engine_->generation_->load(std::memory_order_acquire) != generation_) {
      return base::Error(absl::StatusCode::kAborted, "another state was installed meanwhile");
    }
    return CheckClock(time_ms_, engine_->EditTimeMs());
  }

 protected:
  absl::Status CheckClock(uint64_t work_ms, uint64_t now_ms) {
    // The time of a replica's log never goes back.
    given_up_ = !engine_->is_replica_ && work_ms > now_ms;
    if (!given_up_) return absl::OkStatus();
    return base::Error(absl::StatusCode::kAborted, "another clock was accepted meanwhile");
  }
  // A step of a merge, no longer than the pace allows.
  absl::StatusOr<bool> StepMerge(TableMerge* merge) {
    absl::StatusOr<bool> done = merge->Step(engine_->pace_.StepBytes());
    // A block counts as it is until it is compressed, so that there may be less than before.
    const uint64_t written = merge->written_bytes();
    if (written > written_bytes_) engine_->pace_.Wrote(is_flush_, written - std::exchange(written_bytes_, written));
    return done;
  }
  // True of a failed merge that a later one need not meet: nothing that was written has failed.
  static bool MayPass(const TableMerge& merge, const absl::Status& status) {
    if (merge.failure() == TableMerge::Failure::kReading) return true;
    // A full disk stops the writes, and that the lock is lost stops them for good.
    return merge.failure() == TableMerge::Failure::kMaking && status.code() != absl::StatusCode::kResourceExhausted &&
           status.code() != absl::StatusCode::kFailedPrecondition;
  }
  JobEnd End(const absl::Status& status) const {
    return {.status = status,
            .resumes_seen = resumes_seen_,
            .given_up = given_up_,
            .may_pass = may_pass_,
            .generation = generation_};
  }
  absl::Duration Elapsed() const { return absl::Nanoseconds(engine_->env_.clock->MonotonicNanos() - begin_nanos_); }
  // Adds the tables that a merge has written to an edit.
  void AddTables(std::vector<TableInfo> tables, int level, PendingEdit* edit) const {
    for (TableInfo& info : tables) {
      edit->edit.added.push_back({level, info});
      edit->added.push_back(std::make_shared<LiveTable>(std::move(info), engine_->tables_));
      // What range tombstones cover is known once the table is open, which readers want anyhow.
      if (edit->added.back()->info().range_tombstones > 0) edit->added.back()->Reader().status().IgnoreError();
    }
  }

  Engine* const engine_;
  const bool is_flush_;
  const uint64_t time_ms_;
  const uint64_t horizon_ms_;
  const int64_t begin_nanos_;
  const uint64_t generation_;
  // From before the present step: whatever stops it is no older.
  uint64_t resumes_seen_;
  // See JobEnd.
  bool may_pass_ = false;
  bool given_up_ = false;
  // Of the merge, the most that a step has ended with.
  uint64_t written_bytes_ = 0;
};

// Takes the steps of a work, at the engine's pace.
class Engine::WorkJob final : public base::Job {
 public:
  WorkJob(Engine* engine, std::unique_ptr<Work> work) : engine_(engine), work_(std::move(work)) {}

  Next Step() override;

 private:
  Next End(const absl::Status& status);

  Engine* const engine_;
  std::unique_ptr<Work> work_;
};

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_ENGINE_ENGINE_WORK_H_
