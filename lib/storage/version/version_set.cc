#include "storage/version/version_set.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/status.h"
#include "storage/file/file_names.h"
#include "storage/file/refused_read.h"

namespace bandb::storage {

namespace {

// A manifest is replaced when it is this many times as large as it began, and not before it has
// some size.
constexpr uint64_t kManifestGrowth = 4;
constexpr uint64_t kManifestBytesMin = 1 << 10;
// Nor does it grow by more than this, so that it stays one that can be read.
constexpr uint64_t kManifestGrowthBytesMax = 512 << 20;

// Whether an edit takes a table from one level to another.
bool IsMoved(const VersionEdit& edit, uint64_t number) {
  const auto is_it = [number](const VersionEdit::AddedTable& added) { return added.info.number == number; };
  const auto goes = [number](const VersionEdit::DeletedTable& gone) { return gone.number == number; };
  return std::any_of(edit.added.begin(), edit.added.end(), is_it) &&
         std::any_of(edit.deleted.begin(), edit.deleted.end(), goes);
}

}  // namespace

VersionSet::VersionSet(base::FileSystem* files, std::string engine_dir, uint64_t roll_bytes_min, Owner* owner)
    : files_(files), engine_dir_(std::move(engine_dir)), roll_bytes_min_(roll_bytes_min), owner_(owner) {}

uint64_t VersionSet::RollBytes(uint64_t begun_bytes) const {
  return std::min(std::max({kManifestGrowth * begun_bytes, roll_bytes_min_, kManifestBytesMin}),
                  begun_bytes + kManifestGrowthBytesMax);
}

void VersionSet::SetNextFileNumber(uint64_t number) {
  BANDB_ASSERT(number >= next_file_number_);
  next_file_number_.store(number, std::memory_order_relaxed);
}

absl::Status VersionSet::Start(ManifestState state, const FileHeader& header, bool* unchanged) {
  BANDB_ASSERT(state.version != nullptr);
  BANDB_ASSERT(unchanged != nullptr);
  const uint64_t number = NewFileNumber();
  state.next_file_number = next_file_number();
  BANDB_ASSERT(state.log_number < number);
  absl::StatusOr<std::unique_ptr<Manifest>> created = Manifest::Create(files_, engine_dir_, number, header, state);
  const absl::Status begun = created.ok() ? (*created)->StageCurrent(files_, engine_dir_) : created.status();
  if (!begun.ok()) {
    files_->Remove(base::JoinPath(engine_dir_, ManifestName(number))).IgnoreError();
    *unchanged = true;
    return begun;
  }
  BANDB_RETURN_IF_ERROR(Manifest::MakeCurrent(files_, engine_dir_));
  std::shared_ptr<Manifest> manifest = *std::move(created);
  roll_bytes_ = RollBytes(manifest->Size());
  base::MutexLock lock(&mutex_);
  BANDB_ASSERT(manifest_ == nullptr);
  state_ = std::move(state);
  manifest_ = std::move(manifest);
  return absl::OkStatus();
}

void VersionSet::StartReading(ManifestState state) {
  BANDB_ASSERT(state.version != nullptr);
  base::MutexLock lock(&mutex_);
  BANDB_ASSERT(manifest_ == nullptr);
  state_ = std::move(state);
}

std::shared_ptr<const Version> VersionSet::version() const {
  base::MutexLock lock(&mutex_);
  return state_.version;
}

ManifestState VersionSet::state() const {
  base::MutexLock lock(&mutex_);
  return state_;
}

std::shared_ptr<Manifest> VersionSet::manifest() const {
  base::MutexLock lock(&mutex_);
  return manifest_;
}

bool VersionSet::TakeEdit(PendingEdit* edit) {
  base::MutexLock lock(&mutex_);
  BANDB_ASSERT(writing_);
  if (edits_.empty()) {
    writing_ = false;
    return false;
  }
  *edit = std::move(edits_.front());
  edits_.pop_front();
  BANDB_ASSERT(edit->source != nullptr);
  return true;
}

void VersionSet::Apply(PendingEdit edit) {
  BANDB_ASSERT(edit.source != nullptr);
  BANDB_ASSERT(edit.edit.added.size() == edit.added.size());
  {
    base::MutexLock lock(&mutex_);
    edits_.push_back(std::move(edit));
    if (writing_) return;
    writing_ = true;
  }
  while (true) {
    // One after the other is destroyed: what it was the last to hold goes before the next one is
    // written.
    PendingEdit next;
    if (!TakeEdit(&next)) return;
    next.edit.next_file_number = next_file_number();
    next.edit.commit_time_ms = std::max(next.edit.commit_time_ms.value_or(0), owner_->EditTimeMs());
    const absl::Status written = Write(&next);
    if (written.ok()) {
      owner_->InstallEdit(&next);
      RollManifest();
    } else if (MayPass(written) || written.code() == absl::StatusCode::kDataLoss ||
               written.code() == absl::StatusCode::kAborted) {
      // The edit is surely not on disk, so that its new tables can go: they will be written again,
      // they came of damaged ones, or of a state that is no more.
      for (const TablePtr& table : next.added) {
        if (!IsMoved(next.edit, table->info().number)) table->MarkObsolete();
      }
    }
    next.added.clear();
    next.source->Installed(written);
  }
}

absl::Status VersionSet::Write(PendingEdit* edit) {
  BANDB_ASSERT(edit->edit.next_file_number.has_value());
  BANDB_ASSERT(edit->edit.commit_time_ms.has_value());
  // After a failed edit nothing may be appended; while closing, what is done already may still
  // count.
  const absl::Status may_write = owner_->MayWriteEdit();
  if (!may_write.ok() && !(edit->gives_room && absl::IsResourceExhausted(may_write))) return may_write;
  edit->result = state();
  BANDB_RETURN_IF_ERROR(edit->source->Prepare(edit->result, edit));
  // An edit that does not fit comes of tables that are not what the manifest says of them, and must
  // not reach it.
  BANDB_RETURN_IF_ERROR(edit->result.Apply(edit->edit, edit->added));
  // The new tables, and the log that the edit makes the oldest, must be found before the edit says
  // that they are there.
  absl::Status status = files_->SyncDir(engine_dir_);
  if (status.ok()) {
    const std::string encoded = EncodeEdit(edit->edit);
    if (encoded.size() > Manifest::kEditBytesMax) return ReplaceManifest(edit->result);
    status = manifest()->AppendEncoded(encoded);
  }
  // Said here, not by the edit's source: it counts also if writes have been stopped meanwhile by
  // what Resume would mend.
  if (!status.ok() && !MayPass(status)) {
    owner_->ManifestFailed(base::Annotate(status, "writing the manifest"));
  }
  return status;
}

std::vector<TablePtr> VersionSet::Install(PendingEdit* edit) {
  std::vector<TablePtr> obsolete;
  base::MutexLock lock(&mutex_);
  BANDB_ASSERT(writing_);
  for (const VersionEdit::DeletedTable& gone : edit->edit.deleted) {
    if (IsMoved(edit->edit, gone.number)) continue;
    for (const TablePtr& table : state_.version->level(gone.level)) {
      if (table->info().number == gone.number) obsolete.push_back(table);
    }
  }
  BANDB_ASSERT(edit->result.version != nullptr);
  BANDB_ASSERT(edit->result.log_number >= state_.log_number);
  BANDB_ASSERT(edit->result.last_sequence >= state_.last_sequence);
  // One edit is written at a time, so nothing has changed since its result was made.
  state_ = std::move(edit->result);
  for (const TablePtr& table : obsolete) table->MarkObsolete();
  // What a compaction had replaced meanwhile may be part of the new state.
  if (edit->replaces_all) {
    for (const TablePtr& table : edit->added) table->MarkNeeded();
  }
  return obsolete;
}

void VersionSet::RollManifest() {
  if (manifest()->Size() < roll_bytes_ || !owner_->MayWriteEdit().ok()) return;
  // The old one is still whole; it is tried again when that has grown.
  if (!ReplaceManifest(state()).ok()) roll_bytes_ *= 2;
}

absl::Status VersionSet::ReplaceManifest(ManifestState state) {
  const std::shared_ptr<Manifest> old = manifest();
  BANDB_ASSERT(old != nullptr);
  const uint64_t number = NewFileNumber();
  BANDB_ASSERT(number > old->number());
  state.next_file_number = next_file_number();
  const FileHeader header = owner_->NewHeader(FileType::kManifest);
  absl::StatusOr<std::unique_ptr<Manifest>> created = Manifest::Create(files_, engine_dir_, number, header, state);
  absl::Status begun = created.ok() ? (*created)->StageCurrent(files_, engine_dir_) : created.status();
  if (!begun.ok()) {
    const std::string path = base::JoinPath(engine_dir_, ManifestName(number));
    // Where there is no file that could not be written, nothing has failed that was written.
    const bool made = created.ok() || files_->Exists(path).value_or(true);
    const bool fatal = !MayPass(begun) && (made || begun.code() == absl::StatusCode::kFailedPrecondition);
    files_->Remove(path).IgnoreError();
    if (fatal) owner_->ManifestFailed(base::Annotate(begun, "beginning a manifest"));
    return begun;
  }
  if (const absl::Status pointed = Manifest::MakeCurrent(files_, engine_dir_); !pointed.ok()) {
    // Nobody knows which of them counts: neither may say more.
    absl::Status unknown =
        base::Error(absl::StatusCode::kInternal, "pointing at a new manifest: {}", base::Message(pointed));
    owner_->ManifestFailed(unknown);
    return unknown;
  }
  roll_bytes_ = RollBytes((*created)->Size());
  {
    base::MutexLock lock(&mutex_);
    manifest_ = *std::move(created);
  }
  old->Close().IgnoreError();
  // One that cannot be removed now is found at the next open.
  files_->Remove(base::JoinPath(engine_dir_, ManifestName(old->number()))).IgnoreError();
  return absl::OkStatus();
}

absl::Status VersionSet::Close(const VersionEdit& last) {
  std::shared_ptr<Manifest> manifest;
  {
    base::MutexLock lock(&mutex_);
    BANDB_ASSERT(edits_.empty());
    BANDB_ASSERT(manifest_ != nullptr);
    manifest = manifest_;
  }
  BANDB_RETURN_IF_ERROR(manifest->Append(last));
  return manifest->Close();
}

absl::Status VersionSet::CheckInvariants() const {
  const auto violated = [](std::string_view what) {
    return base::Error(absl::StatusCode::kInternal, "the version set: {}", what);
  };
  base::MutexLock lock(&mutex_);
  if (manifest_ == nullptr && writing_) return violated("there is a manifest to write to");
  if (manifest_ != nullptr && manifest_->number() >= next_file_number()) {
    return violated("the manifest's number was given out");
  }
  if (!writing_ && !edits_.empty()) return violated("edits wait only while others are written");
  if (state_.next_file_number > next_file_number()) return violated("file numbers are not given out twice");
  if (state_.log_number > state_.next_file_number) return violated("the oldest log's number was given out");
  if (!state_.log_ends.empty() && state_.log_ends.begin()->first < state_.log_number) {
    return violated("only logs that are needed have ends");
  }
  for (int level = 0; level < kLevels; ++level) {
    for (const TablePtr& table : state_.version->level(level)) {
      if (table->info().number >= next_file_number()) return violated("a table's number was given out");
      if (table->info().largest_sequence > state_.last_sequence) return violated("no table is newer than the tables");
    }
  }
  return state_.version->CheckLevels();
}

}  // namespace bandb::storage
