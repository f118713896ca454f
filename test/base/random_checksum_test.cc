// Numbers and checksums that files and seeds depend on: they must never change.
#include <set>
#include <string>

#include "base/checksum.h"
#include "base/random.h"
#include "support/catch.h"

namespace bandb::base {

TEST_CASE("a seed gives the same numbers for ever") {
  Random random(1);
  CHECK(random.Next() == 0xb3f2af6d0fc710c5);
  CHECK(random.Next() == 0x853b559647364cea);
  Random zero(0);
  CHECK(zero.Next() == 0x99ec5f36cb75f2b4);
}

TEST_CASE("checksums are XXH3-64, for ever") {
  std::string bytes;
  for (int i = 0; i < 1000; ++i) bytes.push_back(static_cast<char>(i * 7));
  CHECK(Hash64("") == 0x2d06800538d394c2);
  CHECK(Hash64("bandb") == 0x6d6594f34d8a9251);
  CHECK(Hash64("bandb", 42) == 0xfb7f882a43e9e7af);
  CHECK(Hash64(bytes) == 0x10ad30264426c830);
  CHECK(BlockChecksum(7, 4096, bytes) == 0x7c6dd749610894a6);
  StreamHash64 stream;
  CHECK(stream.Value() == Hash64(""));
  for (size_t at = 0; at < bytes.size(); at += 7) stream.Add(std::string_view(bytes).substr(at, 7));
  CHECK(stream.Value() == Hash64(bytes));
  CHECK(BlockChecksum(7, 0, bytes) == Hash64(bytes, 7));
}

TEST_CASE("a block checksum depends on the file, the place and every bit") {
  std::string bytes(100, 'x');
  std::set<uint64_t> seen;
  for (uint64_t seed = 0; seed < 50; ++seed) {
    for (uint64_t offset = 0; offset < 50; ++offset) seen.insert(BlockChecksum(seed, offset * 512, bytes));
  }
  CHECK(seen.size() == 2500);
  seen.clear();
  for (size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << bit % 8));
    seen.insert(BlockChecksum(1, 0, bytes));
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << bit % 8));
  }
  seen.insert(BlockChecksum(1, 0, bytes));
  CHECK(seen.size() == 801);
}

TEST_CASE("ranges are kept, and reach both ends") {
  Random random(9);
  bool low = false, high = false;
  for (int i = 0; i < 2000; ++i) {
    CHECK(random.Uniform(7) < 7);
    const int64_t between = random.Between(-3, 3);
    CHECK((between >= -3 && between <= 3));
    low |= between == -3;
    high |= between == 3;
    const double real = random.Double();
    CHECK((real >= 0 && real < 1));
    CHECK_FALSE(random.Chance(0));
    CHECK(random.Chance(1));
  }
  CHECK(low);
  CHECK(high);
  CHECK(random.Between(INT64_MIN, INT64_MAX) != random.Between(INT64_MIN, INT64_MAX));
  CHECK(random.Between(5, 5) == 5);
}

TEST_CASE("uniform numbers are uniform enough, and forks are generators of their own") {
  Random random(4);
  int counts[10] = {};
  for (int i = 0; i < 100'000; ++i) ++counts[random.Uniform(10)];
  for (const int count : counts) CHECK((count > 9500 && count < 10'500));
  Random a = random.Fork();
  Random b = random.Fork();
  int equal = 0;
  for (int i = 0; i < 1000; ++i) equal += a.Next() == b.Next();
  CHECK(equal == 0);
  CHECK(SeedFromOs() != SeedFromOs());
}

}  // namespace bandb::base
