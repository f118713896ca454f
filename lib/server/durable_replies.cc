#include "server/durable_replies.h"

#include <memory>
#include <utility>

#include "base/assert.h"
#include "base/status.h"
#include "proto/response.h"
#include "server/answer.h"

namespace bandb::server {

DurableReplies::~DurableReplies() { BANDB_ASSERT(idle()); }

void DurableReplies::Hold(const net::Ticket& ticket, std::string frame, bool ok, uint16_t code) {
  quota_->AddMemory(static_cast<int64_t>(frame.size()));
  held_.push_back({ticket, std::move(frame), ok, code});
}

void DurableReplies::EndTurn() {
  if (held_.empty()) return;
  in_flight_++;
  auto held = std::make_unique<std::vector<Held>>(std::exchange(held_, {}));
  store_->WriteAsync(WriteBatch(), {.sync = true}, [this, held = std::move(held)](absl::Status durable) mutable {
    loop_->Post([this, held = std::move(held), durable = std::move(durable)] { Release(*held, durable); });
  });
}

void DurableReplies::Release(const std::vector<Held>& held, const absl::Status& durable) {
  in_flight_--;
  std::string error;
  uint16_t code = 0;
  if (!durable.ok()) {
    // What was seen may be lost, so it is not shown.
    code = FailureCode(durable);
    proto::AppendError(&error, code, base::Message(durable));
  }
  for (const Held& one : held) {
    quota_->AddMemory(-static_cast<int64_t>(one.frame.size()));
    // A connection that is gone needs no reply.
    if (durable.ok()) {
      completions_->Complete(one.ticket, {.head = one.frame, .ok = one.ok, .code = one.code}).IgnoreError();
    } else {
      completions_->Complete(one.ticket, {.head = error, .ok = false, .code = code}).IgnoreError();
    }
  }
}

}  // namespace bandb::server
