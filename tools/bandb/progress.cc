#include "progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace bandb::cli {

namespace {

constexpr int64_t kDrawIntervalNanos = 100'000'000;
constexpr uint64_t kBarWidth = 30;

}  // namespace

std::string Thousands(uint64_t number) {
  std::string text = std::to_string(number);
  for (int at = static_cast<int>(text.size()) - 3; at > 0; at -= 3) text.insert(static_cast<size_t>(at), 1, ',');
  return text;
}

Progress::Progress(base::Clock* clock, uint64_t total_bytes)
    : clock_(clock),
      total_bytes_(total_bytes),
      watched_(::isatty(STDERR_FILENO) != 0),
      begin_nanos_(clock->MonotonicNanos()),
      last_drawn_nanos_(begin_nanos_) {}

void Progress::Show(uint64_t lines, uint64_t bytes) {
  if (!watched_) return;
  const int64_t now = clock_->MonotonicNanos();
  if (now - last_drawn_nanos_ < kDrawIntervalNanos) return;
  last_drawn_nanos_ = now;
  drawn_ = true;
  const double seconds = static_cast<double>(now - begin_nanos_) / 1e9;
  const std::string rate = Thousands(static_cast<uint64_t>(static_cast<double>(lines) / seconds));
  std::string bar;
  if (total_bytes_ > 0) {
    const uint64_t done = std::min(bytes, total_bytes_);
    const uint64_t filled = done * kBarWidth / total_bytes_;
    bar = fmt::format(" [{:#<{}}{:.<{}}] {:3}%", "", filled, "", kBarWidth - filled, done * 100 / total_bytes_);
  }
  fmt::print(stderr, "\r\x1b[K{} lines, {} lines/s{}", Thousands(lines), rate, bar);
  std::fflush(stderr);
}

void Progress::Finish() {
  if (!drawn_) return;
  fmt::print(stderr, "\r\x1b[K");
  std::fflush(stderr);
}

}  // namespace bandb::cli
