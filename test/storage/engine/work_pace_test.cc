// How fast background work goes on: the limit in bytes per second, and compactions that are paused.
#include "storage/engine/work_pace.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "storage/commit/write_requests.h"
#include "storage/db/open_db.h"
#include "storage/engine/engine.h"
#include "support/catch.h"
#include "support/random_data.h"
#include "support/test_env.h"

using bandb::storage::WakeUp;
using bandb::storage::WorkPace;

namespace bandb::test {

namespace {

constexpr int64_t kNanosPerSecond = 1'000'000'000;

Options PaceOptions(uint64_t bytes_per_second) {
  Options options = SmallOptions();
  options.table_bytes = 64 << 10;
  options.level_base_bytes = 64 << 10;
  options.compression = Compression::kNone;
  options.level0_tables = 2;
  options.background_bytes_per_second = bytes_per_second;
  return options;
}

class PaceWorld {
 public:
  explicit PaceWorld(const Options& options) : db(MustOpen(env.env(), "/db", options)) {}
  void Put(int count) {
    for (int i = 0; i < count; ++i)
      REQUIRE_OK(db->Put(NumberedKey(random.Uniform(500), 3), RandomBytes(&random, 1000)));
  }
  void Fill() {
    Put(30);
    REQUIRE_OK(db->Flush());
  }
  uint64_t Written() const {
    uint64_t bytes = 0;
    for (const LevelStats& level : db->GetStats().levels) bytes += level.bytes_written;
    return bytes;
  }
  // Until a compaction has come so far.
  void AwaitCompaction(uint64_t done_bytes) {
    for (int i = 0; i < 10'000; ++i) {
      const Stats stats = db->GetStats();
      if (!stats.running_compactions.empty() && stats.running_compactions[0].done_bytes >= done_bytes) return;
      env.executor().RunOne();
    }
    FAIL("no compaction");
  }
  void RunReady() {
    env.executor().RunReady();
    REQUIRE_OK(storage::CheckInvariants(db.get()));
  }

  TestEnv env{1};
  base::Random random{3};
  std::unique_ptr<Db> db;
};

// Writes so many times a second's worth, when it may.
class SecondsJob final : public base::Job {
 public:
  SecondsJob(WorkPace* pace, uint64_t bytes, int steps) : pace_(pace), bytes_(bytes), steps_(steps) {}
  Next Step() override {
    if (!pace_->MayStep(false)) {
      pace_->Park(false, std::make_unique<SecondsJob>(pace_, bytes_, steps_));
      return Next::kDone;
    }
    pace_->Wrote(false, bytes_);
    return --steps_ == 0 ? Next::kDone : Next::kAgain;
  }

 private:
  WorkPace* const pace_;
  const uint64_t bytes_;
  int steps_;
};

// Takes a job's step inside Start: as a thread may, before Start returns.
class EagerExecutor final : public base::Executor {
 public:
  void Post(base::Priority /*priority*/, base::Task /*task*/) override {}
  void PostAfter(int64_t /*delay_nanos*/, base::Task /*task*/) override {}
  void Start(base::Priority /*priority*/, std::unique_ptr<base::Job> job) override {
    REQUIRE(job->Step() == base::Job::Next::kDone);
  }
  bool Wait(base::Event* /*event*/, int64_t /*timeout_nanos*/) override { return false; }
};

// The end of it is the end of the pace.
class LastJob final : public base::Job {
 public:
  explicit LastJob(std::unique_ptr<WorkPace>* pace) : pace_(pace) {}
  Next Step() override {
    CHECK((*pace_)->MayStep(false));
    pace_->reset();
    return Next::kDone;
  }

