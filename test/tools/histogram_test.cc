#include "histogram.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <thread>
#include <vector>

#include "base/random.h"
#include "support/catch.h"

namespace bandb::bench {

TEST_CASE("percentiles are those of the sorted values, within a sixteenth") {
  base::Random random(11);
  for (const int bits : {3, 10, 30, 64}) {
    const auto histogram = std::make_unique<Histogram>();
    std::vector<uint64_t> values;
    for (int i = 0; i < 5000; ++i) {
      values.push_back(random.Next() >> (64 - static_cast<int>(random.Between(1, bits))));
      histogram->Record(values.back());
    }
    std::sort(values.begin(), values.end());
    const HistogramSnapshot snapshot = histogram->Snapshot();
    CHECK(snapshot.count() == values.size());
    CHECK(snapshot.max() == values.back());
    CHECK(snapshot.Percentile(100) == values.back());
    for (const double percent : {0.0, 1.0, 50.0, 95.0, 99.0, 99.9}) {
      const size_t rank = std::max<size_t>(1, static_cast<size_t>(std::ceil(percent / 100 * 5000)));
      const uint64_t exact = values[rank - 1];
      CAPTURE(bits, percent, exact);
      CHECK(snapshot.Percentile(percent) >= exact);
      CHECK(snapshot.Percentile(percent) - exact <= exact / 16);
    }
  }
}

TEST_CASE("small values are exact, and the ends of the range hold") {
  const auto histogram = std::make_unique<Histogram>();
  for (uint64_t value : {uint64_t{0}, uint64_t{1}, uint64_t{17}, uint64_t{31}, UINT64_MAX}) histogram->Record(value);
  const HistogramSnapshot snapshot = histogram->Snapshot();
  CHECK(snapshot.Percentile(20) == 0);
  CHECK(snapshot.Percentile(40) == 1);
  CHECK(snapshot.Percentile(60) == 17);
  CHECK(snapshot.Percentile(80) == 31);
  CHECK(snapshot.Percentile(100) == UINT64_MAX);
}

TEST_CASE("an empty histogram answers zeros, and a merged one answers for both") {
  const auto one = std::make_unique<Histogram>();
  const auto two = std::make_unique<Histogram>();
  HistogramSnapshot merged;
  CHECK(merged.Percentile(50) == 0);
  CHECK(merged.Mean() == 0);
  for (int i = 0; i < 10; ++i) one->Record(10);
  for (int i = 0; i < 30; ++i) two->Record(20);
  merged.Merge(one->Snapshot());
  merged.Merge(two->Snapshot());
  CHECK(merged.count() == 40);
  CHECK(merged.sum() == 700);
  CHECK(merged.Mean() == 17.5);
  CHECK(merged.Percentile(25) == 10);
  CHECK(merged.Percentile(26) == 20);
  CHECK(merged.max() == 20);
}

}  // namespace bandb::bench
