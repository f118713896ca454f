// A source of a walk without the stretches that range deletes of newer sources hide.
//
// What lies deeper is older: where a reader sees a range delete of one source, nothing of the
// sources under that one shows. So a walk of these goes on where the range ends, and looks at none
// of the entries on the way, of which there may be millions. Entries of the source that has the
// range delete may be newer than it is: those the reader of the walk judges. So it does with what
// is hidden and shown all the same: beyond the bounds of the walk, and after many ranges in a row.
#ifndef BANDB_STORAGE_READ_UNCOVERED_CURSOR_H_
#define BANDB_STORAGE_READ_UNCOVERED_CURSOR_H_

#include <memory>
#include <string_view>
#include <vector>

#include "storage/key/cursor.h"
#include "storage/key/range_tombstones.h"

namespace bandb::storage {

// Of the walk: the spaced keys [lower, upper), and the sequence of its reader.
struct UncoveredCursorBounds {
  std::string_view lower;
  std::string_view upper;
  Sequence sequence = 0;
};

// `above`: the range deletes of sources that are newer than all of `source`. Lifetime: borrows
// them, but not the bounds.
std::unique_ptr<Cursor> NewUncoveredCursor(std::unique_ptr<Cursor> source,
                                           std::vector<const FragmentedTombstones*> above,
                                           const UncoveredCursorBounds& bounds);

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_READ_UNCOVERED_CURSOR_H_
