// Bytes that are read once, from their beginning to their end, wherever they come from.
#ifndef BANDB_TOOLS_TRANSFER_BYTE_SOURCE_H_
#define BANDB_TOOLS_TRANSFER_BYTE_SOURCE_H_

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/input_stream.h"

namespace bandb::transfer {

// Thread safety: one thread at a time.
class ByteSource {
 public:
  virtual ~ByteSource() = default;
  // Fills at least the beginning of `to`, which is not empty, waiting for it if need be, and
  // returns how many bytes came; 0 at the end.
  virtual absl::StatusOr<size_t> Read(absl::Span<char> to) = 0;
  // False if Read would have to wait.
  virtual bool Ready() const { return true; }
};

// A file, a pipe or standard input.
class StreamSource final : public ByteSource {
 public:
  explicit StreamSource(std::unique_ptr<base::InputStream> stream) : stream_(std::move(stream)) {}
  absl::StatusOr<size_t> Read(absl::Span<char> to) override { return stream_->Read(to); }
  bool Ready() const override { return stream_->Ready(); }

 private:
  const std::unique_ptr<base::InputStream> stream_;
};

// Bytes in memory.
class StringSource final : public ByteSource {
 public:
  explicit StringSource(std::string bytes) : bytes_(std::move(bytes)) {}
  absl::StatusOr<size_t> Read(absl::Span<char> to) override {
    const size_t n = std::min(to.size(), bytes_.size() - at_);
    std::memcpy(to.data(), bytes_.data() + at_, n);
    at_ += n;
    return n;
  }

 private:
  const std::string bytes_;
  size_t at_ = 0;
};

}  // namespace bandb::transfer

#endif  // BANDB_TOOLS_TRANSFER_BYTE_SOURCE_H_
