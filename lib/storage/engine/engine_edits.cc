// The engine's edits: what makes the results of background work count, one at a time, and the manifests that hold them.
#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/status.h"
#include "storage/engine/engine.h"
#include "storage/file/file_names.h"

namespace bandb::storage {

namespace {

// A manifest is rolled over when it is this many times as large as it began, and not before it has some size.
constexpr uint64_t kManifestGrowth = 4;
constexpr uint64_t kManifestBytesMin = 1 << 10;
// Open reads the manifest as it reads the logs, so it should be small beside them.
constexpr uint64_t kWriteBuffersInManifest = 64;

// Whether an edit takes a table from one level to another.
bool IsMoved(const VersionEdit& edit, uint64_t number) {
  const auto is_it = [number](const VersionEdit::AddedTable& added) { return added.meta.number == number; };
  const auto goes = [number](const VersionEdit::DeletedTable& gone) { return gone.number == number; };
  return std::any_of(edit.added.begin(), edit.added.end(), is_it) &&
         std::any_of(edit.deleted.begin(), edit.deleted.end(), goes);
}

}  // namespace

uint64_t Engine::ManifestLimit(uint64_t begun_bytes) const {
  return std::max(
      {kManifestGrowth * begun_bytes, options_.write_buffer_bytes / kWriteBuffersInManifest, kManifestBytesMin});
}

void Engine::ApplyEdit(PendingEdit edit) {
  {
    base::MutexLock lock(&mutex_);
    edits_.push_back(std::move(edit));
    if (applying_) return;
    applying_ = true;
  }
  while (true) {
    PendingEdit next;
    {
      base::MutexLock lock(&mutex_);
      if (edits_.empty()) {
        applying_ = false;
        return;
      }
      next = std::move(edits_.front());
      edits_.pop_front();
      next.edit.next_file_number = next_file_number_.load(std::memory_order_relaxed);
      // At or after all commit times in the tables, and what readers have gone by meanwhile.
      next.edit.commit_time_ms = NowMs();
    }
    const absl::Status written = WriteEdit(&next);
    if (written.ok()) {
      InstallEdit(&next);
      RollManifest();
    } else if (written.code() == absl::StatusCode::kResourceExhausted) {
      // The edit is surely not on disk, so that its new tables can go; they will be written anew.
      for (const TablePtr& table : next.added) {
        if (!IsMoved(next.edit, table->meta().number)) table->MarkObsolete();
      }
    }
    next.added.clear();
    next.done(written);
  }
}

absl::Status Engine::WriteEdit(PendingEdit* edit) {
  {
    base::MutexLock lock(&mutex_);
    // After a failed edit nothing may be appended; while closing, what is done already may still count.
    if (stop_) return stop_->status;
    // An edit that does not fit comes of tables that are not what the manifest says of them, and must not reach it.
    edit->result = state_;
    BANDB_RETURN_IF_ERROR(edit->result.Apply(edit->edit, edit->added));
  }
  // The new tables, and the log that the edit makes the oldest, must be found before the edit says that they are there.
  absl::Status status = env_.files->SyncDir(engine_dir_);
  if (status.ok()) status = manifest_->Append(edit->edit);
  // Said here, not by whoever wanted the edit: it counts also if writes have been stopped meanwhile by what Resume
  // would mend.
  if (!status.ok() && status.code() != absl::StatusCode::kResourceExhausted) {
    StopWrites(base::Annotate(status, "writing the manifest"));
  }
  return status;
}

void Engine::InstallEdit(PendingEdit* edit) {
  std::vector<uint64_t> dropped_logs;
  ViewHolder::Retired retired;
  std::vector<TablePtr> obsolete;
  {
    base::MutexLock lock(&mutex_);
    bool level0_is_new = state_.version->level(0).empty();
    for (const VersionEdit::DeletedTable& gone : edit->edit.deleted) {
      level0_is_new |= gone.level == 0;
      if (IsMoved(edit->edit, gone.number)) continue;
      for (const TablePtr& table : state_.version->level(gone.level)) {
        if (table->meta().number == gone.number) obsolete.push_back(table);
      }
    }
    // One edit is applied at a time, so nothing has changed since its result was made.
    state_ = std::move(edit->result);
    BANDB_ASSERT(edit->flushed_memtables <= frozen_.size());
    frozen_.erase(frozen_.begin(), frozen_.begin() + static_cast<std::ptrdiff_t>(edit->flushed_memtables));
    InstallView(&retired);
    if (level0_is_new) RenewReadAllowance();
    for (const TablePtr& table : obsolete) table->MarkObsolete();
  }
  if (edit->edit.log_number) dropped_logs = logs_.DropBelow(*edit->edit.log_number);
  RemoveLogs(dropped_logs);
}

void Engine::RollManifest() {
  if (manifest_->Size() < manifest_limit_bytes_) return;
  ManifestState state;
  FileHeader header{.type = FileType::kManifest, .database_id = database_id_, .file_id = {}};
  const uint64_t number = NewFileNumber();
  {
    base::MutexLock lock(&mutex_);
    if (stop_) return;
    state = state_;
    state.next_file_number = next_file_number_.load(std::memory_order_relaxed);
    header.file_id = RandomUuid(&job_random_);
  }
  absl::StatusOr<std::unique_ptr<Manifest>> begun = Manifest::Create(env_.files, engine_dir_, number, header, state);
  if (!begun.ok()) {
    // The old one still counts, and is still whole.
    env_.files->Remove(base::JoinPath(engine_dir_, ManifestName(number))).IgnoreError();
    manifest_limit_bytes_ *= 2;
    if (begun.status().code() != absl::StatusCode::kResourceExhausted) {
      StopWrites(base::Annotate(begun.status(), "beginning a manifest"));
    }
    return;
  }
  if (const absl::Status pointed = (*begun)->MakeCurrent(env_.files, engine_dir_); !pointed.ok()) {
    // Both say the same now, and nobody knows which of them counts: neither may say more.
    StopWrites(base::Error(absl::StatusCode::kInternal, "pointing at a new manifest: {}", base::Message(pointed)));
    return;
  }
  manifest_limit_bytes_ = ManifestLimit((*begun)->Size());
  std::shared_ptr<Manifest> old = *std::move(begun);
  {
    base::MutexLock lock(&mutex_);
    manifest_.swap(old);
  }
  old->Close().IgnoreError();
  // One that cannot be removed now is found at the next open.
  env_.files->Remove(base::JoinPath(engine_dir_, ManifestName(old->number()))).IgnoreError();
}

}  // namespace bandb::storage
