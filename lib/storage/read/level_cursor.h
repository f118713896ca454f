// An ordered walk over the tables of one level below 0.
#ifndef BANDB_STORAGE_READ_LEVEL_CURSOR_H_
#define BANDB_STORAGE_READ_LEVEL_CURSOR_H_

#include <memory>
#include <vector>

#include "storage/key/cursor.h"
#include "storage/table/table_cursor.h"
#include "storage/version/live_table.h"

namespace bandb::storage {

// Opens a cursor on one table at a time, the one that the walk is in. `tables` are in order and do
// not overlap, and there is one at least.
// Lifetime: borrows them. A level may have tens of thousands of tables, too many to copy.
std::unique_ptr<Cursor> NewLevelCursor(const std::vector<TablePtr>* tables, const TableCursorOptions& options);

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_READ_LEVEL_CURSOR_H_
