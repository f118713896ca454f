#include "storage/table/compression.h"

#include <fmt/format.h>

#include <climits>

#ifdef BANDB_HAVE_LZ4
#include <lz4.h>
#endif
#ifdef BANDB_HAVE_ZSTD
#include <zstd.h>
#endif

#include "base/coding.h"

namespace bandb::storage {

namespace {

#ifdef BANDB_HAVE_ZSTD
// The level at which Zstandard still writes faster than a disk.
constexpr int kZstdLevel = 1;
#endif

// Appends what is compressed to what `to` holds, into at most `room` bytes. 0 if it does not fit.
size_t CompressInto(Compression compression, std::string_view bytes, char* to, size_t room) {
  switch (compression) {
#ifdef BANDB_HAVE_LZ4
    case Compression::kLz4: {
      if (bytes.size() > LZ4_MAX_INPUT_SIZE || room > INT_MAX) return 0;
      const int written =
          LZ4_compress_default(bytes.data(), to, static_cast<int>(bytes.size()), static_cast<int>(room));
      return written > 0 ? static_cast<size_t>(written) : 0;
    }
#endif
#ifdef BANDB_HAVE_ZSTD
    case Compression::kZstd: {
      const size_t written = ZSTD_compress(to, room, bytes.data(), bytes.size(), kZstdLevel);
      return ZSTD_isError(written) != 0 ? 0 : written;
    }
#endif
    default:
      static_cast<void>(bytes);
      static_cast<void>(to);
      static_cast<void>(room);
      return 0;
  }
}

}  // namespace

bool CompressionIsBuiltIn(Compression compression) {
  switch (compression) {
    case Compression::kNone:
      return true;
#ifdef BANDB_HAVE_LZ4
    case Compression::kLz4:
      return true;
#endif
#ifdef BANDB_HAVE_ZSTD
    case Compression::kZstd:
      return true;
#endif
    default:
      return false;
  }
}

std::string CompressionName(Compression compression) {
  switch (compression) {
    case Compression::kNone:
      return "none";
    case Compression::kLz4:
      return "LZ4";
    case Compression::kZstd:
      return "Zstandard";
  }
  return fmt::format("compression {}", static_cast<int>(compression));
}

bool Compress(Compression compression, std::string_view bytes, std::string* to) {
  if (compression == Compression::kNone || !CompressionIsBuiltIn(compression)) return false;
  const size_t worth_bytes = bytes.size() - bytes.size() / 8;
  const auto head = static_cast<size_t>(base::VarintLength(bytes.size()));
  // The compressor is given no more room than the result may take, so that it stops early on what
  // does not shrink.
  if (worth_bytes <= head) return false;
  to->clear();
  base::PutVarint(to, bytes.size());
  to->resize(worth_bytes);
  const size_t written = CompressInto(compression, bytes, to->data() + head, worth_bytes - head);
  to->resize(head + written);
  return written > 0;
}

bool ReadUncompressedBytes(std::string_view compressed, uint64_t* uncompressed_bytes) {
  base::ByteReader reader(compressed);
  return reader.ReadVarint(uncompressed_bytes);
}

bool Decompress(Compression compression, std::string_view compressed, absl::Span<char> to) {
  base::ByteReader reader(compressed);
  uint64_t declared = 0;
  if (!reader.ReadVarint(&declared) || declared != to.size()) return false;
  const std::string_view bytes = reader.rest();
  switch (compression) {
#ifdef BANDB_HAVE_LZ4
    case Compression::kLz4: {
      if (bytes.size() > INT_MAX || to.size() > INT_MAX) return false;
      const int written =
          LZ4_decompress_safe(bytes.data(), to.data(), static_cast<int>(bytes.size()), static_cast<int>(to.size()));
      return written >= 0 && static_cast<size_t>(written) == to.size();
    }
#endif
#ifdef BANDB_HAVE_ZSTD
    case Compression::kZstd: {
      const size_t written = ZSTD_decompress(to.data(), to.size(), bytes.data(), bytes.size());
      return ZSTD_isError(written) == 0 && written == to.size();
    }
#endif
    default:
      static_cast<void>(bytes);
      return false;
  }
}

}  // namespace bandb::storage
