#include "base/file_system.h"

#include "base/status.h"

namespace bandb::base {

absl::StatusOr<std::string> ReadFile(FileSystem* files, const std::string& path, uint64_t bytes_max) {
  BANDB_ASSIGN_OR_RETURN(const std::unique_ptr<RandomAccessFile> file, files->Open(path));
  if (file->Size() > bytes_max) {
    return Error(absl::StatusCode::kResourceExhausted, "{}: {} bytes, more than the {} expected", path, file->Size(),
                 bytes_max);
  }
  std::string content(file->Size(), '\0');
  BANDB_ASSIGN_OR_RETURN(const size_t got, file->Read(0, absl::MakeSpan(content)));
  content.resize(got);
  return content;
}

namespace {

std::string StagedPath(const std::string& path) { return path + ".tmp"; }

}  // namespace

absl::Status InstallFile(FileSystem* files, const std::string& path, std::string_view content) {
  BANDB_RETURN_IF_ERROR(StageFile(files, path, content));
  return InstallStaged(files, path);
}

absl::Status StageFile(FileSystem* files, const std::string& path, std::string_view content) {
  const std::string temporary = StagedPath(path);
  // A leftover of an earlier crash is ours to remove.
  BANDB_ASSIGN_OR_RETURN(const bool leftover, files->Exists(temporary));
  if (leftover) BANDB_RETURN_IF_ERROR(files->Remove(temporary));
  BANDB_ASSIGN_OR_RETURN(const std::unique_ptr<AppendableFile> file, files->Create(temporary, AppendMode::kBuffered));
  absl::Status staged = file->Append(content);
  if (staged.ok()) staged = file->Sync();
  if (staged.ok()) staged = file->Close();
  // What could be short is room.
  if (!staged.ok()) files->Remove(temporary).IgnoreError();
  return staged;
}

absl::Status InstallStaged(FileSystem* files, const std::string& path) {
  BANDB_RETURN_IF_ERROR(files->Rename(StagedPath(path), path));
  return files->SyncDir(ParentPath(path));
}

std::string JoinPath(std::string_view directory, std::string_view name) {
  std::string path(directory);
  if (path.empty() || path.back() != '/') path.push_back('/');
  path.append(name);
  return path;
}

std::string ParentPath(std::string_view path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string_view::npos) return ".";
  if (slash == 0) return "/";
  return std::string(path.substr(0, slash));
}

}  // namespace bandb::base
