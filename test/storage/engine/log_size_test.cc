// No log grows beyond what Open reads, however little of it a memtable holds.
#include <memory>
#include <string>

#include "storage/db.h"
#include "support/catch.h"
#include "support/test_env.h"

namespace bandb::test {

namespace {

constexpr char kDir[] = "/db";

Options SmallOptions() {
  Options options;
  options.write_buffer_bytes = 128 << 10;
  // Logs that have ended stay, and can be looked at.
  options.changes_keep_bytes = 1ull << 40;
  return options;
}

std::unique_ptr<Db> Open(TestEnv* env) {
  auto db = storage::OpenDb(env->env(), kDir, SmallOptions());
  REQUIRE_OK(db.status());
  return *std::move(db);
}

// Of the largest log: up to its last byte that is not reserved.
uint64_t LargestLog(const CrashFileSystem& files) {
  uint64_t largest = 0;
  for (const auto& [path, bytes] : files.Files()) {
    if (Matches("*.log", path)) largest = std::max<uint64_t>(largest, files.Content(path).find_last_not_of('\0') + 1);
  }
  return largest;
}

}  // namespace

TEST_CASE("range deletes that hold no key end a log as others do, and it is read again") {
  TestEnv env(1);
  uint64_t sequence = 0;
  {
    const auto db = Open(&env);
    const std::string high = "b" + std::string(1000, 'x');
    for (int i = 0; i < 2000; ++i) {
      WriteBatch batch;
      batch.DeleteRange(high, "a" + std::string(1000, 'x'));
      REQUIRE_OK(db->Write(batch));
      if (i % 50 == 0) env.executor().RunReady();
      if (i % 500 == 0) REQUIRE_OK(storage::CheckInvariants(db.get()));
    }
    CHECK(LargestLog(env.files()) < (128 << 10));
    REQUIRE_OK(db->Put("key", "value"));
    sequence = db->GetStats().last_sequence;
    CHECK(sequence == 2001);
  }
  TestEnv after(2, env.files().ProcessDeathImage(3));
  const auto db = Open(&after);
  CHECK(db->GetStats().last_sequence == sequence);
  CHECK(*db->Get("key") == "value");
}

TEST_CASE("a log ends at its largest size, whatever its memtable has room for") {
  TestEnv env(1);
  {
    const auto db = Open(&env);
    storage::SetLogBytesMax(db.get(), 8 << 10);
    for (int i = 0; i < 200; ++i) {
      REQUIRE_OK(db->Put("key" + std::to_string(i), std::string(500, 'v')));
      if (i % 10 == 0) env.executor().RunReady();
    }
    CHECK(LargestLog(env.files()) < (9 << 10));
    // One that is larger than a log may be has one to itself.
    REQUIRE_OK(db->Put("large", std::string(20 << 10, 'v')));
    REQUIRE_OK(db->Put("more", "value"));
    CHECK(LargestLog(env.files()) < (21 << 10));
    // Conditions alone go into no log.
    WriteBatch conditions;
    conditions.RequirePresent("more");
    for (int i = 0; i < 200; ++i) REQUIRE_OK(db->Write(conditions));
    WriteBatch aborts;
    aborts.RequireAbsent("more");
    aborts.Put("more", std::string(500, 'v'));
    for (int i = 0; i < 200; ++i) CHECK_CODE(db->Write(aborts), kAborted);
    CHECK(db->GetStats().last_sequence == 202);
    REQUIRE_OK(storage::CheckInvariants(db.get()));
  }
  TestEnv after(2, env.files().ProcessDeathImage(3));
  const auto db = Open(&after);
  for (int i = 0; i < 200; ++i) CHECK_OK(db->Get("key" + std::to_string(i)).status());
}

}  // namespace bandb::test
