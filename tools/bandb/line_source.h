// The lines of files, pipes and standard input, compressed or not, one after the other.
#ifndef BANDB_TOOLS_BANDB_LINE_SOURCE_H_
#define BANDB_TOOLS_BANDB_LINE_SOURCE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "transfer/decompressor.h"

namespace bandb::cli {

// Reads in pieces, so that memory is bounded by the longest line, which is bounded.
class LineSource {
 public:
  // Longer than any value that a server takes.
  static constexpr size_t kLineBytesMax = 64 << 20;
  enum class Found : uint8_t { kLine, kTooLong, kEnd };

  // `paths` are read in order; "-" is standard input. With `as_is` nothing is decompressed.
  explicit LineSource(std::vector<std::string> paths, bool as_is = false, size_t line_bytes_max = kLineBytesMax)
      : paths_(std::move(paths)), as_is_(as_is), line_bytes_max_(line_bytes_max) {}

  // Bytes in all the files, as they are on disk; 0 if that is not known, since one is a pipe or
  // standard input. Errors: what is not there, not readable, or a directory.
  absl::StatusOr<uint64_t> TotalBytes() const;

  // kLine: `line` is the next line without its end. kTooLong: that line is longer than the limit
  // and was skipped. kEnd: there are no more. Lifetime: `line` is valid until the next call.
  // Errors: whatever reading the file says.
  absl::StatusOr<Found> Next(std::string_view* line);
  // False if Next would have to wait for a person or another program to write.
  bool Ready() const;

  // Of the files, as they are on disk.
  uint64_t bytes_read() const;

 private:
  // Reads another piece after what is buffered; false at the end of the file.
  absl::StatusOr<bool> Fill();
  absl::Status OpenNext();
  // Hands out the line that ends at this place of the buffer; the next begins at `next_start`.
  Found Take(size_t end, size_t next_start, std::string_view* line);

  const std::vector<std::string> paths_;
  const bool as_is_;
  const size_t line_bytes_max_;
  size_t next_path_ = 0;  // the open file is the one before it
  std::unique_ptr<transfer::Decompressor> current_;
  uint64_t earlier_bytes_ = 0;  // of the files before it
  std::string buffer_;
  size_t start_ = 0;       // lines before it were given out
  size_t searched_ = 0;    // there is no line end in [start_, searched_)
  bool too_long_ = false;  // the beginning of the line was already dropped
};

}  // namespace bandb::cli

#endif  // BANDB_TOOLS_BANDB_LINE_SOURCE_H_
