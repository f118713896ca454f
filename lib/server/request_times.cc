#include "server/request_times.h"

#include <algorithm>
#include <string>

namespace bandb::server {

namespace {

// As many runs as wait for the end of a turn; with more it is not waited for.
constexpr size_t kEarlierMax = 1024;

}  // namespace

RequestTimes::RequestTimes(base::EventLoop* loop, base::Clock* clock, SlowLog* slow_log)
    : loop_(loop), clock_(clock), slow_log_(slow_log) {
  loop_->AddTurnHandler(this);
}

RequestTimes::~RequestTimes() { loop_->RemoveTurnHandler(this); }

void RequestTimes::Count(const RequestMark& mark) {
  const size_t kind = static_cast<size_t>(mark.protocol) * kMeasuredActions + static_cast<size_t>(mark.action);
  Run& run = current_[kind];
  if (run.count > 0 && run.since_nanos != mark.since_nanos) {
    earlier_.push_back(run);
    run.count = 0;
    if (earlier_.size() >= kEarlierMax) RecordAll();
  }
  if (run.count == 0) {
    if (std::find(kinds_.begin(), kinds_.end(), kind) == kinds_.end()) kinds_.push_back(kind);
    run = {.kind = kind, .since_nanos = mark.since_nanos, .count = 0};
  }
  ++run.count;
}

bool RequestTimes::WantsDetails(const RequestMark& mark) const {
  if (!KeepsKeys() || kept_count_ >= kKeptSlowMax) return false;
  if (kept_count_ < kKeptMax) return true;
  const int64_t threshold_nanos = slow_log_->threshold_nanos();
  return mark.hook_nanos >= threshold_nanos || loop_->NowNanos() - mark.since_nanos >= threshold_nanos;
}

void RequestTimes::Keep(const RequestMark& mark, const RequestSource& source) {
  if (kept_.size() == kept_count_) kept_.emplace_back();
  Kept& kept = kept_[kept_count_++];
  kept.mark = mark;
  kept.storage_nanos = mark.submitted_nanos == 0 ? 0 : loop_->NowNanos() - mark.submitted_nanos;
  kept.peer = source.peer;
  kept.user = source.user;
  kept.client_name = source.client_name;
}

void RequestTimes::LogSlow(int64_t now_nanos) {
  for (size_t i = 0; i < kept_count_; ++i) {
    const Kept& kept = kept_[i];
    const int64_t took_nanos = now_nanos - kept.mark.since_nanos;
    if (took_nanos < slow_log_->threshold_nanos()) continue;
    slow_log_->Add(
        {.time = absl::FromUnixMillis(clock_->WallMillis()),
         .duration = absl::Nanoseconds(took_nanos),
         .waiting = absl::Nanoseconds(std::max<int64_t>(0, took_nanos - kept.mark.hook_nanos - kept.storage_nanos)),
         .hooks = absl::Nanoseconds(kept.mark.hook_nanos),
         .storage = absl::Nanoseconds(kept.storage_nanos),
         .protocol = std::string(NameOf(kept.mark.protocol)),
         .operation = std::string(NameOf(kept.mark.action)),
         .key = std::string(kept.mark.key()),
         .key_bytes = kept.mark.key_bytes,
         .user = kept.user,
         .client_name = kept.client_name,
         .address = kept.peer});
  }
  kept_count_ = 0;
}

void RequestTimes::OnTurnEnd() {
  if (!kinds_.empty()) RecordAll();
}

void RequestTimes::RecordAll() {
  const int64_t now_nanos = clock_->MonotonicNanos();
  for (const size_t kind : kinds_) {
    if (current_[kind].count > 0) Record(current_[kind], now_nanos);
    current_[kind].count = 0;
  }
  kinds_.clear();
  for (const Run& run : earlier_) Record(run, now_nanos);
  earlier_.clear();
  if (kept_count_ > 0) LogSlow(now_nanos);
}

void RequestTimes::Record(const Run& run, int64_t now_nanos) {
  std::unique_ptr<LatencyRecorder>& recorder = owned_[run.kind];
  if (recorder == nullptr) {
    recorder = std::make_unique<LatencyRecorder>();
    recorders_[run.kind].store(recorder.get(), std::memory_order_release);
  }
  const int64_t took_nanos = std::max<int64_t>(0, now_nanos - run.since_nanos);
  recorder->Add(static_cast<uint64_t>(took_nanos), run.count);
  if (slow_log_ != nullptr && took_nanos >= slow_log_->threshold_nanos()) slow_requests_.Add(run.count);
}

void RequestTimes::AddTo(std::vector<OperationLatency>* latencies) const {
  for (size_t kind = 0; kind < kKinds; ++kind) {
    const LatencyRecorder* const recorder = recorders_[kind].load(std::memory_order_acquire);
    if (recorder == nullptr) continue;
    const std::string protocol(NameOf(static_cast<ClientProtocol>(kind / kMeasuredActions)));
    const std::string operation(NameOf(static_cast<Action>(kind % kMeasuredActions)));
    auto found = std::find_if(latencies->begin(), latencies->end(), [&](const OperationLatency& one) {
      return one.protocol == protocol && one.operation == operation;
    });
    if (found == latencies->end()) found = latencies->insert(found, {protocol, operation, {}});
    recorder->AddTo(&found->histogram);
  }
}

}  // namespace bandb::server
