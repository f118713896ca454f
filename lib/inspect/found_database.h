// What lies in the directory of a database, as far as it can be made out.
//
// Opening refuses a database of which anything is wrong; this goes on, and says all that is. It
// changes nothing: neither the lock nor any file is touched.
#ifndef BANDB_INSPECT_FOUND_DATABASE_H_
#define BANDB_INSPECT_FOUND_DATABASE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/env.h"
#include "storage/file/identity.h"
#include "storage/version/live_table.h"
#include "storage/version/manifest.h"
#include "storage/version/version_edit.h"

namespace bandb::inspect {

// Something that is not as it must be. The status begins with the path and, where there is one, the
// offset.
using Problems = std::vector<absl::Status>;

// An edit of the manifest, and where it is.
struct FoundEdit {
  uint64_t offset = 0;
  storage::VersionEdit edit;
};

struct FoundDatabase {
  std::string dir;
  std::string engine_dir;
  std::optional<storage::Identity> identity;
  // Whether somebody has it open; an error: that cannot be found out.
  absl::StatusOr<bool> locked = false;
  // The sizes of what has a name that the engine gives, by number.
  std::map<uint64_t, uint64_t> tables;
  std::map<uint64_t, uint64_t> logs;
  std::map<uint64_t, uint64_t> manifests;
  // The other names in the folder of the engine, CURRENT aside.
  std::vector<std::string> other_names;
  // The name that CURRENT has, or else the newest that is there; empty: there is none.
  std::string manifest;
  // What its edits make, up to the first that is damaged, whether or not that is a whole beginning.
  storage::ManifestState state;
  std::vector<FoundEdit> edits;
  uint64_t manifest_bytes = 0;       // what was read is up to here
  uint64_t manifest_torn_bytes = 0;  // after it, and never promised
  // All of it was read, its whole beginning and every edit, but for a torn tail.
  bool manifest_is_whole = false;
  // And CURRENT names it: `state` is what the database consists of.
  bool state_is_whole = false;
  Problems problems;

  // By the identity, or else by the manifest.
  std::optional<storage::Uuid> database_id;

  // Whether each number between the two is that of a file that is there: all are given from one
  // sequence, so that between two logs there was no other then.
  bool HasAllBetween(uint64_t first, uint64_t last) const;
};

// OK if it is known that nobody has it open. Errors: kFailedPrecondition somebody has, and `advice`
// says what to do about it; what the file system says where that cannot be found out.
absl::Status CheckNotOpen(const FoundDatabase& found, std::string_view advice);

// Errors: kNotFound there is no such directory, or nothing of a database in it; what the file
// system says when it cannot list the directory.
// Lifetime: `env` outlives what is found.
absl::StatusOr<FoundDatabase> FindDatabase(const base::Env& env, const std::string& dir);

// The status that a problem at a place in a file is.
absl::Status Damage(std::string_view path, uint64_t offset, std::string_view what);

}  // namespace bandb::inspect

#endif  // BANDB_INSPECT_FOUND_DATABASE_H_
