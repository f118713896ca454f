// `bandb_bench backup`: backups of the embedded store.
//
// A database is filled and flushed. Its first backup copies all of it, and a second one what a part
// of the keys, written again, has made new; then every byte is verified, and the newest backup is
// restored. At last a writer puts as fast as it can, by turns alone and while a first backup is
// made into a new repository: what a backup costs writers.
#ifndef BANDB_TOOLS_BANDB_BENCH_BACKUP_BENCH_H_
#define BANDB_TOOLS_BANDB_BENCH_BACKUP_BENCH_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "base/clock.h"

namespace bandb::bench {

struct BackupBenchOptions {
  std::string dir = "bandb-bench-backup";
  uint64_t keys = 1'000'000;
  uint32_t value_bytes = 100;
  uint32_t changed_percent = 1;  // of the keys, the first ones
  uint64_t puts = 1'000'000;     // of the writer, of each round alone
  int rounds = 3;                // of the writer: alone, and beside a backup
};

// Bytes that took so long.
struct BackupRate {
  uint64_t bytes = 0;
  double seconds = 0;
};

struct BackupFigures {
  BackupRate create;  // of all that is new to the repository
  BackupRate create_again;
  uint64_t changed_bytes = 0;  // of the tables that the second backup has and the first has not
  BackupRate verify;
  BackupRate restore;
  // The best round of each.
  double puts_alone = 0;  // a second
  double puts_beside = 0;
};

// Makes a database and repositories below `dir`, which must not exist, and removes it. Errors:
// kAlreadyExists `dir` is there; what the database and its backups answer.
absl::Status RunBackupBench(base::Clock* clock, const BackupBenchOptions& options, BackupFigures* figures);

}  // namespace bandb::bench

#endif  // BANDB_TOOLS_BANDB_BENCH_BACKUP_BENCH_H_
