// bandb::Db over the engine: the façade that owns threads and waits.
#ifndef BANDB_STORAGE_DB_H_
#define BANDB_STORAGE_DB_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "bandb/db.h"
#include "base/env.h"

namespace bandb::storage {

// As Db::Open, in a given environment: its executor runs the background work and the callbacks, and
// waits go through it. So a callback must not wait for a write here. Lifetime: what `env` refers to
// must outlive the database.
absl::StatusOr<std::unique_ptr<Db>> OpenDb(const base::Env& env, const std::string& dir, const Options& options);

// As Db::OpenReadOnly, in the same way.
absl::StatusOr<std::unique_ptr<Db>> OpenDbReadOnly(const base::Env& env, const std::string& dir,
                                                   const Options& options);

// For simulations: whether the parts of a database that one of these opened agree with each other,
// between two steps and while no call on it runs. Errors: kInternal what contradicts what.
absl::Status CheckInvariants(Db* db);

// For tests, before the first write to one of these: a log ends that has so many bytes.
void SetLogBytesMax(Db* db, uint64_t bytes);

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_DB_H_
