// The puts of a write, ingested.
#ifndef BANDB_TEST_STORAGE_MODEL_MODEL_INGEST_H_
#define BANDB_TEST_STORAGE_MODEL_MODEL_INGEST_H_

#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "bandb/db.h"
#include "storage/model/model_state.h"

namespace bandb::test {

// Leaves the last put of each key, in the order of the keys, and nothing else.
inline void MakeIngestible(ModelWrite* write) {
  using Kind = ModelChange::Kind;
  std::map<std::string, ModelChange> puts;
  for (const ModelChange& change : write->changes) {
    if (change.kind == Kind::kPut || change.kind == Kind::kPutWithTtl) puts.insert_or_assign(change.key, change);
  }
  write->changes.clear();
  write->conditions.clear();
  for (auto& [key, change] : puts) write->changes.push_back(std::move(change));
  // Durable once it is answered.
  write->sync = true;
}

// Times to live count from the time of the write.
inline absl::StatusOr<uint64_t> Ingest(Db* db, const ModelWrite& write, const IngestOptions& options = {}) {
  size_t at = 0;
  const auto next = [&](IngestEntry* entry) -> absl::StatusOr<bool> {
    if (at == write.changes.size()) return false;
    const ModelChange& change = write.changes[at++];
    entry->key = change.key;
    entry->value = change.value;
    if (change.kind == ModelChange::Kind::kPutWithTtl) {
      entry->expiry = absl::FromUnixMillis(static_cast<int64_t>(write.now_ms + change.ttl_ms));
    }
    return true;
  };
  return db->Ingest(next, options);
}

}  // namespace bandb::test

#endif  // BANDB_TEST_STORAGE_MODEL_MODEL_INGEST_H_
