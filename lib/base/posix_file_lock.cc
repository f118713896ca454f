#include "base/posix_file_lock.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <limits>
#include <utility>

#include "base/assert.h"
#include "base/posix_file_system_files.h"

namespace bandb::base {

namespace {

using FileRange = struct flock;

// All of a file, for fcntl.
FileRange WholeFile(int16_t type) {
  FileRange whole{};
  whole.l_type = type;
  whole.l_whence = SEEK_SET;
  return whole;
}

// Has those who ask see the lock, or its end. Where that cannot be done, they do not.
void Show(int fd, int16_t type) {
  const FileRange shown = WholeFile(type);
  static_cast<void>(RetryInterrupted([&] { return ::fcntl(fd, F_OFD_SETLK, &shown); }));
}

bool IsShown(int fd) {
  FileRange asked = WholeFile(F_WRLCK);
  const int failed = RetryInterrupted([&] { return ::fcntl(fd, F_OFD_GETLK, &asked); });
  return failed == 0 && asked.l_type != F_UNLCK;
}

struct Descriptors {
  UniqueFd directory;
  UniqueFd file;
  // Of the list of all locks of the process.
  Descriptors* previous = nullptr;
  Descriptors* next = nullptr;

  // Gives the locks back at once, also where a child that has just been forked has not closed its
  // copies yet.
  void Unlock() {
    for (const UniqueFd* const fd : {&directory, &file}) {
      if (!fd->valid()) continue;
      Show(fd->get(), F_UNLCK);
      ::flock(fd->get(), LOCK_UN);
    }
  }
  void Close() {
    directory = UniqueFd();
    file = UniqueFd();
  }
};

// All locks of the process. There is one for the process because fork is the process's; nothing but
// the handlers of fork needs it.
class ForkedLocks {
 public:
  // Its mutex keeps a fork from coming between the opening of a descriptor and its entry here.
  static ForkedLocks& Get() {
    // Never destroyed: a process may fork until its end.
    static ForkedLocks* const locks = new ForkedLocks();
    return *locks;
  }

  Mutex* mutex() ABSL_LOCK_RETURNED(mutex_) { return &mutex_; }
  void AddLocked(Descriptors* held) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    held->next = first_;
    if (first_ != nullptr) first_->previous = held;
    first_ = held;
  }
  // Unlocks, and closes the descriptors, too.
  void Remove(Descriptors* held) ABSL_LOCKS_EXCLUDED(mutex_) {
    MutexLock lock(&mutex_);
    (held->previous != nullptr ? held->previous->next : first_) = held->next;
    if (held->next != nullptr) held->next->previous = held->previous;
    held->Unlock();
    held->Close();
  }

 private:
  ForkedLocks() {
    const int failed = ::pthread_atfork(&BeforeFork, &AfterForkInParent, &AfterForkInChild);
    BANDB_ASSERT(failed == 0);
  }

  static void BeforeFork() ABSL_NO_THREAD_SAFETY_ANALYSIS { Get().mutex_.Lock(); }
  static void AfterForkInParent() ABSL_NO_THREAD_SAFETY_ANALYSIS { Get().mutex_.Unlock(); }
  // Only what is safe in the child of a process with threads: system calls.
  static void AfterForkInChild() ABSL_NO_THREAD_SAFETY_ANALYSIS {
    ForkedLocks& locks = Get();
    for (Descriptors* held = locks.first_; held != nullptr; held = held->next) {
      held->Close();
    }
    locks.mutex_.Unlock();
  }

  Mutex mutex_;
  Descriptors* first_ ABSL_GUARDED_BY(mutex_) = nullptr;
};

class PosixFileLock final : public FileLock {
 public:
  PosixFileLock(std::string name, std::string path) : name_(std::move(name)), path_(std::move(path)) {}
  ~PosixFileLock() override {
    if (listed_) ForkedLocks::Get().Remove(&held_);
  }

  // Opens and locks. Errors: as FileSystem::Lock.
  absl::Status Take(int directory, const std::string& directory_path) {
    ForkedLocks& locks = ForkedLocks::Get();
    MutexLock lock(locks.mutex());
    absl::Status taken = name_.empty() ? TakeDirectoryLocked() : TakeLocked(directory, directory_path);
    if (taken.ok()) {
      locks.AddLocked(&held_);
      listed_ = true;
    } else {
      held_.Close();
    }
    return taken;
  }

  void NameOwner() override {
    if (::ftruncate(held_.file.get(), 0) != 0) return;
    WriteAt(held_.file.get(), path_, 0, fmt::format("{}\n", ::getpid())).IgnoreError();
  }

  absl::Status CheckHeld() const override {
    if (!(name_.empty() ? held_.directory : held_.file).valid()) {
      return Error(absl::StatusCode::kFailedPrecondition, "{}: a forked child does not hold the lock", path_);
    }
    if (directory_locked_) return absl::OkStatus();
    struct stat ours {
    }, named{};
    const bool there = ::fstat(held_.file.get(), &ours) == 0 &&
                       ::fstatat(held_.directory.get(), name_.c_str(), &named, AT_SYMLINK_NOFOLLOW) == 0;
    if (there && ours.st_dev == named.st_dev && ours.st_ino == named.st_ino) return absl::OkStatus();
    return Error(absl::StatusCode::kFailedPrecondition, "{}: the lock file was removed or replaced", path_);
  }

