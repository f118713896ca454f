#include "server/snapshot_endpoint.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "base/assert.h"
#include "base/status.h"
#include "proto/message_id.h"

namespace bandb::server {

namespace {

// Leases that run out are looked for no more often than this.
constexpr int64_t kWatchNanosMin = int64_t{100} * 1'000'000;

int64_t LeaseNanos(uint32_t lease_ms) {
  if (lease_ms == 0) return SnapshotLeases::kLeaseNanosDefault;
  return std::min(int64_t{lease_ms} * 1'000'000, SnapshotLeases::kLeaseNanosMax);
}

SnapshotAnswer AnswerOf(uint64_t id, int64_t lease_nanos) {
  return {.id = id, .lease_ms = static_cast<uint32_t>(lease_nanos / 1'000'000)};
}

}  // namespace

Failure NoSnapshotFailure(uint64_t id) {
  return {proto::ToCode(absl::StatusCode::kFailedPrecondition),
          fmt::format("there is no snapshot {:016x}: its lease ran out, or it was dropped", id)};
}

SnapshotEndpoint::~SnapshotEndpoint() {
  BANDB_ASSERT(in_flight_ == 0);
  Close();
}

void SnapshotEndpoint::Run(Request& request, const SnapshotCommand& command) {
  const int64_t lease_nanos = LeaseNanos(command.lease_ms);
  switch (command.action) {
    case SnapshotCommand::Action::kTake:
      return Take(request, lease_nanos);
    case SnapshotCommand::Action::kRenew:
      if (!leases_->Renew(command.id, lease_nanos, request.codec().session().name())) {
        return request.Answer({.failure = NoSnapshotFailure(command.id)});
      }
      WatchAnew();
      return request.Answer({.answer = AnswerOf(command.id, lease_nanos)});
    case SnapshotCommand::Action::kDrop:
      return request.Answer(leases_->Drop(command.id, request.codec().session().name())
                                ? Outcome()
                                : Outcome{.failure = NoSnapshotFailure(command.id)});
  }
}

void SnapshotEndpoint::Take(Request& request, int64_t lease_nanos) {
  struct Step {
    Pending pending;
    Outcome outcome;
    std::string owner;
    uint64_t connection = 0;
  };
  ++in_flight_;
  context_.counters->reads.Add();
  std::string owner(request.codec().session().name());
  auto step =
      std::make_shared<Step>(Step{request.Defer(sizeof(Step)), {}, std::move(owner), request.origin().connection});
  // As a scan: the barrier opens on the thread that acknowledges writes, and the rest may read.
  store_->ReadBarrierAsync({.timeout = context_.store_timeout}, [this, step, lease_nanos](absl::Status barrier) {
    context_.readers->Post(base::Priority::kNormal, [this, step, lease_nanos, barrier = std::move(barrier)] {
      step->outcome = TakeNow(barrier, lease_nanos, step->owner, step->connection);
      loop_->Post([this, step] {
        --in_flight_;
        WatchAnew();
        Complete(context_, step->pending, &step->outcome);
      });
    });
  });
}

Outcome SnapshotEndpoint::TakeNow(const absl::Status& barrier, int64_t lease_nanos, const std::string& owner,
                                  uint64_t connection) {
  if (!barrier.ok()) return {.failure = ToFailureOfAll(barrier)};
  auto snapshot = std::make_shared<const Snapshot>(store_->GetSnapshot());
  if (snapshot->state() == nullptr) {
    return {.failure = ToFailureOfAll(base::Error(absl::StatusCode::kFailedPrecondition, "the store is closed"))};
  }
  // Where the store has a change feed, from where on that has what the snapshot does not show.
  std::string token;
  const auto changes = store_->ReadChanges({.from = ChangesFrom::Snapshot(*snapshot)});
  if (changes.ok()) token = (*changes)->token();
  const absl::StatusOr<uint64_t> id = leases_->Add(std::move(snapshot), lease_nanos, owner, connection);
  if (!id.ok()) return {.failure = ToFailureOfAll(id.status())};
  SnapshotAnswer answer = AnswerOf(*id, lease_nanos);
  answer.token = std::move(token);
  return {.answer = std::move(answer)};
}

void SnapshotEndpoint::WatchAnew() {
  // The next one to run out may be another than before.
  if (timer_ != base::kNoTimer) loop_->Cancel(std::exchange(timer_, base::kNoTimer));
  Watch();
}

void SnapshotEndpoint::Watch() {
  timer_ = base::kNoTimer;
  const int64_t next_nanos = leases_->Expire();
  if (closed_ || next_nanos == base::kForever) return;
  timer_ = loop_->After(std::max(next_nanos, kWatchNanosMin), [this] { Watch(); });
}

void SnapshotEndpoint::Close() {
  closed_ = true;
  if (timer_ != base::kNoTimer) loop_->Cancel(std::exchange(timer_, base::kNoTimer));
}

}  // namespace bandb::server
