#include "storage/engine/replica_state.h"

#include <algorithm>
#include <utility>

#include "base/checksum.h"
#include "base/status.h"
#include "storage/file/file_names.h"
#include "storage/file/refused_read.h"

namespace bandb::storage {

namespace {

constexpr size_t kPieceBytes = 1 << 20;

absl::StatusOr<std::unique_ptr<base::RandomAccessFile>> OpenFile(base::FileSystem* files, const std::string& path) {
  absl::StatusOr<std::unique_ptr<base::RandomAccessFile>> opened = files->Open(path);
  if (!opened.ok()) return RefusedRead(opened.status(), path, 0);
  return opened;
}

}  // namespace

absl::StatusOr<FileHeader> ReadTableHeader(base::FileSystem* files, const std::string& engine_dir, uint64_t number) {
  const std::string path = base::JoinPath(engine_dir, TableName(number));
  BANDB_ASSIGN_OR_RETURN(const std::unique_ptr<base::RandomAccessFile> file, OpenFile(files, path));
  char bytes[kFileHeaderBytes];
  const absl::StatusOr<size_t> got = file->Read(0, absl::MakeSpan(bytes));
  if (!got.ok()) return RefusedRead(got.status(), path, 0);
  return DecodeFileHeader(std::string_view(bytes, *got), FileType::kTable, path);
}

absl::StatusOr<uint64_t> TableChecksum(base::FileSystem* files, const std::string& engine_dir, uint64_t number,
                                       uint64_t file_bytes) {
  const std::string path = base::JoinPath(engine_dir, TableName(number));
  BANDB_ASSIGN_OR_RETURN(const std::unique_ptr<base::RandomAccessFile> file, OpenFile(files, path));
  base::StreamHash64 hash;
  std::string piece(kPieceBytes, '\0');
  uint64_t offset = 0;
  while (true) {
    const absl::StatusOr<size_t> got = file->Read(offset, absl::MakeSpan(piece));
    if (!got.ok()) return RefusedRead(got.status(), path, offset);
    hash.Add(std::string_view(piece).substr(0, *got));
    offset += *got;
    if (*got < piece.size()) break;
  }
  if (offset == file_bytes) return hash.Value();
  return base::Error(absl::StatusCode::kDataLoss, "{}: offset {}: the table has {} bytes, the manifest says {}", path,
                     std::min(offset, file_bytes), offset, file_bytes);
}

PinnedState::PinnedState(std::shared_ptr<DatabaseFiles> files, std::string engine_dir, Uuid database_id,
                         ManifestState state)
    : files_(std::move(files)),
      engine_dir_(std::move(engine_dir)),
      database_id_(database_id),
      position_({.applied = *state.applied,
                 .last_sequence = state.last_sequence,
                 .user_sequence = state.LastUserSequence(),
                 .commit_time_ms = state.commit_time_ms,
                 .membership = std::move(state.membership).value_or(std::string())}) {
  for (int level = 0; level < kLevels; ++level) {
    for (const TablePtr& table : state.version->level(level)) tables_.push_back({level, table});
  }
}

absl::StatusOr<StateTable> PinnedState::DescribeTable(size_t i) const {
  const TableInfo& info = tables_[i].table->info();
  BANDB_ASSIGN_OR_RETURN(const FileHeader header, ReadTableHeader(files_.get(), engine_dir_, info.number));
  // A checksum of damage would be as good as any, and who is given the table would find that out.
  BANDB_ASSIGN_OR_RETURN(const TableReader* reader, tables_[i].table->Reader());
  BANDB_RETURN_IF_ERROR(reader->VerifyChecksums());
  BANDB_ASSIGN_OR_RETURN(const uint64_t checksum,
                         TableChecksum(files_.get(), engine_dir_, info.number, info.file_bytes));
  return StateTable{.level = tables_[i].level, .file_id = header.file_id, .checksum = checksum, .info = info};
}

absl::StatusOr<ReplicaState> PinnedState::Describe() const {
  ReplicaState state{.database_id = database_id_, .position = position_, .tables = {}};
  for (size_t i = 0; i < tables_.size(); ++i) {
    BANDB_ASSIGN_OR_RETURN(StateTable table, DescribeTable(i));
    state.tables.push_back(std::move(table));
  }
  return state;
}

absl::StatusOr<std::unique_ptr<base::RandomAccessFile>> PinnedState::OpenTable(size_t i) const {
  return OpenFile(files_.get(), base::JoinPath(engine_dir_, TableName(tables_[i].table->info().number)));
}

}  // namespace bandb::storage
