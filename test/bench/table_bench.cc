// Measures the table layer: building, opening, point reads, seeks and walks, on a table in memory.
// For people who change it; nothing checks the numbers.
//
//   table_bench [entries] [block_bytes] [value_bytes]
#include <fmt/format.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "base/clock.h"
#include "storage/table/table_cursor.h"
#include "storage/table/table_fixture.h"

namespace bandb::storage {

namespace {

class Bench {
 public:
  Bench(uint64_t entries, uint32_t block_bytes, size_t value_bytes) : entries_(entries), cache_(uint64_t{4} << 30) {
    options_.block_bytes = block_bytes;
    value_.assign(value_bytes, 'v');
  }
  void Run() {
    Build();
    if (!Open()) return;
    Walk("walk, blocks not cached", true);
    Walk("walk, cached", true);
    Walk("walk backward, cached", false);
    Gets("get, cached", true, 0);
    Gets("get with filter, cached", true, 1);
    Gets("filter, key missing", false, 1);
    Gets("get without filter, key missing", false, 0);
    Seeks();
  }

 private:
  // Decimal, of 16 bytes; only even numbers are in the table.
  static std::string UserKey(uint64_t number) { return fmt::format("{:016}", number); }
  void Report(const char* what, int64_t nanos, uint64_t operations) {
    fmt::print("{:34} {:8.1f} ns\n", what, static_cast<double>(nanos) / static_cast<double>(operations));
  }

  void Build() {
    StringFile file(&content_);
    content_.reserve(entries_ * (value_.size() + 64));
    std::vector<std::string> keys;
    keys.reserve(entries_);
    for (uint64_t i = 0; i < entries_; ++i) keys.push_back(Key(UserKey(2 * i), i + 1));
    const int64_t start = clock_.MonotonicNanos();
    TableBuilder builder(&file, TestHeader(), options_);
    for (const std::string& key : keys) builder.Add(key, value_);
    const auto summary = builder.Finish();
    const int64_t nanos = clock_.MonotonicNanos() - start;
    Report("add", nanos, entries_);
    fmt::print("{:34} {:8.1f} MB/s of {} bytes, {}\n", "",
               static_cast<double>(content_.size()) * 1e3 / static_cast<double>(nanos), content_.size(),
               summary.ok() ? "ok" : "failed");
  }
  bool Open() {
    const int64_t start = clock_.MonotonicNanos();
    auto table = OpenTable(content_, &cache_);
    Report("open", clock_.MonotonicNanos() - start, 1);
    if (!table.ok()) return false;
    table_ = *std::move(table);
    fmt::print("{:34} {:8} bytes of index and filter\n", "",
               table_->memory_bytes() + cache_.GetStats().partition_bytes);
    return true;
  }
  void Walk(const char* what, bool forward) {
    const auto cursor = NewTableCursor(*table_);
    const int64_t start = clock_.MonotonicNanos();
    uint64_t sum = 0;
    if (forward) {
      for (cursor->SeekToFirst(); cursor->Valid(); cursor->Next()) sum += cursor->key().size() + cursor->value().size();
    } else {
      for (cursor->SeekToLast(); cursor->Valid(); cursor->Prev()) sum += cursor->key().size() + cursor->value().size();
    }
    Report(what, clock_.MonotonicNanos() - start, entries_);
    if (sum != entries_ * (25 + value_.size())) fmt::print("walk is wrong\n");
  }
  void Gets(const char* what, bool present, int with_filter) {
    base::Random random(9);
    std::vector<std::string> keys;
    keys.reserve(200'000);
    for (int i = 0; i < 200'000; ++i) keys.push_back(UserKey(2 * random.Uniform(entries_) + (present ? 0 : 1)));
    uint64_t found = 0;
    GetResult result;
    const int64_t start = clock_.MonotonicNanos();
    for (const std::string& key : keys) {
      const LookupKey lookup(Space::kUser, key, kSequenceMax);
      std::optional<uint64_t> hash;
      if (with_filter != 0) hash = FilterHash(lookup.spaced_key());
      if (table_->Get(lookup.internal_key(), true, &result, hash).ok() && result.found) {
        found += static_cast<uint8_t>(result.value[0]) != 0 ? 1 : 0;
      }
    }
    Report(what, clock_.MonotonicNanos() - start, keys.size());
    if (found != (present ? keys.size() : 0)) fmt::print("found {}\n", found);
  }
  void Seeks() {
    base::Random random(10);
    std::vector<std::string> keys;
    keys.reserve(100'000);
    for (int i = 0; i < 100'000; ++i) keys.push_back(SeekKey(UserKey(2 * random.Uniform(entries_) + 1)));
    const auto cursor = NewTableCursor(*table_);
    uint64_t valid = 0;
    const int64_t start = clock_.MonotonicNanos();
    for (const std::string& key : keys) {
      cursor->Seek(key);
      for (int i = 0; i < 50 && cursor->Valid(); ++i) {
        ++valid;
        cursor->Next();
      }
    }
    Report("seek and 50 steps", clock_.MonotonicNanos() - start, keys.size());
    const int64_t again = clock_.MonotonicNanos();
    for (const std::string& key : keys) {
      cursor->Seek(key);
      valid += cursor->Valid() ? 1 : 0;
    }
    Report("seek", clock_.MonotonicNanos() - again, keys.size());
    if (valid == 0) fmt::print("nothing valid\n");
  }

  const uint64_t entries_;
  base::SystemClock clock_;
  BlockCache cache_;
  TableOptions options_;
  std::string value_;
  std::string content_;
  std::unique_ptr<TableReader> table_;
};

}  // namespace

}  // namespace bandb::storage

int main(int argc, char** argv) {
  const auto argument = [&](int i, uint64_t otherwise) {
    return argc > i ? std::strtoull(argv[i], nullptr, 10) : otherwise;
  };
  bandb::storage::Bench bench(argument(1, 500'000), static_cast<uint32_t>(argument(2, 4096)), argument(3, 100));
  bench.Run();
  return 0;
}
