#include "storage/rig/rig_actor.h"

#include <utility>

#include "storage/db.h"

namespace bandb::test {

Options RigOptions() {
  Options options;
  options.write_buffer_bytes = 64 << 10;
  options.block_cache_bytes = 64 << 10;
  options.block_bytes = 1024;
  options.table_bytes = 64 << 10;
  options.level0_tables = 2;
  options.level_base_bytes = 64 << 10;
  return options;
}

absl::StatusOr<std::unique_ptr<Db>> OpenRig(TestEnv* env, const std::string& dir, const Options& options) {
  return storage::OpenDb(env->env(), dir, options);
}

RigActor::RigActor(uint64_t seed, RigObserver* observer, Prepare prepare, const Options& options)
    : options_(options),
      observer_(observer),
      prepare_(std::move(prepare)),
      random_(seed),
      env_(std::make_unique<TestEnv>(seed)) {
  prepare_(&env_->files());
}

RigActor::~RigActor() = default;

void RigActor::Open() {
  auto db = OpenRig(env_.get(), kRigDir, options_);
  observer_->CallEnded("Open", db.status());
  if (db.ok()) db_ = *std::move(db);
}

void RigActor::Close() {
  if (db_ == nullptr) return;
  observer_->CallEnded("Close", db_->Close());
  db_.reset();
}

void RigActor::Write(const RigOp& op) {
  if (db_ == nullptr) return;
  const uint64_t number = observer_->Submitted(op);
  const bool single = op.conditions.empty() && op.changes.size() == 1;
  absl::Status status;
  if (single && op.changes[0].kind == RigChange::Kind::kPut) {
    status = db_->Put(op.changes[0].key, op.changes[0].value, {.sync = op.sync});
  } else if (single && op.changes[0].kind == RigChange::Kind::kDelete) {
    status = db_->Delete(op.changes[0].key, {.sync = op.sync});
  } else {
    status = db_->Write(op.ToBatch(), {.sync = op.sync});
  }
  observer_->Ended(number, status);
}

void RigActor::WriteTogether(const std::vector<RigOp>& ops) {
  if (db_ == nullptr) return;
  size_t left = ops.size();
  base::Event done;
  for (const RigOp& op : ops) {
    const uint64_t number = observer_->Submitted(op);
    db_->WriteAsync(op.ToBatch(), {.sync = op.sync}, [this, number, &left, &done](absl::Status status) {
      observer_->Ended(number, status);
      if (--left == 0) done.Set();
    });
  }
  env_->executor().Wait(&done, base::kForever);
}

void RigActor::Flush() {
  if (db_ != nullptr) observer_->FlushEnded(db_->Flush());
}

void RigActor::Compact(const std::string& begin, const std::string& limit) {
  if (db_ != nullptr) observer_->CallEnded("CompactRange", db_->CompactRange(begin, limit));
}

void RigActor::Checkpoint(const std::string& dir) {
  if (db_ != nullptr) observer_->CheckpointEnded(dir, db_->CreateCheckpoint(dir));
}

void RigActor::Kill() {
  auto image = env_->files().ProcessDeathImage(random_.Next());
  const int64_t now = env_->clock().MonotonicNanos();
  // The old process must not touch anything any more, neither in its destructors nor by its hook.
  env_->files().SetHook(nullptr);
  env_->files().Stop();
  db_.reset();
  auto next = std::make_unique<TestEnv>(random_.Next(), std::move(image));
  next->clock().Advance(now - next->clock().MonotonicNanos() + 1'000'000);
  prepare_(&next->files());
  env_ = std::move(next);
  Open();
}

}  // namespace bandb::test
