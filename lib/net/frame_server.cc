#include "net/frame_server.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/status.h"

namespace bandb::net {

namespace {

// Rounds of a turn in which connections go on that were held up until others moved.
constexpr int kRoundsMax = 3;
constexpr int64_t kSweepNanosMin = 10 * 1000000;
constexpr int64_t kSweepNanosMax = 1000 * 1000000;

}  // namespace

FrameServer::FrameServer(const Parts& parts, const Limits& limits)
    : parts_(parts),
      host_(parts.loop, parts.protocol, limits, parts.quota, &counters_),
      dispatcher_(&host_, parts.router, parts.executor, this) {
  host_.dispatcher = &dispatcher_;
  parts_.loop->AddTurnHandler(this);
}

FrameServer::~FrameServer() {
  CloseAll();
  BANDB_ASSERT(idle());
  parts_.loop->Cancel(sweep_timer_);
  parts_.loop->Cancel(accept_timer_);
  parts_.loop->Cancel(drain_timer_);
  parts_.loop->RemoveTurnHandler(this);
}

absl::Status FrameServer::Listen(const base::ListenOptions& options) {
  BANDB_ASSIGN_OR_RETURN(listener_, parts_.loop->Listen(options, this));
  return absl::OkStatus();
}

void FrameServer::OnAcceptable() {
  for (int i = 0; i < host_.limits.accepts_per_turn_max; i++) {
    absl::StatusOr<std::unique_ptr<base::Stream>> stream = listener_->Accept();
    if (!stream.ok()) {
      // Out of descriptors: those who wait are turned away one by one, at a rate that leaves time for the others.
      counters_.accept_failures.Add();
      listener_->Watch(false);
      accept_timer_ = parts_.loop->After(host_.limits.accept_pause_nanos, [this] {
        if (listener_ != nullptr) listener_->Watch(true);
      });
      return;
    }
    if (*stream == nullptr) return;
    Admit(*std::move(stream));
  }
}

ConnectionId FrameServer::NewId() {
  if (free_slots_.empty()) {
    free_slots_.push_back(static_cast<uint32_t>(slots_.size()));
    slots_.emplace_back();
  }
  const uint32_t slot = free_slots_.back();
  free_slots_.pop_back();
  // 0 means no connection, so it is skipped when the count wraps.
  if (++slots_[slot].generation == 0) slots_[slot].generation = 1;
  return {slot | static_cast<uint32_t>(parts_.number) << 24, slots_[slot].generation};
}

Connection* FrameServer::Find(ConnectionId id) {
  const uint32_t slot = id.index & 0xffffff;
  if (id.index >> 24 != parts_.number || slot >= slots_.size() || slots_[slot].generation != id.generation) {
    return nullptr;
  }
  Connection* connection = slots_[slot].connection.get();
  return connection == nullptr || connection->closed() ? nullptr : connection;
}

void FrameServer::Admit(std::unique_ptr<base::Stream> stream) {
  const bool over = parts_.quota->connections.load(std::memory_order_relaxed) >= host_.limits.connections_max;
  const ConnectionId id = NewId();
  HookDecision decision;
  if (!over) decision = parts_.observer->OnConnect(id, stream->peer());
  const bool refused = over || decision.verdict == HookDecision::Verdict::kReject;
  if (refused) counters_.connections_refused.Add();
  if (refused && refused_ >= host_.limits.refused_max) {
    free_slots_.push_back(id.index & 0xffffff);
    return;
  }
  auto connection = std::make_unique<Connection>(&host_, id, std::move(stream), refused);
  open_++;
  if (refused) {
    refused_++;
    if (over) {
      connection->Refuse(Refusal::kTooManyConnections);
    } else {
      connection->RefuseWith(decision.code, decision.text);
    }
  } else {
    counters_.connections_accepted.Add();
    parts_.quota->connections.fetch_add(1, std::memory_order_relaxed);
  }
  slots_[id.index & 0xffffff].connection = std::move(connection);
  if (sweep_timer_ == base::kNoTimer) {
    sweep_timer_ = parts_.loop->After(SweepNanos(), [this] { Sweep(); });
  }
}

absl::Status FrameServer::Complete(const Ticket& ticket, Reply reply) {
  Connection* connection = Find(ticket.connection);
  if (connection == nullptr || !connection->Complete(ticket.sequence, std::move(reply))) {
    return base::Error(absl::StatusCode::kNotFound, "the connection is gone");
  }
  return absl::OkStatus();
}

void FrameServer::ResumeAndFlush() {
  for (Connection* connection : std::exchange(host_.resumable, {})) connection->Resume();
  parts_.observer->OnTurn();
  // By index: flushing may touch others.
  for (size_t i = 0; i < host_.touched.size(); i++) host_.touched[i]->Flush();
  host_.touched.clear();
}

void FrameServer::OnTurnEnd() {
  counters_.turns.Add();
  for (int round = 0; round < kRoundsMax; round++) {
    ResumeAndFlush();
    if (host_.resumable.empty()) break;
  }
  EvictWhileOverMemory();
  for (Connection* connection : std::exchange(host_.retired, {})) Destroy(connection);
  // Who still waits to go on needs a turn, which nothing else may bring.
  if (!host_.resumable.empty()) parts_.loop->Post([] {});
  if (drained_ != nullptr && idle()) FinishDrain(true);
}

void FrameServer::Destroy(Connection* connection) {
  const ConnectionId id = connection->id();
  std::erase(host_.resumable, connection);
  std::erase(host_.touched, connection);
  if (connection->refused()) {
    refused_--;
  } else {
    parts_.quota->connections.fetch_sub(1, std::memory_order_relaxed);
    parts_.observer->OnDisconnect(id);
  }
  open_--;
  slots_[id.index & 0xffffff].connection.reset();
  free_slots_.push_back(id.index & 0xffffff);
}

void FrameServer::EvictWhileOverMemory() {
  while (parts_.quota->memory_bytes.load(std::memory_order_relaxed) > host_.limits.memory_bytes_max) {
    Connection* largest = nullptr;
    for (const Slot& slot : slots_) {
      Connection* connection = slot.connection.get();
      if (connection == nullptr || connection->closed()) continue;
      if (largest == nullptr || connection->accounted_bytes() > largest->accounted_bytes()) largest = connection;
    }
    // What is over may be another loop's.
    if (largest == nullptr || largest->accounted_bytes() == 0) return;
    counters_.connections_evicted.Add();
    largest->Close();
  }
}

int64_t FrameServer::SweepNanos() const {
  const Limits& limits = host_.limits;
  const int64_t shortest = std::min(
      {limits.frame_timeout_nanos, limits.unread_timeout_nanos, limits.idle_timeout_nanos, limits.linger_nanos});
  return std::clamp(shortest / 4, kSweepNanosMin, kSweepNanosMax);
}

void FrameServer::Sweep() {
  sweep_timer_ = base::kNoTimer;
  const int64_t now_nanos = parts_.loop->NowNanos();
  for (const Slot& slot : slots_) {
    if (slot.connection != nullptr) slot.connection->Sweep(now_nanos);
  }
  if (open_ > 0) sweep_timer_ = parts_.loop->After(SweepNanos(), [this] { Sweep(); });
}

void FrameServer::Drain(int64_t timeout_nanos, absl::AnyInvocable<void(bool in_time) &&> done) {
  BANDB_ASSERT(drained_ == nullptr);
  listener_.reset();
  drained_ = std::move(done);
  for (const Slot& slot : slots_) {
    if (slot.connection != nullptr) slot.connection->Drain();
  }
  drain_timer_ = parts_.loop->After(timeout_nanos, [this] {
    CloseAll();
    if (drained_ != nullptr) FinishDrain(false);
  });
  // The turn's end looks whether anything is left at all.
  parts_.loop->Post([] {});
}

void FrameServer::FinishDrain(bool in_time) {
  parts_.loop->Cancel(drain_timer_);
  std::exchange(drained_, nullptr)(in_time);
}

void FrameServer::CloseAll() {
  listener_.reset();
  for (const Slot& slot : slots_) {
    if (slot.connection != nullptr) slot.connection->Close();
  }
  for (Connection* connection : std::exchange(host_.retired, {})) Destroy(connection);
}

}  // namespace bandb::net
