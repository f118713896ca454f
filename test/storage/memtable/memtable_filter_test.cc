#include "storage/memtable/memtable_filter.h"

#include <memory>
#include <string>

#include "base/region.h"
#include "support/catch.h"

namespace bandb::storage {

namespace {

uint64_t HashOf(const char* what, int number) { return FilterHash(what + std::to_string(number)); }

}  // namespace

TEST_CASE("the filter of a memtable admits every key that was added, and few others") {
  // 2,000 keys at 16 bits each.
  const std::unique_ptr<base::Region> region = base::Region::Map(4096);
  MemtableFilter filter(region->data(), 4032);
  int admitted = 0;
  for (int i = 0; i < 10'000; ++i) admitted += filter.MayContain(HashOf("other", i)) ? 1 : 0;
  CHECK(admitted == 0);
  for (int i = 0; i < 2000; ++i) filter.Add(HashOf("key", i));
  for (int i = 0; i < 2000; ++i) {
    filter.Prefetch(HashOf("key", i));
    REQUIRE(filter.MayContain(HashOf("key", i)));
  }
  for (int i = 0; i < 10'000; ++i) admitted += filter.MayContain(HashOf("other", i)) ? 1 : 0;
  CHECK(admitted < 100);
  // Nothing past its bytes was touched.
  for (size_t i = 4032; i < 4096; ++i) REQUIRE(region->data()[i] == 0);
}

TEST_CASE("a filter of one line admits what was added") {
  const std::unique_ptr<base::Region> region = base::Region::Map(64);
  MemtableFilter filter(region->data(), 64);
  CHECK_FALSE(filter.MayContain(FilterHash("a")));
  filter.Add(FilterHash("a"));
  CHECK(filter.MayContain(FilterHash("a")));
}

}  // namespace bandb::storage
