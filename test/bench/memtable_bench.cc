// Measures the memtable: puts in several orders, reads of what is there and what is not, seeks and
// walks. For people who change it; nothing checks the numbers.
//
//   memtable_bench [mebibytes] [value_bytes]
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "storage/key/filter_hash.h"
#include "storage/memtable/memtable.h"

namespace bandb::storage {

namespace {

class Bench {
 public:
  Bench(size_t bytes, size_t value_bytes) : bytes_(bytes), value_(value_bytes, 'v') {}

  void Run() {
    const size_t entries = bytes_ / (value_.size() + 80);
    std::vector<std::string> keys;
    for (size_t i = 0; i < entries; ++i) keys.push_back(fmt::format("{:016}", i));
    Put("put in order", keys, nullptr);
    std::vector<std::string> backward(keys.rbegin(), keys.rend());
    Put("put backward", backward, nullptr);
    base::Random random(1);
    for (size_t i = entries - 1; i > 0; --i) std::swap(keys[i], keys[random.Uniform(i + 1)]);
    Memtable memtable(Memtable::TakeRegion(nullptr, bytes_), 1);
    Put("put at random", keys, &memtable);
    for (size_t i = entries - 1; i > 0; --i) std::swap(keys[i], keys[random.Uniform(i + 1)]);
    Get("get", keys, memtable, entries);
    for (std::string& key : keys) key.append("x");
    Get("get, key missing", keys, memtable, 0);
    Seek(keys, memtable);
    Walk("walk", memtable, true);
    Walk("walk backward", memtable, false);
  }

 private:
  void Report(const char* what, int64_t start, uint64_t operations) {
    const auto nanos = static_cast<double>(clock_.MonotonicNanos() - start);
    fmt::print("{:20} {:8.1f} ns\n", what, nanos / static_cast<double>(operations));
  }
  void Put(const char* what, const std::vector<std::string>& keys, Memtable* to) {
    Memtable own(Memtable::TakeRegion(nullptr, to == nullptr ? bytes_ : 1), 1);
    Memtable& memtable = to == nullptr ? own : *to;
    const int64_t start = clock_.MonotonicNanos();
    Sequence sequence = 0;
    for (const std::string& key : keys) {
      memtable.Add(++sequence, Space::kUser, {.kind = Kind::kPut, .key = key, .value = value_});
    }
    Report(what, start, keys.size());
    fmt::print("{:20} {:8.1f} bytes an entry\n", "",
               static_cast<double>(memtable.memory_bytes()) / static_cast<double>(keys.size()));
  }
  void Get(const char* what, const std::vector<std::string>& keys, const Memtable& memtable, size_t expected) {
    const int64_t start = clock_.MonotonicNanos();
    size_t found = 0;
    for (const std::string& key : keys) {
      const LookupKey lookup(Space::kUser, key, kSequenceMax);
      found += memtable.Get(lookup.internal_key(), FilterHash(lookup.spaced_key())).found ? 1 : 0;
    }
    Report(what, start, keys.size());
    if (found != expected) fmt::print("found {}\n", found);
  }
  void Seek(const std::vector<std::string>& keys, const Memtable& memtable) {
    const std::unique_ptr<Cursor> cursor = memtable.NewCursor();
    const int64_t start = clock_.MonotonicNanos();
    size_t valid = 0;
    for (const std::string& key : keys) {
      const LookupKey lookup(Space::kUser, key, kSequenceMax);
      cursor->Seek(lookup.internal_key());
      valid += cursor->Valid() ? 1 : 0;
    }
    Report("seek", start, keys.size());
    if (valid + 1 != keys.size()) fmt::print("valid {}\n", valid);
  }
  void Walk(const char* what, const Memtable& memtable, bool forward) {
    const std::unique_ptr<Cursor> cursor = memtable.NewCursor();
    const int64_t start = clock_.MonotonicNanos();
    uint64_t count = 0, sum = 0;
    for (forward ? cursor->SeekToFirst() : cursor->SeekToLast(); cursor->Valid(); ++count) {
      sum += static_cast<uint8_t>(cursor->key()[3]) + cursor->value().size();
      if (forward) {
        cursor->Next();
      } else {
        cursor->Prev();
      }
    }
    Report(what, start, count);
    if (sum == 0) fmt::print("walk is wrong\n");
  }

  const size_t bytes_;
  const std::string value_;
  base::SystemClock clock_;
};

}  // namespace

}  // namespace bandb::storage

int main(int argc, char** argv) {
  const auto argument = [&](int i, uint64_t otherwise) {
    return argc > i ? std::strtoull(argv[i], nullptr, 10) : otherwise;
  };
  bandb::storage::Bench bench(argument(1, 64) << 20, argument(2, 100));
  bench.Run();
  return 0;
}
