// A file that lines are appended to, for a record of which no line may vanish untold.
//
// It is a regular file: to write to a pipe or a terminal may take for as long as its reader likes.
// A line is one write(2). What a disk that ran full has left of one is ended by the next line that
// can be written, so that no line is glued to another.
#ifndef BANDB_BASE_LINE_FILE_H_
#define BANDB_BASE_LINE_FILE_H_

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/mutex.h"

namespace bandb::base {

// Thread safety: any thread.
class LineFile {
 public:
  // Goes on at the end of the file, which is made with mode 600 if need be. Never waits for a
  // reader. Errors: as FileSystem::Create, but for kAlreadyExists; kFailedPrecondition it is no
  // regular file.
  static absl::StatusOr<std::unique_ptr<LineFile>> Open(const std::string& path);
  ~LineFile();
  LineFile(const LineFile&) = delete;
  LineFile& operator=(const LineFile&) = delete;

  // Goes on in the file that has its path by now, for a program that moves logs away. Errors: as
  // Open; it goes on in the file that it had.
  absl::Status Reopen() ABSL_LOCKS_EXCLUDED(mutex_);
  // `line` is without its end. Where the file was removed it goes to one that is made, since nobody
  // would ever read it. Errors: kResourceExhausted the disk is full, kInternal and others as the
  // system has them, and those of Open: not all of it was written. Durability: none.
  absl::Status Append(std::string_view line) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  struct Opened {
    int fd = -1;
    bool torn = false;
  };

  LineFile(std::string path, const Opened& opened) : path_(std::move(path)), fd_(opened.fd), torn_(opened.torn) {}
  static absl::StatusOr<Opened> OpenAt(const std::string& path);
  absl::Status ReopenLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::string path_;
  Mutex mutex_;
  int fd_ ABSL_GUARDED_BY(mutex_);
  bool torn_ ABSL_GUARDED_BY(mutex_);  // it ends within a line
};

}  // namespace bandb::base

#endif  // BANDB_BASE_LINE_FILE_H_
