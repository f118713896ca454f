// Bytes of a file as they were before gzip or zstd compressed it.
//
// What a file is, its first bytes say and not its name: 1f 8b is gzip, 28 b5 2f fd is zstd, all
// else is taken as it is.
#ifndef BANDB_TOOLS_TRANSFER_DECOMPRESSOR_H_
#define BANDB_TOOLS_TRANSFER_DECOMPRESSOR_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "transfer/byte_source.h"

namespace bandb::transfer {

// A method of compression, in pieces.
class Codec {
 public:
  virtual ~Codec() = default;
  // Takes from the beginning of `*input` and fills from the beginning of `to`; removes from
  // `*input` what was taken and returns how many bytes were made. Errors: kDataLoss what came is
  // damaged.
  virtual absl::StatusOr<size_t> Decompress(absl::Span<const char>* input, absl::Span<char> to) = 0;
  // True if a file may end here: nothing begun is missing its end.
  virtual bool AtBoundary() const = 0;
};

// Used once, by one thread.
class Decompressor final : public ByteSource {
 public:
  // With `as_is`, compressed files are taken as they are, too.
  Decompressor(std::unique_ptr<ByteSource> input, std::string name, bool as_is);

  // As ByteSource::Read, of what is inside. Errors: also kDataLoss the file is damaged or ends in
  // the middle.
  absl::StatusOr<size_t> Read(absl::Span<char> to) override;
  bool Ready() const override { return begin_ < end_ || input_->Ready(); }
  // Of the file itself.
  uint64_t bytes_read() const { return bytes_read_; }

 private:
  // Reads the first bytes and chooses the codec.
  absl::Status Begin();
  // Adds a piece of the file to the buffer; false at its end.
  absl::StatusOr<bool> Fill();

  const std::unique_ptr<ByteSource> input_;
  const std::string name_;
  const bool as_is_;
  bool begun_ = false;
  std::unique_ptr<Codec> codec_;  // null: none
  std::vector<char> buffer_;
  size_t begin_ = 0;  // [begin_, end_) of the buffer is not used yet
  size_t end_ = 0;
  uint64_t bytes_read_ = 0;
};

}  // namespace bandb::transfer

#endif  // BANDB_TOOLS_TRANSFER_DECOMPRESSOR_H_
