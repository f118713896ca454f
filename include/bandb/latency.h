// How long things take, counted in buckets of fixed number: `Server::Latencies`.
#ifndef BANDB_LATENCY_H_
#define BANDB_LATENCY_H_

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/time/time.h"

namespace bandb {

// Durations by bucket, after HdrHistogram: the buckets of an octave are of equal width and those of
// the next octave twice as wide, so that each holds durations that differ by a sixteenth at most.
//
// Thread safety: as a value. Memory: 4.3 KiB, whatever is added.
class LatencyHistogram {
 public:
  // Buckets of one octave.
  static constexpr uint64_t kOctaveParts = 16;
  // Up to 137 s; what is longer is in the last one.
  static constexpr size_t kBuckets = 34 * kOctaveParts;

  // The bucket of a duration: one holds what is longer than the limit of the one before it, up to
  // its own.
  static size_t BucketOf(uint64_t nanos) {
    const uint64_t position = nanos == 0 ? 0 : nanos - 1;
    if (position < kOctaveParts) return static_cast<size_t>(position);
    const int shift = std::bit_width(position) - std::bit_width(kOctaveParts);
    const size_t bucket = static_cast<size_t>(shift) * kOctaveParts + static_cast<size_t>(position >> shift);
    return std::min(bucket, kBuckets - 1);
  }
  // The longest duration of a bucket, in nanoseconds.
  static uint64_t LimitNanos(size_t bucket) {
    if (bucket < kOctaveParts) return bucket + 1;
    const uint64_t shift = bucket / kOctaveParts - 1;
    return (kOctaveParts + bucket % kOctaveParts + 1) << shift;
  }

  // So many durations of this length.
  void Add(uint64_t nanos, uint64_t count = 1) {
    AddTo(BucketOf(nanos), count);
    sum_nanos_ += nanos * count;
    longest_nanos_ = std::max(longest_nanos_, nanos);
  }
  // The durations of another one, too.
  void Add(const LatencyHistogram& other) {
    for (size_t i = 0; i < kBuckets; i++) AddTo(i, other.counts_[i]);
    AddSum(other.sum_nanos_, other.longest_nanos_);
  }
  // Parts of one that was taken apart: durations of a bucket, and sum and maximum of all.
  void AddTo(size_t bucket, uint64_t count) {
    counts_[bucket] += count;
    count_ += count;
  }
  // See AddTo.
  void AddSum(uint64_t sum_nanos, uint64_t longest_nanos) {
    sum_nanos_ += sum_nanos;
    longest_nanos_ = std::max(longest_nanos_, longest_nanos);
  }

  // What came after `before`, an earlier state of the same. Its maximum is the limit of a bucket.
  LatencyHistogram Since(const LatencyHistogram& before) const {
    LatencyHistogram since;
    for (size_t i = 0; i < kBuckets; i++) {
      if (counts_[i] <= before.counts_[i]) continue;
      since.AddTo(i, counts_[i] - before.counts_[i]);
      since.longest_nanos_ = std::min(longest_nanos_, LimitNanos(i));
    }
    since.sum_nanos_ = sum_nanos_ - std::min(sum_nanos_, before.sum_nanos_);
    return since;
  }

  // How many there are.
  uint64_t count() const { return count_; }
  // How many are in one bucket.
  uint64_t CountIn(size_t bucket) const { return counts_[bucket]; }
  // How many are up to a limit in nanoseconds, if that is the limit of a bucket.
  uint64_t CountUpTo(uint64_t nanos) const {
    uint64_t count = 0;
    for (size_t i = 0; i < kBuckets && LimitNanos(i) <= nanos; i++) count += counts_[i];
    return count;
  }
  // Of all of them together.
  absl::Duration sum() const { return absl::Nanoseconds(static_cast<int64_t>(sum_nanos_)); }
  // The longest.
  absl::Duration max() const { return absl::Nanoseconds(static_cast<int64_t>(longest_nanos_)); }
  // As short as this or shorter was a share of them, 0 to 1: at most a sixteenth too long. None: 0.
  absl::Duration Quantile(double share) const {
    if (count_ == 0) return absl::ZeroDuration();
    const auto wanted = static_cast<uint64_t>(share * static_cast<double>(count_) + 0.9999999);
    uint64_t seen = 0;
    for (size_t i = 0; i + 1 < kBuckets; i++) {
      seen += counts_[i];
      if (seen >= std::max<uint64_t>(wanted, 1)) {
        return absl::Nanoseconds(static_cast<int64_t>(std::min(LimitNanos(i), longest_nanos_)));
      }
    }
    return max();
  }

 private:
  std::array<uint64_t, kBuckets> counts_{};
  uint64_t count_ = 0;
  uint64_t sum_nanos_ = 0;
  uint64_t longest_nanos_ = 0;
};

// How long the requests of one kind took.
struct OperationLatency {
  std::string protocol;   // "bandb", "redis" or "grpc"
  std::string operation;  // "get", "put", "delete", "batch", "scan", "transaction" and so on
  LatencyHistogram histogram;
};

// How long the calls of one hook took.
struct HookLatency {
  std::string hook;  // "before put 1": the first pre-hook on puts, in the order of registration
  LatencyHistogram histogram;
};

}  // namespace bandb

#endif  // BANDB_LATENCY_H_
