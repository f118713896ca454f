// A file system that hands every call on to another one: what wraps a file system overrides the
// calls that it changes.
#ifndef BANDB_BASE_FORWARDING_FILE_SYSTEM_H_
#define BANDB_BASE_FORWARDING_FILE_SYSTEM_H_

#include <memory>
#include <string>
#include <vector>

#include "base/assert.h"
#include "base/file_system.h"

namespace bandb::base {

// Thread safety: that of the other one. set_target is called before others use it.
class ForwardingFileSystem : public FileSystem {
 public:
  absl::StatusOr<std::unique_ptr<AppendableFile>> Create(const std::string& path, AppendMode mode) override {
    return target().Create(path, mode);
  }
  absl::StatusOr<std::unique_ptr<RandomAccessFile>> Open(const std::string& path) override {
    return target().Open(path);
  }
  absl::StatusOr<std::vector<std::string>> List(const std::string& path) override { return target().List(path); }
  absl::StatusOr<uint64_t> FileSize(const std::string& path) override { return target().FileSize(path); }
  absl::StatusOr<bool> Exists(const std::string& path) override { return target().Exists(path); }
  absl::Status CreateDirs(const std::string& path) override { return target().CreateDirs(path); }
  absl::Status Rename(const std::string& from, const std::string& to) override { return target().Rename(from, to); }
  absl::Status RenameDirectory(const std::string& from, const std::string& to) override {
    return target().RenameDirectory(from, to);
  }
  absl::Status WriteOver(const std::string& path, uint64_t offset, std::string_view bytes) override {
    return target().WriteOver(path, offset, bytes);
  }
  absl::Status Link(const std::string& from, const std::string& to) override { return target().Link(from, to); }
  absl::Status Remove(const std::string& path) override { return target().Remove(path); }
  absl::Status RemoveDir(const std::string& path) override { return target().RemoveDir(path); }
  absl::Status SyncDir(const std::string& path) override { return target().SyncDir(path); }
  absl::StatusOr<std::unique_ptr<FileLock>> Lock(const std::string& path) override { return target().Lock(path); }
  absl::StatusOr<bool> IsLocked(const std::string& path) override { return target().IsLocked(path); }
  absl::StatusOr<std::unique_ptr<FileSystem>> Pin(const std::string& path) override { return target().Pin(path); }
  absl::StatusOr<uint64_t> FreeBytes(const std::string& path) override { return target().FreeBytes(path); }
  uint64_t OpenFilesMax() override { return target().OpenFilesMax(); }

 protected:
  // Borrows it.
  explicit ForwardingFileSystem(FileSystem* target) : target_(target) {}

  FileSystem& target() const {
    BANDB_ASSERT(target_ != nullptr);
    return *target_;
  }
  void set_target(FileSystem* target) { target_ = target; }

 private:
  FileSystem* target_;
};

}  // namespace bandb::base

#endif  // BANDB_BASE_FORWARDING_FILE_SYSTEM_H_
