// A database for the tests of those who only read it.
#ifndef BANDB_TEST_STORAGE_ENGINE_READ_ONLY_FIXTURE_H_
#define BANDB_TEST_STORAGE_ENGINE_READ_ONLY_FIXTURE_H_

#include <map>
#include <memory>
#include <string>

#include "storage/db/open_db.h"
#include "support/catch.h"

namespace bandb::test {

inline constexpr char kDir[] = "/db";

using Entries = std::map<std::string, std::string>;

inline std::string Filled(size_t bytes, char fill) { return std::string(bytes, fill); }

inline Options Small() {
  Options options = SmallOptions();
  options.table_bytes = 64 << 10;
  options.compression = Compression::kNone;
  return options;
}

inline Entries EntriesOf(Db* db) {
  Entries entries;
  const std::unique_ptr<Iterator> walk = db->NewIterator();
  for (walk->SeekToFirst(); walk->Valid(); walk->Next()) entries.emplace(walk->key(), walk->value());
  REQUIRE_OK(walk->status());
  for (const auto& [key, value] : entries) REQUIRE(db->Get(key).value() == value);
  return entries;
}

// Tables in two levels, and what is in no table yet.
inline void Fill(Db* db) {
  for (int i = 0; i < 150; ++i) REQUIRE_OK(db->Put("key" + std::to_string(1000 + i), Filled(1000, 'a')));
  REQUIRE_OK(db->CompactRange({}, {}));
  WriteBatch batch;
  batch.DeleteRange("key1100", "key1110");
  batch.Put("key1005", "new");
  batch.PutWithTtl("brief", "gone in an hour", absl::Hours(1));
  REQUIRE_OK(db->Write(batch));
  REQUIRE_OK(db->Flush());
  REQUIRE_OK(db->Delete("key1006", {.sync = true}));
  REQUIRE_OK(db->Put("last", "in the log"));
}

}  // namespace bandb::test

#endif  // BANDB_TEST_STORAGE_ENGINE_READ_ONLY_FIXTURE_H_
