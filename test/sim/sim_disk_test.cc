#include "sim/sim_disk.h"

#include <optional>
#include <set>

#include "support/catch.h"

namespace bandb::sim {
namespace {

raft::Entry MakeEntry(raft::Term term, raft::Index index) {
  raft::Entry entry;
  entry.term = term;
  entry.index = index;
  entry.payload = raft::Payload("payload");
  return entry;
}

raft::LogWrite MakeWrite(uint64_t number, raft::Term term, raft::Index first, raft::Index last) {
  raft::LogWrite write;
  write.write = number;
  write.term = term;
  write.index = last;
  for (raft::Index i = first; i <= last; ++i) write.entries.push_back(MakeEntry(term, i));
  return write;
}

// Remembers what it was told.
struct Listener : SimDisk::Listener {
  void OnHardStateDurable(uint64_t write) override { hard_state = write; }
  void OnLogDurable(uint64_t write, raft::Term, raft::Index index) override {
    log_write = write;
    log_index = index;
  }
  void OnWriteFailed() override { failed = true; }
  void OnFetched(uint64_t, bool ok, raft::Entries entries) override {
    if (ok) fetched = std::move(entries);
  }
  void OnReset(raft::Index index, raft::Term) override { installed = index; }
  void OnCheckpointSaved(const Checkpoint& checkpoint) override { checkpointed = checkpoint.meta.index; }
  void OnCapacity(bool nearly_full) override { full = nearly_full; }

  uint64_t hard_state = 0;
  uint64_t log_write = 0;
  raft::Index log_index = 0;
  bool failed = false;
  raft::Entries fetched;
  raft::Index installed = 0;
  raft::Index checkpointed = 0;
  std::optional<bool> full;
};

struct Bench {
  explicit Bench(uint64_t seed, uint64_t capacity_bytes = 0) {
    DiskKnobs knobs;
    knobs.write_min = kMilli;
    knobs.write_mean = 5 * kMilli;
    knobs.read_mean = kMilli;
    knobs.capacity_bytes = capacity_bytes;
    disk = std::make_unique<SimDisk>(&scheduler, knobs, 5 * kMilli, seed);
    disk->Format(raft::MakeConfiguration({1, 2, 3}));
  }
  void Run(Nanos time) {
    bool over = false;
    scheduler.After(time, [&over] { over = true; });
    while (!over) scheduler.RunOne();
  }

