// How long work in the background waits after it has failed of what may pass: longer each time, up
// to a bound, until it has succeeded.
#ifndef BANDB_STORAGE_ENGINE_BACK_OFF_H_
#define BANDB_STORAGE_ENGINE_BACK_OFF_H_

#include <algorithm>
#include <cstdint>

namespace bandb::storage {

// Thread safety: one thread at a time.
class BackOff {
 public:
  constexpr BackOff(int64_t first_nanos, int doublings_max)
      : first_nanos_(first_nanos), doublings_max_(doublings_max) {}

  // Another try has failed. Returns how long to wait for the next.
  int64_t Failed() {
    waiting_ = true;
    return first_nanos_ << std::min(failures_++, doublings_max_);
  }
  // The time has passed.
  void Elapsed() { waiting_ = false; }
  // A try has succeeded, or somebody has reason to think that the next one will.
  void Reset() { failures_ = 0, waiting_ = false; }

  bool waiting() const { return waiting_; }
  // In a row.
  int failures() const { return failures_; }

 private:
  const int64_t first_nanos_;
  const int doublings_max_;
  int failures_ = 0;
  bool waiting_ = false;
};

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_ENGINE_BACK_OFF_H_
