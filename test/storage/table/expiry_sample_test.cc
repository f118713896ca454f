#include "storage/table/expiry_sample.h"

#include <algorithm>
#include <vector>

#include "base/random.h"
#include "support/catch.h"

namespace bandb::storage {

TEST_CASE("a quarter has expired when as many have, if so many ever do") {
  ExpirySample sample;
  CHECK(sample.QuarterExpiredAt(0) == UINT64_MAX);
  CHECK(sample.QuarterExpiredAt(10) == UINT64_MAX);
  sample.Add(500);
  CHECK(sample.QuarterExpiredAt(1) == 500);
  CHECK(sample.QuarterExpiredAt(4) == 500);
  CHECK(sample.QuarterExpiredAt(5) == UINT64_MAX);
  sample.Add(100);
  // One of four is enough, of five it takes both.
  CHECK(sample.QuarterExpiredAt(4) == 100);
  CHECK(sample.QuarterExpiredAt(5) == 500);
}

TEST_CASE("of many it is near to what sorting all of them says") {
  base::Random random(3);
  for (const uint64_t count : {200, 256, 257, 1000, 100'000}) {
    ExpirySample sample;
    std::vector<uint64_t> all;
    for (uint64_t i = 0; i < count; ++i) {
      all.push_back(random.Uniform(1'000'000));
      sample.Add(all.back());
    }
    std::sort(all.begin(), all.end());
    for (const uint64_t entries : {count, count * 2, count * 4}) {
      const uint64_t exact = entries / 4;
      const auto at = static_cast<uint64_t>(std::lower_bound(all.begin(), all.end(), sample.QuarterExpiredAt(entries)) -
                                            all.begin());
      CHECK(at + count / 8 >= exact);
      CHECK(at <= exact + count / 8);
    }
  }
}

}  // namespace bandb::storage
