#include "cluster/log_clock.h"

#include <algorithm>
#include <memory>
#include <string_view>
#include <utility>

#include "base/assert.h"
#include "base/coding.h"
#include "base/status.h"
#include "kv/batch_format.h"
#include "storage/engine/log_clock_key.h"

namespace bandb::cluster {

namespace {

using storage::kLogClockKey;

constexpr uint8_t kClockVersion = 1;

class ShownIterator final : public Iterator {
 public:
  ShownIterator(std::unique_ptr<Iterator> iterator, uint64_t ahead_ms)
      : iterator_(std::move(iterator)), ahead_ms_(ahead_ms) {}

  bool Valid() const override { return iterator_->Valid(); }
  void SeekToFirst() override { iterator_->SeekToFirst(); }
  void SeekToLast() override { iterator_->SeekToLast(); }
  void Seek(std::string_view target) override { iterator_->Seek(target); }
  void SeekForPrev(std::string_view target) override { iterator_->SeekForPrev(target); }
  void Next() override { iterator_->Next(); }
  void Prev() override { iterator_->Prev(); }
  std::string_view key() const override { return iterator_->key(); }
  std::string_view value() const override { return iterator_->value(); }
  absl::Time expiry() const override {
    const absl::Time expiry = iterator_->expiry();
    return expiry == absl::InfiniteFuture() ? expiry : absl::FromUnixMillis(ExpiryByTheClock(expiry, ahead_ms_));
  }
  uint64_t version() const override { return iterator_->version(); }
  std::string_view resume_key() const override { return iterator_->resume_key(); }
  absl::Status status() const override { return iterator_->status(); }

 private:
  const std::unique_ptr<Iterator> iterator_;
  const uint64_t ahead_ms_;
};

}  // namespace

absl::StatusOr<LogClock> LogClock::Load(Iterator* system) {
  LogClock clock;
  system->Seek(kLogClockKey);
  BANDB_RETURN_IF_ERROR(system->status());
  if (!system->Valid() || system->key() != kLogClockKey) return clock;
  const absl::Status malformed =
      base::Error(absl::StatusCode::kDataLoss, "the accepted clocks in space 0 are malformed");
  base::ByteReader reader(system->value());
  uint8_t version = 0;
  uint64_t count = 0;
  if (!reader.ReadFixed(&version) || version != kClockVersion || !reader.ReadVarint(&count) || count > kAcceptedMax) {
    return malformed;
  }
  for (uint64_t i = 0; i < count; ++i) {
    Accepted accepted;
    const bool whole = reader.ReadVarint(&accepted.since_ms) && reader.ReadVarint(&accepted.ahead_ms);
    const bool grows = clock.accepted_.empty() || (accepted.since_ms >= clock.accepted_.back().since_ms &&
                                                   accepted.ahead_ms > clock.accepted_.back().ahead_ms);
    if (!whole || !grows || accepted.ahead_ms == 0 || accepted.ahead_ms > accepted.since_ms) return malformed;
    clock.accepted_.push_back(accepted);
  }
  return reader.empty() ? absl::StatusOr<LogClock>(std::move(clock)) : malformed;
}

uint64_t LogClock::ToClock(uint64_t log_ms) const {
  const auto later = std::upper_bound(accepted_.begin(), accepted_.end(), log_ms,
                                      [](uint64_t ms, const Accepted& accepted) { return ms < accepted.since_ms; });
  return later == accepted_.begin() ? log_ms : log_ms - std::prev(later)->ahead_ms;
}

uint64_t LogClock::ToLog(uint64_t clock_ms) const {
  for (auto accepted = accepted_.rbegin(); accepted != accepted_.rend(); ++accepted) {
    const uint64_t log_ms = clock_ms > UINT64_MAX - accepted->ahead_ms ? UINT64_MAX : clock_ms + accepted->ahead_ms;
    if (log_ms >= accepted->since_ms) return log_ms;
  }
  return clock_ms;
}

bool LogClock::Accept(uint64_t log_ms, uint64_t now_ahead_ms) {
  if (now_ahead_ms <= ahead_ms() || now_ahead_ms > log_ms) return false;
  // What is stored may be of a time that this log has not come to.
  if (!accepted_.empty() && log_ms < accepted_.back().since_ms) return false;
  if (accepted_.size() == kAcceptedMax) ForgetLeast();
  accepted_.push_back({.since_ms = log_ms, .ahead_ms = now_ahead_ms});
  return true;
}

void LogClock::ForgetLeast() {
  size_t least = 0;
  uint64_t least_ms = UINT64_MAX;
  uint64_t before_ms = 0;
  for (size_t i = 0; i < accepted_.size(); ++i) {
    const uint64_t more_ms = accepted_[i].ahead_ms - std::exchange(before_ms, accepted_[i].ahead_ms);
    if (more_ms >= least_ms) continue;
    least = i;
    least_ms = more_ms;
  }
  accepted_.erase(accepted_.begin() + static_cast<ptrdiff_t>(least));
}

std::string LogClock::Keep() const {
  std::string value;
  base::PutFixed8(&value, kClockVersion);
  base::PutVarint(&value, accepted_.size());
  for (const Accepted& accepted : accepted_) {
    base::PutVarint(&value, accepted.since_ms);
    base::PutVarint(&value, accepted.ahead_ms);
  }
  std::string operations;
  kv::AppendOperation(&operations, {.kind = kv::Kind::kPut, .key = kLogClockKey, .value = value});
  BANDB_ASSERT(operations.size() <= BytesMax());
  return operations;
}

uint64_t LogClock::BytesMax() {
  return 1 + 2 * base::kVarint64BytesMax + kLogClockKey.size() + 2 + 2 * kAcceptedMax * base::kVarint64BytesMax;
}

std::unique_ptr<Iterator> ShowByTheClock(std::unique_ptr<Iterator> iterator, uint64_t ahead_ms) {
  if (ahead_ms == 0) return iterator;
  return std::make_unique<ShownIterator>(std::move(iterator), ahead_ms);
}

int64_t ExpiryByTheClock(absl::Time expiry, uint64_t ahead_ms) {
  const int64_t ms = absl::ToUnixMillis(expiry);
  if (ms == INT64_MAX) return ms;
  return ms - static_cast<int64_t>(std::min<uint64_t>(ahead_ms, INT64_MAX));
}

}  // namespace bandb::cluster
