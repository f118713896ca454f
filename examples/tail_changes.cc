// Following what is written to a store: a consumer that goes on where it was, however often it
// ends.
//   tail_changes DIRECTORY
// Writes a little, then prints every change since the last run: the cursor remembers.
#include <iostream>
#include <memory>

#include "bandb/changes.h"
#include "bandb/db.h"

namespace {

void Print(const bandb::Change& change) {
  switch (change.kind) {
    case bandb::ChangeKind::kPut:
      std::cout << "  " << change.key << " = " << change.value << "\n";
      break;
    case bandb::ChangeKind::kDelete:
      std::cout << "  " << change.key << " is gone\n";
      break;
    case bandb::ChangeKind::kDeleteRange:
      std::cout << "  all from " << change.key << " up to " << change.limit << " are gone\n";
  }
}

absl::Status Tail(bandb::Db& db) {
  // There is one already, from the second run on.
  const absl::Status made = db.CreateCursor("tail", bandb::ChangesFrom::Oldest());
  if (!made.ok() && !absl::IsAlreadyExists(made)) return made;
  bandb::WriteBatch batch;
  batch.Put("order:1", "two pears");
  batch.DeleteRange("draft:", bandb::PrefixLimit("draft:"));
  // Not synced by itself; the write after it is, and with it all before.
  if (absl::Status done = db.Write(batch); !done.ok()) return done;
  if (absl::Status done = db.Delete("order:1", {.sync = true}); !done.ok()) return done;
  bandb::ChangesOptions options;
  options.from = bandb::ChangesFrom::Cursor("tail");
  const absl::StatusOr<std::unique_ptr<bandb::ChangeReader>> reader = db.ReadChanges(options);
  if (!reader.ok()) return reader.status();
  bandb::Commit commit;
  while (true) {
    if (absl::Status next = (*reader)->Next(&commit, absl::ZeroDuration()); !next.ok()) return next;
    if (commit.empty()) return absl::OkStatus();
    std::cout << "commit of " << commit.changes.size() << "\n";
    for (const bandb::Change& change : commit.changes) Print(change);
    if (absl::Status done = db.Acknowledge("tail", (*reader)->token()); !done.ok()) return done;
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  bandb::Options options;
  options.changes_keep_bytes = 16 << 20;
  const absl::StatusOr<std::unique_ptr<bandb::Db>> db = bandb::Db::Open(argv[1], options);
  const absl::Status done = db.ok() ? Tail(**db) : db.status();
  if (!done.ok()) std::cerr << done << "\n";
  return done.ok() ? 0 : 1;
}
