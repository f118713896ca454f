#include "storage/table/expiry_sample.h"

#include <algorithm>

#include "base/assert.h"

namespace bandb::storage {

void ExpirySample::Add(uint64_t expiry_ms) {
  if (count_++ % stride_ != 0) return;
  if (samples_.size() == kSamplesMax) {
    for (size_t at = 0; at < kSamplesMax / 2; ++at) samples_[at] = samples_[2 * at];
    samples_.resize(kSamplesMax / 2);
    stride_ *= 2;
  }
  samples_.push_back(expiry_ms);
}

uint64_t ExpirySample::QuarterExpiredAt(uint64_t entries) const {
  BANDB_ASSERT(count_ <= entries);
  if (count_ == 0 || count_ * 4 < entries) return UINT64_MAX;
  std::vector<uint64_t> sorted = samples_;
  std::sort(sorted.begin(), sorted.end());
  // The least part of those that expire which is a quarter of all.
  const uint64_t wanted = (entries * sorted.size() + 4 * count_ - 1) / (4 * count_);
  return sorted[std::min<uint64_t>(std::max<uint64_t>(wanted, 1), sorted.size()) - 1];
}

}  // namespace bandb::storage
