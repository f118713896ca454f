#include "transfer/decompressor.h"

#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <cstring>
#include <string_view>
#include <utility>

#include "base/status.h"

namespace bandb::transfer {

namespace {

constexpr size_t kBufferBytes = 256 << 10;
constexpr std::string_view kGzipMagic = "\x1f\x8b";
constexpr std::string_view kZstdMagic = "\x28\xb5\x2f\xfd";

// Several members may follow each other, as when gzip files are joined.
class GzipCodec final : public Codec {
 public:
  GzipCodec() {
    constexpr int kGzipFormat = 16;
    ready_ = ::inflateInit2(&stream_, MAX_WBITS + kGzipFormat) == Z_OK;
  }
  ~GzipCodec() override { ::inflateEnd(&stream_); }
  GzipCodec(const GzipCodec&) = delete;
  GzipCodec& operator=(const GzipCodec&) = delete;

  absl::StatusOr<size_t> Decompress(absl::Span<const char>* input, absl::Span<char> to) override {
    if (!ready_) return base::Error(absl::StatusCode::kResourceExhausted, "no memory for gzip");
    if (at_boundary_) ::inflateReset(&stream_);
    // zlib does not change its input, and says so with a macro of its own.
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(input->data()));
    stream_.avail_in = static_cast<uInt>(input->size());
    stream_.next_out = reinterpret_cast<Bytef*>(to.data());
    stream_.avail_out = static_cast<uInt>(to.size());
    const int result = ::inflate(&stream_, Z_NO_FLUSH);
    if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR) {
      return base::Error(absl::StatusCode::kDataLoss, "damaged gzip data");
    }
    at_boundary_ = result == Z_STREAM_END;
    input->remove_prefix(input->size() - stream_.avail_in);
    return to.size() - stream_.avail_out;
  }

  bool AtBoundary() const override { return at_boundary_; }

 private:
  z_stream stream_{};
  bool ready_ = false;
  bool at_boundary_ = false;
};

class ZstdCodec final : public Codec {
 public:
  ZstdCodec() : stream_(::ZSTD_createDStream()) {}
  ~ZstdCodec() override { ::ZSTD_freeDStream(stream_); }
  ZstdCodec(const ZstdCodec&) = delete;
  ZstdCodec& operator=(const ZstdCodec&) = delete;

  absl::StatusOr<size_t> Decompress(absl::Span<const char>* input, absl::Span<char> to) override {
    if (stream_ == nullptr) return base::Error(absl::StatusCode::kResourceExhausted, "no memory for zstd");
    ZSTD_inBuffer in{input->data(), input->size(), 0};
    ZSTD_outBuffer out{to.data(), to.size(), 0};
    const size_t result = ::ZSTD_decompressStream(stream_, &out, &in);
    if (::ZSTD_isError(result) != 0) {
      return base::Error(absl::StatusCode::kDataLoss, "damaged zstd data: {}", ::ZSTD_getErrorName(result));
    }
    at_boundary_ = result == 0;
    input->remove_prefix(in.pos);
    return out.pos;
  }

  bool AtBoundary() const override { return at_boundary_; }

 private:
  ZSTD_DStream* const stream_;
  bool at_boundary_ = false;
};

}  // namespace

Decompressor::Decompressor(std::unique_ptr<ByteSource> input, std::string name, bool as_is)
    : input_(std::move(input)), name_(std::move(name)), as_is_(as_is), buffer_(kBufferBytes) {}

absl::StatusOr<bool> Decompressor::Fill() {
  if (begin_ == end_) begin_ = end_ = 0;
  BANDB_ASSIGN_OR_RETURN(const size_t n, input_->Read(absl::MakeSpan(buffer_).subspan(end_)));
  end_ += n;
  bytes_read_ += n;
  return n > 0;
}

absl::Status Decompressor::Begin() {
  begun_ = true;
  if (as_is_) return absl::OkStatus();
  // Short pieces of a pipe: as many as the longest magic takes, but no more than are there.
  while (end_ < kZstdMagic.size()) {
    const std::string_view seen(buffer_.data(), end_);
    if (!kZstdMagic.starts_with(seen) && !kGzipMagic.starts_with(seen.substr(0, kGzipMagic.size()))) break;
    if (seen == kGzipMagic) break;
    BANDB_ASSIGN_OR_RETURN(const bool more, Fill());
    if (!more) break;
  }
  const std::string_view head(buffer_.data(), end_);
  if (head.starts_with(kGzipMagic)) codec_ = std::make_unique<GzipCodec>();
  if (head.starts_with(kZstdMagic)) codec_ = std::make_unique<ZstdCodec>();
  return absl::OkStatus();
}

absl::StatusOr<size_t> Decompressor::Read(absl::Span<char> to) {
  if (!begun_) BANDB_RETURN_IF_ERROR(Begin());
  while (true) {
    if (codec_ == nullptr && begin_ < end_) {
      const size_t n = std::min(to.size(), end_ - begin_);
      std::memcpy(to.data(), buffer_.data() + begin_, n);
      begin_ += n;
      return n;
    }
    if (begin_ < end_ || codec_ != nullptr) {
      absl::Span<const char> input(buffer_.data() + begin_, end_ - begin_);
      // Without input a codec may still hold bytes that there was no room for.
      absl::StatusOr<size_t> n = input.empty() && codec_->AtBoundary() ? size_t{0} : codec_->Decompress(&input, to);
      if (!n.ok()) return base::Annotate(n.status(), name_);
      begin_ = end_ - input.size();
      if (*n > 0) return *n;
      if (begin_ < end_) continue;
    }
    BANDB_ASSIGN_OR_RETURN(const bool more, Fill());
    if (more) continue;
    if (codec_ == nullptr || codec_->AtBoundary()) return size_t{0};
    return base::Error(absl::StatusCode::kDataLoss, "{}: ends in the middle of compressed data", name_);
  }
}

}  // namespace bandb::transfer
