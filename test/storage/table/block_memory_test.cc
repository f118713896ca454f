#include "storage/table/block_memory.h"

#include <cstdint>
#include <cstring>
#include <thread>
#include <vector>

#include "support/catch.h"

namespace bandb::storage {

namespace {

constexpr uint64_t kKeptBytes = 512 << 10;

}  // namespace

TEST_CASE("memory that was given back is the next block's of its size") {
  BlockMemory memory(kKeptBytes);
  void* const first = memory.Take(4200);
  CHECK(reinterpret_cast<uintptr_t>(first) % BlockMemory::kAlignment == 0);
  CHECK(memory.kept_bytes() == 0);
  memory.Give(first, 4200);
  CHECK(memory.kept_bytes() >= 4200);
  // Larger by less than a step, and so of the same size.
  void* const second = memory.Take(4220);
  CHECK(second == first);
  CHECK(memory.kept_bytes() == 0);
  // All of it is there to be written.
  std::memset(second, 1, 4220);
  void* const other = memory.Take(4220);
  CHECK(other != second);
  memory.Give(second, 4220);
  memory.Give(other, 4220);
  // The last one first.
  CHECK(memory.Take(4220) == other);
  memory.Give(other, 4220);
}

TEST_CASE("no more memory is kept than may be") {
  BlockMemory memory(kKeptBytes);
  std::vector<void*> taken;
  for (size_t i = 0; i < 400; ++i) taken.push_back(memory.Take(1000 + i));
  for (size_t i = 0; i < 400; ++i) {
    memory.Give(taken[i], 1000 + i);
    REQUIRE(memory.kept_bytes() <= kKeptBytes);
  }
  CHECK(memory.kept_bytes() > 0);
}

TEST_CASE("what is kept follows the sizes that are asked for") {
  BlockMemory memory(kKeptBytes);
  std::vector<void*> taken;
  for (size_t i = 0; i < 100; ++i) taken.push_back(memory.Take(4096));
  for (void* piece : taken) memory.Give(piece, 4096);
  // Full of what nobody asks for any more: each that is taken pushes one of them out.
  bool kept = false;
  for (int i = 0; i < 10 && !kept; ++i) {
    void* const piece = memory.Take(8192);
    memory.Give(piece, 8192);
    void* const again = memory.Take(8192);
    kept = again == piece;
    memory.Give(again, 8192);
  }
  CHECK(kept);
}

TEST_CASE("without a bound to keep, and beyond the largest size, memory comes from the allocator") {
  BlockMemory none(0);
  void* const piece = none.Take(4096);
  none.Give(piece, 4096);
  CHECK(none.kept_bytes() == 0);
  BlockMemory memory(kKeptBytes);
  void* const large = memory.Take(1 << 20);
  std::memset(large, 1, 1 << 20);
  memory.Give(large, 1 << 20);
  CHECK(memory.kept_bytes() == 0);
}

TEST_CASE("what one thread has taken another may give back") {
  BlockMemory memory(kKeptBytes);
  std::vector<void*> taken;
  for (size_t i = 0; i < 64; ++i) taken.push_back(memory.Take(4096));
  std::vector<std::thread> threads;
  for (size_t part = 0; part < 4; ++part) {
    threads.emplace_back([&memory, &taken, part]() {
      for (size_t i = part; i < taken.size(); i += 4) {
        memory.Give(taken[i], 4096);
        void* const own = memory.Take(4096);
        std::memset(own, static_cast<int>(part), 4096);
        memory.Give(own, 4096);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(memory.kept_bytes() <= kKeptBytes);
}

}  // namespace bandb::storage
