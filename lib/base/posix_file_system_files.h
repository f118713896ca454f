// The open files of PosixFileSystem: not for use outside it.
#ifndef BANDB_BASE_POSIX_FILE_SYSTEM_FILES_H_
#define BANDB_BASE_POSIX_FILE_SYSTEM_FILES_H_

#include <sys/types.h>

#include <atomic>
#include <cerrno>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "base/file_system.h"
#include "base/mutex.h"
#include "base/status.h"

namespace bandb::base {

// Owns a file descriptor.
class UniqueFd {
 public:
  explicit UniqueFd(int fd = -1) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept;
  ~UniqueFd();

  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  // Gives the descriptor away.
  int Release() { return std::exchange(fd_, -1); }
  // Closes and says how that went. The descriptor is gone whatever the answer.
  absl::Status Close(std::string_view path);

 private:
  int fd_;
};

// The permissions of a new file.
inline constexpr mode_t kNewFileMode = 0600;

// As openat(2), with O_CLOEXEC. Never one of the numbers of the standard streams: where those are
// closed, what the program prints would be written into the database. Not valid, and errno says
// why, if it failed.
UniqueFd OpenFd(int directory, const std::string& path, int flags, mode_t mode = 0);

// Calls `call` again as long as a signal interrupts it.
template <typename Call>
auto RetryInterrupted(Call call) {
  decltype(call()) result;
  do {
    result = call();
  } while (result < 0 && errno == EINTR);
  return result;
}

// The status for errno after `operation` on `path` failed.
absl::Status PathError(int error_number, std::string_view operation, std::string_view path);

// Writes all of `bytes` at `offset`. Errors: as FileSystem.
absl::Status WriteAt(int fd, std::string_view path, uint64_t offset, std::string_view bytes);

// Allocates [from, to) of a file that nobody has written there, by writing zeros where the file
// system cannot allocate. With `keep_size` the file does not grow, except on such a file system.
// Errors: as FileSystem; the space is then given back.
absl::Status AllocateSpace(int fd, std::string_view path, uint64_t from, uint64_t to, bool keep_size);

// What both kinds of appendable file share: the descriptor, and the first error, which later calls
// repeat.
// Thread safety: as AppendableFile; the first error has a mutex of its own because Sync overlaps
// Append.
class PosixAppendableFile : public AppendableFile {
 public:
  absl::Status Sync() override;
  absl::Status Close() override;

 protected:
  PosixAppendableFile(UniqueFd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}

  int fd() const { return fd_.get(); }
  const std::string& path() const { return path_; }
  // OK, or the error that poisoned the file.
  absl::Status Usable() const;
  // Keeps the first error, and answers with it; OK passes.
  absl::Status Poison(const absl::Status& status);
  // Hands everything appended so far to the operating system.
  virtual absl::Status HandOver() = 0;
  // Gives back reserved space, before the descriptor is closed.
  virtual absl::Status Trim() = 0;

 private:
  UniqueFd fd_;
  const std::string path_;
  std::atomic<bool> poisoned_{false};
  mutable Mutex mutex_;
  absl::Status first_error_ ABSL_GUARDED_BY(mutex_);
};

// A new file of either mode over an open descriptor of an empty file.
std::unique_ptr<AppendableFile> NewBufferedFile(UniqueFd fd, std::string path, size_t buffer_bytes);
std::unique_ptr<AppendableFile> NewMappedFile(UniqueFd fd, std::string path, size_t window_bytes);

}  // namespace bandb::base

#endif  // BANDB_BASE_POSIX_FILE_SYSTEM_FILES_H_
