// An application that serves its database: prints the address it got.
#include <bandb/db.h>
#include <bandb/server.h>

#include <iostream>

int main(int, char** argv) {
  const auto db = bandb::Db::Open(argv[1]);
  if (!db.ok()) return 1;
  const auto server = bandb::Server::Start(**db, {.listen = "127.0.0.1:0"});
  if (!server.ok()) return 1;
  std::cout << (*server)->Address() << "\n";
  return (*server)->Drain().ok() ? 0 : 1;
}
