#include "backup/repository.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <set>

#include "backup/stored_file.h"
#include "bandb/changes.h"
#include "base/status.h"

namespace bandb::backup {

namespace {

BackupInfo InfoOf(uint64_t number, const Survey& survey, const BackupHead& head) {
  const auto time_of = [](uint64_t ms) { return absl::FromUnixMillis(static_cast<int64_t>(ms)); };
  BackupInfo info{.number = number,
                  .time = time_of(head.time_ms),
                  .last_sequence = head.last_sequence,
                  .tables = head.tables,
                  .bytes = head.bytes,
                  .new_bytes = head.new_bytes};
  info.to_time = time_of(head.LastCommitMs().value_or(head.time_ms));
  info.from_sequence = info.last_sequence;
  info.from_time = info.to_time;
  info.hole = survey.HoleBefore(number, head);
  if (!survey.IsReached(head)) return info;
  const absl::StatusOr<BackupHead>& before = survey.heads.at(head.after);
  if (!before.ok()) return info;
  info.logs = head.logs;
  info.from_sequence = before->last_sequence;
  info.from_time = time_of(before->commit_ms);
  return info;
}

}  // namespace

Repository::Repository(Parts parts, std::string path)
    : files_(parts.files),
      layout_(std::move(path)),
      now_ms_(std::move(parts.now_ms)),
      open_(std::move(parts.open)),
      lock_directory_(std::move(parts.lock_directory)),
      random_(parts.seed) {}

absl::Status Repository::MakeFolders() {
  // Each folder that is made gets an entry in the one above it; an earlier call may have been cut
  // short between the two.
  std::vector<std::string> above = {layout_.root(), base::ParentPath(layout_.root())};
  while (true) {
    BANDB_ASSIGN_OR_RETURN(const bool exists, files_->Exists(above.back()));
    std::string parent = base::ParentPath(above.back());
    if (exists || parent == above.back()) break;
    above.push_back(std::move(parent));
  }
  for (const std::string& folder : {layout_.TablesDir(), layout_.LogsDir(), layout_.BackupsDir()}) {
    BANDB_RETURN_IF_ERROR(files_->CreateDirs(folder));
  }
  // For those who may not make them. They need not survive anything.
  for (int place = 1; place <= kReadersMax; ++place) {
    BANDB_RETURN_IF_ERROR(files_->CreateDirs(layout_.ReaderDir(place)));
  }
  for (const std::string& folder : above) BANDB_RETURN_IF_ERROR(files_->SyncDir(folder));
  return absl::OkStatus();
}

absl::StatusOr<Repository::Lock> Repository::LockAlone() {
  absl::StatusOr<Lock> lock = files_->Lock(base::JoinPath(layout_.root(), kLock));
  if (absl::IsFailedPrecondition(lock.status())) return Busy("another call is at work on this repository");
  return lock;
}

absl::StatusOr<Repository::Lock> Repository::LockToRead() {
  BANDB_RETURN_IF_ERROR(CheckThere());
  for (int place = 1; place <= kReadersMax; ++place) {
    absl::StatusOr<Lock> lock = LockReader(place);
    if (absl::IsPermissionDenied(lock.status())) {
      if (!lock_directory_) return Lock();
      // Who may not write here locks the directory: who prunes asks for that, too.
      lock = lock_directory_(layout_.ReaderDir(place));
      // It is not there, or the file system has no such locks.
      if (!lock.ok() && !absl::IsFailedPrecondition(lock.status())) return Lock();
    }
    if (!absl::IsFailedPrecondition(lock.status())) return lock;
  }
  return Busy("is being pruned, or read by as many calls as may be");
}

absl::Status Repository::AsRead(const absl::Status& status, const Lock& lock) const {
  if (lock != nullptr || !absl::IsDataLoss(status)) return status;
  return base::Error(absl::StatusCode::kDataLoss,
                     "{}; it was pruned meanwhile, or damaged: who may not write to {} "
                     "could not keep a prune from it",
                     base::Message(status), layout_.root());
}

absl::StatusOr<Repository::Lock> Repository::LockReader(int place) {
  // It need not survive anything: nobody but those who run holds a lock.
  BANDB_RETURN_IF_ERROR(files_->CreateDirs(layout_.ReaderDir(place)));
  return files_->Lock(base::JoinPath(layout_.ReaderDir(place), kLock));
}

absl::StatusOr<std::vector<Repository::Lock>> Repository::LockReadersOut() {
  std::vector<Lock> locks;
  for (int place = 1; place <= kReadersMax; ++place) {
    absl::StatusOr<Lock> lock = LockReader(place);
    if (absl::IsFailedPrecondition(lock.status())) return Busy("is being verified or restored from");
    BANDB_RETURN_IF_ERROR(lock.status());
    locks.push_back(*std::move(lock));
  }
  return locks;
}

absl::Status Repository::Busy(std::string_view why) const {
  return base::Error(absl::StatusCode::kFailedPrecondition, "{}: {}", layout_.root(), why);
}

base::Random Repository::DrawRandom() {
  base::MutexLock lock(&mutex_);
  return random_.Fork();
}

absl::Status Repository::CheckCancelled() const {
  if (!cancelled_.load(std::memory_order_relaxed)) return absl::OkStatus();
  return base::Error(absl::StatusCode::kCancelled, "{}: the backup was cancelled", layout_.root());
}

absl::StatusOr<BackupInfo> Repository::Make(const Checkpoint& checkpoint, const BackupOptions& options,
                                            Survey* survey) {
  const bool first = survey->heads.empty();
  const uint64_t number = first ? 1 : survey->heads.rbegin()->first + 1;
  // What is committed from now on may be missing.
  const uint64_t begun_ms = NowMs();
  Making making(files_, layout_, *survey, options, begun_ms, [this] { return CheckCancelled(); });
  const absl::Status made = [&] {
    const std::string dir = fmt::format("{}{}-checkpoint", layout_.FolderOf(number), kTemporary);
    BANDB_RETURN_IF_ERROR(checkpoint(dir, &making));
    BANDB_RETURN_IF_ERROR(making.TakeFiles(dir, layout_.FolderOf(number)));
    BANDB_RETURN_IF_ERROR(files_->SyncDir(layout_.TablesDir()));
    BANDB_RETURN_IF_ERROR(files_->SyncDir(layout_.LogsDir()));
    // Before the description, which must not be durable without what it names.
    BANDB_RETURN_IF_ERROR(files_->SyncDir(layout_.BackupsDir()));
    BANDB_RETURN_IF_ERROR(CheckCancelled());
    return base::InstallFile(files_, layout_.DescriptionPath(number), Encode(*making.description()));
  }();
  // The disk may be full of what is of no use now. Whether the description came to be is asked.
  const absl::StatusOr<bool> is_there = files_->Exists(layout_.DescriptionPath(number));
  if (made.ok() || (is_there.ok() && *is_there)) survey->Add(number, *making.description());
  if (is_there.ok()) RemoveLeftovers(*survey, first).IgnoreError();
  BANDB_RETURN_IF_ERROR(made);
  BackupInfo info = InfoOf(number, *survey, *survey->heads.at(number));
  if (!making.hole().empty()) info.hole = making.hole();
  return info;
}

absl::StatusOr<BackupInfo> Repository::Create(Db* db, const BackupOptions& options) {
  const auto checkpoint = [db](const std::string& dir, internal::CheckpointSink* sink) {
    return internal::DbAccess::Checkpoint(db, dir, sink);
  };
  return CreateOf(checkpoint, db, options);
}

absl::StatusOr<BackupInfo> Repository::Create(Cluster* cluster, const BackupOptions& options) {
  if (options.logs) {
    return base::Error(absl::StatusCode::kUnimplemented, "of a node of a cluster no logs are archived");
  }
  const auto checkpoint = [cluster](const std::string& dir, internal::CheckpointSink* sink) {
    return internal::DbAccess::Checkpoint(cluster, dir, sink);
  };
  return CreateOf(checkpoint, nullptr, options);
}

absl::StatusOr<BackupInfo> Repository::CreateOf(const Checkpoint& checkpoint, Db* db, const BackupOptions& options) {
  BANDB_RETURN_IF_ERROR(CheckOurs());
  BANDB_RETURN_IF_ERROR(MakeFolders());
  BANDB_ASSIGN_OR_RETURN(const Lock lock, LockAlone());
  BANDB_ASSIGN_OR_RETURN(Survey survey, ReadSurvey(files_, layout_));
  BANDB_ASSIGN_OR_RETURN(const std::optional<RepositoryMark> found, Recognize(survey));
  // Before anything is written: it may be these that fill the disk.
  if (found || !survey.heads.empty()) BANDB_RETURN_IF_ERROR(RemoveLeftovers(survey, found && found->first));
  BANDB_ASSIGN_OR_RETURN(const RepositoryMark mark, TakeMark(survey));
  BANDB_RETURN_IF_ERROR(CheckCancelled());
  LogHold hold(db, options, mark);
  if (options.logs) BANDB_RETURN_IF_ERROR(hold.Begin(survey));
  BANDB_ASSIGN_OR_RETURN(BackupInfo info, Make(checkpoint, options, &survey));
  // Where that fails, the next one does it.
  if (mark.first) TakeMark(survey).IgnoreError();
  if (!options.logs) return info;
  const absl::Status moved = hold.Move(survey.heads.at(info.number)->place);
  if (!moved.ok()) {
    info.warning = fmt::format(
        "the hold on logs for the cursor \"{}\" could not be moved: logs may be kept for longer, or not at all: {}",
        hold.cursor(), base::Message(moved));
  }
  return info;
}

absl::StatusOr<std::vector<BackupInfo>> Repository::List() {
  BANDB_RETURN_IF_ERROR(CheckThere());
  BANDB_ASSIGN_OR_RETURN(const Survey survey, ReadSurvey(files_, layout_));
  std::vector<BackupInfo> backups;
  for (const auto& [number, head] : survey.heads) {
    if (head.ok()) {
      backups.push_back(InfoOf(number, survey, *head));
    } else {
      backups.push_back({.number = number, .damage = std::string(base::Message(head.status()))});
    }
  }
  return backups;
}

absl::Status Repository::Prune(uint64_t keep) {
  if (keep == 0) return base::Error(absl::StatusCode::kInvalidArgument, "at least one backup is to be kept");
  BANDB_RETURN_IF_ERROR(CheckThere());
  BANDB_RETURN_IF_ERROR(CheckOurs());
  BANDB_ASSIGN_OR_RETURN(const Lock lock, LockAlone());
  BANDB_ASSIGN_OR_RETURN(const std::vector<Lock> no_readers, LockReadersOut());
  BANDB_ASSIGN_OR_RETURN(const Survey before, ReadSurvey(files_, layout_));
  // What a damaged one among those that stay needs is not known.
  const size_t gone = before.heads.size() - std::min<size_t>(before.heads.size(), keep);
  const auto first_kept = std::next(before.heads.begin(), static_cast<ptrdiff_t>(gone));
  for (auto it = first_kept; it != before.heads.end(); ++it) BANDB_RETURN_IF_ERROR(it->second.status());
  for (auto it = before.heads.begin(); it != first_kept; ++it) {
    BANDB_RETURN_IF_ERROR(files_->Remove(layout_.DescriptionPath(it->first)));
  }
  BANDB_ASSIGN_OR_RETURN(const Survey left, ReadSurvey(files_, layout_));
  // Which makes sure first that no description names them any more.
  return RemoveLeftovers(left, /*first=*/false);
}

absl::StatusOr<RestoreInfo> Repository::Restore(const RestoreOptions& options, const std::string& dir) {
  BANDB_ASSIGN_OR_RETURN(const Lock lock, LockToRead());
  absl::StatusOr<RestoreInfo> restored = RestoreLocked(options, dir);
  if (!restored.ok()) return AsRead(restored.status(), lock);
  return restored;
}

absl::StatusOr<RestoreInfo> Repository::RestoreLocked(const RestoreOptions& options, const std::string& dir) {
  BANDB_ASSIGN_OR_RETURN(const Survey survey, ReadSurvey(files_, layout_));
  BANDB_ASSIGN_OR_RETURN(const RestorePlan plan, PlanRestore(files_, layout_, survey, options, NowMs()));
  const RestoreInfo info{.number = plan.number,
                         .logs = plan.logs.size(),
                         .last_sequence = plan.last_sequence,
                         .time = absl::FromUnixMillis(static_cast<int64_t>(plan.time_ms))};
  if (options.dry_run) return info;
  if (layout_.Holds(dir)) {
    return base::Error(absl::StatusCode::kInvalidArgument, "{}: is in the repository itself", dir);
  }
  BANDB_ASSIGN_OR_RETURN(const bool exists, files_->Exists(dir));
  if (exists) return base::Error(absl::StatusCode::kAlreadyExists, "{}: exists", dir);
  // Each folder that is made gets an entry in the one above it.
  std::vector<std::string> above;
  for (bool there = false; !there;) {
    above.push_back(base::ParentPath(above.empty() ? dir : above.back()));
    BANDB_ASSIGN_OR_RETURN(there, files_->Exists(above.back()));
  }
  BANDB_ASSIGN_OR_RETURN(const uint64_t room, files_->FreeBytes(above.back()));
  uint64_t needed = plan.description.bytes();
  for (const LogEntry& log : plan.logs) needed += log.stored.bytes;
  if (room < needed) {
    return base::Error(absl::StatusCode::kResourceExhausted, "{}: the backup takes {} bytes, and {} are free",
                       above.back(), needed, room);
  }
  base::Random random = DrawRandom();
  const std::string made = fmt::format("{}{}-{}", dir, kTemporary, storage::ToString(storage::RandomUuid(&random)));
  absl::Status restored = MakeRestored({files_, open_, &random}, layout_, plan, made);
  if (restored.ok()) restored = files_->RenameDirectory(made, dir);
  if (!restored.ok()) {
    RemoveTree(made).IgnoreError();
    return restored;
  }
  for (const std::string& path : above) BANDB_RETURN_IF_ERROR(files_->SyncDir(path));
  return info;
}

}  // namespace bandb::backup
