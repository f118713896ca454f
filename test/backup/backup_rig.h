// A database and a repository of its backups, on one disk that crashes.
#ifndef BANDB_TEST_BACKUP_BACKUP_RIG_H_
#define BANDB_TEST_BACKUP_BACKUP_RIG_H_

#include <fmt/format.h>

#include <map>
#include <memory>
#include <string>

#include "backup/repository.h"
#include "storage/db.h"
#include "support/catch.h"
#include "support/test_env.h"

namespace bandb::test {

inline constexpr char kDatabaseDir[] = "/db";
inline constexpr char kRepositoryDir[] = "/backups/of/db";

using Contents = std::map<std::string, std::string>;

// So that opening one takes little memory, which takes time.
inline Options SmallMemory(Options options = {}) {
  options.write_buffer_bytes = 128 << 10;
  options.block_cache_bytes = 1 << 20;
  return options;
}

inline Options SmallTables() {
  Options options = SmallMemory();
  options.level0_tables = 64;
  options.changes_keep_bytes = 64 << 20;
  return options;
}

inline std::unique_ptr<Db> OpenAt(TestEnv* env, const std::string& dir) {
  auto opened = storage::OpenDb(env->env(), dir, SmallTables());
  REQUIRE_OK(opened.status());
  return *std::move(opened);
}

// What a database has.
inline Contents ContentsOf(Db* db) {
  Contents contents;
  const auto it = db->NewIterator();
  for (it->SeekToFirst(); it->Valid(); it->Next()) contents.emplace(it->key(), it->value());
  REQUIRE_OK(it->status());
  return contents;
}

inline backup::Repository RepositoryOf(TestEnv* env, const std::string& dir = kRepositoryDir) {
  return backup::Repository(
      {.files = &env->files(),
       .now_ms = [env] { return env->clock().WallMillis(); },
       // So that no two have one id.
       .seed = 7 + dir.size(),
       .open = [env](const std::string& restored,
                     const Options& options) { return storage::OpenDb(env->env(), restored, SmallMemory(options)); }},
      dir);
}

// Writes what differs from round to round, in a table of its own.
inline void WriteRound(Db* db, int round) {
  for (int i = 0; i < 20; i++) {
    REQUIRE_OK(db->Put(fmt::format("key{:03}", 20 * round + i), fmt::format("value {}", round)));
  }
  REQUIRE_OK(db->Put("round", std::to_string(round)));
  REQUIRE_OK(db->Delete(fmt::format("key{:03}", 20 * round - 1)));
  REQUIRE_OK(db->Flush());
}

// What a restored backup has.
inline Contents RestoredContents(TestEnv* env, backup::Repository* repository, uint64_t number,
                                 const std::string& dir) {
  REQUIRE_OK(repository->Restore({.number = number}, dir).status());
  const std::unique_ptr<Db> db = OpenAt(env, dir);
  REQUIRE_OK(db->VerifyChecksums());
  return ContentsOf(db.get());
}

// A database, and a repository that has nothing yet.
struct BackupRig {
  explicit BackupRig(uint64_t seed) : env(seed), db(OpenAt(&env, kDatabaseDir)), repository(RepositoryOf(&env)) {}

  // Makes a backup with what the round writes.
  void BackUp(int round) {
    WriteRound(db.get(), round);
    REQUIRE_OK(repository.Create(db.get(), {}).status());
  }

  TestEnv env;
  const std::unique_ptr<Db> db;
  backup::Repository repository;
};

}  // namespace bandb::test

#endif  // BANDB_TEST_BACKUP_BACKUP_RIG_H_
