#include "backup/stored_file.h"

#include <memory>

#include "absl/types/span.h"
#include "base/checksum.h"
#include "base/status.h"

namespace bandb::backup {

namespace {

constexpr size_t kPieceBytes = 1 << 20;

// Hands the bytes of a file to `take`, piece by piece.
absl::StatusOr<StoredBytes> ForEachPiece(base::FileSystem* files, const std::string& path,
                                         const std::function<absl::Status(std::string_view)>& take) {
  BANDB_ASSIGN_OR_RETURN(const std::unique_ptr<base::RandomAccessFile> file, files->Open(path));
  std::string buffer(kPieceBytes, '\0');
  base::StreamHash64 hash;
  StoredBytes read;
  while (read.bytes < file->Size()) {
    BANDB_ASSIGN_OR_RETURN(const size_t got, file->Read(read.bytes, absl::MakeSpan(buffer)));
    if (got == 0) {
      return base::Error(absl::StatusCode::kDataLoss, "{}: offset {}: the file is cut off", path, read.bytes);
    }
    const std::string_view piece = std::string_view(buffer).substr(0, got);
    hash.Add(piece);
    BANDB_RETURN_IF_ERROR(take(piece));
    read.bytes += got;
  }
  read.checksum = hash.Value();
  return read;
}

}  // namespace

absl::StatusOr<StoredBytes> CopyFile(base::FileSystem* from_files, const std::string& from, base::FileSystem* to_files,
                                     const std::string& to, const GoOn& go_on) {
  BANDB_ASSIGN_OR_RETURN(const std::unique_ptr<base::AppendableFile> target,
                         to_files->Create(to, base::AppendMode::kBuffered));
  BANDB_ASSIGN_OR_RETURN(const StoredBytes copied, ForEachPiece(from_files, from, [&](std::string_view piece) {
                           BANDB_RETURN_IF_ERROR(go_on());
                           return target->Append(piece);
                         }));
  BANDB_RETURN_IF_ERROR(target->Sync());
  BANDB_RETURN_IF_ERROR(target->Close());
  return copied;
}

absl::StatusOr<StoredBytes> ReadThrough(base::FileSystem* files, const std::string& path) {
  return ForEachPiece(files, path, [](std::string_view) { return absl::OkStatus(); });
}

absl::Status CheckStored(const StoredBytes& found, const StoredBytes& stored, const std::string& path) {
  if (found == stored) return absl::OkStatus();
  if (found.bytes != stored.bytes) {
    return base::Error(absl::StatusCode::kDataLoss, "{}: {} bytes, where {} were stored", path, found.bytes,
                       stored.bytes);
  }
  return base::Error(absl::StatusCode::kDataLoss, "{}: the checksum of the file does not fit", path);
}

}  // namespace bandb::backup
