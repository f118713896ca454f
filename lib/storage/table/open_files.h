// Keeps the number of open table files within bounds.
//
// The reader of a table lives as long as the table does, but its file need not be open all that
// time. When more files are open than may be, one that was not read for a while is closed, and
// opened again when something is read from it. Only what comes from a file passes here: blocks in
// the cache, indexes and filters do not, so that reads which need no disk cost no more than before.
//
// Which file is closed is decided by second chance (the clock algorithm; Corbató, 1968): a read
// marks its file, and the search for a victim clears marks until it finds a file without one.
#ifndef BANDB_STORAGE_TABLE_OPEN_FILES_H_
#define BANDB_STORAGE_TABLE_OPEN_FILES_H_

#include <cstdint>
#include <list>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/file_system.h"
#include "base/mutex.h"

namespace bandb::storage {

// Lifetime: shared by the table store and by every file that it gave out, since readers that
// outlive the engine still hold files. Thread safety: any thread.
class OpenFiles : public std::enable_shared_from_this<OpenFiles> {
 public:
  // At most `open_max` files are open, those that are being read at the moment not counted.
  OpenFiles(base::FileSystem* files, uint64_t open_max) : open_max_(open_max), files_(files) {}

  // A file that may be closed and opened again without its reader's knowledge.
  // Errors: kFailedPrecondition after Close, and what the file system says. Reads of the file
  // answer these, too.
  absl::StatusOr<std::unique_ptr<base::RandomAccessFile>> Open(const std::string& path) ABSL_LOCKS_EXCLUDED(mutex_);
  // Closes a file that was not read for a while, for others have need of a descriptor. False if
  // none is open.
  bool GiveUpOne() ABSL_LOCKS_EXCLUDED(mutex_);
  // From now on nothing is opened any more. Files that are open may still be read.
  void Close() ABSL_LOCKS_EXCLUDED(mutex_);
  uint64_t open_count() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  class SharedFile;
  using File = std::shared_ptr<base::RandomAccessFile>;

  // Opens the file of `shared`, and closes another one if need be.
  absl::StatusOr<File> Reopen(SharedFile* shared) ABSL_LOCKS_EXCLUDED(mutex_);
  void Forget(SharedFile* shared) ABSL_LOCKS_EXCLUDED(mutex_);
  // False if there is none to close.
  bool CloseOne() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const uint64_t open_max_;
  mutable base::Mutex mutex_;
  // Null after Close.
  base::FileSystem* files_ ABSL_GUARDED_BY(mutex_);
  // Those that are open; the next to be looked at first.
  std::list<SharedFile*> open_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_TABLE_OPEN_FILES_H_
