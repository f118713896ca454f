// The stepped executor itself.
#include "support/step_executor.h"

#include <set>
#include <string>
#include <vector>

#include "support/catch.h"
#include "support/test_env.h"

namespace bandb::test {

namespace {

using base::Priority;

// Writes its letter at each step.
class LetterJob final : public base::Job {
 public:
  LetterJob(std::string* text, char letter, int steps) : text_(text), letter_(letter), steps_(steps) {}
  Next Step() override {
    *text_ += letter_;
    return --steps_ == 0 ? Next::kDone : Next::kAgain;
  }

 private:
  std::string* const text_;
  const char letter_;
  int steps_;
};

std::string RunLetters(uint64_t seed, uint64_t* trace) {
  ManualClock clock;
  StepExecutor executor(&clock, seed);
  std::string text;
  for (char letter : {'a', 'b', 'c'}) executor.Start(Priority::kLow, std::make_unique<LetterJob>(&text, letter, 5));
  for (char letter : {'1', '2', '3'}) executor.Post(Priority::kHigh, [&text, letter] { text += letter; });
  executor.RunReady();
  *trace = executor.trace();
  return text;
}

}  // namespace

TEST_CASE("the same seed gives the same run, and other seeds others") {
  std::set<std::string> runs;
  std::set<uint64_t> traces;
  for (uint64_t seed = 0; seed < 50; ++seed) {
    uint64_t first_trace = 0, second_trace = 0;
    const std::string first = RunLetters(seed, &first_trace);
    CHECK(first == RunLetters(seed, &second_trace));
    CHECK(first_trace == second_trace);
    CHECK(first.size() == 18);
    // Within a priority tasks begin in the order of posting, and so do jobs.
    CHECK(first.find('1') < first.find('2'));
    CHECK(first.find('2') < first.find('3'));
    CHECK(first.find('a') < first.find('b'));
    runs.insert(first);
    traces.insert(first_trace);
  }
  CHECK(runs.size() > 45);
  CHECK(traces.size() > 45);
}

TEST_CASE("timers fire in virtual time, in order, and waiting makes it pass") {
  TestEnv env(1);
  std::string order;
  base::Event done;
  env.executor().PostAfter(3'600'000'000'000, [&] {
    order += 'c';
    done.Set();
  });
  env.executor().PostAfter(1'000'000'000, [&] { order += 'b'; });
  env.executor().PostAfter(0, [&] { order += 'a'; });
  const int64_t begin = env.clock().MonotonicNanos();
  CHECK(env.executor().Wait(&done, base::kForever));
  CHECK(order == "abc");
  CHECK(env.clock().MonotonicNanos() - begin >= 3'600'000'000'000);
  CHECK(env.executor().idle());
}

TEST_CASE("a wait ends at its time, and timers behind it do not fire") {
  TestEnv env(1);
  bool fired = false;
  env.executor().PostAfter(2'000'000'000, [&] { fired = true; });
  base::Event never;
  const int64_t begin = env.clock().MonotonicNanos();
  CHECK_FALSE(env.executor().Wait(&never, 1'000'000'000));
  CHECK(env.clock().MonotonicNanos() - begin == 1'000'000'000);
  CHECK_FALSE(fired);
  CHECK_FALSE(env.executor().Wait(&never, 0));
  env.executor().RunFor(1'500'000'000);
  CHECK(fired);
}

TEST_CASE("what has not run at shutdown is destroyed unrun, and so is what comes later") {
  TestEnv env(1);
  int destroyed = 0;
  bool ran = false;
  struct Witness {
    explicit Witness(int* count) : count(count) {}
    ~Witness() { ++*count; }
    int* const count;
  };
  env.executor().Post(Priority::kNormal, [&ran, w = std::make_unique<Witness>(&destroyed)] { ran = true; });
  env.executor().PostAfter(5, [&ran, w = std::make_unique<Witness>(&destroyed)] { ran = true; });
  env.executor().Shutdown();
  CHECK(destroyed == 2);
  env.executor().Post(Priority::kNormal, [&ran, w = std::make_unique<Witness>(&destroyed)] { ran = true; });
  CHECK(destroyed == 3);
  CHECK_FALSE(env.executor().RunOne());
  CHECK_FALSE(ran);
}

TEST_CASE("the wall clock goes with the other one and can be set") {
  ManualClock clock;
  const int64_t wall = clock.WallMillis();
  clock.AdvanceMillis(1500);
  CHECK(clock.WallMillis() == wall + 1500);
  clock.JumpWallMillis(-5000);
  CHECK(clock.WallMillis() == wall - 3500);
}

}  // namespace bandb::test
