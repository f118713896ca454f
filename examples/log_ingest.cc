// Storing a log: lines from standard input, many to a batch, under keys that sort in their order.
//
//   log_ingest DIRECTORY < FILE
//
// Run it again with more lines, and it continues after those it has.
#include <cstdint>
#include <cstdio>
#include <iostream>
#include <memory>
#include <string>

#include "bandb/db.h"
#include "bandb/write_batch.h"

namespace {

constexpr size_t kLinesPerBatch = 500;

std::string KeyOf(uint64_t line) {
  char key[32];
  std::snprintf(key, sizeof(key), "log:%016llu", static_cast<unsigned long long>(line));
  return key;
}

// The number after the one in the last key of the log.
uint64_t NextLine(bandb::Db& db) {
  const std::unique_ptr<bandb::Iterator> it = db.NewPrefixIterator("log:");
  it->SeekToLast();
  return it->Valid() ? std::stoull(std::string(it->key().substr(4))) + 1 : 0;
}

absl::Status Ingest(bandb::Db& db, uint64_t* lines) {
  uint64_t next = NextLine(db);
  bandb::WriteBatch batch;
  std::string line;
  while (std::getline(std::cin, line)) {
    batch.Put(KeyOf(next++), line);
    ++*lines;
    if (batch.Count() < kLinesPerBatch) continue;
    // Not synced yet: it survives the death of this process, not of the machine.
    if (absl::Status written = db.Write(batch); !written.ok()) return written;
    batch.Clear();
  }
  // The last write asks for fsync, and the log is synced in order, so everything before it is safe
  // as well.
  return db.Write(batch, {.sync = true});
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: log_ingest DIRECTORY < FILE\n";
    return 2;
  }
  const absl::StatusOr<std::unique_ptr<bandb::Db>> db = bandb::Db::Open(argv[1]);
  if (!db.ok()) {
    std::cerr << db.status() << "\n";
    return 1;
  }
  uint64_t lines = 0;
  const absl::Status status = Ingest(**db, &lines);
  if (!status.ok()) std::cerr << status << "\n";
  const bandb::Stats stats = (*db)->GetStats();
  std::cout << lines << " lines; " << stats.log_bytes_written << " bytes of log, " << stats.flushes << " flushes\n";
  return status.ok() ? 0 : 1;
}
