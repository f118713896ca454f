// Puts together what the edits of a manifest make, in the order in which they were written.
//
// Everything that reads a manifest uses this: to open a database, and to look into one of which
// something is wrong. What one edit more costs grows with the logarithm of the tables.
#ifndef BANDB_STORAGE_VERSION_MANIFEST_REPLAY_H_
#define BANDB_STORAGE_VERSION_MANIFEST_REPLAY_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "storage/version/manifest.h"
#include "storage/version/version_builder.h"
#include "storage/version/version_edit.h"

namespace bandb::storage {

// Thread safety: one thread at a time.
class ManifestReplay {
 public:
  // `path`: the manifest, which messages name. `tables`: opens the tables; may be null if none is.
  ManifestReplay(std::string path, std::shared_ptr<TableStore> tables)
      : path_(std::move(path)), tables_(std::move(tables)) {}

  // The edit of the next record, which begins at `offset`. Errors: kDataLoss it is malformed, or
  // does not fit to those before it; kFailedPrecondition a newer release has written it. After one
  // the replay is good for nothing.
  absl::StatusOr<VersionEdit> Add(std::string_view payload, uint64_t offset);
  // The same of an edit that Add, of another replay, has given.
  absl::Status Apply(const VersionEdit& edit, uint64_t offset);
  // Errors: kDataLoss the edits so far, which end at `end`, are not all that the manifest begins
  // with. CURRENT was pointed at it only after these were synced.
  absl::Status CheckBeginning(uint64_t end) const;
  // What the edits so far make, whether or not that is a beginning. Errors: kDataLoss they do not
  // fit.
  absl::StatusOr<ManifestState> Build() const;

 private:
  const std::string path_;
  const std::shared_ptr<TableStore> tables_;
  // All but tables.
  ManifestState state_;
  VersionBuilder builder_;
  uint64_t edits_ = 0;
  uint64_t beginning_edits_ = 1;
};

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_VERSION_MANIFEST_REPLAY_H_
