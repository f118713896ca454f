#include "cluster/proposals.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/status.h"

namespace bandb::cluster {

using absl::StatusCode;

void Proposals::Count(const ClientWrite& write) {
  bytes_ += write.bytes();
  if (write.content().forwarded) forwarded_.emplace(write.content().session, write.content().number);
}

void Proposals::Discount(const ClientWrite& write) {
  bytes_ -= write.bytes();
  if (!write.content().forwarded) return;
  const auto at = forwarded_.find({write.content().session, write.content().number});
  BANDB_ASSERT(at != forwarded_.end());
  forwarded_.erase(at);
}

void Proposals::Add(ClientWritePtr write) {
  BANDB_ASSERT(write != nullptr);
  Count(*write);
  queue_.push_back(std::move(write));
}

ClientWritePtr Proposals::TakeOne() {
  if (queue_.empty()) return nullptr;
  ClientWritePtr write = std::move(queue_.front());
  queue_.pop_front();
  Discount(*write);
  return write;
}

std::optional<Proposals::Batch> Proposals::TakeBatch(const EntryTime& time, int64_t now_nanos, Check check) {
  Batch batch;
  EntryBuilder builder(time);
  while (!queue_.empty()) {
    const uint64_t bytes = queue_.front()->bytes();
    if (!batch.writes.empty() && builder.bytes() + bytes > kEntryBytes) break;
    ClientWritePtr write = TakeOne();
    if (write->content().deadline_nanos <= now_nanos) {
      write->Complete(base::Error(StatusCode::kDeadlineExceeded, "given up before it was passed on"));
      continue;
    }
    if (!write->PassOn()) continue;
    if (const absl::Status allowed = check(write->content().kind); !allowed.ok()) {
      write->Complete(allowed);
      continue;
    }
    if (!builder.Add(write->command())) {
      write->Complete(base::Error(StatusCode::kInvalidArgument, "malformed operations or conditions"));
      continue;
    }
    batch.writes.push_back(std::move(write));
  }
  if (batch.writes.empty()) return std::nullopt;
  batch.payload = builder.Build();
  return batch;
}

void Proposals::PutBack(std::vector<ClientWritePtr> writes) {
  for (auto write = writes.rbegin(); write != writes.rend(); ++write) {
    (*write)->TakeBack();
    Count(**write);
    queue_.push_front(std::move(*write));
  }
}

template <typename Which>
void Proposals::EndIf(const Which& which, const absl::Status& status) {
  const auto kept =
      std::stable_partition(queue_.begin(), queue_.end(), [&](const ClientWritePtr& write) { return !which(*write); });
  std::vector<ClientWritePtr> ended(std::make_move_iterator(kept), std::make_move_iterator(queue_.end()));
  queue_.erase(kept, queue_.end());
  for (const ClientWritePtr& write : ended) Discount(*write);
  for (const ClientWritePtr& write : ended) write->Complete(status);
}

void Proposals::Expire(int64_t now_nanos, std::string_view why) {
  EndIf([now_nanos](
            const ClientWrite& write) { return write.withdrawn() || write.content().deadline_nanos <= now_nanos; },
        base::Error(StatusCode::kDeadlineExceeded, "{}; given up before it was passed on", why));
}

void Proposals::FailAll(const absl::Status& status) {
  EndIf([](const ClientWrite&) { return true; }, status);
  BANDB_ASSERT(bytes_ == 0);
}

void Proposals::FailForwarded(const absl::Status& status) {
  EndIf([](const ClientWrite& write) { return write.content().forwarded; }, status);
}

void Proposals::FailImpatient(const absl::Status& status) {
  EndIf([](const ClientWrite& write) { return write.content().impatient; }, status);
}

}  // namespace bandb::cluster
