#include "base/secret_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <memory>
#include <utility>

#include "base/posix_file_system_files.h"
#include "base/status.h"

namespace bandb::base {

namespace {

std::string DirectoryOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, slash + 1);
}

// The new file gets the owner of the old one, as far as that is allowed: to the server,
// if the superuser writes it.
absl::Status CopyOwner(const std::string& from, const std::string& to) {
  struct stat old {};
  if (::stat(from.c_str(), &old) != 0) return absl::OkStatus();
  const bool given = ::chown(to.c_str(), old.st_uid, old.st_gid) == 0;
  // Its group may read it if it might before.
  const mode_t mode = given ? kNewFileMode | (old.st_mode & S_IRGRP) : kNewFileMode;
  return ::chmod(to.c_str(), mode) == 0 ? absl::OkStatus() : PathError(errno, "chmod", to);
}

// The file that a path leads to in the end. Errors: of there being none.
absl::StatusOr<std::string> EndOfLinks(const std::string& path) {
  const std::unique_ptr<char, decltype(&std::free)> end(::realpath(path.c_str(), nullptr), &std::free);
  if (end == nullptr) return PathError(errno, "open", path);
  return std::string(end.get());
}

// A file that the superuser has made is of no use to a server that is another user. Where its
// directory is a group's and closed to all others, as /etc/bandb is, it becomes that group's to
// read.
absl::Status GiveToGroup(int fd, const std::string& path) {
  if (::geteuid() != 0) return absl::OkStatus();
  BANDB_ASSIGN_OR_RETURN(const std::string file, EndOfLinks(path));
  struct stat directory {};
  if (::stat(DirectoryOf(file).c_str(), &directory) != 0) return PathError(errno, "stat", DirectoryOf(file));
  if ((directory.st_mode & S_IRWXO) != 0 || directory.st_gid == ::getegid()) return absl::OkStatus();
  if (::fchown(fd, static_cast<uid_t>(-1), directory.st_gid) != 0) return PathError(errno, "chown", path);
  return ::fchmod(fd, kNewFileMode | S_IRGRP) == 0 ? absl::OkStatus() : PathError(errno, "chmod", path);
}

// Waits until it has the file that now has this name for itself; closing it gives it back.
absl::StatusOr<UniqueFd> TakeFile(const std::string& path, bool may_be_absent) {
  while (true) {
    struct stat before {};
    const bool is_new = may_be_absent && ::stat(path.c_str(), &before) != 0 && errno == ENOENT;
    UniqueFd fd = OpenFd(AT_FDCWD, path, O_RDONLY | O_NONBLOCK | (is_new ? O_CREAT : 0), kNewFileMode);
    if (!fd.valid() && errno == ENOENT && may_be_absent && !is_new) continue;
    if (!fd.valid()) return PathError(errno, "open", path);
    if (is_new) BANDB_RETURN_IF_ERROR(GiveToGroup(fd.get(), path));
    if (RetryInterrupted([&] { return ::flock(fd.get(), LOCK_EX); }) != 0) return PathError(errno, "lock", path);
    struct stat ours {
    }, named{};
    if (::fstat(fd.get(), &ours) != 0) return PathError(errno, "stat", path);
    // The one before may have put another one in its place.
    const bool same = ::stat(path.c_str(), &named) == 0 && ours.st_dev == named.st_dev && ours.st_ino == named.st_ino;
    if (same) return fd;
  }
}

}  // namespace

absl::StatusOr<std::string> ReadSecretFile(const std::string& path, uint64_t bytes_max) {
  // The permissions looked at are those of what is read.
  const UniqueFd fd = OpenFd(AT_FDCWD, path, O_RDONLY | O_NONBLOCK);
  if (!fd.valid()) return PathError(errno, "open", path);
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return PathError(errno, "stat", path);
  if (!S_ISREG(info.st_mode)) return Error(absl::StatusCode::kInvalidArgument, "{}: not a regular file", path);
  if ((info.st_mode & (S_IWGRP | S_IRWXO)) != 0) {
    return Error(
        absl::StatusCode::kPermissionDenied,
        "{}: others may read or change it (its mode is {:04o}): chmod 600 it, or 640 for a group that reads it", path,
        info.st_mode & 07777);
  }
  if (static_cast<uint64_t>(info.st_size) > bytes_max) {
    return Error(absl::StatusCode::kInvalidArgument, "{}: {} bytes, more than the {} expected", path, info.st_size,
                 bytes_max);
  }
  std::string content(static_cast<size_t>(info.st_size), '\0');
  size_t got = 0;
  while (got < content.size()) {
    const ssize_t n = RetryInterrupted([&] { return ::read(fd.get(), content.data() + got, content.size() - got); });
    if (n < 0) return PathError(errno, "read", path);
    if (n == 0) break;
    got += static_cast<size_t>(n);
  }
  content.resize(got);
  return content;
}

absl::Status ReplaceSecretFile(FileSystem* files, const std::string& path, std::string_view bytes) {
  const std::string temporary = path + ".new";
  // What an attempt before may have left.
  const absl::Status removed = files->Remove(temporary);
  if (!removed.ok() && !absl::IsNotFound(removed)) return removed;
  BANDB_ASSIGN_OR_RETURN(const std::unique_ptr<AppendableFile> file, files->Create(temporary, AppendMode::kBuffered));
  absl::Status status = CopyOwner(path, temporary);
  if (status.ok()) status = file->Append(bytes);
  if (status.ok()) status = file->Sync();
  if (status.ok()) status = file->Close();
  if (status.ok()) status = files->Rename(temporary, path);
  if (!status.ok()) {
    files->Remove(temporary).IgnoreError();
    return status;
  }
  return files->SyncDir(DirectoryOf(path));
}

absl::Status ChangeSecretFile(FileSystem* files, const std::string& path, uint64_t bytes_max, bool may_be_absent,
                              absl::FunctionRef<absl::StatusOr<std::string>(std::string_view old)> change) {
  BANDB_ASSIGN_OR_RETURN(const UniqueFd taken, TakeFile(path, may_be_absent));
  BANDB_ASSIGN_OR_RETURN(const std::string file, EndOfLinks(path));
  BANDB_ASSIGN_OR_RETURN(const std::string old, ReadSecretFile(file, bytes_max));
  BANDB_ASSIGN_OR_RETURN(const std::string changed, change(old));
  return ReplaceSecretFile(files, file, changed);
}

}  // namespace bandb::base
