#include "storage/file/file_names.h"

#include <fmt/format.h>

#include <charconv>

#include "base/checksum.h"
#include "base/file_system.h"

namespace bandb::storage {

std::string IdentityPath(std::string_view dir) { return base::JoinPath(dir, "IDENTITY"); }
std::string CreatingPath(std::string_view dir) { return base::JoinPath(dir, "CREATING"); }
std::string LockPath(std::string_view dir) { return base::JoinPath(dir, "LOCK"); }
std::string EngineDir(std::string_view dir) { return base::JoinPath(dir, "groups/0/db"); }
std::string_view CurrentName() { return "CURRENT"; }
std::string CurrentPath(std::string_view engine_dir) { return base::JoinPath(engine_dir, CurrentName()); }
std::string ManifestName(uint64_t number) { return fmt::format("MANIFEST-{:06}", number); }
std::string LogName(uint64_t number) { return fmt::format("{:06}.log", number); }
std::string TableName(uint64_t number) { return fmt::format("{:06}.tbl", number); }

namespace {

std::optional<uint64_t> ParseNumber(std::string_view digits) {
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (error != std::errc() || end != digits.data() + digits.size() || number > kFileNumberMax) return std::nullopt;
  return number;
}

}  // namespace

std::optional<ParsedName> ParseFileName(std::string_view name) {
  constexpr std::string_view kManifestPrefix = "MANIFEST-";
  std::optional<ParsedName> parsed;
  if (name.starts_with(kManifestPrefix)) {
    if (const auto number = ParseNumber(name.substr(kManifestPrefix.size())))
      parsed = {NumberedFile::kManifest, *number};
  } else if (name.ends_with(".log")) {
    if (const auto number = ParseNumber(name.substr(0, name.size() - 4))) parsed = {NumberedFile::kLog, *number};
  } else if (name.ends_with(".tbl")) {
    if (const auto number = ParseNumber(name.substr(0, name.size() - 4))) parsed = {NumberedFile::kTable, *number};
  }
  if (!parsed) return std::nullopt;
  // A name that we would have written otherwise ("7.log", "+7.tbl") is somebody else's.
  const std::string ours = parsed->type == NumberedFile::kManifest ? ManifestName(parsed->number)
                           : parsed->type == NumberedFile::kLog    ? LogName(parsed->number)
                                                                   : TableName(parsed->number);
  if (ours != name) return std::nullopt;
  return parsed;
}

std::string EncodeCurrent(std::string_view manifest_name) {
  return fmt::format("{}\n{:016x}\n", manifest_name, base::Hash64(manifest_name));
}

std::optional<std::string> DecodeCurrent(std::string_view content) {
  const size_t line_end = content.find('\n');
  if (line_end == std::string_view::npos) return std::nullopt;
  std::string name(content.substr(0, line_end));
  if (content != EncodeCurrent(name)) return std::nullopt;
  return name;
}

}  // namespace bandb::storage
