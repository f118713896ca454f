// Logs that are too large to be held in memory while a database is opened.
#include "storage/db/open_db.h"

namespace bandb::test {

namespace {

constexpr char kDir[] = "/db";
constexpr int kValues = 80;
constexpr uint64_t kValueBytes = 1 << 20;

// The budget has 64 MiB beyond the write buffer.
Options LargeBuffer() {
  Options options;
  options.write_buffer_bytes = 256 << 20;
  options.block_cache_bytes = 0;
  options.compression = Compression::kNone;
  return options;
}

std::string ValueOf(int i) { return std::string(kValueBytes, static_cast<char>('a' + i % 26)); }

std::unique_ptr<CrashFileSystem> DeadProcess() {
  TestEnv env(1);
  const auto db = MustOpen(env.env(), kDir, LargeBuffer());
  for (int i = 0; i < kValues; ++i) REQUIRE_OK(db->Put(std::to_string(i), ValueOf(i), {.sync = i == 20}));
  return env.files().ProcessDeathImage(2);
}

}  // namespace

TEST_CASE("a log that is too large to be held at an open is made durable all the same, and judged like any other") {
  const std::unique_ptr<CrashFileSystem> dead = DeadProcess();
  std::string log;
  for (const auto& [path, bytes] : dead->Files()) {
    if (Matches("*.log", path)) log = path;
  }
  {
    TestEnv env(3, dead->ProcessDeathImage(1));
    const auto db = MustOpen(env.env(), kDir, LargeBuffer());
    CHECK(db->GetStats().recovered_log_records == kValues);
    // Before anything of it is in a table.
    CHECK(db->GetStats().table_bytes == 0);
    TestEnv after(4, env.files().CrashImage(Damage::kLost, 5));
    const auto found = MustOpen(after.env(), kDir, LargeBuffer());
    for (int i = 0; i < kValues; ++i) REQUIRE(*found->Get(std::to_string(i)) == ValueOf(i));
  }
  // Damage before what a record names as synced is damage, and a torn tail after it.
  for (const int damaged : {10, 60}) {
    TestEnv env(6, dead->ProcessDeathImage(1));
    env.files().FlipByte(log, static_cast<uint64_t>(damaged) * kValueBytes, 1);
    const auto opened = storage::OpenDb(env.env(), kDir, LargeBuffer());
    if (damaged == 10) {
      CHECK_CODE(opened.status(), kDataLoss);
      continue;
    }
    REQUIRE_OK(opened.status());
    CHECK(*(*opened)->Get("58") == ValueOf(58));
    CHECK_CODE((*opened)->Get("60").status(), kNotFound);
    CHECK((*opened)->GetStats().dropped_log_bytes > 0);
  }
}

}  // namespace bandb::test
