// Readers of the change feed and writers on real threads and files. Meant for the thread sanitizer,
// and to see that nobody waits for what has come already.
#include <fmt/format.h>

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "bandb/changes.h"
#include "bandb/db.h"
#include "base/thread.h"
#include "support/catch.h"
#include "support/temp_dir.h"

namespace bandb::test {

namespace {

constexpr int kWriters = 3;
constexpr uint64_t kWritesEach = 2'000;
constexpr uint64_t kWrites = kWriters * kWritesEach;

Options StressOptions() {
  Options options;
  options.write_buffer_bytes = 64 << 10;
  options.changes_keep_bytes = uint64_t{1} << 30;
  return options;
}

// Each writer puts rising numbers, now and then synced.
absl::Status Write(Db* db, int writer) {
  for (uint64_t i = 0; i < kWritesEach; ++i) {
    const absl::Status put = db->Put(fmt::format("{}", writer), fmt::format("{:040}", i), {.sync = i % 100 == 99});
    if (!put.ok()) return put;
  }
  return absl::OkStatus();
}

// Reads until everything has come, in the order in which each writer wrote it.
absl::Status Follow(Db* db, ChangeReader* reader, const std::string& cursor) {
  std::vector<uint64_t> next(kWriters);
  Commit commit;
  for (uint64_t seen = 0, sequence = 1; seen < kWrites;) {
    // Longer than the test may take: a reader that is not woken is found out.
    const absl::Status read = reader->Next(&commit, absl::Minutes(5));
    if (!read.ok()) return read;
    if (commit.empty()) return absl::InternalError("it waited in vain");
    if (cursor.empty() && commit.first_sequence != sequence) return absl::InternalError("a hole");
    sequence = commit.last_sequence + 1;
    for (const Change& change : commit.changes) {
      const auto writer = static_cast<size_t>(change.key[0] - '0');
      if (change.value != fmt::format("{:040}", next[writer]++)) return absl::InternalError("out of order");
      ++seen;
    }
    if (cursor.empty()) continue;
    const absl::Status acknowledged = db->Acknowledge(cursor, reader->token());
    if (!acknowledged.ok()) return acknowledged;
  }
  return absl::OkStatus();
}

}  // namespace

TEST_CASE("readers on their threads see what writers on theirs have written, all of it and in order") {
  const TempDir dir;
  auto db = Db::Open(dir.File("db"), StressOptions());
  REQUIRE_OK(db.status());
  // One at once, one of what is durable, and one of those with a cursor.
  std::vector<std::unique_ptr<ChangeReader>> readers;
  for (const bool undurable : {true, false}) {
    ChangesOptions options;
    options.from = ChangesFrom::Oldest();
    options.undurable = undurable;
    readers.push_back(*(*db)->ReadChanges(options));
  }
  std::vector<absl::Status> outcomes(kWriters + readers.size());
  std::vector<std::unique_ptr<base::Thread>> threads;
  for (int writer = 0; writer < kWriters; ++writer) {
    absl::Status* const outcome = &outcomes[static_cast<size_t>(writer)];
    threads.push_back(
        std::make_unique<base::Thread>([&db, writer, outcome]() { *outcome = Write(db->get(), writer); }));
  }
  for (size_t i = 0; i < readers.size(); ++i) {
    absl::Status* const outcome = &outcomes[kWriters + i];
    ChangeReader* const reader = readers[i].get();
    threads.push_back(
        std::make_unique<base::Thread>([&db, reader, outcome]() { *outcome = Follow(db->get(), reader, ""); }));
  }
  threads.clear();
  for (const absl::Status& outcome : outcomes) CHECK_OK(outcome);
  // Once more from the logs that are kept, with a cursor, which writes among them.
  REQUIRE_OK((*db)->Flush());
  REQUIRE_OK((*db)->CreateCursor("again", ChangesFrom::Oldest()));
  ChangesOptions options;
  options.from = ChangesFrom::Cursor("again");
  const auto reader = (*db)->ReadChanges(options);
  REQUIRE_OK(reader.status());
  CHECK_OK(Follow(db->get(), reader->get(), "again"));
  CHECK((*db)->GetStats().changes_kept_logs > 2);
  REQUIRE_OK((*db)->Close());
}

TEST_CASE("a database closes though readers wait for ever, and they are told") {
  const TempDir dir;
  auto db = Db::Open(dir.File("db"), StressOptions());
  REQUIRE_OK(db.status());
  std::atomic<int> told{0};
  std::vector<std::unique_ptr<base::Thread>> threads;
  for (const bool undurable : {true, false, true, false}) {
    ChangesOptions options;
    options.undurable = undurable;
    auto reader = (*db)->ReadChanges(options);
    REQUIRE_OK(reader.status());
    threads.push_back(std::make_unique<base::Thread>([&told, reader = *std::move(reader)]() {
      Commit commit;
      if (absl::IsFailedPrecondition(reader->Next(&commit, absl::InfiniteDuration()))) ++told;
    }));
  }
  REQUIRE_OK((*db)->Close());
  db->reset();
  threads.clear();
  CHECK(told == 4);
}

}  // namespace bandb::test
