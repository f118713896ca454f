// One ordered walk over many: the union of several cursors.
#ifndef BANDB_STORAGE_READ_MERGING_CURSOR_H_
#define BANDB_STORAGE_READ_MERGING_CURSOR_H_

#include <memory>
#include <vector>

#include "storage/key/cursor.h"

namespace bandb::storage {

// The children must not hold equal internal keys; sequences see to that. An error of any child is
// the error of the whole: a merge that left a child out would show old values, or deleted ones.
std::unique_ptr<Cursor> NewMergingCursor(std::vector<std::unique_ptr<Cursor>> children);

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_READ_MERGING_CURSOR_H_