 private:
  absl::Status TakeLocked(int directory, const std::string& directory_path);
  absl::Status TakeDirectoryLocked();

  const std::string name_;  // empty: the directory alone
  const std::string path_;
  Descriptors held_;
  bool directory_locked_ = false;
  bool listed_ = false;
};

// Who holds a lock, as far as the lock file tells.
std::string LockOwner(int fd) {
  char digits[32] = {};
  const ssize_t got = RetryInterrupted([&] { return ::pread(fd, digits, sizeof(digits) - 1, 0); });
  int64_t pid = 0;
  for (ssize_t i = 0; i < got && digits[i] >= '0' && digits[i] <= '9'; ++i) pid = pid * 10 + (digits[i] - '0');
  if (pid <= 0 || pid > std::numeric_limits<pid_t>::max()) return "another process, or this one,";
  return pid == ::getpid() ? "this process" : fmt::format("another process ({})", pid);
}

// 0, or the error number.
int TryLock(int fd) {
  return RetryInterrupted([&] { return ::flock(fd, LOCK_EX | LOCK_NB); }) == 0 ? 0 : errno;
}

absl::Status PosixFileLock::TakeLocked(int directory, const std::string& directory_path) {
  held_.directory = OpenFd(directory, directory_path, O_RDONLY | O_DIRECTORY);
  if (!held_.directory.valid()) return PathError(errno, "lock", path_);
  const int directory_error = TryLock(held_.directory.get());
  // With any other error the file system has no locks on directories.
  directory_locked_ = directory_error == 0;
  held_.file = OpenFd(held_.directory.get(), name_,
                      O_RDWR | O_NOFOLLOW | (directory_error == EWOULDBLOCK ? 0 : O_CREAT), kNewFileMode);
  const int open_error = errno;
  if (directory_error == EWOULDBLOCK) {
    return Error(absl::StatusCode::kFailedPrecondition, "{}: {} holds the lock", path_,
                 held_.file.valid() ? LockOwner(held_.file.get()) : "another process, or this one,");
  }
  if (!held_.file.valid()) return PathError(open_error, "lock", path_);
  if (const int file_error = TryLock(held_.file.get()); file_error != 0) {
    if (file_error != EWOULDBLOCK) return PathError(file_error, "lock", path_);
    return Error(absl::StatusCode::kFailedPrecondition, "{}: {} holds the lock", path_, LockOwner(held_.file.get()));
  }
  // A directory cannot be opened for writing, and so not be locked for it. The file is locked as by
  // flock, which is the same lock on some file systems (NFS).
  if (directory_locked_) Show(held_.directory.get(), F_RDLCK);
  Show(held_.file.get(), F_WRLCK);
  return absl::OkStatus();
}

absl::Status PosixFileLock::TakeDirectoryLocked() {
  held_.directory = OpenFd(AT_FDCWD, path_, O_RDONLY | O_DIRECTORY);
  if (!held_.directory.valid()) return PathError(errno, "lock", path_);
  const int error = TryLock(held_.directory.get());
  if (error == EWOULDBLOCK) {
    return Error(absl::StatusCode::kFailedPrecondition, "{}: another process, or this one, holds the lock", path_);
  }
  if (error != 0) return PathError(error, "lock", path_);
  directory_locked_ = true;
  Show(held_.directory.get(), F_RDLCK);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<FileLock>> TakePosixDirectoryLock(const std::string& path) {
  auto lock = std::make_unique<PosixFileLock>("", path);
  BANDB_RETURN_IF_ERROR(lock->Take(AT_FDCWD, ""));
  return lock;
}

absl::StatusOr<std::unique_ptr<FileLock>> TakePosixFileLock(int directory, const std::string& directory_path,
                                                            const std::string& name, const std::string& path) {
  auto lock = std::make_unique<PosixFileLock>(name, path);
  BANDB_RETURN_IF_ERROR(lock->Take(directory, directory_path));
  return lock;
}

absl::StatusOr<bool> IsPosixFileLocked(int directory, const std::string& directory_path, const std::string& name,
                                       const std::string& path) {
  const UniqueFd parent = OpenFd(directory, directory_path, O_RDONLY | O_DIRECTORY);
  if (!parent.valid()) return PathError(errno, "look for the lock", path);
  if (IsShown(parent.get())) return true;
  // Without waiting, whatever bears that name.
  const UniqueFd file = OpenFd(parent.get(), name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  if (file.valid()) return IsShown(file.get());
  // A process that may not read it has still asked for the lock of the directory.
  if (errno == ENOENT || errno == EACCES) return false;
  return PathError(errno, "look for the lock", path);
}

}  // namespace bandb::base
