// The file system of the operating system, as the seam of base/file_system.h has it.
//
// Files are created with mode 0600 and directories with 0700, closed on exec, and never by
// following a symbolic link. System calls that a signal interrupts are repeated, all but fsync,
// which is never repeated. Locks: posix_file_lock.h. A pinned directory is a descriptor, and paths
// in it are resolved from there by the *at calls.
#ifndef BANDB_BASE_POSIX_FILE_SYSTEM_H_
#define BANDB_BASE_POSIX_FILE_SYSTEM_H_

#include <memory>
#include <string>
#include <vector>

#include "base/file_system.h"

namespace bandb::base {

// The defaults are production's. Tests choose others, to have every way of writing at work on small
// files, and those of file systems that lack something.
struct PosixFileSystemOptions {
  // Bytes that a kBuffered file collects before it writes them.
  size_t write_buffer_bytes = 256 << 10;
  // Bytes of a kWriteThrough file that are mapped at a time, a multiple of the page size. 0: never
  // map, append by pwrite(2).
  size_t window_bytes = 1 << 20;
  // Whether to ask for RENAME_NOREPLACE, which not every file system has.
  bool rename_noreplace = true;
};

// Thread safety: any thread, any number of calls at once.
class PosixFileSystem final : public FileSystem {
 public:
  explicit PosixFileSystem(const PosixFileSystemOptions& options = {}) : options_(options) {}

  absl::StatusOr<std::unique_ptr<AppendableFile>> Create(const std::string& path, AppendMode mode) override;
  absl::StatusOr<std::unique_ptr<RandomAccessFile>> Open(const std::string& path) override;
  absl::StatusOr<std::vector<std::string>> List(const std::string& path) override;
  absl::StatusOr<uint64_t> FileSize(const std::string& path) override;
  absl::StatusOr<bool> Exists(const std::string& path) override;
  absl::Status CreateDirs(const std::string& path) override;
  absl::Status Rename(const std::string& from, const std::string& to) override;
  absl::Status RenameDirectory(const std::string& from, const std::string& to) override;
  absl::Status WriteOver(const std::string& path, uint64_t offset, std::string_view bytes) override;
  absl::Status Link(const std::string& from, const std::string& to) override;
  absl::Status Remove(const std::string& path) override;
  absl::Status RemoveDir(const std::string& path) override;
  absl::Status SyncDir(const std::string& path) override;
  absl::StatusOr<std::unique_ptr<FileLock>> Lock(const std::string& path) override;
  absl::StatusOr<bool> IsLocked(const std::string& path) override;
  absl::StatusOr<std::unique_ptr<FileSystem>> Pin(const std::string& path) override;
  absl::StatusOr<uint64_t> FreeBytes(const std::string& path) override;
  uint64_t OpenFilesMax() override;
  // Makes OpenFilesMax this much if it is less, or as much as the system allows.
  void RaiseOpenFilesMax(uint64_t wanted);

 private:
  struct PinnedDirectory;
  // Where a path leads: `path` from `directory` on, as the *at calls take it.
  struct Place {
    int directory;
    std::string path;
  };

  Place At(const std::string& path) const;

  const PosixFileSystemOptions options_;
  // Shared with the file systems that were made from this one.
  std::vector<std::shared_ptr<const PinnedDirectory>> pinned_;
};

}  // namespace bandb::base

#endif  // BANDB_BASE_POSIX_FILE_SYSTEM_H_
