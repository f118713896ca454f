// What is in the directory of an export: `manifest.jsonl`, one JSON object on each line.
//
//   manifest := head chunk* [total]
//   head     := {"bandb_export": 1, "format": ..., "key_format": ..., "value_format": ...,
//                "compression": "none" | "zstd", "chunk_bytes": n, "begin": bytes, "limit": bytes, "state": string}
//   chunk    := {"file": name, "first": bytes, "last": bytes, "entries": n, "bytes": n, "checksum": 16 hex digits}
//   total    := {"entries": n, "chunks": n [, "token": hexadecimal digits]}
//   bytes    := string | {"base64": string}
//
// "bytes" and "checksum" (XXH3-64, as xxhsum -H3 prints it) are of the file as it lies there. The
// line of a chunk is written once the chunk is durable, the total once all are. So a manifest
// without a total is of an export that was cut short, and its last line may be torn. The token is
// the place in the change feed of the state; older exports have none.
#ifndef BANDB_TOOLS_TRANSFER_EXPORT_MANIFEST_H_
#define BANDB_TOOLS_TRANSFER_EXPORT_MANIFEST_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "transfer/entry.h"

namespace bandb::transfer {

inline constexpr std::string_view kManifestName = "manifest.jsonl";
inline constexpr uint64_t kManifestBytesMax = 1 << 30;
inline constexpr uint64_t kChunkBytesMin = 1 << 10;
inline constexpr uint64_t kChunkBytesMax = 1 << 30;

// How an export was asked for, and of what.
struct ManifestHead {
  Layout layout{};
  bool compress = false;
  uint64_t chunk_bytes = 32 << 20;
  std::string begin{};
  std::string limit{};
  std::string state{};  // which state it is of, as its source says; empty: not of one

  friend bool operator==(const ManifestHead&, const ManifestHead&) = default;
};

struct ManifestChunk {
  std::string file{};
  std::string first{};
  std::string last{};
  uint64_t entries = 0;
  uint64_t bytes = 0;
  uint64_t checksum = 0;
};

struct Manifest {
  ManifestHead head{};
  std::vector<ManifestChunk> chunks{};
  bool complete = false;
  std::string token{};  // in hexadecimal digits; empty: none is known

  uint64_t entries() const;
};

// What the name of a file ends in; parquet is compressed within.
std::string_view CompressedSuffix(const Layout& layout, bool compress);
// How entries are written, as fields of a line of JSON: from "format" to "compression".
std::string LayoutFields(const Layout& layout, bool compress);
// The name of chunk `index`, from 0.
std::string ChunkName(const ManifestHead& head, size_t index);

// Lines, ends included.
std::string HeadLine(const ManifestHead& head);
std::string ChunkLine(const ManifestChunk& chunk);
std::string TotalLine(const Manifest& manifest);

// Takes a manifest apart. A torn end is left out. Errors: kDataLoss a line makes no sense, or not
// together with those before it: chunks have the names that they must have, and their keys ascend;
// kInvalidArgument it is no manifest, or one of a version that this program does not know.
absl::StatusOr<Manifest> ParseManifest(std::string_view text);

}  // namespace bandb::transfer

#endif  // BANDB_TOOLS_TRANSFER_EXPORT_MANIFEST_H_
