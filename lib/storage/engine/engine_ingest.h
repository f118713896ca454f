// Tables that were written elsewhere become part of the database in the order of the log; see
// Db::Ingest.
//
// Their entries have sequences of their own, none twice, from the first one on, which was reserved
// before they were written: so many after the last one at that time that what others write
// meanwhile comes before it. They are committed by a request in the queue of writes. When its turn
// has come, all that was written before is flushed, and no write is committed until the edit that
// adds the tables is durable. So the place in the order of the log is kept by the manifest alone:
// what comes before is in tables as well, and the log that is written holds what comes after, from
// the sequence after the last one on. Sequences in between are never used.
//
// The edit gives the tables to readers all at once, by the last sequence. The change feed, which is
// the logs, knows nothing of them: all older logs are removed, so that nobody reads past them
// unawares.
#ifndef BANDB_STORAGE_ENGINE_ENGINE_INGEST_H_
#define BANDB_STORAGE_ENGINE_ENGINE_INGEST_H_

#include <atomic>
#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "bandb/ingest.h"
#include "storage/engine/engine.h"

namespace bandb::storage {

// What is to be committed. Lifetime: until the request is complete. Thread safety: the committing
// thread's, and the edit's; `ended` hands it back.
struct IngestCommit {
  // In the order of their keys, at least one, all durable, under names that count for nothing: the
  // edit gives them their own.
  std::vector<TablePtr> tables;
  // Of all of them, operations and bytes of keys and values.
  uint64_t operations = 0;
  uint64_t user_bytes = 0;
  IngestOptions options{};

  // Not done: others have used sequences from the first one on.
  bool is_late = false;
  // The edit is on its way, or was: what becomes of the tables is not the caller's any more.
  bool is_applied = false;
  absl::Status outcome;
  std::atomic<bool> ended{false};

  const TableInfo& first() const { return tables.front()->info(); }
  const TableInfo& last() const { return tables.back()->info(); }
};

// Thread safety: any thread, but where a method says otherwise. Lifetime: borrows the engine.
class EngineIngest {
 public:
  explicit EngineIngest(Engine* engine) : engine_(engine) {}

  // Errors: kFailedPrecondition writes are refused, or the change feed would have a gap.
  absl::Status Check(const IngestOptions& options) const;
  // The first of sequences that come so many after all that were given out so far, and that nobody
  // else gets until as many were used. Errors: kResourceExhausted there are none.
  absl::StatusOr<Sequence> Reserve(uint64_t gap);
  // How the tables are written: under names that count for nothing.
  MergeOutputs Outputs();
  // What was written so.
  std::vector<TablePtr> TablesOf(std::vector<TableInfo> written);

  // The committing thread's. True: the request is complete. False: it has to wait for a flush, or
  // for the manifest, and the queue with it.
  bool Commit(WriteRequest* request);

 private:
  class Edit;

  // True once all that was written is in tables, or with a failure.
  bool Flush(absl::Status* failure);
  void Apply(IngestCommit* ingest);

  Engine* const engine_;
};

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_ENGINE_ENGINE_INGEST_H_
