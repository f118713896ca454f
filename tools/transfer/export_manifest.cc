#include "transfer/export_manifest.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/status/status.h"
#include "base/status.h"
#include "transfer/json_fields.h"

namespace bandb::transfer {

namespace {

using nlohmann::json;

constexpr uint64_t kVersion = 1;

// The one complaint that the end of a manifest may cause without being damaged.
constexpr std::string_view kTornLine = "not a JSON object";

bool IsHex(std::string_view text) {
  return text.size() % 2 == 0 && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

bool TakeHead(const json& object, ManifestHead* head) {
  std::string format;
  std::string keys;
  std::string values;
  std::string compression;
  const bool whole = TakeText(object, "format", &format) && TakeText(object, "key_format", &keys) &&
                     TakeText(object, "value_format", &values) && TakeText(object, "compression", &compression) &&
                     TakeNumber(object, "chunk_bytes", &head->chunk_bytes) &&
                     TakeBytes(object, "begin", &head->begin) && TakeBytes(object, "limit", &head->limit) &&
                     TakeText(object, "state", &head->state);
  head->compress = compression == "zstd";
  return whole && ParseFormat(format, &head->layout.format) && ParseEncoding(keys, &head->layout.keys) &&
         ParseEncoding(values, &head->layout.values) && (head->compress || compression == "none") &&
         head->chunk_bytes >= kChunkBytesMin && head->chunk_bytes <= kChunkBytesMax;
}

bool TakeChunk(const json& object, ManifestChunk* chunk) {
  std::string checksum;
  if (!TakeText(object, "file", &chunk->file) || !TakeBytes(object, "first", &chunk->first) ||
      !TakeBytes(object, "last", &chunk->last) || !TakeNumber(object, "entries", &chunk->entries) ||
      !TakeNumber(object, "bytes", &chunk->bytes) || !TakeText(object, "checksum", &checksum)) {
    return false;
  }
  return ParseChecksum(checksum, &chunk->checksum) && chunk->entries > 0 && chunk->first <= chunk->last;
}

// Takes one line; what is wrong with it, or nothing.
std::string TakeLine(std::string_view line, Manifest* manifest) {
  const json object = json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (object.is_discarded() || !object.is_object()) return std::string(kTornLine);
  if (manifest->complete) return "something follows the total";
  if (object.contains("file")) {
    ManifestChunk chunk;
    if (!TakeChunk(object, &chunk)) return "not a chunk";
    if (chunk.file != ChunkName(manifest->head, manifest->chunks.size())) return "not the name of the next chunk";
    if (!manifest->chunks.empty() && chunk.first <= manifest->chunks.back().last) return "its keys are out of order";
    manifest->chunks.push_back(std::move(chunk));
    return "";
  }
  uint64_t entries = 0;
  uint64_t chunks = 0;
  if (!TakeNumber(object, "entries", &entries) || !TakeNumber(object, "chunks", &chunks)) return "not a chunk";
  if (entries != manifest->entries() || chunks != manifest->chunks.size()) return "the total does not add up";
  if (object.contains("token") && (!TakeText(object, "token", &manifest->token) || !IsHex(manifest->token))) {
    return "not a token";
  }
  manifest->complete = true;
  return "";
}

absl::Status TakeFirstLine(std::string_view line, Manifest* manifest) {
  const json object = json::parse(line, nullptr, /*allow_exceptions=*/false);
  uint64_t version = 0;
  if (object.is_discarded() || !object.is_object() || !TakeNumber(object, "bandb_export", &version)) {
    return base::Error(absl::StatusCode::kInvalidArgument, "{}: not a manifest of an export", kManifestName);
  }
  if (version != kVersion) {
    return base::Error(absl::StatusCode::kInvalidArgument, "{}: of version {}; this program knows {}", kManifestName,
                       version, kVersion);
  }
  if (TakeHead(object, &manifest->head)) return absl::OkStatus();
  return base::Error(absl::StatusCode::kDataLoss, "{}: line 1: not the head of a manifest", kManifestName);
}

}  // namespace

uint64_t Manifest::entries() const {
  uint64_t sum = 0;
  for (const ManifestChunk& chunk : chunks) sum += chunk.entries;
  return sum;
}

std::string_view CompressedSuffix(const Layout& layout, bool compress) {
  return compress && layout.format != Format::kParquet ? ".zst" : "";
}

std::string LayoutFields(const Layout& layout, bool compress) {
  return fmt::format("\"format\": \"{}\", \"key_format\": \"{}\", \"value_format\": \"{}\", \"compression\": \"{}\"",
                     FormatName(layout.format), EncodingName(layout.keys), EncodingName(layout.values),
                     compress ? "zstd" : "none");
}

std::string ChunkName(const ManifestHead& head, size_t index) {
  return fmt::format("part-{:08}.{}{}", index, FormatName(head.layout.format),
                     CompressedSuffix(head.layout, head.compress));
}

std::string HeadLine(const ManifestHead& head) {
  std::string line = fmt::format("{{\"bandb_export\": {}, {}, \"chunk_bytes\": {}, \"begin\": ", kVersion,
                                 LayoutFields(head.layout, head.compress), head.chunk_bytes);
  AppendJsonBytes(Encoding::kUtf8, head.begin, &line);
  line += ", \"limit\": ";
  AppendJsonBytes(Encoding::kUtf8, head.limit, &line);
  line += ", \"state\": ";
  AppendJsonString(head.state, &line);
  return line + "}\n";
}

std::string ChunkLine(const ManifestChunk& chunk) {
  std::string line = "{\"file\": ";
  AppendJsonString(chunk.file, &line);
  line += ", \"first\": ";
  AppendJsonBytes(Encoding::kUtf8, chunk.first, &line);
  line += ", \"last\": ";
  AppendJsonBytes(Encoding::kUtf8, chunk.last, &line);
  return line + fmt::format(", \"entries\": {}, \"bytes\": {}, \"checksum\": \"{:016x}\"}}\n", chunk.entries,
                            chunk.bytes, chunk.checksum);
}

std::string TotalLine(const Manifest& manifest) {
  const std::string token = manifest.token.empty() ? "" : fmt::format(", \"token\": \"{}\"", manifest.token);
  return fmt::format("{{\"entries\": {}, \"chunks\": {}{}}}\n", manifest.entries(), manifest.chunks.size(), token);
}

absl::StatusOr<Manifest> ParseManifest(std::string_view text) {
  Manifest manifest;
  std::string complaint;
  size_t complaint_line = 0;
  if (text.empty()) return base::Error(absl::StatusCode::kInvalidArgument, "{}: empty", kManifestName);
  for (size_t number = 1; !text.empty(); ++number) {
    const size_t end = text.find('\n');
    // Without its end a line is torn, whatever it seems to say.
    if (end == std::string_view::npos && number > 1) break;
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (number == 1) {
      BANDB_RETURN_IF_ERROR(TakeFirstLine(line, &manifest));
      continue;
    }
    if (complaint.empty()) {
      complaint = TakeLine(line, &manifest);
      complaint_line = number;
      continue;
    }
    // What is torn is torn to the end. A whole line after it means that it was damaged since.
    if (json::parse(line, nullptr, /*allow_exceptions=*/false).is_object()) {
      return base::Error(absl::StatusCode::kDataLoss, "{}: line {}: {}", kManifestName, complaint_line, complaint);
    }
  }
  if (!complaint.empty() && complaint != kTornLine) {
    return base::Error(absl::StatusCode::kDataLoss, "{}: line {}: {}", kManifestName, complaint_line, complaint);
  }
  return manifest;
}

}  // namespace bandb::transfer
