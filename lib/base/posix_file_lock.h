// The locks of PosixFileSystem: but for that of a directory not for use outside it.
//
// A lock is two: flock(2) on the directory, which counts as long as anybody has the directory open,
// whatever becomes of the names in it; and flock(2) on the lock file, which releases before this
// one look at, and which is all there is where a file system does not lock directories (NFS). The
// lock file holds the owner's process id in decimal, for people: one left behind by a dead process
// is no obstacle.
//
// flock belongs to the open file description, which a forked child shares: it would keep the lock
// of a process that has closed its database or died. So the descriptors of all locks are known
// here, and a child closes them first of all.
//
// Nobody can ask for a flock(2) without taking it. For those who only ask, its holder has a lock of
// fcntl(2) on the open file descriptions (F_OFD_SETLK) besides, which keeps nobody out; releases
// before this one have none.
#ifndef BANDB_BASE_POSIX_FILE_LOCK_H_
#define BANDB_BASE_POSIX_FILE_LOCK_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "base/file_system.h"

namespace bandb::base {

// Locks the file `name`, creating it if need be, in the directory that `directory_path` leads to
// from `directory`. `path` is for messages. Errors: as FileSystem::Lock.
absl::StatusOr<std::unique_ptr<FileLock>> TakePosixFileLock(int directory, const std::string& directory_path,
                                                            const std::string& name, const std::string& path);

// The lock on a directory alone, for a process that may only read it: it and that of a file in it
// keep each other out. Any caller. Errors: kFailedPrecondition somebody holds either; kInternal the
// file system does not lock directories; what the operating system says.
absl::StatusOr<std::unique_ptr<FileLock>> TakePosixDirectoryLock(const std::string& path);

// Whether somebody holds that lock. Errors: as FileSystem::IsLocked.
absl::StatusOr<bool> IsPosixFileLocked(int directory, const std::string& directory_path, const std::string& name,
                                       const std::string& path);

}  // namespace bandb::base

#endif  // BANDB_BASE_POSIX_FILE_LOCK_H_
