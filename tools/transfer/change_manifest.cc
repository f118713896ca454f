#include "transfer/change_manifest.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "absl/status/status.h"
#include "base/status.h"
#include "transfer/export_manifest.h"
#include "transfer/json_fields.h"

namespace bandb::transfer {

namespace {

constexpr uint64_t kChangesVersion = 1;
constexpr uint64_t kPartsMax = 65536;

nlohmann::json ParseObject(std::string_view text) {
  nlohmann::json object = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  return object.is_object() ? object : nlohmann::json();
}

bool TakeHex(const nlohmann::json& object, const char* name, std::string* bytes) {
  std::string text;
  return TakeText(object, name, &text) && Decode(Encoding::kHex, text, bytes);
}

bool TakeChangesHead(const nlohmann::json& object, ChangesHead* head) {
  std::string format, keys, values, compression;
  uint64_t part = 0, parts = 0;
  const bool whole = TakeText(object, "format", &format) && TakeText(object, "key_format", &keys) &&
                     TakeText(object, "value_format", &values) && TakeText(object, "compression", &compression) &&
                     TakeBytes(object, "begin", &head->begin) && TakeBytes(object, "limit", &head->limit) &&
                     TakeNumber(object, "part", &part) && TakeNumber(object, "parts", &parts) &&
                     TakeBytes(object, "cursor", &head->cursor);
  head->compress = compression == "zstd";
  head->part = static_cast<uint32_t>(part);
  head->parts = static_cast<uint32_t>(parts);
  return whole && part < parts && parts <= kPartsMax && ParseFormat(format, &head->layout.format) &&
         ParseEncoding(keys, &head->layout.keys) && ParseEncoding(values, &head->layout.values) &&
         (head->compress || compression == "none");
}

bool TakeChangesFile(const ChangesHead& head, const nlohmann::json& object, ChangesFile* file) {
  std::string checksum;
  return TakeText(object, "file", &file->file) && TakeNumber(object, "first", &file->first) &&
         TakeNumber(object, "last", &file->last) && TakeNumber(object, "commits", &file->commits) &&
         TakeNumber(object, "changes", &file->changes) && TakeNumber(object, "bytes", &file->bytes) &&
         TakeText(object, "checksum", &checksum) && ParseChecksum(checksum, &file->checksum) &&
         file->first <= file->last && file->commits > 0 && file->changes > 0 &&
         file->file == ChangesFileName(head, file->first);
}

std::string Hex(std::string_view bytes) {
  std::string text;
  AppendEncoded(Encoding::kHex, bytes, &text);
  return text;
}

// A manifest, or a place, whose first line or only one this is.
absl::Status CheckVersion(const nlohmann::json& object, const char* field, std::string_view name) {
  uint64_t version = 0;
  if (!object.is_object() || !TakeNumber(object, field, &version)) {
    return base::Error(absl::StatusCode::kInvalidArgument, "{}: not of an export of changes", name);
  }
  if (version == kChangesVersion) return absl::OkStatus();
  return base::Error(absl::StatusCode::kInvalidArgument, "{}: of version {}; this program knows {}", name, version,
                     kChangesVersion);
}

}  // namespace

std::string ChangesFileName(const ChangesHead& head, uint64_t first) {
  return fmt::format("changes-{:020}.{}{}", first, FormatName(head.layout.format),
                     CompressedSuffix(head.layout, head.compress));
}

std::string ChangesHeadLine(const ChangesHead& head) {
  std::string line = fmt::format("{{\"bandb_changes\": {}, {}, \"begin\": ", kChangesVersion,
                                 LayoutFields(head.layout, head.compress));
  AppendJsonBytes(Encoding::kUtf8, head.begin, &line);
  line += ", \"limit\": ";
  AppendJsonBytes(Encoding::kUtf8, head.limit, &line);
  line += fmt::format(", \"part\": {}, \"parts\": {}, \"cursor\": ", head.part, head.parts);
  AppendJsonBytes(Encoding::kUtf8, head.cursor, &line);
  return line + "}\n";
}

std::string ChangesFileLine(const ChangesFile& file) {
  return fmt::format(
      "{{\"file\": \"{}\", \"first\": {}, \"last\": {}, \"commits\": {}, \"changes\": {}, \"bytes\": {}, "
      "\"checksum\": \"{:016x}\"}}\n",
      file.file, file.first, file.last, file.commits, file.changes, file.bytes, file.checksum);
}

std::string PlaceText(const ChangesPlace& place) {
  std::string text = fmt::format("{{\"bandb_changes_place\": {}, \"token\": \"{}\", \"sequence\": {}", kChangesVersion,
                                 Hex(place.token), place.sequence);
  if (place.next.has_value()) {
    std::string file = ChangesFileLine(*place.next);
    file.pop_back();
    text += fmt::format(", \"next\": {}, \"next_token\": \"{}\"", file, Hex(place.next_token));
  }
  return text + "}\n";
}

absl::StatusOr<ChangesManifest> ParseChangesManifest(std::string_view text, absl::Status* damage) {
  ChangesManifest manifest;
  const size_t head_end = text.find('\n');
  const nlohmann::json head = ParseObject(text.substr(0, head_end));
  BANDB_RETURN_IF_ERROR(CheckVersion(head, "bandb_changes", kManifestName));
  if (head_end == std::string_view::npos || !TakeChangesHead(head, &manifest.head)) {
    return base::Error(absl::StatusCode::kDataLoss, "{}: line 1: not the head of a manifest", kManifestName);
  }
  text.remove_prefix(head_end + 1);
  size_t torn_line = 0;
  for (size_t number = 2; !text.empty(); ++number) {
    const size_t end = text.find('\n');
    // Without its end a line is torn, whatever it seems to say.
    if (end == std::string_view::npos) break;
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end + 1);
    const nlohmann::json object = ParseObject(line);
    if (!object.is_object()) {
      if (torn_line == 0) torn_line = number;
      continue;
    }
    ChangesFile file;
    // What is torn is torn to the end. A whole line after it means that it was damaged since.
    const bool fits = torn_line == 0 && TakeChangesFile(manifest.head, object, &file) &&
                      (!manifest.last.has_value() || file.first > manifest.last->last);
    if (!fits) {
      absl::Status status = base::Error(absl::StatusCode::kDataLoss, "{}: line {}: not the next file", kManifestName,
                                        torn_line == 0 ? number : torn_line);
      if (damage == nullptr) return status;
      *damage = std::move(status);
      return manifest;
    }
    manifest.lines.append(line);
    manifest.lines.push_back('\n');
    ++manifest.files;
    manifest.changes += file.changes;
    manifest.last = std::move(file);
  }
  return manifest;
}

absl::StatusOr<ChangesPlace> ParsePlace(const ChangesHead& head, std::string_view text) {
  const nlohmann::json object = ParseObject(text);
  ChangesPlace place;
  absl::Status damaged = base::Error(absl::StatusCode::kDataLoss, "{}: damaged", kPlaceName);
  if (!object.is_object()) return damaged;
  BANDB_RETURN_IF_ERROR(CheckVersion(object, "bandb_changes_place", kPlaceName));
  if (!TakeHex(object, "token", &place.token) || place.token.empty() ||
      !TakeNumber(object, "sequence", &place.sequence)) {
    return damaged;
  }
  if (const auto next = object.find("next"); next != object.end()) {
    ChangesFile file;
    if (!next->is_object() || !TakeChangesFile(head, *next, &file) || file.first <= place.sequence ||
        !TakeHex(object, "next_token", &place.next_token) || place.next_token.empty()) {
      return damaged;
    }
    place.next = std::move(file);
  }
  return place;
}

}  // namespace bandb::transfer
