// A file of records as its reader walks it: bytes from some place on, of which no more are held
// than the walk needs.
#ifndef BANDB_STORAGE_LOG_LOG_STREAM_H_
#define BANDB_STORAGE_LOG_LOG_STREAM_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/file_system.h"

namespace bandb::storage {

// Thread safety: one thread at a time. Lifetime: borrows the file and
// its path.
class LogStream {
 public:
  // Of the file's first `bytes` bytes.
  LogStream(const base::RandomAccessFile& file, std::string_view path, uint64_t bytes)
      : file_(file), path_(path), bytes_(bytes) {}

  // What is held from the present place on.
  std::string_view rest() const { return std::string_view(buffer_).substr(begin_); }
  uint64_t offset() const { return offset_; }
  // Goes on by so many of the bytes that are held.
  void Skip(uint64_t bytes);
  // Has at least `bytes` bytes held, or all that the file has. Errors: as RandomAccessFile::Read,
  // and kInternal the file has become shorter.
  absl::Status Hold(uint64_t bytes);
  // Goes on over zeros, holes unread, for as long as nothing else is met. True if something was.
  // What follows may begin with some zeros of it.
  absl::StatusOr<bool> SkipZeros();

 private:
  const base::RandomAccessFile& file_;
  const std::string_view path_;
  const uint64_t bytes_;
  std::string buffer_;
  uint64_t begin_ = 0;
  // Of the file, where rest() begins.
  uint64_t offset_ = 0;
};

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_LOG_LOG_STREAM_H_
