#include "net/acceptor.h"

#include <utility>

#include "base/assert.h"
#include "base/status.h"

namespace bandb::net {

Acceptor::~Acceptor() { Close(); }

absl::Status Acceptor::Listen(const base::ListenOptions& options, std::vector<Taker> takers) {
  BANDB_ASSERT(listener_ == nullptr);
  BANDB_ASSERT(!takers.empty());
  takers_ = std::move(takers);
  BANDB_ASSIGN_OR_RETURN(listener_, loop_->Listen(options, this));
  address_ = listener_->address();
  return absl::OkStatus();
}

void Acceptor::Close() {
  listener_.reset();
  loop_->Cancel(std::exchange(pause_timer_, base::kNoTimer));
}

void Acceptor::OnAcceptable() {
  for (int i = 0; i < limits_.accepts_per_turn_max; ++i) {
    const Taker& taker = takers_[next_taker_];
    absl::StatusOr<std::unique_ptr<base::Stream>> stream = listener_->Accept(taker.loop);
    if (!stream.ok()) {
      // Out of descriptors: connections that wait are turned away one by one, at a rate that leaves
      // time for the others.
      accept_failures_.Add();
      listener_->Watch(false);
      pause_timer_ = loop_->After(limits_.pause_nanos, [this] {
        pause_timer_ = base::kNoTimer;
        if (listener_ != nullptr) listener_->Watch(true);
      });
      return;
    }
    if (*stream == nullptr) return;
    next_taker_ = (next_taker_ + 1) % takers_.size();
    if (taker.loop == loop_) {
      taker.server->Take(*std::move(stream), taker.endpoint);
    } else {
      taker.loop->Post([server = taker.server, endpoint = taker.endpoint, taken = *std::move(stream)]() mutable {
        server->Take(std::move(taken), endpoint);
      });
    }
  }
}

}  // namespace bandb::net
