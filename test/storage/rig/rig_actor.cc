#include "storage/rig/rig_actor.h"

#include <map>
#include <set>
#include <utility>

#include "base/status.h"
#include "storage/db.h"
#include "storage/model/model_ingest.h"
#include "support/tiny_options.h"

namespace bandb::test {

Options RigOptions() { return TinyOptions(); }

void SetRigStyle(CompactionStyle style, Options* options) {
  options->compaction_style = style;
  options->fifo_bytes_max = uint64_t{1} << 50;
}

absl::StatusOr<std::unique_ptr<Db>> OpenRig(TestEnv* env, const std::string& dir, const Options& options) {
  return storage::OpenDb(env->env(), dir, options);
}

absl::StatusOr<ModelEntries> ReadAll(Db* db, const ModelState& probes) {
  ModelEntries found;
  const std::unique_ptr<Iterator> it = db->NewIterator();
  for (it->SeekToFirst(); it->Valid(); it->Next()) found.emplace_back(it->key(), it->value());
  BANDB_RETURN_IF_ERROR(it->status());
  auto backward = found.rbegin();
  for (it->SeekToLast(); it->Valid(); it->Prev(), ++backward) {
    if (backward == found.rend() || it->key() != backward->first || it->value() != backward->second) {
      return base::Error(absl::StatusCode::kInternal, "backward the iterator finds {} out of place", it->key());
    }
  }
  BANDB_RETURN_IF_ERROR(it->status());
  if (backward != found.rend()) return base::Error(absl::StatusCode::kInternal, "backward the iterator misses keys");
  const std::map<std::string, std::string> by_key(found.begin(), found.end());
  std::set<std::string> keys;
  for (const auto& [key, unused] : probes) keys.insert(key);
  for (const auto& [key, unused] : found) keys.insert(key);
  for (const std::string& key : keys) {
    const absl::StatusOr<std::string> got = db->Get(key);
    const auto expected = by_key.find(key);
    const bool agrees =
        expected == by_key.end() ? absl::IsNotFound(got.status()) : got.ok() && *got == expected->second;
    if (agrees) continue;
    if (!got.ok() && !absl::IsNotFound(got.status())) return got.status();
    return base::Error(absl::StatusCode::kInternal, "Get and the iterator disagree on {}", key);
  }
  return found;
}

absl::StatusOr<ModelEntries> ReadAllReadOnly(TestEnv* env, const std::string& dir, const Options& options,
                                             const ModelState& probes) {
  const uint64_t mutations = env->files().mutations();
  const auto read = [&]() -> absl::StatusOr<ModelEntries> {
    BANDB_ASSIGN_OR_RETURN(const std::unique_ptr<Db> db, storage::OpenDbReadOnly(env->env(), dir, options));
    return ReadAll(db.get(), probes);
  };
  absl::StatusOr<ModelEntries> found = read();
  if (env->files().mutations() == mutations) return found;
  return base::Error(absl::StatusCode::kInternal, "who only reads has called {}", env->files().LastCall());
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

void RigActor::CheckInvariants() {
  if (db_ != nullptr) observer_->InvariantsChecked(storage::CheckInvariants(db_.get()));
}

void RigActor::Open() {
  auto db = OpenRig(env_.get(), kRigDir, options_);
  observer_->CallEnded("Open", db.status());
  if (db.ok()) db_ = *std::move(db);
  CheckInvariants();
}

void RigActor::Close() {
  if (db_ == nullptr) return;
  observer_->CallEnded("Close", db_->Close());
  CheckInvariants();
  db_.reset();
}

void RigActor::Write(const ModelWrite& write) {
  if (db_ == nullptr) return;
  const uint64_t number = observer_->Submitted(write);
  const bool single = write.conditions.empty() && write.changes.size() == 1;
  absl::Status status;
  if (single && write.changes[0].kind == ModelChange::Kind::kPut) {
    status = db_->Put(write.changes[0].key, write.changes[0].value, {.sync = write.sync});
  } else if (single && write.changes[0].kind == ModelChange::Kind::kDelete) {
    status = db_->Delete(write.changes[0].key, {.sync = write.sync});
  } else {
    status = db_->Write(write.ToBatch(), {.sync = write.sync});
  }
  observer_->Ended(number, status);
  CheckInvariants();
}

void RigActor::WriteTogether(const std::vector<ModelWrite>& writes) {
  if (db_ == nullptr) return;
  size_t left = writes.size();
  base::Event done;
  for (const ModelWrite& write : writes) {
    const uint64_t number = observer_->Submitted(write);
    db_->WriteAsync(write.ToBatch(), {.sync = write.sync}, [this, number, &left, &done](absl::Status status) {
      observer_->Ended(number, status);
      if (--left == 0) done.Set();
    });
  }
  env_->executor().Wait(&done, base::kForever);
  CheckInvariants();
}

void RigActor::Ingest(const ModelWrite& write) {
  if (db_ == nullptr) return;
  const uint64_t number = observer_->Submitted(write);
  observer_->Ended(number, test::Ingest(db_.get(), write).status());
  CheckInvariants();
}

void RigActor::Flush() {
  if (db_ != nullptr) observer_->FlushEnded(db_->Flush());
  CheckInvariants();
}

void RigActor::Compact(const std::string& begin, const std::string& limit) {
  if (db_ != nullptr) observer_->CallEnded("CompactRange", db_->CompactRange(begin, limit));
  CheckInvariants();
}

void RigActor::Checkpoint(const std::string& dir) {
  if (db_ != nullptr) observer_->CheckpointEnded(dir, db_->CreateCheckpoint(dir));
  CheckInvariants();
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
