// A database of a test that is to open, and options that make it small.
#ifndef BANDB_TEST_STORAGE_DB_OPEN_DB_H_
#define BANDB_TEST_STORAGE_DB_OPEN_DB_H_

#include <memory>
#include <string>
#include <utility>

#include "bandb/options.h"
#include "storage/db.h"
#include "support/catch.h"
#include "support/test_env.h"

namespace bandb::test {

inline std::unique_ptr<Db> MustOpen(const base::Env& env, const std::string& dir, const Options& options = {}) {
  absl::StatusOr<std::unique_ptr<Db>> db = storage::OpenDb(env, dir, options);
  REQUIRE_OK(db.status());
  return *std::move(db);
}

// The least write buffer, no cache, and 16 MiB for a batch.
inline Options SmallOptions() {
  Options options;
  options.write_buffer_bytes = 64 << 10;
  options.block_cache_bytes = 0;
  return options;
}

}  // namespace bandb::test

#endif  // BANDB_TEST_STORAGE_DB_OPEN_DB_H_
