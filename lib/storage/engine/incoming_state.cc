#include "storage/engine/incoming_state.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/status.h"
#include "storage/file/file_names.h"
#include "storage/file/refused_read.h"

namespace bandb::storage {

namespace {

absl::Status Malformed(std::string_view what) {
  return base::Error(absl::StatusCode::kDataLoss, "the state of a replica: {}", what);
}

// Whatever number it has.
bool IsSameTable(const TableInfo& a, const TableInfo& b) {
  return a.figures() == b.figures() && a.file_bytes == b.file_bytes && a.smallest == b.smallest &&
         a.largest == b.largest;
}

}  // namespace

absl::Status CheckState(const ReplicaState& state) {
  if (state.position.user_sequence > state.position.last_sequence)
    return Malformed("users' sequences after the last one");
  if (state.position.last_sequence > kLastSequenceMax) return Malformed("sequences that nothing has");
  // As the manifest will have them, so that it can be read again.
  VersionEdit edit;
  std::vector<Uuid> file_ids;
  for (const StateTable& table : state.tables) {
    if (table.level < 0 || table.level >= kLevels) return Malformed("a level that does not exist");
    if (table.info.largest_sequence > state.position.last_sequence) return Malformed("tables beyond its position");
    edit.added.push_back({table.level, table.info});
    edit.added.back().info.number = edit.added.size();
    file_ids.push_back(table.file_id);
  }
  std::sort(file_ids.begin(), file_ids.end(), [](const Uuid& a, const Uuid& b) { return a.bytes < b.bytes; });
  if (std::adjacent_find(file_ids.begin(), file_ids.end()) != file_ids.end()) return Malformed("a file is there twice");
  const absl::StatusOr<VersionEdit> read = DecodeEdit(EncodeEdit(edit));
  if (!read.ok()) return Malformed(base::Message(read.status()));
  std::vector<TablePtr> tables;
  for (const VersionEdit::AddedTable& added : read->added) {
    tables.push_back(std::make_shared<LiveTable>(added.info, nullptr));
  }
  const auto version = Version().Apply(*read, tables);
  return version.ok() ? absl::OkStatus() : Malformed(base::Message(version.status()));
}

IncomingState::IncomingState(const Target& target, const ReplicaState& state)
    : files_(target.files), engine_dir_(target.engine_dir), tables_(target.tables), state_(state) {
  // A file that cannot be read is as good as none.
  std::vector<std::pair<Uuid, TablePtr>> own;
  for (int level = 0; level < kLevels; ++level) {
    for (const TablePtr& table : target.version->level(level)) {
      const absl::StatusOr<FileHeader> header = ReadTableHeader(files_.get(), engine_dir_, table->info().number);
      if (header.ok()) own.emplace_back(header->file_id, table);
    }
  }
  for (const StateTable& table : state_.tables) {
    Part& part = parts_.emplace_back();
    part.table = FindOwn(own, table);
    if (part.table != nullptr) part.phase = Phase::kKept;
    part.number = part.table != nullptr ? part.table->info().number : target.new_file_number();
  }
}

IncomingState::~IncomingState() {
  for (Part& part : parts_) {
    if (part.phase == Phase::kReceived || part.file != nullptr) Drop(&part);
    if (part.phase == Phase::kAdopted && part.table != nullptr) part.table->MarkObsolete();
  }
}

TablePtr IncomingState::FindOwn(const std::vector<std::pair<Uuid, TablePtr>>& own, const StateTable& table) const {
  for (const auto& [file_id, candidate] : own) {
    if (!(file_id == table.file_id) || !IsSameTable(candidate->info(), table.info)) continue;
    const absl::StatusOr<uint64_t> checksum =
        TableChecksum(files_.get(), engine_dir_, candidate->info().number, table.info.file_bytes);
    if (checksum.ok() && *checksum == table.checksum) return candidate;
  }
  return nullptr;
}

bool IncomingState::IsComplete() const {
  return std::none_of(parts_.begin(), parts_.end(), [](const Part& part) { return part.phase == Phase::kReceiving; });
}

std::string IncomingState::TemporaryPath(const Part& part) const {
  return base::JoinPath(engine_dir_, TableName(part.number) + ".tmp");
}

void IncomingState::Drop(Part* part) {
  part->file.reset();
  files_->Remove(TemporaryPath(*part)).IgnoreError();
  part->phase = Phase::kReceiving;
  part->received_bytes = 0;
  part->hash = base::StreamHash64();
}

absl::Status IncomingState::AppendTo(Part* part, const StateTable& table, std::string_view bytes) {
  const std::string path = TemporaryPath(*part);
  if (bytes.size() > table.info.file_bytes - part->received_bytes) {
    return base::Error(absl::StatusCode::kDataLoss, "{}: offset {}: more bytes than the table has", path,
                       table.info.file_bytes);
  }
  if (part->file == nullptr) {
    BANDB_ASSIGN_OR_RETURN(part->file, files_->Create(path, base::AppendMode::kBuffered));
  }
  BANDB_RETURN_IF_ERROR(part->file->Append(bytes));
  part->hash.Add(bytes);
  part->received_bytes += bytes.size();
  if (part->received_bytes < table.info.file_bytes) return absl::OkStatus();
  if (part->hash.Value() != table.checksum) {
    return base::Error(absl::StatusCode::kDataLoss, "{}: offset 0: the checksum of the table does not fit", path);
  }
  BANDB_RETURN_IF_ERROR(part->file->Sync());
  BANDB_RETURN_IF_ERROR(part->file->Close());
  part->file.reset();
  part->phase = Phase::kReceived;
  return absl::OkStatus();
}

absl::Status IncomingState::Append(size_t i, std::string_view bytes) {
  BANDB_ASSERT(Wants(i));
  absl::Status appended = AppendTo(&parts_[i], state_.tables[i], bytes);
  if (!appended.ok()) Drop(&parts_[i]);
  return appended;
}

absl::Status IncomingState::Adopt(size_t i) {
  Part& part = parts_[i];
  BANDB_ASSERT(part.phase != Phase::kReceiving);
  if (part.phase == Phase::kKept) return absl::OkStatus();
  BANDB_ASSERT(part.phase == Phase::kReceived);
  const std::string path = base::JoinPath(engine_dir_, TableName(part.number));
  BANDB_RETURN_IF_ERROR(files_->Rename(TemporaryPath(part), path));
  TableInfo info = state_.tables[i].info;
  info.number = part.number;
  part.table = std::make_shared<LiveTable>(std::move(info), tables_);
  part.phase = Phase::kAdopted;
  BANDB_ASSIGN_OR_RETURN(const TableReader* reader, part.table->Reader());
  if (!(reader->header().file_id == state_.tables[i].file_id) ||
      !(reader->header().database_id == state_.database_id)) {
    return base::Error(absl::StatusCode::kDataLoss, "{}: offset 0: another file than the state names", path);
  }
  return reader->VerifyChecksums();
}

void IncomingState::AddTo(PendingEdit* edit) {
  for (size_t i = 0; i < parts_.size(); ++i) {
    BANDB_ASSERT(parts_[i].phase == Phase::kAdopted || parts_[i].phase == Phase::kKept);
    edit->edit.added.push_back({state_.tables[i].level, parts_[i].table->info()});
    edit->added.push_back(std::exchange(parts_[i].table, nullptr));
  }
}

}  // namespace bandb::storage
