#include "admin/task_queue.h"

#include <atomic>
#include <thread>

#include "support/catch.h"

namespace bandb::admin {

TEST_CASE("what does not fit waits outside, and all that came is done") {
  constexpr int kTasks = 100;
  std::atomic<bool> open = false;
  std::atomic<bool> first_runs = false;
  std::atomic<int> taken = 0;
  std::atomic<int> done = 0;
  TaskQueue queue(1, 2);
  queue.enqueue([&] {
    first_runs = true;
    while (!open) std::this_thread::yield();
    ++done;
  });
  while (!first_runs) std::this_thread::yield();
  std::thread source([&] {
    for (int i = 0; i < kTasks; ++i) {
      queue.enqueue([&] { ++done; });
      ++taken;
    }
  });
  while (taken < 2) std::this_thread::yield();
  for (int i = 0; i < 1000; ++i) std::this_thread::yield();
  CHECK(taken == 2);
  CHECK(done == 0);
  open = true;
  source.join();
  queue.shutdown();
  CHECK(taken == kTasks);
  CHECK(done == kTasks + 1);
}

TEST_CASE("an acceptor that waits is let go when the queue ends") {
  std::atomic<bool> open = false;
  std::atomic<int> done = 0;
  std::atomic<bool> taken = false;
  TaskQueue queue(1, 1);
  const auto task = [&] {
    taken = true;
    while (!open) std::this_thread::yield();
    ++done;
  };
  // The only thread has something to do before the end may come.
  queue.enqueue(task);
  while (!taken) std::this_thread::yield();
  std::thread acceptor([&] {
    for (int i = 0; i < 4; ++i) queue.enqueue(task);
  });
  std::thread ender([&] { queue.shutdown(); });
  acceptor.join();
  open = true;
  ender.join();
  queue.shutdown();
  // What came after the end may have found no thread, but was taken.
  CHECK(done >= 1);
}

}  // namespace bandb::admin
