#include "base/thread_executor.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "support/catch.h"

namespace bandb::base {

namespace {

constexpr int64_t kMillisecond = 1'000'000;

// Runs until it is told to stop, and says that it runs.
class HoldingJob final : public Job {
 public:
  HoldingJob(Event* running, Event* stop) : running_(running), stop_(stop) {}
  Next Step() override {
    running_->Set();
    return stop_->BlockUntilSet(kMillisecond) ? Next::kDone : Next::kAgain;
  }

 private:
  Event* const running_;
  Event* const stop_;
};

class CountingJob final : public Job {
 public:
  CountingJob(int steps, int* taken, Event* destroyed) : steps_(steps), taken_(taken), destroyed_(destroyed) {}
  ~CountingJob() override { destroyed_->Set(); }
  Next Step() override { return ++*taken_ == steps_ ? Next::kDone : Next::kAgain; }

 private:
  const int steps_;
  int* const taken_;  // no atomic: TSan sees whether the steps are ordered
  Event* const destroyed_;
};

// Counts the tasks that were destroyed, run or not.
struct Witness {
  explicit Witness(std::atomic<int>* destroyed) : destroyed(destroyed) {}
  ~Witness() { ++*destroyed; }
  std::atomic<int>* const destroyed;
};

}  // namespace

TEST_CASE("a thread that is added takes what waits while all others are held up, and ends with them") {
  ThreadExecutor executor(1);
  Event held, go_on, ran;
  executor.Post(Priority::kNormal, [&] {
    held.Set();
    go_on.BlockUntilSet(kForever);
  });
  held.BlockUntilSet(kForever);
  executor.Post(Priority::kLow, [&ran] { ran.Set(); });
  CHECK(executor.AddThread());
  ran.BlockUntilSet(kForever);
  go_on.Set();
  executor.Shutdown();
  CHECK_FALSE(executor.AddThread());
}

TEST_CASE("every posted task runs once, whatever the priority and the number of threads") {
  const int threads = GENERATE(1, 2, 4);
  ThreadExecutor executor(threads);
  std::atomic<int> ran{0};
  Event done;
  constexpr int kTasks = 1000;
  for (int i = 0; i < kTasks; ++i) {
    executor.Post(static_cast<Priority>(i % kPriorities), [&] {
      if (++ran == kTasks) done.Set();
    });
  }
  REQUIRE(executor.Wait(&done, kForever));
  CHECK(ran == kTasks);
}

TEST_CASE("on one thread higher priorities go first, and equal ones in the order of posting") {
  Event running, go, done;
  ThreadExecutor executor(1);
  executor.Post(Priority::kHigh, [&] {
    running.Set();
    go.BlockUntilSet(kForever);
  });
  REQUIRE(executor.Wait(&running, kForever));
  std::string order;
  for (char name : {'a', 'b'}) executor.Post(Priority::kLow, [&order, name] { order += name; });
  for (char name : {'c', 'd'}) executor.Post(Priority::kNormal, [&order, name] { order += name; });
  for (char name : {'e', 'f'}) executor.Post(Priority::kHigh, [&order, name] { order += name; });
  executor.Post(Priority::kLow, [&] { done.Set(); });
  go.Set();
  REQUIRE(executor.Wait(&done, kForever));
  CHECK(order == "efcdab");
}

TEST_CASE("with two threads, low work never keeps high work waiting") {
  Event running[2], stop, done;
  ThreadExecutor executor(2);
  executor.Start(Priority::kLow, std::make_unique<HoldingJob>(&running[0], &stop));
  executor.Post(Priority::kLow, [&] {
    running[1].Set();
    stop.BlockUntilSet(kForever);
  });
  REQUIRE(executor.Wait(&running[1], kForever));
  // The thread that takes low work is blocked. The other one must take these.
  executor.Post(Priority::kNormal, [&] { executor.Post(Priority::kHigh, [&] { done.Set(); }); });
  CHECK(executor.Wait(&done, kForever));
  stop.Set();
}

TEST_CASE("the steps of a job follow one another, and the job is destroyed after the last") {
  ThreadExecutor executor(4);
  constexpr int kJobs = 8;
  int taken[kJobs] = {};
  Event destroyed[kJobs];
  for (int i = 0; i < kJobs; ++i) {
    executor.Start(static_cast<Priority>(i % kPriorities),
                   std::make_unique<CountingJob>(200, &taken[i], &destroyed[i]));
  }
  for (int i = 0; i < kJobs; ++i) {
    REQUIRE(executor.Wait(&destroyed[i], kForever));
    CHECK(taken[i] == 200);
  }
}

TEST_CASE("timers fire in the order of their times, none early") {
  const int threads = GENERATE(1, 3);
  SystemClock clock;
  ThreadExecutor executor(threads);
  Mutex mutex;
  std::vector<int> order;
  Event done;
  const int64_t begin = clock.MonotonicNanos();
  std::atomic<bool> early{false};
  for (int wait_ms : {60, 20, 40}) {
    executor.PostAfter(wait_ms * kMillisecond, [&, wait_ms] {
      if (clock.MonotonicNanos() - begin < wait_ms * kMillisecond) early = true;
      MutexLock lock(&mutex);
      order.push_back(wait_ms);
      if (order.size() == 3) done.Set();
    });
  }
  REQUIRE(executor.Wait(&done, kForever));
  CHECK_FALSE(early);
  MutexLock lock(&mutex);
  // Two that are due at once may run side by side, if the machine was away for that long.
  if (threads == 1) CHECK(order == std::vector<int>{20, 40, 60});
}

TEST_CASE("a timer with an endless or negative delay does no harm") {
  Event done;
  ThreadExecutor executor(1);
  executor.PostAfter(INT64_MAX, [] {});
  executor.PostAfter(-5, [&] { done.Set(); });
  CHECK(executor.Wait(&done, kForever));
}

TEST_CASE("a wait that is not answered ends when its time has passed") {
  ThreadExecutor executor(1);
  Event never;
  CHECK_FALSE(executor.Wait(&never, kMillisecond));
  never.Set();
  CHECK(executor.Wait(&never, 0));
}

TEST_CASE("shutdown lets the running step end and destroys the rest unrun") {
  std::atomic<int> destroyed{0};
  std::atomic<int> ran{0};
  Event running;
  ThreadExecutor executor(1);
  executor.Post(Priority::kHigh, [&] {
    // Sees work after it, which must not run: shutdown is under way before this ends.
    running.Set();
    while (destroyed == 0) {
    }
    ++ran;
  });
  REQUIRE(executor.Wait(&running, kForever));
  for (int i = 0; i < 10; ++i) {
    executor.Post(Priority::kNormal, [&, w = std::make_unique<Witness>(&destroyed)] { ran += 100; });
  }
  executor.PostAfter(3'600'000 * kMillisecond, [&, w = std::make_unique<Witness>(&destroyed)] { ran += 100; });
  std::atomic<bool> stopped{false};
  {
    // Refused posts are destroyed at once, which is how the running task learns that the shutdown
    // has begun.
    std::thread poster([&] {
      while (!stopped) executor.Post(Priority::kLow, [w = std::make_unique<Witness>(&destroyed)] {});
    });
    executor.Shutdown();
    stopped = true;
    poster.join();
  }
  CHECK(ran == 1);
  const int before = destroyed;
  CHECK(before >= 11);
  executor.Post(Priority::kHigh, [&, w = std::make_unique<Witness>(&destroyed)] { ran += 100; });
  executor.PostAfter(0, [&, w = std::make_unique<Witness>(&destroyed)] { ran += 100; });
  CHECK(destroyed == before + 2);
  executor.Shutdown();
  CHECK(ran == 1);
}

}  // namespace bandb::base
