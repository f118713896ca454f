// The memory of a process that uses a database hard, against what the database says that it uses
// and against its budget. A process of its own: what others allocate would count as well.
#include <malloc.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "bandb/db.h"
#include "base/posix_file_system.h"
#include "base/random.h"
#include "storage/db.h"
#include "support/catch.h"
#include "support/temp_dir.h"
#include "support/test_env.h"

namespace bandb::test {

namespace {

constexpr uint64_t kKeys = 300'000;

// What the kernel says of this process under such a name, in bytes.
uint64_t StatusBytes(std::string_view name) {
  FILE* file = std::fopen("/proc/self/status", "r");
  REQUIRE(file != nullptr);
  uint64_t kibibytes = 0;
  char line[256];
  while (std::fgets(line, sizeof(line), file) != nullptr) {
    if (std::string_view(line).starts_with(name)) kibibytes = std::strtoull(line + name.size(), nullptr, 10);
  }
  REQUIRE(std::fclose(file) == 0);
  REQUIRE(kibibytes != 0);
  return kibibytes << 10;
}

// What is resident and belongs to no file. The logs that are mapped are pages of files.
uint64_t ResidentBytes() { return StatusBytes("RssAnon:"); }

// From now on the most that is resident at a time is counted from the start.
void ForgetPeak() {
  FILE* file = std::fopen("/proc/self/clear_refs", "w");
  REQUIRE(file != nullptr);
  REQUIRE(std::fputs("5", file) >= 0);
  REQUIRE(std::fclose(file) == 0);
}
uint64_t PeakBytes() { return StatusBytes("VmHWM:"); }

std::string KeyOf(uint64_t number) {
  std::string digits = std::to_string(number * 2'654'435'761 % kKeys);
  return std::string(12 - digits.size(), '0') + digits;
}

// Reads at random until told to end: gets, misses and short walks.
void Read(Db* db, uint64_t seed, const std::atomic<bool>* end, std::atomic<int>* wrong) {
  base::Random random(seed);
  while (!end->load()) {
    const absl::Status got = db->Get(KeyOf(random.Uniform(kKeys))).status();
    if (!got.ok() && got.code() != absl::StatusCode::kNotFound) ++*wrong;
    if (db->Get("x" + KeyOf(random.Uniform(kKeys))).status().code() != absl::StatusCode::kNotFound) ++*wrong;
    if (!random.OneIn(50)) continue;
    const auto iterator = db->NewIterator();
    iterator->Seek(KeyOf(random.Uniform(kKeys)));
    for (int i = 0; i < 100 && iterator->Valid(); ++i) iterator->Next();
    const absl::Status walked = iterator->status();
    if (!walked.ok() && walked.code() != absl::StatusCode::kResourceExhausted) ++*wrong;
  }
}

}  // namespace

TEST_CASE("what is resident is what is counted, and what is counted stays within the budget") {
  const TempDir dir;
  // So that the allocator keeps little of what was freed.
  mallopt(M_ARENA_MAX, 2);
  mallopt(M_TRIM_THRESHOLD, 1 << 20);
  const uint64_t before = ResidentBytes();
  Options options;
  options.write_buffer_bytes = 8 << 20;
  options.block_cache_bytes = 8 << 20;
  options.block_bytes = 1024;
  options.bloom_bits_per_key = 32;
  options.table_bytes = 4 << 20;
  auto db = Db::Open(dir.File("db"), options);
  REQUIRE_OK(db.status());
  std::atomic<bool> end{false};
  std::atomic<int> wrong{0};
  std::vector<std::thread> readers;
  for (uint64_t seed = 1; seed <= 2; ++seed) readers.emplace_back(Read, db->get(), seed, &end, &wrong);
  std::vector<std::unique_ptr<Iterator>> open_long;
  // Beside what is counted: threads and their buffers, versions and the lists of tables, and what
  // the allocator keeps in fragments. Generous, and still far from what indexes or memtables that
  // nobody counts would come to.
  constexpr uint64_t kUncounted = 40 << 20;
  uint64_t counted_max = 0, resident_max = 0;
  for (uint64_t round = 0; round < 2; ++round) {
    for (uint64_t i = 0; i < kKeys; ++i) {
      REQUIRE_OK((*db)->Put(KeyOf(i), std::string(100, static_cast<char>('a' + i % 26))));
      if (i % 10'000 != 0) continue;
      auto iterator = (*db)->NewIterator();
      iterator->SeekToFirst();
      if (iterator->status().ok()) open_long.push_back(std::move(iterator));
      const Stats stats = (*db)->GetStats();
      const uint64_t resident = ResidentBytes() - std::min(before, ResidentBytes());
      counted_max = std::max(counted_max, stats.memory_bytes);
      resident_max = std::max(resident_max, resident);
      REQUIRE(stats.memory_bytes <= stats.memory_budget_bytes + options.write_buffer_bytes);
      REQUIRE(resident <= stats.memory_bytes + kUncounted);
    }
    // Some go on to the next round.
    if (open_long.size() > 3) open_long.resize(3);
  }
  end = true;
  for (std::thread& reader : readers) reader.join();
  CHECK(wrong == 0);
  open_long.clear();
  const Stats stats = (*db)->GetStats();
  CHECK(stats.memory_bytes <= stats.memory_budget_bytes);
  INFO("counted at the most " << (counted_max >> 20) << " MiB, resident " << (resident_max >> 20) << " MiB, budget "
                              << (stats.memory_budget_bytes >> 20) << " MiB");
  CHECK_OK((*db)->Close());
}

TEST_CASE("an Open after the death of a process takes no more than the budget, however full its memtables were") {
  const TempDir dir;
  base::PosixFileSystem files;
  Options options;
  options.write_buffer_bytes = 160 << 20;
  options.block_cache_bytes = 0;
  constexpr int kLargeKeys = 2400;
  {
    // Nothing runs in the background, so that all of it stays in logs.
    TestEnv world(1);
    base::Env env = world.env();
    env.files = &files;
    const auto db = storage::OpenDb(env, dir.File("db"), options);
    REQUIRE_OK(db.status());
    for (int i = 0; i < kLargeKeys; ++i) REQUIRE_OK((*db)->Put(std::to_string(i), std::string(64 << 10, 'v')));
    REQUIRE((*db)->GetStats().immutable_memtables == 1);
    std::filesystem::copy(dir.File("db"), dir.File("dead"), std::filesystem::copy_options::recursive);
  }
  TestEnv world(2);
  base::Env env = world.env();
  env.files = &files;
  malloc_trim(0);
  ForgetPeak();
  const uint64_t before = PeakBytes();
  const auto db = storage::OpenDb(env, dir.File("dead"), options);
  REQUIRE_OK(db.status());
  const uint64_t taken = PeakBytes() - before;
  const Stats stats = (*db)->GetStats();
  CAPTURE(before >> 20, taken >> 20);
  CHECK(stats.memory_bytes > 140 << 20);
  CHECK(taken >= stats.memory_bytes * 9 / 10);
  CHECK(taken <= stats.memory_budget_bytes);
  for (int i = 0; i < kLargeKeys; ++i) REQUIRE((*db)->Get(std::to_string(i)).value().size() == 64 << 10);
  CHECK_OK((*db)->Close());
}

}  // namespace bandb::test
