#include "storage/compaction/rate_limit.h"

#include <algorithm>

namespace bandb::storage {

namespace {

constexpr uint64_t kNanosPerSecond = 1'000'000'000;
// No account goes further into the future, however much is said to have been written: so no sum
// overflows.
constexpr int64_t kNanosMax = INT64_MAX / 4;
// Of a second's worth, so much is done at a time.
constexpr uint64_t kStepsPerSecond = 8;
constexpr uint64_t kStepBytesMin = 16 << 10;

// Of the limit, flushes leave one part in so many, however many they are.
constexpr int64_t kCompactionsPart = 8;

// How long it may take to write so much.
int64_t NanosFor(uint64_t bytes, uint64_t bytes_per_second) {
  const uint64_t seconds = bytes / bytes_per_second;
  if (seconds >= kNanosMax / kNanosPerSecond) return kNanosMax;
  // Of less than a second; where the product would not fit, to a twentieth.
  const uint64_t rest = bytes % bytes_per_second;
  const uint64_t nanos = rest <= UINT64_MAX / kNanosPerSecond ? rest * kNanosPerSecond / bytes_per_second
                                                              : rest / (bytes_per_second / kNanosPerSecond);
  return static_cast<int64_t>(seconds * kNanosPerSecond + std::min(nanos, kNanosPerSecond));
}

// Nothing before `now_nanos` is credit.
int64_t Later(int64_t account_nanos, int64_t now_nanos, int64_t nanos) {
  const int64_t from_nanos = std::max(account_nanos, now_nanos);
  return from_nanos >= kNanosMax - nanos ? std::max(from_nanos, kNanosMax) : from_nanos + nanos;
}

}  // namespace

void RateLimit::Wrote(bool is_flush, uint64_t bytes, int64_t now_nanos) {
  if (bytes_per_second_ == 0 || bytes == 0) return;
  const int64_t nanos = NanosFor(bytes, bytes_per_second_);
  base::MutexLock lock(&mutex_);
  if (is_flush) flush_nanos_ = Later(flush_nanos_, now_nanos, nanos + nanos / (kCompactionsPart - 1));
  compaction_nanos_ = Later(compaction_nanos_, now_nanos, nanos);
}

int64_t RateLimit::WaitNanos(bool is_flush, int64_t now_nanos) const {
  if (bytes_per_second_ == 0) return 0;
  base::MutexLock lock(&mutex_);
  const int64_t due_nanos = is_flush ? flush_nanos_ : compaction_nanos_;
  return due_nanos <= now_nanos ? 0 : due_nanos - now_nanos;
}

uint64_t RateLimit::StepBytes(uint64_t bytes_max) const {
  if (bytes_per_second_ == 0) return bytes_max;
  return std::clamp(bytes_per_second_ / kStepsPerSecond, kStepBytesMin, bytes_max);
}

}  // namespace bandb::storage
