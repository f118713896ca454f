#include "storage/table/bloom_filter.h"

#include <algorithm>

#include "base/assert.h"

namespace bandb::storage {

namespace {

constexpr uint8_t kBlockedBloomKind = 1;
constexpr size_t kTailBytes = sizeof(uint32_t) + 2 * sizeof(uint8_t);
constexpr uint32_t kProbesMax = 16;

// ln 2 probes for each bit that a key has would be best without lines; with lines a little fewer
// are.
uint32_t Probes(uint32_t bits_per_key) { return std::clamp<uint32_t>(bits_per_key * 6 / 10, 1, kProbesMax); }

}  // namespace

std::optional<BloomFilter> BloomFilter::Parse(std::string_view bytes) {
  if (bytes.size() < kTailBytes) return std::nullopt;
  const char* tail = bytes.data() + bytes.size() - kTailBytes;
  BloomFilter filter;
  filter.lines_ = bytes.data();
  filter.line_count_ = base::LoadFixed<uint32_t>(tail);
  filter.probes_ = static_cast<uint8_t>(tail[sizeof(uint32_t)]);
  const auto kind = static_cast<uint8_t>(tail[sizeof(uint32_t) + 1]);
  if (kind != kBlockedBloomKind || filter.line_count_ == 0 || filter.probes_ == 0 || filter.probes_ > kProbesMax ||
      uint64_t{filter.line_count_} * kFilterLineBytes != bytes.size() - kTailBytes) {
    return std::nullopt;
  }
  return filter;
}

BloomFilterBuilder::BloomFilterBuilder(int bits_per_key) : bits_per_key_(static_cast<uint32_t>(bits_per_key)) {
  BANDB_ASSERT(bits_per_key >= 1);
  BANDB_ASSERT(bits_per_key <= 32);
}

uint32_t BloomFilterBuilder::LineCount() const {
  const uint64_t bits = hashes_.size() * bits_per_key_;
  const uint64_t lines = (bits + kFilterLineBytes * 8 - 1) / (kFilterLineBytes * 8);
  return static_cast<uint32_t>(std::clamp<uint64_t>(lines, 1, UINT32_MAX));
}

size_t BloomFilterBuilder::filter_bytes() const { return size_t{LineCount()} * kFilterLineBytes + kTailBytes; }

std::string BloomFilterBuilder::Finish() const {
  const uint32_t line_count = LineCount();
  const uint32_t probes = Probes(bits_per_key_);
  std::string filter(size_t{line_count} * kFilterLineBytes, '\0');
  filter.reserve(filter.size() + kTailBytes);
  // The lines of a large filter are not in the cache: ask for each some keys ahead.
  constexpr size_t kAhead = 8;
  for (size_t i = 0; i < hashes_.size(); ++i) {
    if (i + kAhead < hashes_.size()) {
      __builtin_prefetch(filter.data() + BloomFilter::LineOffset(hashes_[i + kAhead], line_count), 1);
    }
    char* line = filter.data() + BloomFilter::LineOffset(hashes_[i], line_count);
    FilterProbes bits(hashes_[i]);
    for (uint32_t n = 0; n < probes; ++n) {
      const uint32_t bit = bits.NextBit();
      line[bit >> 3] = static_cast<char>(line[bit >> 3] | 1 << (bit & 7));
    }
  }
  base::PutFixed32(&filter, line_count);
  base::PutFixed8(&filter, static_cast<uint8_t>(probes));
  base::PutFixed8(&filter, kBlockedBloomKind);
  return filter;
}

}  // namespace bandb::storage