  Scheduler scheduler;
  std::unique_ptr<SimDisk> disk;
};

Checkpoint MakeCheckpoint(raft::Term term, raft::Index index) {
  Checkpoint checkpoint;
  checkpoint.meta.index = index;
  checkpoint.meta.term = term;
  checkpoint.meta.configuration = raft::MakeConfiguration({1, 2, 3});
  checkpoint.data = std::make_shared<const std::string>("state");
  return checkpoint;
}

}  // namespace

TEST_CASE("a crash keeps all that was reported durable, and of the rest some prefix") {
  std::set<raft::Index> ends;
  for (uint64_t seed = 1; seed <= 2000; ++seed) {
    Bench bench(seed);
    Listener listener;
    REQUIRE(bench.disk->Open(&listener).ok());
    for (uint64_t n = 0; n < 5; ++n) bench.disk->WriteLog(MakeWrite(n + 1, 1, n * 3 + 1, n * 3 + 3));
    bench.disk->WriteHardState({6, {4, 2, 0}});
    bench.Run(seed % 20 * kMilli);
    bench.disk->Abandon();
    Listener next;
    const auto recovered = bench.disk->Open(&next);
    REQUIRE(recovered.ok());
    const raft::Index last = recovered->entries.size();
    CHECK(last >= listener.log_index);
    for (raft::Index i = 1; i <= last; ++i) CHECK(recovered->entries[i - 1] == MakeEntry(1, i));
    if (listener.hard_state == 6) CHECK(recovered->restart.hard_state.term == 4);
    ends.insert(last);
  }
  // Cuts between writes and inside of them both occur.
  CHECK(ends.size() == 16);
}

TEST_CASE("a later write of an index makes everything behind it void, durable or not") {
  Bench bench(7);
  Listener listener;
  REQUIRE(bench.disk->Open(&listener).ok());
  bench.disk->WriteLog(MakeWrite(1, 1, 1, 5));
  bench.Run(kSecond);
  bench.disk->WriteLog(MakeWrite(2, 2, 3, 3));
  bench.Run(kSecond);
  bench.disk->Abandon();
  Listener next;
  const auto recovered = bench.disk->Open(&next);
  REQUIRE(recovered.ok());
  REQUIRE(recovered->entries.size() == 3);
  CHECK(recovered->entries.back() == MakeEntry(2, 3));
}

TEST_CASE("a disk that hangs reports nothing, and everything afterwards") {
  Bench bench(3);
  Listener listener;
  REQUIRE(bench.disk->Open(&listener).ok());
  bench.disk->HangUntil(10 * kSecond);
  bench.disk->WriteLog(MakeWrite(1, 1, 1, 2));
  bench.Run(9 * kSecond);
  CHECK(listener.log_write == 0);
  bench.Run(2 * kSecond);
  CHECK(listener.log_write == 1);
}

TEST_CASE("healing ends a hang at once") {
  Bench bench(3);
  Listener listener;
  REQUIRE(bench.disk->Open(&listener).ok());
  bench.disk->HangUntil(1000 * kSecond);
  bench.disk->WriteLog(MakeWrite(1, 1, 1, 2));
  bench.Run(kSecond);
  bench.disk->Heal();
  bench.Run(kMilli);
  CHECK(listener.log_write == 1);
}

TEST_CASE("after a write that failed nothing is reported durable until the device is opened anew") {
  Bench bench(4);
  Listener listener;
  REQUIRE(bench.disk->Open(&listener).ok());
  bench.disk->FailNextWrite();
  bench.disk->WriteLog(MakeWrite(1, 1, 1, 2));
  bench.Run(kSecond);
  CHECK(listener.failed);
  bench.disk->WriteLog(MakeWrite(2, 1, 3, 3));
  bench.Run(kSecond);
  CHECK(listener.log_write == 0);
  bench.disk->Abandon();
  Listener next;
  const auto recovered = bench.disk->Open(&next);
  REQUIRE(recovered.ok());
  bench.disk->WriteLog(MakeWrite(1, 1, recovered->entries.size() + 1, recovered->entries.size() + 1));
  bench.Run(kSecond);
  CHECK(next.log_write == 1);
}

TEST_CASE("a device that fills up says so, and says when there is room again") {
  Bench bench(5, 1000);
  Listener listener;
  REQUIRE(bench.disk->Open(&listener).ok());
  bench.disk->WriteLog(MakeWrite(1, 1, 1, 25));
  bench.Run(kSecond);
  CHECK(listener.full == true);
  bench.disk->Compact(20);
  bench.Run(kMilli);
  CHECK(listener.full == false);
}

TEST_CASE("an install that is cut short leaves the old state with the old log, or the new one with none") {
  std::set<std::pair<raft::Index, raft::Index>> outcomes;
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    Bench bench(seed);
    Listener listener;
    REQUIRE(bench.disk->Open(&listener).ok());
    bench.disk->WriteLog(MakeWrite(1, 1, 1, 4));
    bench.Run(kSecond);
    const Checkpoint received = MakeCheckpoint(3, 9);
    bench.disk->Stage(received.data);
    bench.disk->Reset(received.meta);
    bench.Run(seed % 12 * kMilli);
    bench.disk->Abandon();
    Listener next;
    const auto recovered = bench.disk->Open(&next);
    REQUIRE(recovered.ok());
    REQUIRE_OK(recovered->restart.Validate());
    if (listener.installed == 9) CHECK(recovered->restart.applied == 9);
    outcomes.emplace(recovered->restart.applied, recovered->entries.size());
  }
  CHECK(outcomes == std::set<std::pair<raft::Index, raft::Index>>{{0, 4}, {9, 0}});
}

TEST_CASE("a fetch answers with what was asked for, within its bytes but with one entry at least") {
  Bench bench(6);
  Listener listener;
  REQUIRE(bench.disk->Open(&listener).ok());
  bench.disk->WriteLog(MakeWrite(1, 1, 1, 10));
  bench.disk->Fetch({1, 3, 8, 1});
  bench.Run(kSecond);
  REQUIRE(listener.fetched.size() == 1);
  CHECK(listener.fetched.front().index == 3);
  bench.disk->Fetch({2, 3, 8, 1 << 20});
  bench.Run(kSecond);
  CHECK(listener.fetched.size() == 6);
}

}  // namespace bandb::sim
