#include "backup/stored_file.h"

#include <algorithm>
#include <memory>

#include "absl/types/span.h"
#include "base/checksum.h"
#include "base/status.h"

namespace bandb::backup {

namespace {

constexpr size_t kPieceBytes = 1 << 20;

// Hands the bytes of a file to `take`, piece by piece.
absl::StatusOr<StoredBytes> ForEachPiece(base::FileSystem* files, const std::string& path, uint64_t bytes_max,
                                         const std::function<absl::Status(std::string_view)>& take) {
  BANDB_ASSIGN_OR_RETURN(const std::unique_ptr<base::RandomAccessFile> file, files->Open(path));
  base::StreamHash64 hash;
  StoredBytes read;
  const uint64_t end = std::min(file->Size(), bytes_max);
  // Most files are small.
  std::string buffer(std::min<uint64_t>(kPieceBytes, end), '\0');
  while (read.bytes < end) {
    BANDB_ASSIGN_OR_RETURN(const size_t got, file->Read(read.bytes, absl::MakeSpan(buffer)));
    if (got == 0) {
      return base::Error(absl::StatusCode::kDataLoss, "{}: offset {}: the file is cut off", path, read.bytes);
    }
    const std::string_view piece = std::string_view(buffer).substr(0, std::min<uint64_t>(got, end - read.bytes));
    hash.Add(piece);
    BANDB_RETURN_IF_ERROR(take(piece));
    read.bytes += piece.size();
  }
  read.checksum = hash.Value();
  return read;
}

}  // namespace

absl::StatusOr<StoredBytes> CopyFile(base::FileSystem* from_files, const std::string& from, base::FileSystem* to_files,
                                     const std::string& to, const GoOn& go_on, uint64_t bytes_max) {
  BANDB_ASSIGN_OR_RETURN(const std::unique_ptr<base::AppendableFile> target,
                         to_files->Create(to, base::AppendMode::kBuffered));
  BANDB_ASSIGN_OR_RETURN(const StoredBytes copied,
                         ForEachPiece(from_files, from, bytes_max, [&](std::string_view piece) {
                           BANDB_RETURN_IF_ERROR(go_on());
                           return target->Append(piece);
                         }));
  BANDB_RETURN_IF_ERROR(target->Sync());
  BANDB_RETURN_IF_ERROR(target->Close());
  return copied;
}

absl::StatusOr<StoredBytes> ReadThrough(base::FileSystem* files, const std::string& path) {
  return ForEachPiece(files, path, UINT64_MAX, [](std::string_view) { return absl::OkStatus(); });
}

absl::Status CheckStored(const StoredBytes& found, const StoredBytes& stored, const std::string& path) {
  if (found == stored) return absl::OkStatus();
  if (found.bytes != stored.bytes) {
    return base::Error(absl::StatusCode::kDataLoss, "{}: {} bytes, where {} were stored", path, found.bytes,
                       stored.bytes);
  }
  return base::Error(absl::StatusCode::kDataLoss, "{}: the checksum of the file does not fit", path);
}

absl::Status GoneIsDamage(const absl::Status& status) {
  if (!absl::IsNotFound(status)) return status;
  return base::Error(absl::StatusCode::kDataLoss, "{}", base::Message(status));
}

absl::StatusOr<storage::FileHeader> ReadHeader(base::FileSystem* files, const std::string& path,
                                               storage::FileType type) {
  BANDB_ASSIGN_OR_RETURN(const std::unique_ptr<base::RandomAccessFile> file, files->Open(path));
  std::string header(storage::kFileHeaderBytes, '\0');
  BANDB_ASSIGN_OR_RETURN(const size_t got, file->Read(0, absl::MakeSpan(header)));
  header.resize(got);
  return storage::DecodeFileHeader(header, type, path);
}

}  // namespace bandb::backup
