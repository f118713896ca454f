// A buffer that forgets (CompactionStyle::kFifo) on a full disk: what is due goes all the same.
#include <memory>
#include <string>

#include "storage/db/open_db.h"
#include "support/catch.h"
#include "support/random_data.h"
#include "support/test_env.h"

namespace bandb::test {

namespace {

constexpr int kTables = 60;

// A database of tables of some 26,000 bytes each, which go after an hour.
class FullBuffer {
 public:
  FullBuffer() {
    Options options = SmallOptions();
    options.compression = Compression::kNone;
    options.compaction_style = CompactionStyle::kFifo;
    options.fifo_bytes_max = uint64_t{1} << 40;
    options.fifo_age_max = absl::Hours(1);
    db = MustOpen(env.env(), "/db", options);
    for (int table = 0; table < kTables; ++table) {
      for (int i = 0; i < 25; ++i) REQUIRE_OK(db->Put(Key(table, i), RandomBytes(&random, 1000)));
      REQUIRE_OK(db->Flush());
      Rest();
    }
  }
  static std::string Key(int table, int i) {
    return NumberedKey(static_cast<uint64_t>(table), 2) + NumberedKey(static_cast<uint64_t>(i), 2);
  }
  void Rest() {
    env.executor().RunReady();
    REQUIRE_OK(storage::CheckInvariants(db.get()));
  }
  // Writes until the disk is full, with so much free at first.
  void FillDisk(uint64_t free_bytes) {
    env.files().SetFreeBytes(free_bytes);
    absl::Status full;
    for (int i = 0; full.ok() && i < 1000; ++i) full = db->Put("more" + std::to_string(i), RandomBytes(&random, 1000));
    REQUIRE_CODE(full, kResourceExhausted);
    Rest();
    REQUIRE_CODE(db->Resume(), kResourceExhausted);
  }
  void PassHours(int hours) {
    env.executor().RunFor(int64_t{hours} * 3600 * 1'000'000'000);
    Rest();
  }
  bool HasFirst() const { return db->Get(Key(0, 7)).ok(); }
  void CheckGoesOn() {
    REQUIRE_OK(db->Resume());
    REQUIRE_OK(db->Put("after", "value"));
    REQUIRE_OK(db->Flush());
    Rest();
    CHECK(*db->Get("after") == "value");
  }

  TestEnv env{1};
  base::Random random{7};
  std::unique_ptr<Db> db;
};

}  // namespace

TEST_CASE("what is due goes while a full disk stops the writes, and then they go on") {
  FullBuffer buffer;
  // Room for an edit, and none for a log.
  buffer.FillDisk(2000);
  CHECK(buffer.HasFirst());
  CHECK(buffer.db->GetStats().forgotten_tables == 0);
  buffer.PassHours(2);
  CHECK_FALSE(buffer.HasFirst());
  CHECK(buffer.db->GetStats().forgotten_bytes > kTables * uint64_t{25'000});
  buffer.CheckGoesOn();
}

TEST_CASE("where there is no room for the edit either, Resume has it tried again") {
  FullBuffer buffer;
  buffer.FillDisk(0);
  buffer.PassHours(2);
  CHECK(buffer.HasFirst());
  buffer.env.files().SetFreeBytes(2000);
  REQUIRE_CODE(buffer.db->Resume(), kResourceExhausted);
  buffer.Rest();
  CHECK_FALSE(buffer.HasFirst());
  buffer.CheckGoesOn();
}

TEST_CASE("what is too much goes though it was another compaction that found no room") {
  TestEnv env(1);
  base::Random random(7);
  Options options = SmallOptions();
  options.compression = Compression::kNone;
  options.compaction_style = CompactionStyle::kFifo;
  options.fifo_bytes_max = 512 << 10;
  const std::unique_ptr<Db> db = MustOpen(env.env(), "/db", options);
  int keys = 0;
  const auto write = [&](int bytes) {
    REQUIRE_OK(db->Put("key" + std::to_string(keys++), RandomBytes(&random, static_cast<size_t>(bytes))));
    REQUIRE_OK(db->Flush());
  };
  // Small tables are joined; that is held up.
  for (int i = 0; i < 100 && db->GetStats().running_compactions.empty(); ++i) write(1000);
  REQUIRE(db->GetStats().running_compactions.size() == 1);
  REQUIRE_OK(db->PauseCompactions());
  for (int i = 0; i < 40; ++i) write(20'000);
  REQUIRE(db->GetStats().table_bytes > options.fifo_bytes_max);
  REQUIRE(db->GetStats().forgotten_tables == 0);
  // Room for an edit.
  env.files().SetFreeBytes(2000);
  REQUIRE_OK(db->ContinueCompactions());
  env.executor().RunReady();
  CHECK_CODE(db->Put("more", "value"), kResourceExhausted);
  CHECK(db->GetStats().forgotten_tables > 0);
  CHECK(db->GetStats().table_bytes <= options.fifo_bytes_max);
  REQUIRE_OK(storage::CheckInvariants(db.get()));
}

}  // namespace bandb::test
