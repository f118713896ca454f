// Makes a version of many edits, as recovery does: each changes what it names, and nothing is
// copied or sorted until all have been applied.
//
// What one edit more costs grows with the logarithm of the tables that there are, where
// Version::Apply costs as much as all of them.
#ifndef BANDB_STORAGE_VERSION_VERSION_BUILDER_H_
#define BANDB_STORAGE_VERSION_VERSION_BUILDER_H_

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "storage/version/version.h"
#include "storage/version/version_edit.h"

namespace bandb::storage {

// Thread safety: one thread at a time.
class VersionBuilder {
 public:
  VersionBuilder();
  // `added` are the tables of edit.added, in their order. Errors: as Version::Apply, of the same
  // edits; nothing may be applied after one.
  absl::Status Apply(const VersionEdit& edit, const std::vector<TablePtr>& added);
  // Of all edits so far, none of which has failed.
  absl::StatusOr<std::shared_ptr<const Version>> Build() const;

 private:
  // The order of a level.
  struct Order {
    int level;
    bool operator()(const TablePtr& a, const TablePtr& b) const { return Version::StandsFirst(level, *a, *b); }
  };
  struct Place {
    int level = 0;
    TablePtr table;
  };

  absl::Status Add(int level, const TablePtr& table);

  std::map<uint64_t, Place> by_number_;
  std::vector<std::set<TablePtr, Order>> levels_;
};

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_VERSION_VERSION_BUILDER_H_
