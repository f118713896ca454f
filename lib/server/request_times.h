// How long the requests of one loop take: one histogram for each kind of them, and the slow log.
//
// A request takes from the beginning of the turn in which it was there to be read to the end of the
// turn in which its reply was written. That is what its client waits for, less the network and the
// system; and it costs one look at the clock a turn, however many requests that has.
//
// Which of them are slow is known at the end of the turn, when what they asked for is gone. So of
// the first few of each turn, and a few more that are slow already, it is kept until then.
#ifndef BANDB_SERVER_REQUEST_TIMES_H_
#define BANDB_SERVER_REQUEST_TIMES_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/event_loop.h"
#include "server/latency_recorder.h"
#include "server/request_mark.h"
#include "server/slow_log.h"

namespace bandb::server {

// Whose a request is. Lifetime: views, for use at once.
struct RequestSource {
  std::string_view peer{};
  std::string_view user{};
  std::string_view client_name{};
};

// Thread safety: the loop's thread, but for AddTo and slow_requests. Lifetime: borrows everything.
// To be made after what writes the replies at the end of a turn.
class RequestTimes final : private base::TurnHandler {
 public:
  // `slow_log` may be null.
  RequestTimes(base::EventLoop* loop, base::Clock* clock, SlowLog* slow_log);
  ~RequestTimes();
  RequestTimes(const RequestTimes&) = delete;
  RequestTimes& operator=(const RequestTimes&) = delete;

  // The reply to a request leaves in this turn. `source` is a function that returns whose it is.
  template <typename Source>
  void Add(const RequestMark& mark, const Source& source) {
    if (mark.action == Action::kWait) return;
    Count(mark);
    if (WantsDetails(mark)) Keep(mark, source());
  }
  int64_t NowNanos() { return loop_->NowNanos(); }
  // Whether anything of keys will be asked for.
  bool KeepsKeys() const { return slow_log_ != nullptr && slow_log_->threshold_nanos() != INT64_MAX; }
  // Adds to the histograms of their kind, which are made if need be. From any thread.
  void AddTo(std::vector<OperationLatency>* latencies) const;
  // Those that took as long as the threshold of the slow log. From any thread.
  uint64_t slow_requests() const { return slow_requests_.Get(); }

 private:
  // Requests of a turn of which it is kept what they were: any, and besides those slow already.
  static constexpr size_t kKeptMax = 8;
  static constexpr size_t kKeptSlowMax = 16;
  static constexpr size_t kKinds = kClientProtocols * kMeasuredActions;

  // Requests of a kind that were there at the same time.
  struct Run {
    size_t kind = 0;
    int64_t since_nanos = 0;
    uint64_t count = 0;
  };

  struct Kept {
    RequestMark mark{};
    int64_t storage_nanos = 0;
    std::string peer{};
    std::string user{};
    std::string client_name{};
  };

  void OnTurnEnd() override;
  void Count(const RequestMark& mark);
  bool WantsDetails(const RequestMark& mark) const;
  void Keep(const RequestMark& mark, const RequestSource& source);
  void LogSlow(int64_t now_nanos);
  void Record(const Run& run, int64_t now_nanos);
  void RecordAll();

  base::EventLoop* const loop_;
  base::Clock* const clock_;
  SlowLog* const slow_log_;
  net::Counter slow_requests_;
  std::vector<Kept> kept_;  // the first kept_count_ of them; the rest for their memory
  size_t kept_count_ = 0;
  std::array<Run, kKinds> current_{};  // of this turn
  std::vector<size_t> kinds_;          // of current_ those with a count
  std::vector<Run> earlier_;           // of this turn, with other times than those
  // Made when first needed, and never changed then.
  std::array<std::unique_ptr<LatencyRecorder>, kKinds> owned_;
  std::array<std::atomic<const LatencyRecorder*>, kKinds> recorders_{};
};

}  // namespace bandb::server

#endif  // BANDB_SERVER_REQUEST_TIMES_H_
