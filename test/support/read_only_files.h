// A file system that is mounted for reading only: every call that would change something, or take a
// lock, is refused, and counted.
#ifndef BANDB_TEST_SUPPORT_READ_ONLY_FILES_H_
#define BANDB_TEST_SUPPORT_READ_ONLY_FILES_H_

#include <atomic>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "base/forwarding_file_system.h"
#include "base/status.h"

namespace bandb::test {

// Lifetime: borrows the other one. Thread safety: that of the other one.
class ReadOnlyFiles final : public base::ForwardingFileSystem {
 public:
  explicit ReadOnlyFiles(base::FileSystem* target) : ForwardingFileSystem(target), refused_(&own_refused_) {}
  int refused() const { return *refused_; }

  absl::StatusOr<std::unique_ptr<base::AppendableFile>> Create(const std::string& path, base::AppendMode) override {
    return Refuse(path);
  }
  absl::Status CreateDirs(const std::string& path) override { return Refuse(path); }
  absl::Status Rename(const std::string& from, const std::string&) override { return Refuse(from); }
  absl::Status RenameDirectory(const std::string& from, const std::string&) override { return Refuse(from); }
  absl::Status WriteOver(const std::string& path, uint64_t, std::string_view) override { return Refuse(path); }
  absl::Status Link(const std::string& from, const std::string&) override { return Refuse(from); }
  absl::Status Remove(const std::string& path) override { return Refuse(path); }
  absl::Status RemoveDir(const std::string& path) override { return Refuse(path); }
  absl::Status SyncDir(const std::string& path) override { return Refuse(path); }
  absl::StatusOr<std::unique_ptr<base::FileLock>> Lock(const std::string& path) override { return Refuse(path); }
  absl::StatusOr<std::unique_ptr<base::FileSystem>> Pin(const std::string& path) override {
    BANDB_ASSIGN_OR_RETURN(std::unique_ptr<base::FileSystem> pinned, target().Pin(path));
    return std::unique_ptr<base::FileSystem>(new ReadOnlyFiles(std::move(pinned), refused_));
  }

 private:
  ReadOnlyFiles(std::unique_ptr<base::FileSystem> pinned, std::atomic<int>* refused)
      : ForwardingFileSystem(pinned.get()), pinned_(std::move(pinned)), refused_(refused) {}

  absl::Status Refuse(const std::string& path) {
    ++*refused_;
    return base::Error(absl::StatusCode::kPermissionDenied, "{}: the file system is read-only", path);
  }

  const std::unique_ptr<base::FileSystem> pinned_;
  std::atomic<int> own_refused_{0};
  std::atomic<int>* const refused_;
};

}  // namespace bandb::test

#endif  // BANDB_TEST_SUPPORT_READ_ONLY_FILES_H_
