// The file-system seam: the only way in which BanDB touches files.
//
// Every call is a crash point in the tests: test/support/crash_file_system stops a scenario at each
// of them in turn and continues from what a disk could then hold. So each call states what it makes
// durable, and nothing else is durable.
//
// Errors, for every call: kNotFound no such file or directory · kAlreadyExists · kPermissionDenied
// also a read-only file system · kResourceExhausted disk or quota used up · kUnavailable no
// descriptor is free at the moment · kInternal any other refusal by the operating system. Each
// message names the path.
#ifndef BANDB_BASE_FILE_SYSTEM_H_
#define BANDB_BASE_FILE_SYSTEM_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace bandb::base {

// How an appendable file hands its bytes to the operating system.
enum class AppendMode : uint8_t {
  // Each Append has reached the operating system when it returns: it survives the death of the
  // process. For logs. The POSIX file system maps the file in windows, so that an append costs a
  // copy and no system call; a file that was not closed therefore ends in up to one window of zero
  // bytes.
  kWriteThrough,
  // Appends are collected in memory; Sync and Close hand them over. For files that count only once
  // they are synced.
  kBuffered,
};

// A file that grows at its end.
// Thread safety: one call at a time, except that Sync may overlap Append and Reserve: a Sync covers
// the appends that returned before it was called. Two Syncs do not overlap. After a failed Append,
// Sync or Close the file is poisoned: what it holds past the last successful Sync is unknown, and
// every later call but the destructor fails with the first error.
class AppendableFile {
 public:
  // Closes without syncing, if Close was not called.
  virtual ~AppendableFile() = default;
  // Makes room on disk for `bytes` beyond Size(), so that appends of up to that many cannot fail
  // for lack of space. A failure for lack of space changes nothing and poisons nothing.
  virtual absl::Status Reserve(uint64_t bytes) = 0;
  virtual absl::Status Append(std::string_view bytes) = 0;
  // Durability: when it returns OK, all appended bytes survive power loss, provided that the
  // directory entry does (SyncDir). A failed Sync must never be retried: the kernel may have
  // dropped the dirty pages.
  virtual absl::Status Sync() = 0;
  // Gives back what was reserved and not used, and closes. Does not sync.
  virtual absl::Status Close() = 0;
  // Bytes appended, whether durable or not.
  virtual uint64_t Size() const = 0;
};

// A file that is read at any place.
// Thread safety: any thread, any number of calls at once.
class RandomAccessFile {
 public:
  virtual ~RandomAccessFile() = default;
  // Fills `to` from `offset` and returns how many bytes were there: fewer than asked only at the
  // end of the file.
  virtual absl::StatusOr<size_t> Read(uint64_t offset, absl::Span<char> to) const = 0;
  // Says that the range will be read soon. Does not wait; failure is of no consequence.
  virtual void Prefetch(uint64_t offset, uint64_t bytes) const = 0;
  // From `offset` up to what this returns there is nothing but a hole, which reads as zeros;
  // `offset` itself where that is not known. At most Size().
  virtual uint64_t SkipHole(uint64_t offset) const { return offset; }
  virtual uint64_t Size() const = 0;
};

// Held as long as it lives; the kernel drops it when the process dies. A child that the process
// forks does not hold it.
class FileLock {
 public:
  virtual ~FileLock() = default;
  // Says in the lock file who holds it. For people, so a failure is of no consequence.
  virtual void NameOwner() = 0;
  // Whether it is still held. Errors: kFailedPrecondition it is not.
  virtual absl::Status CheckHeld() const = 0;
};

// Paths are absolute or relative to the working directory; parents must exist unless said
// otherwise.
// Thread safety: any thread, any number of calls at once.
class FileSystem {
 public:
  virtual ~FileSystem() = default;

