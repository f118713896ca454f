// A batch for which there is no memory: a call that throws has changed nothing.
#include <cstdlib>
#include <functional>
#include <new>
#include <string>

#include "bandb/write_batch.h"
#include "base/random.h"
#include "kv/batch_format.h"
#include "support/catch.h"

namespace {

// How many allocations of this thread succeed before one is refused; negative: all do.
thread_local int allocations_left = -1;
thread_local int allocations = 0;

}  // namespace

// Every form that the standard library asks for: a sanitizer would take what is left to it for its
// own. Not inlined: the compiler would see malloc and delete meet and take it for a mistake.
[[gnu::noinline]] void* operator new(size_t size, const std::nothrow_t&) noexcept {
  ++allocations;
  if (allocations_left >= 0 && allocations_left-- == 0) return nullptr;
  return std::malloc(size == 0 ? 1 : size);
}
[[gnu::noinline]] void* operator new(size_t size) {
  void* const memory = operator new(size, std::nothrow);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, size_t) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, const std::nothrow_t&) noexcept { std::free(memory); }

namespace bandb {

namespace {

struct Change {
  const char* name;
  std::function<void(WriteBatch*)> make;
};

// Whether `make` went through with its allocation `n` refused, counted from zero.
bool MakeRefused(const Change& change, WriteBatch* batch, int n) {
  allocations_left = n;
  bool refused = false;
  try {
    change.make(batch);
  } catch (const std::bad_alloc&) {
    refused = true;
  }
  allocations_left = -1;
  return !refused;
}

// That counts and bytes are of the same items, and are these.
void CheckIs(const WriteBatch& batch, const std::string& bytes, size_t operations, size_t conditions) {
  CHECK(batch.Serialize() == bytes);
  CHECK(batch.OperationCount() == operations);
  CHECK(batch.ConditionCount() == conditions);
}

}  // namespace

TEST_CASE("a change of a batch for which there is no memory throws, and has changed nothing") {
  const std::string key(100, 'k'), value(300, 'v');
  WriteBatch other;
  other.Put(key, value);
  other.Delete(key);
  other.RequireValue(key, value);
  other.RequireAbsent(key);
  const Change changes[] = {
      {"Put", [&](WriteBatch* batch) { batch->Put(key, value); }},
      {"PutWithTtl", [&](WriteBatch* batch) { batch->PutWithTtl(key, value, absl::Seconds(1)); }},
      {"PutUntil", [&](WriteBatch* batch) { batch->PutUntil(key, value, absl::UnixEpoch()); }},
      {"Delete", [&](WriteBatch* batch) { batch->Delete(key); }},
      {"DeleteRange", [&](WriteBatch* batch) { batch->DeleteRange(key, value); }},
      {"RequireValue", [&](WriteBatch* batch) { batch->RequireValue(key, value); }},
      {"RequirePresent", [&](WriteBatch* batch) { batch->RequirePresent(key); }},
      {"RequireAbsent", [&](WriteBatch* batch) { batch->RequireAbsent(key); }},
      {"RequireVersion", [&](WriteBatch* batch) { batch->RequireVersion(key, 300); }},
      {"RequireEmptyRange", [&](WriteBatch* batch) { batch->RequireEmptyRange(key, value); }},
      {"Append", [&](WriteBatch* batch) { batch->Append(other); }},
      {"Append to itself", [&](WriteBatch* batch) { batch->Append(*batch); }},
      {"copy", [&](WriteBatch* batch) { *batch = other; }},
  };
  for (const Change& change : changes) {
    // From nothing, and from strings that are full at several places in an item.
    for (size_t filled = 0; filled < 64; ++filled) {
      INFO(change.name << ", " << filled << " bytes before");
      bool done = false;
      for (int n = 0; !done; ++n) {
        REQUIRE(n < 10);
        WriteBatch batch;
        if (filled > 0) {
          batch.Put("", std::string(filled, 'x'));
          batch.RequireValue("", std::string(filled, 'x'));
        }
        const std::string before = batch.Serialize();
        done = MakeRefused(change, &batch, n);
        if (done) continue;
        CheckIs(batch, before, filled > 0 ? 1 : 0, filled > 0 ? 1 : 0);
        // And it can be gone on with.
        change.make(&batch);
        WriteBatch expected;
        REQUIRE_OK(WriteBatch::Parse(before).status());
        expected = *WriteBatch::Parse(before);
        change.make(&expected);
        CheckIs(batch, expected.Serialize(), expected.OperationCount(), expected.ConditionCount());
      }
    }
  }
}

TEST_CASE("a batch grows in few steps") {
  WriteBatch batch, one;
  one.Put("key", "value");
  one.RequirePresent("key");
  allocations = 0;
  for (int i = 0; i < 20'000; ++i) {
    batch.Put("key", "value");
    batch.RequirePresent("key");
    batch.Append(one);
  }
  CHECK(allocations < 60);
}

TEST_CASE("a copy into a batch that has the memory takes none") {
  WriteBatch batch, other;
  batch.Put("key", std::string(1000, 'x'));
  batch.RequireValue("key", std::string(1000, 'x'));
  other.Delete(std::string(500, 'k'));
  other.RequireAbsent(std::string(500, 'k'));
  allocations = 0;
  batch = other;
  CHECK(allocations == 0);
  CheckIs(batch, other.Serialize(), 1, 1);
  WriteBatch& same = batch;
  batch = same;
  CheckIs(batch, other.Serialize(), 1, 1);
}

}  // namespace bandb
