// What is in the directory of an export of changes, beside its files: `manifest.jsonl`, which says
// what is in them, for those that take them, and `changes.place`, which says for the export itself
// where it goes on.
//
//   manifest := head file*                                        a JSON object on each line
//   head     := {"bandb_changes": 1, "format": ..., "key_format": ..., "value_format": ..., "compression": ...,
//                "begin": bytes, "limit": bytes, "part": n, "parts": n, "cursor": string}
//   file     := {"file": name, "first": sequence, "last": sequence, "commits": n, "changes": n, "bytes": n,
//                "checksum": 16 hex digits}
//   place    := {"bandb_changes_place": 1, "token": hex, "sequence": n [, "next": file, "next_token": hex]}
//
// The line of a file is written once the file is durable; the last line may be torn. "first" and
// "last" are of the operations of its first and last commit; "bytes" and "checksum" as in
// export_manifest.h.
//
// All changes up to "sequence" are in files, and the token is at that place or before it: an
// export that goes on reads from the token, and passes over what ends at or before the sequence. A
// place with a "next" makes that file count: it lies there whole, with its name or still with
// ".tmp" after that, and what follows it begins at "next_token".
#ifndef BANDB_TOOLS_TRANSFER_CHANGE_MANIFEST_H_
#define BANDB_TOOLS_TRANSFER_CHANGE_MANIFEST_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "transfer/entry.h"

namespace bandb::transfer {

inline constexpr std::string_view kPlaceName = "changes.place";
inline constexpr uint64_t kPlaceBytesMax = 4096;

// What is exported, and how: the same as long as the directory is.
struct ChangesHead {
  Layout layout{};
  bool compress = false;
  std::string begin{};  // the range [begin, limit); empty means unbounded
  std::string limit{};
  uint32_t part = 0;
  uint32_t parts = 1;
  std::string cursor{};  // empty: none

  friend bool operator==(const ChangesHead&, const ChangesHead&) = default;
};

struct ChangesFile {
  std::string file{};
  uint64_t first = 0;
  uint64_t last = 0;
  uint64_t commits = 0;
  uint64_t changes = 0;
  uint64_t bytes = 0;
  uint64_t checksum = 0;

  friend bool operator==(const ChangesFile&, const ChangesFile&) = default;
};

struct ChangesPlace {
  std::string token{};
  uint64_t sequence = 0;
  std::optional<ChangesFile> next{};
  std::string next_token{};

  friend bool operator==(const ChangesPlace&, const ChangesPlace&) = default;
};

struct ChangesManifest {
  ChangesHead head{};
  std::string lines{};  // of the files, as they are
  std::optional<ChangesFile> last{};
  uint64_t files = 0;
  uint64_t changes = 0;
};

// Of the file that begins with the commit whose first sequence this is. Names sort as sequences do.
std::string ChangesFileName(const ChangesHead& head, uint64_t first);

// Lines, ends included.
std::string ChangesHeadLine(const ChangesHead& head);
std::string ChangesFileLine(const ChangesFile& file);
std::string PlaceText(const ChangesPlace& place);

// A torn end is left out. Errors: kDataLoss a line makes no sense, or not after those before it;
// kInvalidArgument it is no manifest of changes, or of a version that this program does not know.
// With `damage` the former of a line goes there, and what is before that line is the manifest: what
// power loss makes of a line that was not synced may be lines of other files.
absl::StatusOr<ChangesManifest> ParseChangesManifest(std::string_view text, absl::Status* damage = nullptr);
// Errors: kDataLoss it makes no sense; kInvalidArgument of a version that this program does not
// know.
absl::StatusOr<ChangesPlace> ParsePlace(const ChangesHead& head, std::string_view text);

}  // namespace bandb::transfer

#endif  // BANDB_TOOLS_TRANSFER_CHANGE_MANIFEST_H_
