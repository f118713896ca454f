#include "storage/table/bloom_filter.h"

#include "base/random.h"
#include "support/catch.h"

namespace bandb::storage {

TEST_CASE("a filter never denies a key that was added, and seldom admits one that was not") {
  for (const int bits : {1, 4, 10, 16, 32}) {
    for (const uint64_t count : {1, 40, 1000, 50'000}) {
      BloomFilterBuilder builder(bits);
      for (uint64_t i = 0; i < count; ++i) builder.Add(FilterHash("key" + std::to_string(i)));
      const std::string bytes = builder.Finish();
      CHECK(bytes.size() == builder.filter_bytes());
      const std::optional<BloomFilter> filter = BloomFilter::Parse(bytes);
      REQUIRE(filter.has_value());
      for (uint64_t i = 0; i < count; ++i) REQUIRE(filter->MayContain(FilterHash("key" + std::to_string(i))));
      if (count < 1000) continue;
      int admitted = 0;
      for (int i = 0; i < 20'000; ++i) admitted += filter->MayContain(FilterHash("other" + std::to_string(i))) ? 1 : 0;
      // In hundredths of a per cent; the keys are fixed, so the outcome is too.
      const int allowed = bits >= 32 ? 5 : bits >= 16 ? 20 : bits >= 10 ? 150 : bits >= 4 ? 1800 : 7000;
      CHECK(admitted / 2 <= allowed);
    }
  }
}

TEST_CASE("versions of one key count once") {
  BloomFilterBuilder once(10), often(10);
  for (int i = 0; i < 1000; ++i) {
    once.Add(FilterHash(std::to_string(i)));
    for (int version = 0; version < 5; ++version) often.Add(FilterHash(std::to_string(i)));
  }
  CHECK(once.Finish() == often.Finish());
}

TEST_CASE("a filter that is absent admits everything") {
  const BloomFilter filter;
  CHECK(filter.MayContain(FilterHash("a")));
  filter.Prefetch(FilterHash("a"));
}

TEST_CASE("bytes that are no filter are refused") {
  BloomFilterBuilder builder(10);
  for (int i = 0; i < 100; ++i) builder.Add(FilterHash(std::to_string(i)));
  const std::string good = builder.Finish();
  REQUIRE(BloomFilter::Parse(good).has_value());
  for (size_t bytes = 0; bytes < good.size(); ++bytes) {
    CHECK_FALSE(BloomFilter::Parse(std::string_view(good).substr(0, bytes)).has_value());
  }
  CHECK_FALSE(BloomFilter::Parse(good + "x").has_value());
  std::string bad = good;
  bad.back() = 2;  // a kind to come
  CHECK_FALSE(BloomFilter::Parse(bad).has_value());
  for (const char probes : {0, 17, 100}) {
    bad = good;
    bad[bad.size() - 2] = probes;
    CHECK_FALSE(BloomFilter::Parse(bad).has_value());
  }
  // A count of lines whose product with their size would wrap to what is there.
  bad = good;
  bad[bad.size() - 3] = static_cast<char>(0x80);
  CHECK_FALSE(BloomFilter::Parse(bad).has_value());
}

TEST_CASE("random bytes with a well-formed end are only ever asked inside") {
  base::Random random(5);
  for (int round = 0; round < 100; ++round) {
    const auto lines = static_cast<uint32_t>(1 + random.Uniform(5));
    std::string bytes(size_t{lines} * kFilterLineBytes, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random.Next());
    base::PutFixed32(&bytes, lines);
    base::PutFixed8(&bytes, static_cast<uint8_t>(1 + random.Uniform(16)));
    base::PutFixed8(&bytes, 1);
    const std::optional<BloomFilter> filter = BloomFilter::Parse(bytes);
    REQUIRE(filter.has_value());
    int admitted = 0;
    for (int i = 0; i < 200; ++i) admitted += filter->MayContain(random.Next() | (i == 0 ? ~uint64_t{0} : 0)) ? 1 : 0;
    CHECK(admitted <= 200);
  }
}

}  // namespace bandb::storage
