#include "server/durable_replies.h"

#include <memory>
#include <utility>

#include "base/assert.h"

namespace bandb::server {

DurableReplies::~DurableReplies() { BANDB_ASSERT(idle()); }

void DurableReplies::Hold(Pending pending, Outcome outcome, int64_t kept_bytes) {
  const int64_t bytes = static_cast<int64_t>(outcome.ByteSize()) + kept_bytes;
  context_.quota->AddMemory(bytes);
  held_.push_back({std::move(pending), std::move(outcome), bytes});
}

void DurableReplies::EndTurn() {
  if (held_.empty()) return;
  ++in_flight_;
  auto held = std::make_unique<std::vector<Held>>(std::exchange(held_, {}));
  store_->WriteAsync(WriteBatch(), {.sync = true}, [this, held = std::move(held)](absl::Status durable) mutable {
    loop_->Post([this, held = std::move(held), durable = std::move(durable)] { Release(held.get(), durable); });
  });
}

void DurableReplies::Release(std::vector<Held>* held, const absl::Status& durable) {
  --in_flight_;
  // What was seen may be lost, so it is not shown.
  Outcome lost;
  if (!durable.ok()) lost.failure = ToFailureOfAll(durable);
  for (Held& one : *held) {
    context_.quota->AddMemory(-one.bytes);
    Complete(context_, one.pending, durable.ok() ? &one.outcome : &lost);
  }
}

}  // namespace bandb::server
