// LCS of Redis: the longest subsequence that two values have in common.
#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/redis_command.h"

namespace bandb::server::redis {

namespace {

struct SubsequenceOptions {
  bool length = false;
  bool ranges = false;
  bool range_lengths = false;
  int64_t range_bytes_min = 0;
};

bool ParseSubsequence(RedisCall& call, SubsequenceOptions* options) {
  for (size_t i = 3; i < call.count(); ++i) {
    const std::string_view option = call.Argument(i);
    if (EqualsIgnoringCase(option, "len")) {
      options->length = true;
    } else if (EqualsIgnoringCase(option, "idx")) {
      options->ranges = true;
    } else if (EqualsIgnoringCase(option, "withmatchlen")) {
      options->range_lengths = true;
    } else if (EqualsIgnoringCase(option, "minmatchlen") && i + 1 < call.count()) {
      if (!TakeInteger(call, call.Argument(++i), &options->range_bytes_min)) return false;
    } else {
      call.reply->Error(kSyntaxError);
      return false;
    }
  }
  if (!options->length || !options->ranges) return true;
  call.reply->Error("ERR If you want both the length and indexes, please just use IDX.");
  return false;
}

// Bytes that are the same in both, from these places on.
struct CommonRange {
  size_t at_a = 0, at_b = 0;
  size_t bytes = 0;
};

// For all beginnings of both values how long the longest is, in a table that is filled row by row.
// No more than its last row is kept, and of each cell a bit: whether it is longer without the last
// byte of `a` than without that of `b`.
class CommonLengths final : public WalkState {
 public:
  CommonLengths(size_t a_bytes, size_t b_bytes)
      : a_bytes_(a_bytes), b_bytes_(b_bytes), row_(b_bytes + 1), up_(a_bytes * b_bytes) {}

  // What it holds, for the first time that this is asked; then nothing more.
  size_t TakeBytes() { return std::exchange(counted_, true) ? 0 : row_.size() * sizeof(uint32_t) + up_.size() / 8; }
  bool done() const { return at_a_ == a_bytes_ || b_bytes_ == 0; }
  uint32_t longest() const { return row_.back(); }

  // Some cells more; returns how many.
  size_t Fill(std::string_view a, std::string_view b) {
    constexpr size_t kCellsMax = 16 << 10;
    const size_t end = std::min(b_bytes_, at_b_ + kCellsMax);
    const size_t filled = end - at_b_;
    for (; at_b_ < end; ++at_b_) {
      const uint32_t above = row_[at_b_ + 1], left = row_[at_b_];
      if (a[at_a_] == b[at_b_]) {
        row_[at_b_ + 1] = diagonal_ + 1;
      } else {
        up_[at_a_ * b_bytes_ + at_b_] = above > left;
        row_[at_b_ + 1] = std::max(above, left);
      }
      diagonal_ = above;
    }
    if (at_b_ == b_bytes_) {
      ++at_a_;
      at_b_ = 0;
      diagonal_ = 0;
    }
    return filled;
  }

  // Once it is done: what both have in common, the last first.
  std::vector<CommonRange> Ranges(std::string_view a, std::string_view b) const {
    std::vector<CommonRange> ranges;
    bool goes_on = false;
    size_t i = a_bytes_, j = b_bytes_;
    while (i > 0 && j > 0) {
      if (a[i - 1] == b[j - 1]) {
        --i;
        --j;
        if (!std::exchange(goes_on, true)) ranges.emplace_back();
        ranges.back() = {i, j, ranges.back().bytes + 1};
      } else {
        goes_on = false;
        if (up_[(i - 1) * b_bytes_ + j - 1]) {
          --i;
        } else {
          --j;
        }
      }
    }
    return ranges;
  }

 private:
  const size_t a_bytes_, b_bytes_;
  std::vector<uint32_t> row_;
  std::vector<bool> up_;
  size_t at_a_ = 0, at_b_ = 0;  // the next cell
  uint32_t diagonal_ = 0;       // what was above the one before it
  bool counted_ = false;
};

void ReplyRanges(RedisCall& call, const SubsequenceOptions& options, std::vector<CommonRange> ranges,
                 uint32_t longest) {
  const auto is_short = [least = options.range_bytes_min](const CommonRange& range) {
    return static_cast<int64_t>(range.bytes) < least;
  };
  ranges.erase(std::remove_if(ranges.begin(), ranges.end(), is_short), ranges.end());
  call.reply->MapHead(2);
  call.reply->Bulk("matches");
  call.reply->ArrayHead(ranges.size());
  for (const CommonRange& range : ranges) {
    call.reply->ArrayHead(options.range_lengths ? 3 : 2);
    for (const size_t at : {range.at_a, range.at_b}) {
      call.reply->ArrayHead(2);
      call.reply->Integer(static_cast<int64_t>(at));
      call.reply->Integer(static_cast<int64_t>(at + range.bytes - 1));
    }
    if (options.range_lengths) call.reply->Integer(static_cast<int64_t>(range.bytes));
  }
  call.reply->Bulk("len");
  call.reply->Integer(longest);
}

}  // namespace

void Lcs(RedisCall& call) {
  SubsequenceOptions options;
  if (!ParseSubsequence(call, &options)) return;
  const StoredEntry* entry = call.data->Get(call.Argument(1));
  const std::string_view a = entry == nullptr ? std::string_view() : entry->value;
  entry = call.data->Get(call.Argument(2));
  const std::string_view b = entry == nullptr ? std::string_view() : entry->value;
  if (!call.data->status().ok()) return;
  // What Redis' own table would take: so what it refuses is refused.
  if ((a.size() + 1) * (b.size() + 1) * sizeof(uint32_t) > call.environment->value_bytes_max) {
    return call.reply->Error("ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len");
  }
  auto& lengths = call.data->Remember<CommonLengths>(a.size(), b.size());
  if (const size_t bytes = lengths.TakeBytes(); bytes != 0) call.data->Keep(bytes);
  while (!lengths.done()) {
    if (call.data->Yield()) return;
    call.data->Spend(lengths.Fill(a, b) * kWorkPerMatchStep);
  }
  if (options.length) return call.reply->Integer(lengths.longest());
  std::vector<CommonRange> ranges = lengths.Ranges(a, b);
  if (options.ranges) return ReplyRanges(call, options, std::move(ranges), lengths.longest());
  std::string text;
  std::for_each(ranges.rbegin(), ranges.rend(),
                [&](const CommonRange& range) { text += a.substr(range.at_a, range.bytes); });
  call.reply->Bulk(text);
}

}  // namespace bandb::server::redis
