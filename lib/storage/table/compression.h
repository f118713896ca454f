// Compression of block payloads: none, LZ4 or Zstandard, the latter two where BanDB was built with
// them.
//
//   compressed := uncompressed_bytes:varint bytes       for LZ4 and Zstandard; bytes are one LZ4 block, one zstd frame
//
// A decompressor never allocates: the caller reads the declared size, holds it against a bound, and
// hands over memory of that size.
#ifndef BANDB_STORAGE_TABLE_COMPRESSION_H_
#define BANDB_STORAGE_TABLE_COMPRESSION_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/types/span.h"
#include "bandb/options.h"

namespace bandb::storage {

// True if this program can compress and decompress so. kNone always; false for a number that is no
// Compression.
bool CompressionIsBuiltIn(Compression compression);
// For messages. "compression 9" for a number that is no Compression.
std::string CompressionName(Compression compression);

// Compresses into `to`, replacing what it holds. False if the result is not smaller than 7/8 of the
// original, or if the method is kNone or not built in: the block is then to be stored as it is.
bool Compress(Compression compression, std::string_view bytes, std::string* to);

// The size that compressed bytes declare for their content. False if they do not even hold that.
bool ReadUncompressedBytes(std::string_view compressed, uint64_t* uncompressed_bytes);
// Fills `to`, whose size is the declared one. False if the bytes are malformed or do not fill it
// exactly, or if the method is not built in.
bool Decompress(Compression compression, std::string_view compressed, absl::Span<char> to);

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_TABLE_COMPRESSION_H_
