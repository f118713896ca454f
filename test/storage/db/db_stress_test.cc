// Sixteen threads on one database: the engine that is stepped everywhere else runs here on real
// threads. Meant for the thread sanitizer, which sees what no assertion can.
#include <memory>
#include <string>
#include <vector>

#include "bandb/db.h"
#include "base/random.h"
#include "base/thread.h"
#include "support/catch.h"
#include "support/complaints.h"
#include "support/temp_dir.h"

namespace bandb::test {

namespace {

constexpr int kThreads = 16;
constexpr int kWriters = 8;
constexpr uint64_t kKeysEach = 64;

std::string Key(int writer, uint64_t number) { return std::to_string(writer) + ":" + std::to_string(number); }

// Each writer owns its keys and puts rising numbers into all of them in one batch, so that a reader
// that reads two of them in one state must find the same number.
void WriteLoop(Db* db, int writer, int rounds, Complaints* complaints) {
  base::Random random(static_cast<uint64_t>(writer));
  for (int round = 0; round < rounds; ++round) {
    const std::string value = std::to_string(round) + std::string(random.Uniform(200), 'x');
    WriteBatch batch;
    for (uint64_t number = 0; number < 4; ++number) batch.Put(Key(writer, number), value);
    batch.Put(Key(writer, 4 + random.Uniform(kKeysEach)), value);
    if (random.OneIn(20)) batch.DeleteRange(Key(writer, 30), Key(writer, 40));
    complaints->Expect(db->Write(batch, {.sync = random.OneIn(50)}));
    if (random.OneIn(10)) complaints->Expect(db->Delete(Key(writer, 4 + random.Uniform(kKeysEach))));
    // A read of one's own write.
    const absl::StatusOr<std::string> got = db->Get(Key(writer, 0));
    complaints->Expect(got.ok() && *got == value);
  }
}

void ReadLoop(Db* db, int reader, const std::atomic<bool>* stop, Complaints* complaints) {
  base::Random random(static_cast<uint64_t>(100 + reader));
  while (!stop->load()) {
    const int writer = static_cast<int>(random.Uniform(kWriters));
    const Snapshot snapshot = db->GetSnapshot();
    ReadOptions options;
    if (random.OneIn(2)) options.snapshot = &snapshot;
    const std::string first = Key(writer, 0), second = Key(writer, 3);
    const std::string_view keys[] = {first, second};
    const auto values = db->MultiGet(keys, options);
    complaints->Expect(values[0].ok() == values[1].ok());
    if (values[0].ok() && values[1].ok()) complaints->Expect(*values[0] == *values[1]);
    if (!random.OneIn(8)) continue;
    options.lower_bound = Key(writer, 0);
    options.upper_bound = std::to_string(writer) + ";";
    const std::unique_ptr<Iterator> iterator = db->NewIterator(options);
    std::string last;
    for (iterator->SeekToFirst(); iterator->Valid(); iterator->Next()) {
      complaints->Expect(last < std::string(iterator->key()));
      last = std::string(iterator->key());
    }
    complaints->Expect(iterator->status());
    PinnedValue pinned;
    db->GetPinned(first, &pinned).IgnoreError();
  }
}

void AdministrationLoop(Db* db, int reader, const std::atomic<bool>* stop, Complaints* complaints) {
  base::Random random(static_cast<uint64_t>(200 + reader));
  uint64_t last_sequence = 0;
  while (!stop->load()) {
    switch (random.Uniform(4)) {
      case 0:
        complaints->Expect(db->Flush());
        break;
      case 1:
        complaints->Expect(db->CompactRange("", std::to_string(random.Uniform(kWriters))));
        break;
      case 2: {
        const Stats stats = db->GetStats();
        complaints->Expect(stats.last_sequence >= std::exchange(last_sequence, stats.last_sequence));
        complaints->Expect(stats.memory_bytes <= stats.memory_budget_bytes);
        break;
      }
      default: {
        WriteBatch batch;
        batch.RequireAbsent("never there");
        batch.Put("async", std::string(random.Uniform(100), 'a'));
        db->WriteAsync(std::move(batch), {.sync = random.OneIn(2)}, [complaints](absl::Status status) {
          complaints->Expect(status.ok() || status.code() == absl::StatusCode::kUnavailable);
        });
      }
    }
  }
}

}  // namespace

TEST_CASE("sixteen threads write, read, scan, flush and compact, and every read sees whole batches") {
  const TempDir dir;
  Options options;
  options.write_buffer_bytes = 128 << 10;
  options.table_bytes = 64 << 10;
  options.level_base_bytes = 128 << 10;
  options.background_threads = 4;
  options.block_cache_bytes = 256 << 10;
  absl::StatusOr<std::unique_ptr<Db>> opened = Db::Open(dir.path() + "/db", options);
  REQUIRE_OK(opened.status());
  Db* db = opened->get();

  Complaints complaints;
  std::atomic<bool> stop{false};
  std::vector<std::unique_ptr<base::Thread>> others;
  for (int reader = kWriters; reader < kThreads; ++reader) {
    others.push_back(std::make_unique<base::Thread>([&, reader]() {
      if (reader == kThreads - 1) {
        AdministrationLoop(db, reader, &stop, &complaints);
      } else {
        ReadLoop(db, reader, &stop, &complaints);
      }
    }));
  }
  {
    std::vector<std::unique_ptr<base::Thread>> writers;
    for (int writer = 0; writer < kWriters; ++writer) {
      writers.push_back(std::make_unique<base::Thread>([&, writer]() { WriteLoop(db, writer, 400, &complaints); }));
    }
  }
  stop.store(true);
  others.clear();
  CHECK(complaints.count() == 0);

  // An iterator and a pinned value that outlive the database.
  std::unique_ptr<Iterator> iterator = db->NewIterator();
  iterator->SeekToFirst();
  REQUIRE(iterator->Valid());
  const Snapshot snapshot = db->GetSnapshot();
  PinnedValue pinned;
  REQUIRE_OK(db->GetPinned(Key(0, 0), &pinned));
  const std::string copy(pinned.value());
  REQUIRE_OK(db->Close());
  opened->reset();
  CHECK(pinned.value() == copy);
  iterator->Next();
  CHECK_FALSE(iterator->Valid());
  CHECK_CODE(iterator->status(), kFailedPrecondition);
}

TEST_CASE("closing while sixteen threads are at work ends every call with an answer") {
  for (int round = 0; round < 5; ++round) {
    const TempDir dir;
    Options options;
    options.write_buffer_bytes = 64 << 10;
    absl::StatusOr<std::unique_ptr<Db>> db = Db::Open(dir.path() + "/db", options);
    REQUIRE_OK(db.status());
    Complaints complaints;
    std::atomic<int> callbacks{0};
    std::atomic<int> asked{0};
    {
      std::vector<std::unique_ptr<base::Thread>> threads;
      for (int thread = 0; thread < kThreads; ++thread) {
        threads.push_back(std::make_unique<base::Thread>([&, thread]() {
          // Not all give up when they are refused.
          int refusals = 0;
          for (uint64_t i = 0; refusals < 2000; ++i) {
            const absl::Status status = (*db)->Put(Key(thread, i), std::string(100, 'v'), {.sync = i % 7 == 0});
            complaints.Expect(status.ok() || status.code() == absl::StatusCode::kFailedPrecondition);
            refusals += status.ok() ? 0 : 1;
            if (i % 5 != 0) continue;
            WriteBatch batch;
            batch.Put(Key(thread, i), "async");
            asked.fetch_add(1);
            (*db)->WriteAsync(std::move(batch), {}, [&](absl::Status) { callbacks.fetch_add(1); });
          }
        }));
      }
      while (asked.load() < 200 * (round + 1)) {
      }
      CHECK_OK((*db)->Close());
    }
    CHECK(complaints.count() == 0);
    CHECK(callbacks.load() == asked.load());
    db->reset();
    const absl::StatusOr<std::unique_ptr<Db>> again = Db::Open(dir.path() + "/db", options);
    REQUIRE_OK(again.status());
    CHECK_OK((*again)->VerifyChecksums());
  }
}

}  // namespace bandb::test
