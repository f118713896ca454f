// What a program reads once from its beginning to its end: a file, a pipe, a terminal, or standard
// input.
#ifndef BANDB_BASE_INPUT_STREAM_H_
#define BANDB_BASE_INPUT_STREAM_H_

#include <cstddef>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace bandb::base {

// Files of a database are opened by FileSystem, which refuses all but regular files; this is for
// files that a user names. Thread safety: one thread at a time.
class InputStream {
 public:
  // Opens a file of whatever kind; a pipe with a name waits for a writer. Errors: as FileSystem;
  // kInvalidArgument a directory.
  static absl::StatusOr<std::unique_ptr<InputStream>> Open(const std::string& path);
  static std::unique_ptr<InputStream> StandardInput();
  ~InputStream();
  InputStream(const InputStream&) = delete;
  InputStream& operator=(const InputStream&) = delete;

  // Fills at least the beginning of `to`, which is not empty, waiting for it if need be, and
  // returns how many bytes came; 0 at the end.
  absl::StatusOr<size_t> Read(absl::Span<char> to);
  // False if Read would have to wait.
  bool Ready() const;

 private:
  InputStream(int descriptor, bool owned, std::string name)
      : descriptor_(descriptor), owned_(owned), name_(std::move(name)) {}

  const int descriptor_;
  const bool owned_;
  const std::string name_;
};

}  // namespace bandb::base

#endif  // BANDB_BASE_INPUT_STREAM_H_
