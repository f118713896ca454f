// A database inside the process: open, put, get, delete, an atomic batch with a condition.
//
//   embedded DIRECTORY
#include <iostream>
#include <memory>
#include <string>

#include "bandb/db.h"
#include "bandb/write_batch.h"

namespace {

// Prints what went wrong; true if nothing did.
bool Check(const absl::Status& status) {
  if (!status.ok()) std::cerr << status << "\n";
  return status.ok();
}

bool Run(bandb::Db& db) {
  // Every reader sees a put once it has returned. With sync it also survives power loss.
  if (!Check(db.Put("name", "Alice", {.sync = true}))) return false;
  const absl::StatusOr<std::string> name = db.Get("name");
  if (!Check(name.status())) return false;
  std::cout << "name is " << *name << "\n";

  // A batch takes effect as a whole or not at all, here only if nobody has written the name
  // meanwhile, be it the same one. Without sync, as here and below, a write survives the death of
  // this process, but power loss may take the last ones.
  const absl::StatusOr<bandb::Entry> read = db.GetEntry("name");
  if (!Check(read.status())) return false;
  bandb::WriteBatch batch;
  batch.RequireVersion("name", read->version);
  batch.Put("name", "Bob");
  batch.Put("previous-name", "Alice");
  if (!Check(db.Write(batch))) return false;
  const absl::Status again = db.Write(batch);
  std::cout << "the same batch again: " << (absl::IsAborted(again) ? "refused" : "done") << "\n";

  if (!Check(db.Delete("previous-name"))) return false;
  const bool gone = absl::IsNotFound(db.Get("previous-name").status());
  std::cout << "previous-name is " << (gone ? "gone" : "still there") << "\n";
  return gone && absl::IsAborted(again);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: embedded DIRECTORY\n";
    return 2;
  }
  const absl::StatusOr<std::unique_ptr<bandb::Db>> db = bandb::Db::Open(argv[1]);
  if (!Check(db.status())) return 1;
  return Run(**db) && Check((*db)->Close()) ? 0 : 1;
}
