#include "storage/version/manifest.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/status.h"
#include "storage/file/file_names.h"
#include "storage/log/log_reader.h"
#include "storage/version/manifest_replay.h"

namespace bandb::storage {

namespace {

constexpr uint64_t kCurrentBytesMax = 4096;
// With the head of a record and reserved room it is still one that can be read.
constexpr uint64_t kFileBytesMax = kLogFileBytesMax - kLogFileBytesMax / 4;

}  // namespace

absl::Status ManifestState::Apply(const VersionEdit& edit, const std::vector<TablePtr>& added) {
  if (!edit.added.empty() || !edit.deleted.empty()) {
    BANDB_ASSIGN_OR_RETURN(version, version->Apply(edit, added));
  }
  return ApplyFields(edit);
}

absl::Status ManifestState::ApplyFields(const VersionEdit& edit) {
  if (edit.log_number) {
    if (*edit.log_number < log_number) return base::Error(absl::StatusCode::kDataLoss, "the log number goes back");
    log_number = *edit.log_number;
  }
  if (edit.next_file_number) next_file_number = std::max(next_file_number, *edit.next_file_number);
  if (edit.last_sequence) {
    if (*edit.last_sequence < last_sequence)
      return base::Error(absl::StatusCode::kDataLoss, "the last sequence goes back");
    // An edit of a release that does not know of it says nothing of what it adds.
    if (edit.user_sequence || *edit.last_sequence != last_sequence) user_sequence = edit.user_sequence;
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
  BANDB_ASSERT(log_ends.empty() || log_ends.begin()->first >= log_number);
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
  edit.user_sequence = user_sequence;
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

std::vector<VersionEdit> ManifestState::Beginning() const {
  VersionEdit everything = Everything();
  std::vector<VersionEdit::AddedTable> tables = std::exchange(everything.added, {});
  std::vector<VersionEdit> edits = {std::move(everything)};
  size_t bytes = 0;
  for (VersionEdit::AddedTable& table : tables) {
    // More than its numbers take.
    constexpr size_t kNumbersBytesMax = 256;
    const size_t table_bytes = kNumbersBytesMax + table.info.smallest.size() + table.info.largest.size();
    if (bytes + table_bytes > Manifest::kEditBytesMax) {
      edits.emplace_back();
      bytes = 0;
    }
    bytes += table_bytes;
    edits.back().added.push_back(std::move(table));
  }
  if (edits.size() > 1) edits.front().beginning_edits = edits.size();
  BANDB_ASSERT(edits.front().next_file_number.has_value());
  return edits;
}

absl::StatusOr<std::string> ReadCurrentName(base::FileSystem* files, const std::string& engine_dir) {
  const std::string current_path = CurrentPath(engine_dir);
  BANDB_ASSIGN_OR_RETURN(const std::string current, base::ReadFile(files, current_path, kCurrentBytesMax));
  std::optional<std::string> name = DecodeCurrent(current);
  if (!name || !ParseFileName(*name) || ParseFileName(*name)->type != NumberedFile::kManifest) {
    return base::Error(absl::StatusCode::kDataLoss, "{}: offset 0: does not name a manifest", current_path);
  }
  return *std::move(name);
}

absl::StatusOr<RecoveredManifest> RecoverManifest(base::FileSystem* files, const std::string& engine_dir,
                                                  const Uuid& database_id, const std::shared_ptr<TableStore>& tables) {
  RecoveredManifest recovered;
  BANDB_ASSIGN_OR_RETURN(recovered.name, ReadCurrentName(files, engine_dir));
  const std::string path = base::JoinPath(engine_dir, recovered.name);
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
  ManifestReplay replay(path, tables);
  while (cursor.Next(&record)) BANDB_RETURN_IF_ERROR(replay.Add(record.payload, cursor.offset()).status());
  BANDB_RETURN_IF_ERROR(replay.CheckBeginning(content->valid_bytes));
  BANDB_ASSIGN_OR_RETURN(recovered.state, replay.Build());
  BANDB_ASSERT(recovered.state.version != nullptr);
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
  for (const VersionEdit& edit : state.Beginning()) {
    BANDB_RETURN_IF_ERROR(manifest->Write(EncodeEdit(edit), &reserved));
  }
  BANDB_RETURN_IF_ERROR(manifest->writer_->Sync());
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

absl::Status Manifest::Write(std::string_view edit, bool* reserved) {
  if (edit.size() > std::min<uint64_t>(kRecordPayloadBytesMax, kFileBytesMax - std::min(kFileBytesMax, Size()))) {
    return base::Error(absl::StatusCode::kResourceExhausted, "{}: offset {}: no room for an edit of {} bytes",
                       writer_->path(), Size(), edit.size());
  }
  BANDB_RETURN_IF_ERROR(writer_->Reserve(edit.size()));
  *reserved = true;
  RecordHead head;
  head.type = RecordType::kEdit;
  return writer_->Append(head, edit);
}

absl::Status Manifest::AppendEncoded(std::string_view edit) {
  bool reserved = false;
  absl::Status written = Write(edit, &reserved);
  if (written.ok()) written = writer_->Sync();
  if (written.ok() || !reserved) return written;
  // Whatever the cause, from here on it is unknown whether the edit is on disk.
  return base::Error(absl::StatusCode::kInternal, "{}: the edit may or may not be durable: {}", writer_->path(),
                     base::Message(written));
}

}  // namespace bandb::storage
