// Reading one state while others write: a snapshot, and iterators over a range of keys in both
// directions.
//
//   snapshot_scan DIRECTORY
#include <iostream>
#include <memory>
#include <string>

#include "bandb/db.h"

namespace {

// Prints the keys of [user:, user;), every key that begins with "user:", and returns how many there
// were; -1 on error.
int Scan(bandb::Db& db, const bandb::Snapshot* snapshot, bool backwards) {
  bandb::ReadOptions options;
  options.snapshot = snapshot;
  options.lower_bound = "user:";
  options.upper_bound = "user;";
  const std::unique_ptr<bandb::Iterator> it = db.NewIterator(options);
  int count = 0;
  for (backwards ? it->SeekToLast() : it->SeekToFirst(); it->Valid(); backwards ? it->Prev() : it->Next()) {
    std::cout << "  " << it->key() << " = " << it->value() << "\n";
    ++count;
  }
  // Without this a damaged file would look like the end of the data.
  return it->status().ok() ? count : -1;
}

int Run(bandb::Db& db) {
  bandb::WriteBatch batch;
  batch.Put("user:alice", "1");
  batch.Put("user:bob", "2");
  batch.Put("user:carol", "3");
  batch.Put("zebra", "is not a user");
  if (!db.Write(batch).ok()) return 1;

  const bandb::Snapshot before = db.GetSnapshot();
  if (!db.Delete("user:bob").ok() || !db.Put("user:dave", "4").ok() || !db.Put("user:alice", "changed").ok()) return 1;

  std::cout << "now, backwards:\n";
  const int now = Scan(db, nullptr, true);
  std::cout << "as it was at the snapshot:\n";
  const int then = Scan(db, &before, false);
  const absl::StatusOr<std::string> alice = db.Get("user:alice", {.snapshot = &before});
  std::cout << "alice was " << alice.value_or("gone") << "\n";
  return now == 3 && then == 3 && alice.ok() && *alice == "1" ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: snapshot_scan DIRECTORY\n";
    return 2;
  }
  const absl::StatusOr<std::unique_ptr<bandb::Db>> db = bandb::Db::Open(argv[1]);
  if (!db.ok()) {
    std::cerr << db.status() << "\n";
    return 1;
  }
  return Run(**db);
}
