// An application that backs its database up: prints how many backups there are.
#include <bandb/backup.h>
#include <bandb/db.h>

#include <filesystem>
#include <iostream>

int main(int, char** argv) {
  const std::filesystem::path folder = argv[1];
  const auto db = bandb::Db::Open(folder / "data");
  const auto backup = bandb::Backup::Open(folder / "repository");
  if (!db.ok() || !backup.ok() || !(*db)->Put("name", "Alice").ok() || !(*backup)->Create(**db).ok()) return 1;
  const auto list = (*backup)->List();
  if (!list.ok()) return 1;
  std::cout << list->size() << "\n";
  return 0;
}
