#include "cluster/held_messages.h"

#include <utility>

#include "base/assert.h"

namespace bandb::cluster {

void HeldMessages::Hold(raft::Outgoing message) {
  BANDB_ASSERT(!message.immediate());
  held_.push_back(std::move(message));
}

void HeldMessages::LogDurable(uint64_t write) {
  BANDB_ASSERT(write >= durable_log_write_);
  durable_log_write_ = write;
}

void HeldMessages::HardStateDurable(uint64_t write) {
  BANDB_ASSERT(write >= durable_hard_state_write_);
  durable_hard_state_write_ = write;
}

bool HeldMessages::Ready(const raft::Outgoing& message) const {
  return message.after_log_write <= durable_log_write_ && message.after_hard_state_write <= durable_hard_state_write_;
}

void HeldMessages::TakeReady(std::vector<raft::Message>* ready) {
  size_t kept = 0;
  for (size_t i = 0; i < held_.size(); ++i) {
    if (Ready(held_[i])) {
      ready->push_back(std::move(held_[i].message));
    } else {
      if (kept != i) held_[kept] = std::move(held_[i]);
      ++kept;
    }
  }
  held_.resize(kept);
}

}  // namespace bandb::cluster
