#include "histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "base/assert.h"

namespace bandb::bench {

size_t Histogram::BucketOf(uint64_t value) {
  if (value < kSubBuckets) return static_cast<size_t>(value);
  const int shift = std::bit_width(value) - 1 - kSubBits;
  // The top bit says which row, the next kSubBits which bucket of it.
  return static_cast<size_t>(shift) * kSubBuckets + static_cast<size_t>(value >> shift);
}

uint64_t Histogram::BucketMax(size_t bucket) {
  BANDB_ASSERT(bucket < kBuckets);
  if (bucket < 2 * kSubBuckets) return bucket;
  const size_t shift = bucket / kSubBuckets - 1;
  const uint64_t leading = bucket % kSubBuckets + kSubBuckets;
  return (leading << shift) + ((uint64_t{1} << shift) - 1);
}

void Histogram::Record(uint64_t value) {
  buckets_[BucketOf(value)].fetch_add(1, std::memory_order_relaxed);
  sum_.fetch_add(value, std::memory_order_relaxed);
  uint64_t max = max_.load(std::memory_order_relaxed);
  while (value > max && !max_.compare_exchange_weak(max, value, std::memory_order_relaxed)) {
  }
}

HistogramSnapshot Histogram::Snapshot() const {
  HistogramSnapshot snapshot;
  snapshot.buckets_.reserve(kBuckets);
  for (const std::atomic<uint64_t>& bucket : buckets_) {
    snapshot.buckets_.push_back(bucket.load(std::memory_order_relaxed));
    snapshot.count_ += snapshot.buckets_.back();
  }
  snapshot.sum_ = sum_.load(std::memory_order_relaxed);
  snapshot.max_ = max_.load(std::memory_order_relaxed);
  return snapshot;
}

uint64_t HistogramSnapshot::Percentile(double percent) const {
  if (count_ == 0) return 0;
  const double share = std::clamp(percent, 0.0, 100.0) / 100.0;
  const auto rank = std::max<uint64_t>(1, static_cast<uint64_t>(std::ceil(share * static_cast<double>(count_))));
  uint64_t seen = 0;
  for (size_t i = 0; i < buckets_.size(); ++i) {
    seen += buckets_[i];
    if (seen >= rank) return std::min(Histogram::BucketMax(i), max_);
  }
  return max_;
}

double HistogramSnapshot::SumAbove(uint64_t limit) const {
  double sum = 0;
  for (size_t bucket = 0; bucket < buckets_.size(); ++bucket) {
    const uint64_t value = std::min(Histogram::BucketMax(bucket), max_);
    if (value > limit) sum += static_cast<double>(buckets_[bucket]) * static_cast<double>(value);
  }
  return sum;
}

void HistogramSnapshot::Merge(const HistogramSnapshot& other) {
  count_ += other.count_;
  sum_ += other.sum_;
  max_ = std::max(max_, other.max_);
  buckets_.resize(std::max(buckets_.size(), other.buckets_.size()));
  for (size_t i = 0; i < other.buckets_.size(); ++i) buckets_[i] += other.buckets_[i];
}

}  // namespace bandb::bench
