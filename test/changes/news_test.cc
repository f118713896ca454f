#include "changes/news.h"

#include <atomic>
#include <memory>

#include "base/thread.h"
#include "support/catch.h"

namespace bandb::changes {

namespace {

class Counter final : public internal::ChangeListener {
 public:
  void HasNews() override { ++told; }
  std::atomic<int> told{0};
};

}  // namespace

TEST_CASE("who waits is told once, and who does not wait any more is not") {
  News news;
  base::Event event, gone_event;
  Counter listener, gone;
  news.Tell();
  news.Add(&event);
  news.Add(&gone_event);
  news.Add(&listener);
  // Twice is once.
  news.Add(&listener);
  news.Add(&gone);
  CHECK(news.waiting() == 4);
  news.Remove(&gone_event);
  news.Remove(&gone);
  CHECK(news.waiting() == 2);
  news.Tell();
  CHECK(event.IsSet());
  CHECK_FALSE(gone_event.IsSet());
  CHECK(listener.told == 1);
  CHECK(gone.told == 0);
  CHECK(news.waiting() == 0);
  news.Tell();
  CHECK(listener.told == 1);
  // After it was told there is nothing to remove.
  news.Remove(&event);
  news.Remove(&listener);
  CHECK(news.waiting() == 0);
}

TEST_CASE("a listener that was removed is not being told, whatever other threads tell") {
  News news;
  std::atomic<bool> over{false};
  base::Thread teller([&] {
    while (!over.load()) news.Tell();
  });
  for (int i = 0; i < 20'000; ++i) {
    // Gone at the end of the turn: the sanitizers see who comes too late.
    auto listener = std::make_unique<Counter>();
    news.Add(listener.get());
    news.Remove(listener.get());
    CHECK(listener->told <= 1);
  }
  over = true;
  teller.Join();
  CHECK(news.waiting() == 0);
}

}  // namespace bandb::changes
