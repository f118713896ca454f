// Counts of latencies, for percentiles.
//
// Buckets grow with the value: each power of two is cut in 64, so a percentile is off by at most 1.6 %, and counting is
// one addition.
#ifndef BANDB_TOOLS_BANDB_BENCH_LATENCY_HISTOGRAM_H_
#define BANDB_TOOLS_BANDB_BENCH_LATENCY_HISTOGRAM_H_

#include <cstddef>
#include <cstdint>
#include <vector>

namespace bandb::bench {

// Thread safety: one thread at a time.
class LatencyHistogram {
 public:
  LatencyHistogram();

  void Add(int64_t nanos);
  void Clear();

  uint64_t count() const { return count_; }
  double AverageNanos() const;
  // The latency that this share of all, 0 to 1, did not exceed; 0 if there is none.
  int64_t PercentileNanos(double share) const;
  int64_t max_nanos() const { return max_nanos_; }

 private:
  std::vector<uint64_t> buckets_;
  uint64_t count_ = 0;
  double sum_nanos_ = 0;
  int64_t max_nanos_ = 0;
};

}  // namespace bandb::bench

#endif  // BANDB_TOOLS_BANDB_BENCH_LATENCY_HISTOGRAM_H_
