// The lines of files and of standard input, one after the other.
#ifndef BANDB_TOOLS_BANDB_LINE_SOURCE_H_
#define BANDB_TOOLS_BANDB_LINE_SOURCE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "base/file_system.h"

namespace bandb::cli {

// Reads in pieces, so that memory is bounded by the longest line, which is bounded by kLineBytesMax.
class LineSource {
 public:
  // Longer than any value that a server takes.
  static constexpr size_t kLineBytesMax = 64 << 20;

  // `paths` are read in order; "-" is standard input. Lifetime: borrows the file system.
  LineSource(base::FileSystem* files, std::vector<std::string> paths) : files_(files), paths_(std::move(paths)) {}

  // Bytes in all the files, 0 if that is not known: when standard input is among them. Errors: what is not readable.
  absl::StatusOr<uint64_t> TotalBytes();

  // The next line without its end: false at the end of the last file. Lifetime: `line` is valid until the next call.
  // Errors: kInvalidArgument a line is longer than the limit; whatever reading the file says.
  absl::StatusOr<bool> Next(std::string_view* line);
  // False if Next would have to wait for somebody to type or to write into the pipe.
  bool Ready() const;

  uint64_t bytes_read() const { return bytes_read_; }

 private:
  // Reads another piece behind what is buffered; false at the end of the file.
  absl::StatusOr<bool> Fill();
  absl::Status OpenNext();
  bool from_stdin() const { return next_path_ > 0 && paths_[next_path_ - 1] == "-"; }

  base::FileSystem* const files_;
  const std::vector<std::string> paths_;
  size_t next_path_ = 0;  // the open file is the one before it
  bool is_open_ = false;
  std::unique_ptr<base::RandomAccessFile> file_;  // null for standard input
  uint64_t offset_ = 0;
  uint64_t bytes_read_ = 0;
  std::string buffer_;
  size_t start_ = 0;     // lines before it were given out
  size_t searched_ = 0;  // there is no line end in [start_, searched_)
};

}  // namespace bandb::cli

#endif  // BANDB_TOOLS_BANDB_LINE_SOURCE_H_
