// bandb::Backup over the real file system.
#include "bandb/backup.h"

#include <string>
#include <system_error>
#include <utility>

#include "backup/repository.h"
#include "base/clock.h"
#include "base/posix_file_lock.h"
#include "base/posix_file_system.h"
#include "base/random.h"
#include "base/status.h"

namespace bandb {

namespace {

// A directory, with no slash at its end.
absl::StatusOr<std::string> DirectoryPath(const std::filesystem::path& given) {
  std::string path = given.string();
  if (path.empty() || path.find('\0') != std::string::npos) {
    return base::Error(absl::StatusCode::kInvalidArgument, "the path of a directory is empty or holds a zero byte");
  }
  // For as long as this lives, whatever becomes of the working directory.
  std::error_code error;
  path = std::filesystem::absolute(path, error).lexically_normal().string();
  if (error) return base::Error(absl::StatusCode::kInternal, "{}: {}", given.string(), error.message());
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

class PosixBackup final : public Backup {
 public:
  explicit PosixBackup(std::string path)
      : repository_({.files = &files_,
                     .now_ms = [this] { return clock_.WallMillis(); },
                     .seed = base::SeedFromOs(),
                     .open = [](const std::string& dir, const Options& options) { return Db::Open(dir, options); },
                     .lock_directory = &base::TakePosixDirectoryLock},
                    std::move(path)) {}

  absl::StatusOr<BackupInfo> Create(Db& db, const BackupOptions& options) override {
    return repository_.Create(&db, options);
  }
  absl::StatusOr<BackupInfo> Create(Cluster& cluster, const BackupOptions& options) override {
    return repository_.Create(&cluster, options);
  }
  absl::StatusOr<uint64_t> HandOverFiles(const HandOver& hand_over) override { return repository_.HandOver(hand_over); }
  void Cancel() override { repository_.Cancel(); }
  absl::StatusOr<std::vector<BackupInfo>> List() override { return repository_.List(); }
  absl::Status Verify(uint64_t number) override { return repository_.Verify(number); }
  absl::Status Prune(uint64_t keep) override { return repository_.Prune(keep); }
  absl::StatusOr<RestoreInfo> Restore(const RestoreOptions& options, const std::filesystem::path& dir) override {
    if (options.dry_run) return repository_.Restore(options, {});
    BANDB_ASSIGN_OR_RETURN(const std::string path, DirectoryPath(dir));
    return repository_.Restore(options, path);
  }

 private:
  base::PosixFileSystem files_;
  base::SystemClock clock_;
  backup::Repository repository_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Backup>> Backup::Open(const std::filesystem::path& repository) {
  BANDB_ASSIGN_OR_RETURN(std::string path, DirectoryPath(repository));
  return std::unique_ptr<Backup>(std::make_unique<PosixBackup>(std::move(path)));
}

}  // namespace bandb
