// zstd, as chunks have it.
#ifndef BANDB_TOOLS_TRANSFER_COMPRESSION_H_
#define BANDB_TOOLS_TRANSFER_COMPRESSION_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace bandb::transfer {

// One frame of zstd with a checksum: the same bytes for the same input, by one version of zstd.
// Frames that follow each other are one file. Errors: kResourceExhausted no memory.
absl::StatusOr<std::string> Compress(std::string_view bytes);

}  // namespace bandb::transfer

#endif  // BANDB_TOOLS_TRANSFER_COMPRESSION_H_
