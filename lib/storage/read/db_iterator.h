// What a user walks: the newest visible version of each key, in place of all versions of all keys.
#ifndef BANDB_STORAGE_READ_DB_ITERATOR_H_
#define BANDB_STORAGE_READ_DB_ITERATOR_H_

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "bandb/iterator.h"
#include "bandb/snapshot.h"
#include "storage/key/cursor.h"
#include "storage/key/range_tombstones.h"
#include "storage/read/level_tombstones.h"
#include "storage/read/read_view.h"

namespace bandb::storage {

struct DbIteratorParts {
  // Kept alive for the walk. `closed` is shared with the database, which raises it when it closes.
  ViewRef view;
  std::shared_ptr<const std::atomic<bool>> closed;
  std::unique_ptr<Cursor> cursor;
  // Those of memtables and of tables of level 0, and those of the other levels; the view keeps them
  // alive.
  std::vector<const FragmentedTombstones*> tombstones;
  std::vector<LevelTombstones> level_tombstones;
  // What is seen.
  Sequence sequence = 0;
  uint64_t now_ms = 0;
  Space space = Space::kUser;
  // Spaced keys of that space; the walk stays in [lower, upper).
  std::string lower;
  std::string upper;
  uint64_t skips_max = 0;  // see ReadOptions
};

std::unique_ptr<Iterator> NewDbIterator(DbIteratorParts parts);

// One that is never Valid.
std::unique_ptr<Iterator> NewErrorIterator(absl::Status status);

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_READ_DB_ITERATOR_H_
