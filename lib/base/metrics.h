// Counters, gauges and histograms: values that a component owns, and that the owner of the
// component reads.
//
// There is no registry and no name here: names are given where metrics leave the process. All of
// them cost a relaxed atomic addition on a cache line that few threads share.
//
// A histogram is log-linear: sixteen buckets for each power of two, so that a percentile is within
// 1/16 of the truth over the whole range of 64 bits.
#ifndef BANDB_BASE_METRICS_H_
#define BANDB_BASE_METRICS_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/thread_slot.h"

namespace bandb::base {

// Counts up. Thread safety: any thread; Value is a sum of parts read one after the other.
class Counter {
 public:
  void Add(uint64_t n = 1) { cells_[ThreadSlot() % kCells].value.fetch_add(n, std::memory_order_relaxed); }
  uint64_t Value() const;

 private:
  static constexpr size_t kCells = 8;
  struct alignas(64) Cell {
    std::atomic<uint64_t> value{0};
  };

  std::array<Cell, kCells> cells_;
};

// Goes up and down. Thread safety: any thread.
class Gauge {
 public:
  void Set(int64_t value) { value_.store(value, std::memory_order_relaxed); }
  void Add(int64_t delta) { value_.fetch_add(delta, std::memory_order_relaxed); }
  int64_t Value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<int64_t> value_{0};
};

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

}  // namespace bandb::base

#endif  // BANDB_BASE_METRICS_H_
