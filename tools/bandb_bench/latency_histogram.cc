#include "latency_histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace bandb::bench {

namespace {

constexpr int kSubBits = 6;
constexpr uint64_t kSubBuckets = 1 << kSubBits;

// Values below kSubBuckets have a bucket each; above, the kSubBits bits behind the leading one choose it.
size_t BucketOf(uint64_t value) {
  if (value < kSubBuckets) return value;
  const int shift = std::bit_width(value) - 1 - kSubBits;
  return (static_cast<size_t>(shift) + 1) * kSubBuckets + (value >> shift) - kSubBuckets;
}

// The largest value of a bucket.
uint64_t LimitOf(size_t bucket) {
  if (bucket < kSubBuckets) return bucket;
  const size_t shift = bucket / kSubBuckets - 1;
  return ((bucket % kSubBuckets + kSubBuckets + 1) << shift) - 1;
}

}  // namespace

LatencyHistogram::LatencyHistogram() : buckets_(BucketOf(INT64_MAX) + 1) {}

void LatencyHistogram::Add(int64_t nanos) {
  const int64_t value = std::max<int64_t>(nanos, 0);
  ++buckets_[BucketOf(static_cast<uint64_t>(value))];
  ++count_;
  sum_nanos_ += static_cast<double>(value);
  max_nanos_ = std::max(max_nanos_, value);
}

void LatencyHistogram::Clear() {
  std::fill(buckets_.begin(), buckets_.end(), 0);
  count_ = 0;
  sum_nanos_ = 0;
  max_nanos_ = 0;
}

double LatencyHistogram::AverageNanos() const { return count_ == 0 ? 0 : sum_nanos_ / static_cast<double>(count_); }

int64_t LatencyHistogram::PercentileNanos(double share) const {
  const auto wanted = static_cast<uint64_t>(std::ceil(share * static_cast<double>(count_)));
  uint64_t seen = 0;
  for (size_t i = 0; i < buckets_.size(); ++i) {
    seen += buckets_[i];
    if (seen >= wanted && seen > 0) return std::min(static_cast<int64_t>(LimitOf(i)), max_nanos_);
  }
  return 0;
}

}  // namespace bandb::bench
