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

// Reads in pieces, so that memory is bounded by the longest line, which is bounded.
class LineSource {
 public:
  // Longer than any value that a server takes.
  static constexpr size_t kLineBytesMax = 64 << 20;
  enum class Found : uint8_t { kLine, kTooLong, kEnd };

  // `paths` are read in order; "-" is standard input. Lifetime: borrows the file system.
  LineSource(base::FileSystem* files, std::vector<std::string> paths, size_t line_bytes_max = kLineBytesMax)
      : files_(files), paths_(std::move(paths)), line_bytes_max_(line_bytes_max) {}

  // Bytes in all the files, 0 if that is not known: when standard input is among them. Errors: what is not readable.
  absl::StatusOr<uint64_t> TotalBytes();

  // kLine: `line` is the next line without its end. kTooLong: that line is longer than the limit and was skipped. kEnd:
  // there are no more. Lifetime: `line` is valid until the next call. Errors: whatever reading the file says.
  absl::StatusOr<Found> Next(std::string_view* line);
  // False if Next would have to wait for somebody to type or to write into the pipe.
  bool Ready() const;

  uint64_t bytes_read() const { return bytes_read_; }

 private:
  // Reads another piece after what is buffered; false at the end of the file.
  absl::StatusOr<bool> Fill();
  absl::Status OpenNext();
  // Hands out the line that ends at this place of the buffer; the next begins at `next_start`.
  Found Take(size_t end, size_t next_start, std::string_view* line);
  bool from_stdin() const { return next_path_ > 0 && paths_[next_path_ - 1] == "-"; }

  base::FileSystem* const files_;
  const std::vector<std::string> paths_;
  const size_t line_bytes_max_;
  size_t next_path_ = 0;  // the open file is the one before it
  bool is_open_ = false;
  std::unique_ptr<base::RandomAccessFile> file_;  // null for standard input
  uint64_t offset_ = 0;
  uint64_t bytes_read_ = 0;
  std::string buffer_;
  size_t start_ = 0;       // lines before it were given out
  size_t searched_ = 0;    // there is no line end in [start_, searched_)
  bool too_long_ = false;  // the beginning of the line was already dropped
};

}  // namespace bandb::cli

#endif  // BANDB_TOOLS_BANDB_LINE_SOURCE_H_
