#include "storage/version/manifest.h"

#include <utility>

#include "base/assert.h"
#include "base/status.h"
#include "storage/file/file_names.h"
#include "storage/log/log_reader.h"

namespace bandb::storage {

namespace {

constexpr uint64_t kCurrentBytesMax = 4096;

}  // namespace

absl::Status ManifestState::Apply(const VersionEdit& edit, const std::vector<TablePtr>& added) {
  if (!edit.added.empty() || !edit.deleted.empty()) {
    BANDB_ASSIGN_OR_RETURN(version, version->Apply(edit, added));
  }
  if (edit.log_number) {
    if (*edit.log_number < log_number) return base::Error(absl::StatusCode::kDataLoss, "the log number goes back");
    log_number = *edit.log_number;
  }
  if (edit.next_file_number) next_file_number = std::max(next_file_number, *edit.next_file_number);
  if (edit.last_sequence) {
    if (*edit.last_sequence < last_sequence)
      return base::Error(absl::StatusCode::kDataLoss, "the last sequence goes back");
    last_sequence = *edit.last_sequence;
  }
  if (edit.clock_accepted) {
    clock_sequence = edit.clock_accepted->sequence;
    commit_time_ms = edit.clock_accepted->ms;
  }
  if (edit.commit_time_ms) commit_time_ms = std::max(commit_time_ms, *edit.commit_time_ms);
  if (edit.epoch) epoch = *edit.epoch;
  if (edit.begun_log) begun_log = *edit.begun_log;
  if (edit.applied) {
    if (applied && edit.applied->index < applied->index) {
      return base::Error(absl::StatusCode::kDataLoss, "the applied index goes back");
    }
    applied = edit.applied;
  }
  if (edit.membership) membership = edit.membership;
  for (const VersionEdit::LogEnd& end : edit.log_ends) log_ends[end.number] = end.bytes;
  log_ends.erase(log_ends.begin(), log_ends.lower_bound(log_number));
  for (const Epoch& epoch : edit.epochs) {
    if (!epochs.empty() && (epoch.number <= epochs.back().number || epoch.begin < epochs.back().begin)) {
      return base::Error(absl::StatusCode::kDataLoss, "the epoch goes back");
    }
    epochs.push_back(epoch);
  }
  for (const KeptLog& log : edit.kept_logs) kept_logs[log.number] = log;
  if (edit.kept_from) kept_logs.erase(kept_logs.begin(), kept_logs.lower_bound(*edit.kept_from));
  return absl::OkStatus();
}

VersionEdit ManifestState::Everything() const {
  VersionEdit edit;
  edit.log_number = log_number;
  edit.next_file_number = next_file_number;
  edit.last_sequence = last_sequence;
  edit.commit_time_ms = commit_time_ms;
  edit.epoch = epoch;
  edit.begun_log = begun_log;
  if (clock_sequence != 0) edit.clock_accepted = {.sequence = clock_sequence, .ms = commit_time_ms};
  edit.applied = applied;
  edit.membership = membership;
  for (const auto& [number, bytes] : log_ends) edit.log_ends.push_back({number, bytes});
  edit.epochs = epochs;
  for (const auto& numbered : kept_logs) edit.kept_logs.push_back(numbered.second);
  for (int level = 0; level < kLevels; ++level) {
    for (const TablePtr& table : version->level(level)) edit.added.push_back({level, table->info()});
  }
  return edit;
}

absl::StatusOr<RecoveredManifest> RecoverManifest(base::FileSystem* files, const std::string& engine_dir,
                                                  const Uuid& database_id, const std::shared_ptr<TableStore>& tables) {
  const std::string current_path = CurrentPath(engine_dir);
  BANDB_ASSIGN_OR_RETURN(const std::string current, base::ReadFile(files, current_path, kCurrentBytesMax));
  const std::optional<std::string> name = DecodeCurrent(current);
  if (!name || !ParseFileName(*name) || ParseFileName(*name)->type != NumberedFile::kManifest) {
    return base::Error(absl::StatusCode::kDataLoss, "{}: offset 0: does not name a manifest", current_path);
  }
  RecoveredManifest recovered;
  recovered.name = *name;
  const std::string path = base::JoinPath(engine_dir, *name);
  absl::StatusOr<LogContent> content = ReadLog(files, path, FileType::kManifest);
  if (!content.ok() && content.status().code() == absl::StatusCode::kNotFound) {
    return base::Error(absl::StatusCode::kDataLoss, "{}: the manifest that CURRENT names is missing", path);
  }
  BANDB_RETURN_IF_ERROR(content.status());
  if (!content->has_header)
    return base::Error(absl::StatusCode::kDataLoss, "{}: offset 0: the file header is gone", path);
  if (!(content->header.database_id == database_id)) {
    return base::Error(absl::StatusCode::kFailedPrecondition, "{}: belongs to database {}, not to {}", path,
                       ToString(content->header.database_id), ToString(database_id));
  }
  recovered.valid_bytes = content->valid_bytes;
  recovered.dropped_bytes = content->dropped_bytes;
  LogReader cursor(*content);
  ParsedRecord record;
  uint64_t edits = 0;
  while (cursor.Next(&record)) {
    const absl::StatusOr<VersionEdit> edit = DecodeEdit(record.payload);
    const std::string place = fmt::format("{}: offset {}", path, cursor.offset());
    BANDB_RETURN_IF_ERROR(base::Annotate(edit.status(), place));
    std::vector<TablePtr> added;
    for (const VersionEdit::AddedTable& table : edit->added)
      added.push_back(std::make_shared<LiveTable>(table.info, tables));
    BANDB_RETURN_IF_ERROR(base::Annotate(recovered.state.Apply(*edit, added), place));
    ++edits;
  }
  // CURRENT was pointed at the manifest only after its first edit was synced.
  if (edits == 0) {
    return base::Error(absl::StatusCode::kDataLoss, "{}: offset {}: the first edit is damaged", path, kFileHeaderBytes);
  }
  return recovered;
}

absl::StatusOr<std::unique_ptr<Manifest>> Manifest::Create(base::FileSystem* files, const std::string& engine_dir,
                                                           uint64_t number, const FileHeader& header,
                                                           const ManifestState& state) {
  BANDB_ASSERT(header.type == FileType::kManifest);
  BANDB_ASSERT(number < state.next_file_number);
  BANDB_ASSIGN_OR_RETURN(std::unique_ptr<LogWriter> writer,
                         LogWriter::Create(files, base::JoinPath(engine_dir, ManifestName(number)), header));
  std::unique_ptr<Manifest> manifest(new Manifest(std::move(writer), number));
  // Nothing refers to it yet, so a disk that turns out to be full is no more than that.
  bool reserved = false;
  BANDB_RETURN_IF_ERROR(manifest->Write(state.Everything(), &reserved));
  BANDB_RETURN_IF_ERROR(files->SyncDir(engine_dir));
  return manifest;
}

absl::Status Manifest::StageCurrent(base::FileSystem* files, const std::string& engine_dir) const {
  return base::StageFile(files, CurrentPath(engine_dir), EncodeCurrent(ManifestName(number_)));
}

absl::Status Manifest::MakeCurrent(base::FileSystem* files, const std::string& engine_dir) {
  return base::InstallStaged(files, CurrentPath(engine_dir));
}

absl::StatusOr<std::unique_ptr<Manifest>> Manifest::CreateCurrent(base::FileSystem* files,
                                                                  const std::string& engine_dir, uint64_t number,
                                                                  const FileHeader& header,
                                                                  const ManifestState& state) {
  BANDB_ASSIGN_OR_RETURN(std::unique_ptr<Manifest> manifest, Create(files, engine_dir, number, header, state));
  BANDB_RETURN_IF_ERROR(manifest->StageCurrent(files, engine_dir));
  BANDB_RETURN_IF_ERROR(MakeCurrent(files, engine_dir));
  return manifest;
}

absl::Status Manifest::Write(const VersionEdit& edit, bool* reserved) {
  RecordHead head;
  head.type = RecordType::kEdit;
  const std::string bytes = EncodeEdit(edit);
  BANDB_RETURN_IF_ERROR(writer_->Reserve(bytes.size()));
  *reserved = true;
  BANDB_RETURN_IF_ERROR(writer_->Append(head, bytes));
  return writer_->Sync();
}

absl::Status Manifest::Append(const VersionEdit& edit) {
  bool reserved = false;
  const absl::Status written = Write(edit, &reserved);
  if (written.ok() || !reserved) return written;
  // Whatever the cause, from here on it is unknown whether the edit is on disk.
  return base::Error(absl::StatusCode::kInternal, "{}: the edit may or may not be durable: {}", writer_->path(),
                     base::Message(written));
}

}  // namespace bandb::storage
