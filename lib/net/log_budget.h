// How many lines a peer may cause in a log: a few at once, and then one in a while.
#ifndef BANDB_NET_LOG_BUDGET_H_
#define BANDB_NET_LOG_BUDGET_H_

#include <algorithm>
#include <cstdint>
#include <utility>

namespace bandb::net {

// A token bucket. Thread safety: one thread.
class LogBudget {
 public:
  struct Limits {
    int64_t burst = 4;
    int64_t nanos_per_line = int64_t{15} * 1000000000;
  };

  explicit LogBudget(const Limits& limits) : limits_(limits), lines_(limits.burst) {}
  LogBudget() : LogBudget(Limits()) {}

  // Whether a line may be written now. Those that may not are counted.
  bool Spend(int64_t now_nanos) {
    const int64_t earned = (now_nanos - filled_nanos_) / limits_.nanos_per_line;
    if (earned > 0) {
      lines_ = std::min(limits_.burst, lines_ + std::min(earned, limits_.burst));
      filled_nanos_ += earned * limits_.nanos_per_line;
    }
    if (lines_ == 0) {
      ++left_out_;
      return false;
    }
    --lines_;
    return true;
  }

  // Lines left out since this was last asked.
  uint64_t TakeLeftOut() { return std::exchange(left_out_, 0); }

 private:
  const Limits limits_;
  int64_t lines_;
  int64_t filled_nanos_ = 0;
  uint64_t left_out_ = 0;
};

}  // namespace bandb::net

#endif  // BANDB_NET_LOG_BUDGET_H_
