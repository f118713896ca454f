// The range tombstones of the tables of a level, asked for one key: at most one of the tables can
// hold it.
#ifndef BANDB_STORAGE_READ_LEVEL_TOMBSTONES_H_
#define BANDB_STORAGE_READ_LEVEL_TOMBSTONES_H_

#include <cstddef>
#include <string_view>
#include <vector>

#include "storage/key/range_tombstones.h"

namespace bandb::storage {

// Lifetime: borrows the bounds and tombstones of tables.
// Thread safety: one thread at a time.
class LevelTombstones {
 public:
  // The next table of the level, in the order of the keys, that has range tombstones; its bounds
  // are those of TableInfo.
  void Add(std::string_view smallest, std::string_view largest, const FragmentedTombstones* tombstones) {
    tables_.push_back({smallest, largest, tombstones});
  }
  bool empty() const { return tables_.empty(); }

  // As FragmentedTombstones have it. Keys that come in their order, up or down, cost no search.
  Sequence CoveringSequence(std::string_view spaced_key, Sequence snapshot);

 private:
  struct Table {
    std::string_view smallest;
    std::string_view largest;
    const FragmentedTombstones* tombstones;
  };

  // Whether the table is the first that does not end before the key.
  bool IsFirstFrom(size_t table, std::string_view spaced_key) const;

  std::vector<Table> tables_;
  // The one that was asked last, or would have been; may be past the end.
  size_t last_ = 0;
};

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_READ_LEVEL_TOMBSTONES_H_
