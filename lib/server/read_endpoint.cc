#include "server/read_endpoint.h"

#include <memory>
#include <utility>

#include "base/assert.h"
#include "server/durable_replies.h"

namespace bandb::server {

namespace {

constexpr size_t kReadsPerStep = 64;
constexpr size_t kBytesPerStep = 1 << 20;

Outcome ToOutcome(const absl::Status& status, PinnedValue value) {
  Outcome outcome;
  if (status.ok()) {
    outcome.answer = std::move(value);
  } else {
    outcome.failure = ToFailure(status);
  }
  return outcome;
}

}  // namespace

ReadEndpoint::ReadEndpoint(Store* store, base::EventLoop* loop, const RequestContext& context, bool reads_inline)
    : store_(store), loop_(loop), context_(context), reads_inline_(reads_inline) {}

ReadEndpoint::~ReadEndpoint() { BANDB_ASSERT(step_ == nullptr); }

void ReadEndpoint::Get(Request& request, std::string_view key) {
  context_.counters->reads.Add();
  if (reads_inline_ && !request.behind_others() && GetInline(request, key)) return;
  waiting_.push_back({.pending = request.Defer(key.size() + sizeof(Item)), .key = std::string(key)});
}

bool ReadEndpoint::GetInline(Request& request, std::string_view key) {
  PinnedValue value;
  bool saw_undurable = false;
  const absl::Status status = store_->GetPinned(key, &value, {.only_cached = true, .saw_undurable = &saw_undurable});
  if (status.code() == absl::StatusCode::kUnavailable) return false;
  if (saw_undurable && context_.durable != nullptr) {
    context_.durable->Hold(request.Defer(key.size()), ToOutcome(status, std::move(value)));
  } else {
    request.Answer(ToOutcome(status, std::move(value)));
  }
  return true;
}

void ReadEndpoint::EndTurn() {
  if (step_ == nullptr && !waiting_.empty()) StartStep();
}

void ReadEndpoint::StartStep() {
  step_ = std::make_unique<std::vector<Item>>();
  while (!waiting_.empty() && step_->size() < kReadsPerStep) {
    step_->push_back(std::move(waiting_.front()));
    step_->back().pending.mark.submitted_nanos = loop_->NowNanos();
    waiting_.pop_front();
  }
  // The barrier opens on the thread that acknowledges writes; the reading is done elsewhere.
  store_->ReadBarrierAsync({.timeout = context_.store_timeout}, [this](absl::Status barrier) {
    context_.readers->Post(base::Priority::kNormal, [this, barrier = std::move(barrier)] {
      ReadStep(barrier);
      loop_->Post([this] { FinishStep(); });
    });
  });
}

// On a reader's thread.
void ReadEndpoint::ReadStep(const absl::Status& barrier) {
  size_t bytes = 0;
  for (Item& item : *step_) {
    if (bytes > kBytesPerStep) return;
    if (barrier.ok()) {
      Read(&item);
    } else {
      item.outcome.failure = ToFailureOfAll(barrier);
      item.outcome.failure.no_leader = absl::IsDeadlineExceeded(barrier);
    }
    item.read = true;
    bytes += item.outcome.ByteSize();
    item.bytes = static_cast<int64_t>(item.outcome.ByteSize());
    context_.quota->AddMemory(item.bytes);
  }
}

void ReadEndpoint::Read(Item* item) {
  PinnedValue value;
  const absl::Status status =
      store_->GetPinned(item->key, &value, {.saw_undurable = &item->saw_undurable, .consistency = Consistency::kLocal});
  item->outcome = ToOutcome(status, std::move(value));
}

void ReadEndpoint::FinishStep() {
  const std::unique_ptr<std::vector<Item>> step = std::move(step_);
  // What the step did not come to goes first in the next.
  while (!step->empty() && !step->back().read) {
    waiting_.push_front(std::move(step->back()));
    step->pop_back();
  }
  for (Item& item : *step) {
    CompleteDurably(context_, std::move(item.pending), std::move(item.outcome), item.saw_undurable);
    context_.quota->AddMemory(-item.bytes);
  }
}

}  // namespace bandb::server