 private:
  std::unique_ptr<WorkPace>* const pace_;
};

}  // namespace

TEST_CASE("jobs that wait for the same moment are woken once, and their waiting is counted once") {
  constexpr int kJobs = 16;
  constexpr int kSteps = 4;
  TestEnv env{1};
  WorkPace* woken = nullptr;
  const auto wake_up = std::make_shared<WakeUp>([&](WakeUp::Timer timer) { woken->GoOn(timer); });
  WorkPace pace(env.env(), 64 << 10, wake_up);
  woken = &pace;
  const int64_t begin_nanos = env.clock().MonotonicNanos();
  const uint64_t steps = env.executor().steps();
  for (int i = 0; i < kJobs; ++i) {
    env.executor().Start(base::Priority::kLow, std::make_unique<SecondsJob>(&pace, 64 << 10, kSteps));
  }
  // Paused for a while amid of it, which is no waiting for the limit.
  env.executor().RunFor(10 * kNanosPerSecond + 1);
  pace.Pause();
  env.executor().RunFor(100 * kNanosPerSecond);
  REQUIRE(pace.Continue());
  env.executor().RunFor((kJobs * kSteps + 10) * kNanosPerSecond);
  const int64_t micros = (env.clock().MonotonicNanos() - begin_nanos) / 1000;
  CHECK(micros >= int64_t{kJobs * kSteps + 100} * 1'000'000);
  Stats stats;
  pace.FillStats(&stats);
  CHECK(stats.throttled_micros <= uint64_t{kJobs * kSteps + 1} * 1'000'000);
  CHECK(stats.throttled_micros >= uint64_t{kJobs * kSteps - 2} * 1'000'000);
  // A timer for each second, and a step of each job.
  CHECK(env.executor().steps() - steps <= uint64_t{kJobs * kSteps} * (kJobs + 3));
}

TEST_CASE("what parks a job may be gone once the job has gone on") {
  TestEnv env{1};
  EagerExecutor executor;
  base::Env eager = env.env();
  eager.executor = &executor;
  auto pace = std::make_unique<WorkPace>(eager, 64 << 10, std::make_shared<WakeUp>(nullptr));
  pace->Close();
  pace->Park(false, std::make_unique<LastJob>(&pace));
  CHECK(pace == nullptr);
}

TEST_CASE("what a block shrinks by when it is compressed is not charged") {
  // The last step of each flush ends with fewer bytes than the one before, of which a large block
  // was still to be compressed.
  for (const uint64_t per_second : {uint64_t{64} << 10, uint64_t{4} << 20, uint64_t{1} << 40}) {
    CAPTURE(per_second);
    Options options = PaceOptions(per_second);
    options.compression = Options().compression;
    options.write_buffer_bytes = 8 << 20;
    options.block_bytes = 700 << 10;
    options.table_bytes = 4 << 20;
    PaceWorld world(options);
    const int64_t begin_nanos = world.env.clock().MonotonicNanos();
    for (int i = 0; i < 3; ++i) {
      for (int k = 0; k < 1500; ++k) {
        REQUIRE_OK(world.db->Put(NumberedKey(static_cast<uint64_t>(k), 5), std::string(1000, 'x')));
      }
      REQUIRE_OK(world.db->Flush());
      world.env.executor().RunFor(40 * kNanosPerSecond);
    }
    // At the most each of a few tables is charged with a block too much.
    CHECK(world.env.clock().MonotonicNanos() - begin_nanos < 200 * kNanosPerSecond);
    CHECK(world.db->GetStats().throttled_micros < 200'000'000);
    CHECK(world.db->GetStats().compactions > 0);
    CHECK(world.db->GetStats().running_compactions.empty());
  }
}

TEST_CASE("flushes and compactions together write no more than they may in a second") {
  constexpr uint64_t kPerSecond = 64 << 10;
  PaceWorld world(PaceOptions(kPerSecond));
  const int64_t begin_nanos = world.env.clock().MonotonicNanos();
  for (int i = 0; i < 20; ++i) {
    world.Fill();
    REQUIRE_OK(storage::CheckInvariants(world.db.get()));
    const double seconds = static_cast<double>(world.env.clock().MonotonicNanos() - begin_nanos) / kNanosPerSecond;
    // What is under way, and one flush that goes first.
    REQUIRE(static_cast<double>(world.Written()) <= (seconds + 2) * kPerSecond);
  }
  while (world.db->GetStats().compaction_debt_bytes != 0) world.env.executor().RunFor(kNanosPerSecond);
  const double seconds = static_cast<double>(world.env.clock().MonotonicNanos() - begin_nanos) / kNanosPerSecond;
  CAPTURE(seconds, world.Written());
  CHECK(static_cast<double>(world.Written()) <= (seconds + 2) * kPerSecond);
  CHECK(static_cast<double>(world.Written()) >= (seconds / 2) * kPerSecond);
  CHECK(world.db->GetStats().throttled_micros > 1'000'000);
  CHECK(world.db->GetStats().compactions > 0);
}

TEST_CASE("a flush does not wait for compactions that have used up the limit") {
  PaceWorld world(PaceOptions(64 << 10));
  for (int i = 0; i < 8; ++i) world.Fill();
  // A compaction that takes ten seconds.
  world.AwaitCompaction(0);
  const int64_t begin_nanos = world.env.clock().MonotonicNanos();
  world.Fill();
  CHECK(world.env.clock().MonotonicNanos() - begin_nanos < 2 * kNanosPerSecond);
}

TEST_CASE("what writes nothing waits for no limit, but for the end of a pause") {
  Options options = PaceOptions(64 << 10);
  options.compaction_style = CompactionStyle::kFifo;
  options.fifo_bytes_max = 100'000;
  PaceWorld world(options);
  for (int i = 0; i < 4; ++i) world.Fill();
  world.AwaitCompaction(0);
  REQUIRE_OK(world.db->PauseCompactions());
  world.RunReady();
  CHECK(world.db->GetStats().forgotten_tables == 0);
  const int64_t begin_nanos = world.env.clock().MonotonicNanos();
  REQUIRE_OK(world.db->ContinueCompactions());
  world.RunReady();
  CHECK(world.db->GetStats().forgotten_tables == 1);
  CHECK(world.env.clock().MonotonicNanos() - begin_nanos < kNanosPerSecond / 100);
}

TEST_CASE("a flush that is asked for goes on while compactions are paused, also where level 0 is full") {
  PaceWorld world(PaceOptions(0));
  REQUIRE_OK(world.db->PauseCompactions());
  // Beyond eight times the tables that a compaction begins with, where writers stop.
  for (int i = 0; i < 20; ++i) {
    REQUIRE_OK(world.db->Put("key", std::to_string(i)));
    REQUIRE_OK(world.db->Flush());
  }
  CHECK(world.db->GetStats().levels[0].tables == 20);
  REQUIRE_OK(world.db->ContinueCompactions());
  world.RunReady();
  CHECK(world.db->GetStats().levels[0].tables < 16);
}

TEST_CASE("a flush that waits for room in level 0 goes on when compactions are paused meanwhile") {
  TestEnv env(3);
  auto opened = storage::Engine::Open(env.env(), "/db", PaceOptions(0));
  REQUIRE_OK(opened.status());
  const std::unique_ptr<storage::Engine> engine = *std::move(opened);
  REQUIRE_OK(engine->PauseCompactions());
  WriteBatch batch;
  batch.Put("key", "value");
  std::vector<std::unique_ptr<storage::BlockingWrite>> requests;
  const auto submit = [&](bool freeze) {
    requests.push_back(std::make_unique<storage::BlockingWrite>());
    if (freeze) requests.back()->freeze = true;
    if (!freeze) requests.back()->FromBatch(batch);
    engine->Submit(requests.back().get());
  };
  // As many as stop writers.
  for (int i = 0; i < 16; ++i) {
    submit(false);
    submit(true);
    env.executor().RunReady();
  }
  REQUIRE(engine->GetStats().levels[0].tables == 16);
  // Compactions are to go on, and have not taken a step.
  REQUIRE_OK(engine->ContinueCompactions());
  submit(false);
  submit(true);
  REQUIRE_OK(engine->PauseCompactions());
  env.executor().RunReady();
  CHECK(engine->GetStats().levels[0].tables == 17);
  for (const auto& request : requests) CHECK_OK(request->TakeOutcome());
  engine->BeginClose([](const absl::Status&) {});
  env.executor().RunReady();
  CHECK_OK(engine->FinishClose());
}

TEST_CASE("without a limit time does not pass") {
  PaceWorld world(PaceOptions(0));
  const int64_t begin_nanos = world.env.clock().MonotonicNanos();
  for (int i = 0; i < 20; ++i) world.Fill();
  world.RunReady();
  CHECK(world.env.clock().MonotonicNanos() - begin_nanos < kNanosPerSecond / 10);
  CHECK(world.db->GetStats().throttled_micros == 0);
}

TEST_CASE("closing waits for no limit") {
  PaceWorld world(PaceOptions(64 << 10));
  for (int i = 0; i < 8; ++i) world.Fill();
  world.AwaitCompaction(0);
  world.Put(20);
  const int64_t begin_nanos = world.env.clock().MonotonicNanos();
  REQUIRE_OK(world.db->Close());
  CHECK(world.env.clock().MonotonicNanos() - begin_nanos < kNanosPerSecond / 10);
}

TEST_CASE("paused compactions do not begin, those that run stand still, and flushes go on") {
  // Steps of 64 KiB.
  PaceWorld world(PaceOptions(512 << 10));
  REQUIRE_OK(world.db->PauseCompactions());
  for (int i = 0; i < 6; ++i) {
    world.Fill();
    world.RunReady();
  }
  Stats stats = world.db->GetStats();
  CHECK(stats.levels[0].tables == 6);
  CHECK(stats.compactions == 0);
  CHECK(stats.compaction_pauses == 1);
  REQUIRE_OK(world.db->ContinueCompactions());
  // One that is under way.
  world.AwaitCompaction(1);
  REQUIRE_OK(world.db->PauseCompactions());
  REQUIRE_OK(world.db->PauseCompactions());
  world.env.executor().RunFor(100 * kNanosPerSecond);
  const uint64_t done = world.db->GetStats().running_compactions.at(0).done_bytes;
  world.env.executor().RunFor(100 * kNanosPerSecond);
  stats = world.db->GetStats();
  REQUIRE(stats.running_compactions.size() == 1);
  CHECK(stats.running_compactions[0].done_bytes == done);
  CHECK(done < stats.running_compactions[0].input_bytes);
  CHECK(stats.running_compactions[0].output_level == 6);
  CHECK(stats.running_compactions[0].input_bytes >= 6 * 25'000);
  CHECK(stats.compaction_pauses == 2);
  REQUIRE_OK(storage::CheckInvariants(world.db.get()));
  // As often continued as paused.
  REQUIRE_OK(world.db->ContinueCompactions());
  world.RunReady();
  CHECK(world.db->GetStats().compactions == 0);
  REQUIRE_OK(world.db->ContinueCompactions());
  world.env.executor().RunFor(20 * kNanosPerSecond);
  stats = world.db->GetStats();
  CHECK(stats.compactions > 0);
  CHECK(stats.levels[0].tables < 2);
  CHECK(stats.running_compactions.empty());
  CHECK_CODE(world.db->ContinueCompactions(), kFailedPrecondition);
}

TEST_CASE("a CompactRange goes on though another clock is accepted while it stands still") {
  constexpr int64_t kYearMillis = int64_t{366} * 24 * 3600 * 1000;
  TestEnv env(9);
  auto opened = storage::Engine::Open(env.env(), "/db", PaceOptions(0));
  REQUIRE_OK(opened.status());
  const std::unique_ptr<storage::Engine> engine = *std::move(opened);
  WriteBatch batch;
  batch.Put("key", "value");
  batch.PutWithTtl("hour", "value", absl::Hours(1));
  storage::BlockingWrite write, freeze;
  write.FromBatch(batch);
  engine->Submit(&write);
  freeze.freeze = true;
  engine->Submit(&freeze);
  env.executor().RunReady();
  REQUIRE_OK(write.TakeOutcome());
  env.clock().JumpWallMillis(kYearMillis);
  std::vector<absl::Status> outcomes;
  const auto tell = [&outcomes](absl::Status outcome) { outcomes.push_back(std::move(outcome)); };
  engine->CompactRange({}, {}, tell);
  REQUIRE(engine->GetStats().running_compactions.size() == 1);
  REQUIRE_OK(engine->PauseCompactions());
  env.executor().RunReady();
  env.clock().JumpWallMillis(-kYearMillis);
  engine->AcceptClock(tell);
  env.executor().RunReady();
  REQUIRE(outcomes.size() == 1);
  REQUIRE_OK(outcomes[0]);
  REQUIRE_OK(engine->ContinueCompactions());
  env.executor().RunReady();
  REQUIRE(outcomes.size() == 2);
  CHECK_OK(outcomes[1]);
  CHECK(engine->GetStats().levels.back().tables == 1);
  PinnedValue value;
  CHECK_OK(engine->Get("hour", {}, &value));
  engine->BeginClose(tell);
  env.executor().RunReady();
  CHECK_OK(engine->FinishClose());
}

TEST_CASE("a database closes with its compactions paused, and opens with them going on") {
  PaceWorld world(PaceOptions(0));
  REQUIRE_OK(world.db->PauseCompactions());
  for (int i = 0; i < 3; ++i) world.Fill();
  REQUIRE_OK(world.db->ContinueCompactions());
  world.AwaitCompaction(0);
  REQUIRE_OK(world.db->PauseCompactions());
  world.Fill();
  world.env.executor().RunFor(kNanosPerSecond);
  // It had begun, and has not taken a step.
  CHECK(world.db->GetStats().running_compactions.size() == 1);
  CHECK(world.db->GetStats().compactions == 0);
  REQUIRE_OK(world.db->Close());
  CHECK_CODE(world.db->PauseCompactions(), kFailedPrecondition);
  CHECK_CODE(world.db->ContinueCompactions(), kFailedPrecondition);
  world.db.reset();
  world.db = MustOpen(world.env.env(), "/db", PaceOptions(0));
  world.RunReady();
  CHECK(world.db->GetStats().levels[0].tables < 2);
  CHECK(world.db->GetStats().compaction_pauses == 0);
}

TEST_CASE("the progress of a compaction goes from nothing to all of its input") {
  PaceWorld world(PaceOptions(64 << 10));
  for (int i = 0; i < 4; ++i) world.Fill();
  uint64_t before = 0;
  uint64_t input = 0;
  int looks = 0;
  for (int i = 0; i < 1000 && world.db->GetStats().compaction_debt_bytes != 0; ++i) {
    world.env.executor().RunFor(kNanosPerSecond / 5);
    const Stats stats = world.db->GetStats();
    if (stats.running_compactions.size() != 1) {
      before = 0;
      continue;
    }
    const CompactionProgress& now = stats.running_compactions[0];
    if (now.input_bytes != input) before = 0;
    CHECK(now.done_bytes >= before);
    CHECK(now.done_bytes <= now.input_bytes);
    CHECK_FALSE(now.manual);
    before = now.done_bytes;
    input = now.input_bytes;
    ++looks;
  }
  CHECK(looks > 3);
  CHECK(input > 50'000);
}

TEST_CASE("who only reads has no compactions to pause") {
  PaceWorld world(PaceOptions(0));
  world.Fill();
  REQUIRE_OK(world.db->Close());
  const auto reader = storage::OpenDbReadOnly(world.env.env(), "/db", PaceOptions(0));
  REQUIRE_OK(reader.status());
  CHECK_CODE((*reader)->PauseCompactions(), kFailedPrecondition);
  CHECK_CODE((*reader)->ContinueCompactions(), kFailedPrecondition);
}

}  // namespace bandb::test
