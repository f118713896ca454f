// A histogram of latencies that many threads add to, and what it held at one moment.
//
// It is log-linear: sixteen buckets for each power of two, so that a percentile is within 1/16 of
// the truth over the whole range of 64 bits. What recording costs is two relaxed atomic additions.
#ifndef BANDB_TOOLS_BANDB_BENCH_HISTOGRAM_H_
#define BANDB_TOOLS_BANDB_BENCH_HISTOGRAM_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace bandb::bench {

// What a histogram held at one moment: a plain value.
class HistogramSnapshot {
 public:
  uint64_t count() const { return count_; }
  uint64_t sum() const { return sum_; }
  // 0 when nothing was recorded, like all that follow.
  uint64_t max() const { return max_; }
  double Mean() const { return count_ == 0 ? 0 : static_cast<double>(sum_) / static_cast<double>(count_); }
  // The value that `percent` of the recorded ones do not exceed; within 1/16, and never above
  // max().
  uint64_t Percentile(double percent) const;
  // Of the recorded values greater than this, the sum, as exact as the buckets are.
  double SumAbove(uint64_t limit) const;
  // Adds what another one held.
  void Merge(const HistogramSnapshot& other);

 private:
  friend class Histogram;

  uint64_t count_ = 0;
  uint64_t sum_ = 0;
  uint64_t max_ = 0;
  std::vector<uint64_t> buckets_;
};

// Thread safety: any thread; a snapshot taken meanwhile may miss what is just being recorded.
class Histogram {
 public:
  void Record(uint64_t value);
  HistogramSnapshot Snapshot() const;

 private:
  friend class HistogramSnapshot;

  static constexpr int kSubBits = 4;
  static constexpr size_t kSubBuckets = size_t{1} << kSubBits;
  static constexpr size_t kBuckets = (64 - kSubBits + 1) * kSubBuckets;

  static size_t BucketOf(uint64_t value);
  // The largest value that falls into a bucket.
  static uint64_t BucketMax(size_t bucket);

  std::atomic<uint64_t> sum_{0};
  std::atomic<uint64_t> max_{0};
  std::array<std::atomic<uint64_t>, kBuckets> buckets_{};
};

}  // namespace bandb::bench

#endif  // BANDB_TOOLS_BANDB_BENCH_HISTOGRAM_H_
