#include "progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <utility>

#include "standard_streams/standard_streams.h"

namespace bandb::cli {

namespace {

using standard_streams::Print;

constexpr int64_t kDrawIntervalNanos = 100'000'000;
constexpr uint64_t kBarWidth = 30;

}  // namespace

std::string Thousands(uint64_t number) {
  std::string text = std::to_string(number);
  for (int at = static_cast<int>(text.size()) - 3; at > 0; at -= 3) text.insert(static_cast<size_t>(at), 1, ',');
  return text;
}

std::string PerSecond(uint64_t number, int64_t nanos) {
  const double seconds = static_cast<double>(std::max<int64_t>(nanos, 1)) / 1e9;
  return Thousands(static_cast<uint64_t>(static_cast<double>(number) / seconds));
}

Progress::Progress(base::Clock* clock, uint64_t total_bytes, std::string unit)
    : clock_(clock),
      total_bytes_(total_bytes),
      unit_(std::move(unit)),
      watched_(::isatty(STDERR_FILENO) != 0),
      begin_nanos_(clock->MonotonicNanos()) {}

void Progress::Show(uint64_t count, uint64_t bytes) {
  if (!watched_) return;
  const int64_t now = clock_->MonotonicNanos();
  if (drawn_ && now - last_drawn_nanos_ < kDrawIntervalNanos) return;
  Draw(count, bytes, now);
}

void Progress::Finish(uint64_t count, uint64_t bytes) {
  if (!drawn_) return;
  Draw(count, bytes, clock_->MonotonicNanos());
  Print(stderr, "\n");
}

void Progress::Draw(uint64_t count, uint64_t bytes, int64_t now_nanos) {
  last_drawn_nanos_ = now_nanos;
  drawn_ = true;
  std::string bar;
  if (total_bytes_ > 0) {
    const uint64_t done = std::min(bytes, total_bytes_);
    const uint64_t filled = done * kBarWidth / total_bytes_;
    bar = fmt::format(" [{:#<{}}{:.<{}}] {:3}%", "", filled, "", kBarWidth - filled, done * 100 / total_bytes_);
  }
  Print(stderr, "\r\x1b[K{0} {3}, {1} {3}/s{2}", Thousands(count), PerSecond(count, now_nanos - begin_nanos_), bar,
        unit_);
  std::fflush(stderr);
}

}  // namespace bandb::cli
