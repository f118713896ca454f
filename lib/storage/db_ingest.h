// What Db::Ingest does on the thread of its caller: asks the source, writes the tables, and has
// them committed.
#ifndef BANDB_STORAGE_DB_INGEST_H_
#define BANDB_STORAGE_DB_INGEST_H_

#include <cstdint>
#include <functional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "bandb/ingest.h"
#include "storage/engine/engine_ingest.h"

namespace bandb::storage {

// `commit` has what it is given committed, and waits for that. Errors: as Db::Ingest.
absl::StatusOr<uint64_t> IngestTables(Engine* engine, IngestSource next, const IngestOptions& options,
                                      const std::function<absl::Status(IngestCommit*)>& commit);

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_DB_INGEST_H_
