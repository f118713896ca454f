// Ingests beside writers, readers and each other on real threads. Meant for the thread sanitizer.
#include <fmt/format.h>

#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "bandb/db.h"
#include "base/random.h"
#include "base/thread.h"
#include "storage/db_ingest.h"
#include "storage/engine/engine.h"
#include "support/catch.h"
#include "support/complaints.h"
#include "support/temp_dir.h"
#include "support/test_env.h"

namespace bandb::test {

namespace {

constexpr int kIngesters = 2;
constexpr int kKeysEach = 300;
constexpr int kRounds = 12;

std::string KeyOf(int ingester, int number) { return fmt::format("{:03}/{}", number, ingester); }

// All keys of an ingester get the same number, each time a greater one.
void IngestLoop(Db* db, int ingester, Complaints* complaints) {
  uint64_t before = 0;
  for (int round = 1; round <= kRounds; ++round) {
    int number = 0;
    std::string key;
    const std::string value = fmt::format("{:03}{}", round, std::string(200, 'v'));
    const absl::StatusOr<uint64_t> version = db->Ingest([&](IngestEntry* entry) -> absl::StatusOr<bool> {
      if (number == kKeysEach) return false;
      key = KeyOf(ingester, number++);
      entry->key = key;
      entry->value = value;
      return true;
    });
    complaints->Expect(version.ok() && *version > before);
    if (!version.ok()) return;
    before = *version;
    const absl::StatusOr<Entry> entry = db->GetEntry(KeyOf(ingester, kKeysEach - 1));
    complaints->Expect(entry.ok() && entry->version == *version && entry->value == value);
  }
}

// Between the keys of the ingesters.
void PutLoop(Db* db, int writer, const std::atomic<bool>* stop, Complaints* complaints) {
  base::Random random(static_cast<uint64_t>(writer));
  for (uint64_t i = 0; !stop->load(); ++i) {
    const std::string key = fmt::format("{:03}/w{}", random.Uniform(kKeysEach), writer);
    const std::string value = fmt::format("{}{}", i, std::string(random.Uniform(300), 'p'));
    complaints->Expect(db->Put(key, value, {.sync = random.OneIn(200)}).ok());
    const absl::StatusOr<std::string> got = db->Get(key);
    complaints->Expect(got.ok() && *got == value);
  }
}

// In one state all keys of an ingester have the same number, and never again an earlier one.
void CheckLoop(Db* db, int reader, const std::atomic<bool>* stop, Complaints* complaints) {
  base::Random random(static_cast<uint64_t>(100 + reader));
  std::vector<std::string> last(kIngesters);
  while (!stop->load()) {
    const int ingester = static_cast<int>(random.Uniform(kIngesters));
    const Snapshot snapshot = db->GetSnapshot();
    ReadOptions options;
    if (random.OneIn(2)) options.snapshot = &snapshot;
    const std::string keys[] = {KeyOf(ingester, 0), KeyOf(ingester, kKeysEach / 2), KeyOf(ingester, kKeysEach - 1)};
    const std::string_view wanted[] = {keys[0], keys[1], keys[2]};
    const auto found = db->MultiGet(wanted, options);
    std::string& before = last[static_cast<size_t>(ingester)];
    for (const absl::StatusOr<std::string>& value : found) {
      complaints->Expect(value.ok() == found[0].ok());
      complaints->Expect(value.ok() ? *value == *found[0] : before.empty());
    }
    if (!found[0].ok()) continue;
    complaints->Expect(*found[0] >= before);
    before = *found[0];
    if (!random.OneIn(20)) continue;
    const Stats stats = db->GetStats();
    complaints->Expect(stats.memory_bytes <= stats.memory_budget_bytes);
    const std::unique_ptr<Iterator> iterator = db->NewIterator({.snapshot = &snapshot});
    int seen = 0;
    for (iterator->SeekToFirst(); iterator->Valid(); iterator->Next()) {
      seen += iterator->key().ends_with(fmt::format("/{}", ingester)) ? 1 : 0;
    }
    complaints->Expect(iterator->status().ok() && (seen == 0 || seen == kKeysEach));
  }
}

}  // namespace

TEST_CASE("ingests beside writers, readers and each other are seen as a whole, each after the one before it") {
  const TempDir dir;
  Options options;
  options.write_buffer_bytes = 128 << 10;
  options.table_bytes = 64 << 10;
  options.level_base_bytes = 128 << 10;
  options.background_threads = 4;
  options.block_cache_bytes = 256 << 10;
  absl::StatusOr<std::unique_ptr<Db>> db = Db::Open(dir.path() + "/db", options);
  REQUIRE_OK(db.status());
  Complaints complaints;
  std::atomic<bool> stop{false};
  {
    std::vector<std::unique_ptr<base::Thread>> others;
    for (int i = 0; i < 2; ++i) {
      others.push_back(std::make_unique<base::Thread>([&, i]() { PutLoop(db->get(), i, &stop, &complaints); }));
      others.push_back(std::make_unique<base::Thread>([&, i]() { CheckLoop(db->get(), i, &stop, &complaints); }));
    }
    {
      std::vector<std::unique_ptr<base::Thread>> ingesters;
      for (int i = 0; i < kIngesters; ++i) {
        ingesters.push_back(std::make_unique<base::Thread>([&, i]() { IngestLoop(db->get(), i, &complaints); }));
      }
    }
    stop.store(true);
  }
  CHECK(complaints.count() == 0);
  CHECK_OK((*db)->VerifyChecksums());
  REQUIRE_OK((*db)->Close());
  db = Db::Open(dir.path() + "/db", options);
  REQUIRE_OK(db.status());
  for (int i = 0; i < kIngesters; ++i) {
    for (int number = 0; number < kKeysEach; ++number) {
      CHECK((*db)->Get(KeyOf(i, number)).value().substr(0, 3) == fmt::format("{:03}", kRounds));
    }
  }
}

TEST_CASE("one that is late keeps its turn until it is done, and the source is asked without it") {
  TestEnv env(1);
  const std::unique_ptr<storage::Engine> engine = storage::Engine::Open(env.env(), "/db", Options()).value();
  storage::IngestTurn turn;
  const auto is_taken = [&turn]() {
    bool taken = false;
    base::Thread([&]() {
      if (turn.mutex.TryLock()) {
        turn.mutex.Unlock();
      } else {
        taken = true;
      }
    });
    return taken;
  };
  bool given = false;
  const auto next = [&](IngestEntry* entry) -> absl::StatusOr<bool> {
    CHECK_FALSE(is_taken());
    entry->key = "key";
    return !std::exchange(given, true);
  };
  // Twice others have written more than was left to them.
  std::vector<uint64_t> firsts;
  const auto commit = [&](storage::IngestCommit* ingest) {
    CHECK(is_taken());
    firsts.push_back(ingest->first().smallest_sequence);
    ingest->is_late = firsts.size() <= 2;
    if (ingest->is_late) env.files().SetHook([&](uint64_t /*mutation*/) { CHECK(is_taken()); });
    return ingest->is_late ? absl::AbortedError("late") : absl::OkStatus();
  };
  REQUIRE_OK(storage::IngestTables(engine.get(), &turn, next, {}, commit).status());
  env.files().SetHook(nullptr);
  REQUIRE(firsts.size() == 3);
  CHECK(firsts[2] - firsts[1] > firsts[1] - firsts[0]);
  CHECK_FALSE(is_taken());
  engine->BeginClose([](const absl::Status& /*at_rest*/) {});
  env.executor().RunReady();
  CHECK_OK(engine->FinishClose());
}

}  // namespace bandb::test
