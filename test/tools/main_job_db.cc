// The database's side of the main job; see main_job_test.py.
//
//   main_job_db put DIRECTORY FILE FIRST     puts the lines of FILE from number FIRST on; prints how many lines are in
//                                            after each put that was acknowledged
//   main_job_db verify DIRECTORY FILE        prints how many lines the database holds; fails if they are not the first
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <memory>
#include <string>
#include <string_view>

#include "bandb/db.h"

namespace {

std::string KeyOf(uint64_t number) {
  char key[32];
  std::snprintf(key, sizeof(key), "line:%012llu", static_cast<unsigned long long>(number));
  return key;
}

int Fail(const absl::Status& status) {
  std::cerr << status << "\n";
  return 1;
}

int Put(bandb::Db& db, std::istream& file, uint64_t first) {
  std::string line;
  for (uint64_t number = 0; std::getline(file, line); ++number) {
    if (number < first) continue;
    if (const absl::Status put = db.Put(KeyOf(number), line); !put.ok()) return Fail(put);
    std::cout << number + 1 << std::endl;
  }
  const absl::Status closed = db.Close();
  return closed.ok() ? 0 : Fail(closed);
}

int Verify(bandb::Db& db, std::istream& file) {
  const std::unique_ptr<bandb::Iterator> it = db.NewIterator();
  uint64_t held = 0;
  std::string line;
  for (it->SeekToFirst(); it->Valid(); it->Next()) {
    if (it->key() != KeyOf(held) || !std::getline(file, line) || it->value() != line) {
      std::cerr << "line " << held << " is not what was put: " << it->key() << "\n";
      return 1;
    }
    ++held;
  }
  if (!it->status().ok()) return Fail(it->status());
  std::cout << held << "\n";
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view verb = argc > 1 ? argv[1] : "";
  if (argc < 4) return 2;
  // Small buffers, so that the lines of a test come to flushes and compactions.
  bandb::Options options;
  options.write_buffer_bytes = 1 << 20;
  options.table_bytes = 256 << 10;
  options.level_base_bytes = 1 << 20;
  const absl::StatusOr<std::unique_ptr<bandb::Db>> db = bandb::Db::Open(argv[2], options);
  if (!db.ok()) return Fail(db.status());
  std::ifstream file(argv[3], std::ios::binary);
  if (verb == "put" && argc == 5) return Put(**db, file, std::strtoull(argv[4], nullptr, 10));
  if (verb == "verify" && argc == 4) return Verify(**db, file);
  return 2;
}
