// What Db::Ingest does on the thread of its caller: asks the source, writes the tables, and has
// them committed.
#ifndef BANDB_STORAGE_DB_INGEST_H_
#define BANDB_STORAGE_DB_INGEST_H_

#include <cstdint>
#include <functional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "bandb/ingest.h"
#include "base/mutex.h"
#include "storage/engine/engine_ingest.h"

namespace bandb::storage {

// One ingest at a time is committed: the one that has the turn. One that another has overtaken
// keeps it while its tables are written once more, so that no other overtakes it again. The source
// is never asked while it is had: it may ingest itself.
struct IngestTurn {
  base::Mutex mutex;
  // Of the last ingest that was done.
  Sequence last_sequence ABSL_GUARDED_BY(mutex) = 0;
};

// `commit` has what it is given committed, and waits for that. All ingests of a database share the
// turn. Errors: as Db::Ingest.
absl::StatusOr<uint64_t> IngestTables(Engine* engine, IngestTurn* turn, IngestSource next, const IngestOptions& options,
                                      const std::function<absl::Status(IngestCommit*)>& commit);

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_DB_INGEST_H_
