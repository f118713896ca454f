#include "storage/read/read_view.h"

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "support/catch.h"

namespace bandb::storage {

namespace {

// A view that can be told from others, and whose parts belong together.
std::unique_ptr<ReadView> MakeView(uint64_t number) {
  auto view = std::make_unique<ReadView>();
  view->memtable = std::make_shared<Memtable>(Memtable::TakeRegion(nullptr, 1 << 10), number);
  view->frozen.push_back(std::make_shared<Memtable>(Memtable::TakeRegion(nullptr, 1 << 10), number + 1));
  view->version = std::make_shared<Version>();
  return view;
}

std::weak_ptr<const Memtable> Watch(const ReadView& view) { return view.memtable; }

}  // namespace

TEST_CASE("a view lives as long as somebody reads it, and not longer") {
  ViewHolder holder;
  CHECK_FALSE(holder.Acquire());
  { const auto retired = holder.Install(MakeView(1)); }
  ViewRef first = holder.Acquire();
  REQUIRE(first);
  CHECK(first->memtable->log_number() == 1);
  const auto watched = Watch(*first);
  { const auto retired = holder.Install(MakeView(2)); }
  CHECK_FALSE(watched.expired());
  CHECK(first->memtable->log_number() == 1);
  CHECK(holder.Acquire()->memtable->log_number() == 2);
  first.Reset();
  CHECK(watched.expired());
}

TEST_CASE("what Install took back is released by its bearer, not by Install") {
  ViewHolder holder;
  { const auto retired = holder.Install(MakeView(1)); }
  const auto watched = Watch(*holder.Acquire());
  {
    const auto retired = holder.Install(MakeView(2));
    CHECK_FALSE(watched.expired());
  }
  CHECK(watched.expired());
}

TEST_CASE("a reader that has borrowed the slot of its thread gets another reference beside it") {
  ViewHolder holder;
  { const auto retired = holder.Install(MakeView(1)); }
  ViewRef outer = holder.Acquire();
  ViewRef inner = holder.Acquire();
  CHECK(outer->memtable == inner->memtable);
  const auto watched = Watch(*outer);
  outer.Reset();
  { const auto retired = holder.Install(MakeView(2)); }
  CHECK_FALSE(watched.expired());
  ViewRef moved = std::move(inner);
  moved = holder.Acquire();
  CHECK(watched.expired());
}

TEST_CASE("a view that is detached or shared outlives its holder") {
  auto holder = std::make_unique<ViewHolder>();
  { const auto retired = holder->Install(MakeView(1)); }
  ViewRef detached = holder->Acquire();
  detached.Detach();
  ViewRef shared = detached.Share();
  const auto watched = Watch(*detached);
  { const auto retired = holder->Install(nullptr); }
  CHECK_FALSE(holder->Acquire());
  holder.reset();
  detached.Reset();
  CHECK(shared->memtable->log_number() == 1);
  shared.Reset();
  CHECK(watched.expired());
}

TEST_CASE("readers on many threads see whole views that never go back, and every view is released") {
  constexpr uint64_t kViews = 3000;
  std::vector<std::weak_ptr<const Memtable>> watched;
  std::atomic<bool> done{false};
  std::atomic<uint64_t> wrong{0};
  {
    ViewHolder holder;
    { const auto retired = holder.Install(MakeView(1)); }
    const auto read = [&] {
      uint64_t seen = 0;
      for (uint64_t round = 0; !done.load(std::memory_order_acquire); ++round) {
        ViewRef view = holder.Acquire();
        const uint64_t number = view->memtable->log_number();
        if (number < seen || view->frozen[0]->log_number() != number + 1) ++wrong;
        seen = number;
        const ViewRef second = holder.Acquire();
        if (second->memtable->log_number() < number) ++wrong;
        if (round % 7 == 0) view.Detach();
      }
    };
    std::vector<std::thread> readers;
    for (int i = 0; i < 3; ++i) readers.emplace_back(read);
    for (uint64_t number = 2; number < kViews; ++number) {
      auto view = MakeView(number);
      watched.push_back(Watch(*view));
      const auto retired = holder.Install(std::move(view));
    }
    done.store(true, std::memory_order_release);
    for (std::thread& reader : readers) reader.join();
  }
  CHECK(wrong == 0);
  uint64_t alive = 0;
  for (const auto& memtable : watched) alive += memtable.expired() ? 0 : 1;
  CHECK(alive == 0);
}

}  // namespace bandb::storage
