// The account of a run: a hash over everything that happened, always; and the same as readable
// lines, if asked for.
//
// Two runs of one seed must have the same hash. A difference means that something outside the seed
// took part in a decision: an address, the order of a hash container, memory that was not
// initialised.
#ifndef BANDB_TEST_SIM_TRACE_H_
#define BANDB_TEST_SIM_TRACE_H_

#include <fmt/format.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include "sim/scheduler.h"

namespace bandb::sim {

// What a line is about; part of the hash.
enum class TraceKind : uint8_t { kNote, kFault, kSend, kDeliver, kPersist, kRole, kCommit, kApply, kClient, kRead };

class Trace {
 public:
  using Sink = std::function<void(std::string_view line)>;

  // `recent_max` lines are kept for the report of a violation even without a sink; 0 keeps none and
  // is fastest.
  // `now` is the virtual time. Lifetime: it outlives the trace.
  Trace(const Nanos& now, Sink sink, size_t recent_max) : now_(now), sink_(std::move(sink)), recent_max_(recent_max) {}

  uint64_t hash() const { return hash_; }
  // True if lines are wanted. Formatting is most of the cost of tracing: check this first.
  bool wordy() const { return sink_ != nullptr || recent_max_ > 0; }
  const std::deque<std::string>& recent() const { return recent_; }

  // Takes what happened into the hash.
  void Mix(TraceKind kind, std::initializer_list<uint64_t> numbers) {
    hash_ = Step(hash_ ^ now_ ^ static_cast<uint64_t>(kind) << 56);
    for (uint64_t number : numbers) hash_ = Step(hash_ ^ number);
  }

  template <typename... Args>
  void Line(fmt::format_string<Args...> format, Args&&... args) {
    if (wordy()) Emit(fmt::format(format, std::forward<Args>(args)...));
  }

 private:
  static uint64_t Step(uint64_t x) {
    x = (x + 0x9e3779b97f4a7c15ull) * 0xbf58476d1ce4e5b9ull;
    return x ^ (x >> 29);
  }

  void Emit(const std::string& text) {
    std::string line = fmt::format("{:>12.6f} {}", static_cast<double>(now_) / kSecond, text);
    if (sink_ != nullptr) sink_(line);
    if (recent_max_ == 0) return;
    recent_.push_back(std::move(line));
    if (recent_.size() > recent_max_) recent_.pop_front();
  }

  const Nanos& now_;
  const Sink sink_;
  const size_t recent_max_;
  std::deque<std::string> recent_;
  uint64_t hash_ = 0;
};

}  // namespace bandb::sim

#endif  // BANDB_TEST_SIM_TRACE_H_
