// What a record of a database's log may hold: the same when it is replayed, and when it is
// only looked at.
#ifndef BANDB_STORAGE_ENGINE_LOG_RECORD_H_
#define BANDB_STORAGE_ENGINE_LOG_RECORD_H_

#include <cstdint>

#include "storage/log/log_format.h"

namespace bandb::storage {

// Whether it is one of a log, and not of another kind of file.
bool IsOfLog(RecordType type);
// Whether it holds operations, of users or of the system.
bool HoldsOperations(RecordType type);

// The operations in a record that holds some. 0: it is malformed, empty, or more than is ever
// written.
uint64_t CountOperations(const ParsedRecord& record);

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_ENGINE_LOG_RECORD_H_
