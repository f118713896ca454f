// An application with a database of its own: prints what it stored.
#include <bandb/db.h>

#include <iostream>

int main(int, char** argv) {
  const auto db = bandb::Db::Open(argv[1]);
  if (!db.ok() || !(*db)->Put("name", "Alice").ok()) return 1;
  const absl::StatusOr<std::string> name = (*db)->Get("name");
  if (!name.ok()) return 1;
  std::cout << *name << "\n";
  return 0;
}