  // Creates a file that must not exist. Durability: the entry needs SyncDir of its directory.
  virtual absl::StatusOr<std::unique_ptr<AppendableFile>> Create(const std::string& path, AppendMode mode) = 0;
  virtual absl::StatusOr<std::unique_ptr<RandomAccessFile>> Open(const std::string& path) = 0;
  // The names in a directory, without "." and "..", sorted.
  virtual absl::StatusOr<std::vector<std::string>> List(const std::string& path) = 0;
  virtual absl::StatusOr<uint64_t> FileSize(const std::string& path) = 0;
  virtual absl::StatusOr<bool> Exists(const std::string& path) = 0;
  // Creates the directory and what is missing above it; OK if it is there. Entries need SyncDir of
  // each parent.
  virtual absl::Status CreateDirs(const std::string& path) = 0;
  // Replaces `to` atomically if it exists. Durability: needs SyncDir of the directory (both, if
  // they differ).
  virtual absl::Status Rename(const std::string& from, const std::string& to) = 0;
  // Gives a directory a name that nothing has. Errors: kAlreadyExists `to` is there, and nothing
  // was changed.
  // Durability: as Rename.
  virtual absl::Status RenameDirectory(const std::string& from, const std::string& to) = 0;
  // Writes `bytes` over what a file holds from `offset` on, which are the same bytes, and syncs it:
  // for bytes that were read and may not be durable. A sync alone would not do: after one that
  // failed, the kernel has forgotten which pages it still owes. Takes no space. Durability: the
  // bytes survive power loss when it returns OK.
  virtual absl::Status WriteOver(const std::string& path, uint64_t offset, std::string_view bytes) = 0;
  // A second name for a file: kAlreadyExists if `to` exists, kInternal where the file system has no
  // links between the two.
  virtual absl::Status Link(const std::string& from, const std::string& to) = 0;
  virtual absl::Status Remove(const std::string& path) = 0;
  // Removes an empty directory.
  virtual absl::Status RemoveDir(const std::string& path) = 0;
  // Durability: creations, renames, links and removals of names in this directory survive power
  // loss.
  virtual absl::Status SyncDir(const std::string& path) = 0;
  // Takes the lock on this file, which is created if need be, and on the directory that it is in,
  // so that removing the file lets nobody else in. The content of the file stays. Errors:
  // kFailedPrecondition if this or another process holds either.
  virtual absl::StatusOr<std::unique_ptr<FileLock>> Lock(const std::string& path) = 0;
  // Whether somebody, this process included, holds that lock. Takes and creates nothing, so that
  // nobody who wants the lock meanwhile is refused. False also where there is no such file, or the
  // operating system cannot tell. Errors: kNotFound there is no such directory.
  virtual absl::StatusOr<bool> IsLocked(const std::string& path) = 0;
  // A file system in which `path`, and every path below it, means the directory that has this name
  // now: whatever becomes of the name, of those above it and of the working directory, and even if
  // somebody makes another directory of this name. All other paths mean what they mean here.
  // Lifetime: independent of this one.
  virtual absl::StatusOr<std::unique_ptr<FileSystem>> Pin(const std::string& path) = 0;
  // Bytes that can still be written to the file system that holds `path`.
  virtual absl::StatusOr<uint64_t> FreeBytes(const std::string& path) = 0;
  // How many files this process may have open at a time, whatever they are.
  virtual uint64_t OpenFilesMax() { return 1024; }
};

// The whole content of a file that is at most `bytes_max` long. Errors: kResourceExhausted if it is
// longer.
absl::StatusOr<std::string> ReadFile(FileSystem* files, const std::string& path, uint64_t bytes_max);

// Puts a file in place atomically: writes `path` + ".tmp", syncs it, renames it over `path`, syncs
// the directory. After a crash the path holds the old content or the new, whole.
absl::Status InstallFile(FileSystem* files, const std::string& path, std::string_view content);
// Its two halves. Staging makes `path` + ".tmp" durable, and whatever goes wrong with it, `path` is
// what it was. When installing what is staged fails, it is unknown which content counts.
absl::Status StageFile(FileSystem* files, const std::string& path, std::string_view content);
absl::Status InstallStaged(FileSystem* files, const std::string& path);

// "dir" + "/" + "name".
std::string JoinPath(std::string_view directory, std::string_view name);
// What comes before the last slash; "." if there is none.
std::string ParentPath(std::string_view path);

}  // namespace bandb::base

#endif  // BANDB_BASE_FILE_SYSTEM_H_
