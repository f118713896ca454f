// The names of the files that make up a database.
//
//   DIR/IDENTITY                     which database this is (identity.h)
//   DIR/CREATING                     in its place while the database is being created
//   DIR/LOCK                         held while the database is open
//   DIR/groups/0/db/CURRENT          names the manifest
//   DIR/groups/0/db/MANIFEST-000001
//   DIR/groups/0/db/000002.log
//   DIR/groups/0/db/000003.tbl
//
// All numbered files draw from one counter, so that a number is never used twice.
#ifndef BANDB_STORAGE_FILE_FILE_NAMES_H_
#define BANDB_STORAGE_FILE_FILE_NAMES_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace bandb::storage {

std::string IdentityPath(std::string_view dir);
std::string CreatingPath(std::string_view dir);
std::string LockPath(std::string_view dir);
// The folder of the engine's files.
std::string EngineDir(std::string_view dir);

std::string_view CurrentName();
std::string CurrentPath(std::string_view engine_dir);
std::string ManifestName(uint64_t number);
std::string LogName(uint64_t number);
std::string TableName(uint64_t number);

// No database gives out as many; a larger number is damage, or somebody else's.
inline constexpr uint64_t kFileNumberMax = uint64_t{1} << 48;
// What a manifest says of them may be half of that where it is to be written on, so that there are
// others left to give out; likewise of epochs.
inline constexpr uint64_t kFoundNumberMax = kFileNumberMax / 2;
// More than are given out between two edits of the manifest. A file whose number is that far beyond
// what the manifest gives out next is somebody else's, and must not make the numbers jump.
inline constexpr uint64_t kFileNumbersAhead = uint64_t{1} << 32;

enum class NumberedFile : uint8_t { kManifest, kLog, kTable };
struct ParsedName {
  NumberedFile type = NumberedFile::kTable;
  uint64_t number = 0;
};
// Nothing for a name that is not exactly one of the above: such a file is not ours.
std::optional<ParsedName> ParseFileName(std::string_view name);

// What CURRENT holds: the manifest's name, a line end, and a checksum line.
std::string EncodeCurrent(std::string_view manifest_name);
std::optional<std::string> DecodeCurrent(std::string_view content);

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_FILE_FILE_NAMES_H_
