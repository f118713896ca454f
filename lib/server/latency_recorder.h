// A latency histogram that one thread fills and others may read meanwhile.
#ifndef BANDB_SERVER_LATENCY_RECORDER_H_
#define BANDB_SERVER_LATENCY_RECORDER_H_

#include <array>
#include <cstdint>

#include "bandb/latency.h"
#include "net/counters.h"

namespace bandb::server {

// Thread safety: Add by one thread, AddTo by any. No instruction of Add is locked.
class LatencyRecorder {
 public:
  void Add(uint64_t nanos, uint64_t count) {
    counts_[LatencyHistogram::BucketOf(nanos)].Add(count);
    sum_nanos_.Add(nanos * count);
    if (nanos > longest_nanos_.Get()) longest_nanos_.Add(nanos - longest_nanos_.Get());
  }
  // As it is now, each number read by itself.
  void AddTo(LatencyHistogram* histogram) const {
    for (size_t i = 0; i < counts_.size(); ++i) histogram->AddTo(i, counts_[i].Get());
    histogram->AddSum(sum_nanos_.Get(), longest_nanos_.Get());
  }

 private:
  std::array<net::Counter, LatencyHistogram::kBuckets> counts_;
  net::Counter sum_nanos_;
  net::Counter longest_nanos_;
};

}  // namespace bandb::server

#endif  // BANDB_SERVER_LATENCY_RECORDER_H_
