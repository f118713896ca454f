#include "base/mutex.h"

#include <atomic>
#include <thread>
#include <vector>

#include "base/executor.h"
#include "support/catch.h"

namespace bandb::base {

namespace {

// What a class with a mutex looks like.
class Account {
 public:
  void Deposit(int amount) ABSL_LOCKS_EXCLUDED(mutex_) {
    MutexLock lock(&mutex_);
    balance_ += amount;
    condition_.Signal();
  }
  // Waits until the balance suffices.
  void Withdraw(int amount) ABSL_LOCKS_EXCLUDED(mutex_) {
    MutexLock lock(&mutex_);
    while (balance_ < amount) condition_.Wait(&mutex_);
    balance_ -= amount;
    condition_.Signal();
  }
  int balance() const ABSL_LOCKS_EXCLUDED(mutex_) {
    MutexLock lock(&mutex_);
    return balance_;
  }

 private:
  mutable Mutex mutex_;
  CondVar condition_;
  int balance_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace

TEST_CASE("a mutex keeps threads apart, and a condition wakes those who wait for it") {
  Account account;
  std::vector<std::thread> threads;
  threads.reserve(8);
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int j = 0; j < 1000; ++j) account.Deposit(2);
    });
    threads.emplace_back([&] {
      for (int j = 0; j < 1000; ++j) account.Withdraw(1);
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(account.balance() == 4000);
}

TEST_CASE("a lock that is held is not taken twice") {
  Mutex mutex;
  mutex.Lock();
  int taken = 0;
  const auto take = [&] {
    if (!mutex.TryLock()) return;
    ++taken;
    mutex.Unlock();
  };
  std::thread(take).join();
  CHECK(taken == 0);
  mutex.Unlock();
  std::thread(take).join();
  CHECK(taken == 1);
}

TEST_CASE("a timed wait ends without a signal") {
  Mutex mutex;
  CondVar condition;
  bool ended = false;
  mutex.Lock();
  // A spurious wake-up answers true; they do not go on forever.
  for (int i = 0; i < 1000 && !ended; ++i) ended = !condition.WaitFor(&mutex, 1000);
  mutex.Unlock();
  CHECK(ended);
}

TEST_CASE("an event wakes all who wait, and can be used again") {
  Event event;
  for (int round = 0; round < 3; ++round) {
    CHECK_FALSE(event.IsSet());
    std::vector<std::thread> threads;
    threads.reserve(8);
    for (int i = 0; i < 4; ++i) threads.emplace_back([&] { event.BlockUntilSet(kForever); });
    event.Set();
    for (std::thread& thread : threads) thread.join();
    CHECK(event.IsSet());
    CHECK(event.BlockUntilSet(0));
    event.Reset();
  }
  CHECK_FALSE(event.BlockUntilSet(1000));
}

TEST_CASE("a wait ends in time, however often it is woken for nothing") {
  Event event;
  std::atomic<bool> done{false};
  // The thread that is woken finds the event reset, nearly always.
  std::thread teaser([&] {
    while (!done.load()) {
      event.Set();
      event.Reset();
    }
  });
  for (int i = 0; i < 20; ++i) (void)event.BlockUntilSet(1'000'000);
  done.store(true);
  teaser.join();
  CHECK_FALSE(event.IsSet());
}

}  // namespace bandb::base
