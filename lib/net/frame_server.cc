#include "net/frame_server.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/status.h"
#include "net/hook_chain.h"

namespace bandb::net {

namespace {

// Rounds of a turn in which connections go on that were held up until others moved.
constexpr int kRoundsMax = 3;
// How often within the timeout of a gate those that wait there are looked at.
constexpr int64_t kGateLooks = 8;
constexpr int64_t kSweepNanosMin = 10 * 1000000;
constexpr int64_t kSweepNanosMax = 1000 * 1000000;

}  // namespace

FrameServer::FrameServer(const Parts& parts, const ServerLimits& limits)
    : parts_(parts),
      host_(parts.loop, limits, parts.quota, &counters_),
      answer_limits_(parts.loop, [this](const AnswerLimits::Overrun& overrun) { EndOverrun(overrun); }),
      dispatcher_(&host_, parts.executor, this, &answer_limits_) {
  host_.dispatcher = &dispatcher_;
  host_.observer = parts.observer;
  parts_.loop->AddTurnHandler(this);
  parts_.quota->eviction.Add(parts_.loop, this);
}

FrameServer::~FrameServer() {
  CloseAll();
  BANDB_ASSERT(idle());
  parts_.loop->Cancel(sweep_timer_);
  parts_.loop->Cancel(gate_timer_);
  parts_.loop->Cancel(drain_timer_);
  parts_.loop->RemoveTurnHandler(this);
  parts_.quota->eviction.Remove(this);
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

Connection* FrameServer::Find(ConnectionId id) const {
  const uint32_t slot = id.index & 0xffffff;
  if (id.index >> 24 != parts_.number || slot >= slots_.size() || slots_[slot].generation != id.generation) {
    return nullptr;
  }
  Connection* connection = slots_[slot].connection.get();
  return connection == nullptr || connection->closed() ? nullptr : connection;
}

void FrameServer::Take(std::unique_ptr<base::Stream> stream, const Endpoint& endpoint) {
  if (closed_) return;
  const bool full = parts_.quota->connections.load(std::memory_order_relaxed) >= host_.limits.connections_max;
  // Strangers keep nobody out.
  const bool over = full && (draining_ || !MakeRoom());
  const ConnectionId id = NewId();
  HookDecision decision;
  if (!over && !draining_) decision = parts_.observer->OnConnect(id, stream->peer());
  const bool refused = over || draining_ || decision.verdict == HookDecision::Verdict::kReject;
  if (refused) counters_.connections_refused.Add();
  if (refused && refused_ >= host_.limits.refused_max) {
    free_slots_.push_back(id.index & 0xffffff);
    return;
  }
  auto connection = std::make_unique<Connection>(&host_, endpoint, id, std::move(stream), refused);
  ++open_;
  if (refused) {
    ++refused_;
    if (draining_) {
      connection->Refuse(Refusal::kShuttingDown);
    } else if (over) {
      connection->Refuse(Refusal::kTooManyConnections);
    } else {
      connection->RefuseWith(decision.code, decision.text);
    }
  } else {
    counters_.connections_accepted.Add();
    parts_.quota->connections.fetch_add(1, std::memory_order_relaxed);
  }
  slots_[id.index & 0xffffff].connection = std::move(connection);
  if (sweep_timer_ == base::kNoTimer) ScheduleSweep();
}

absl::Status FrameServer::Complete(const Ticket& ticket, Reply reply) {
  if (answer_limits_.MayAnswer(ticket)) return Settle(ticket, std::move(reply));
  return base::Error(absl::StatusCode::kNotFound, "the request was refused before");
}

void FrameServer::EndOverrun(const AnswerLimits::Overrun& overrun) {
  if (overrun.unanswered) {
    std::string bytes;
    Reply reply{.head = {}, .ok = false};
    const Codec* const codec = CodecOf(overrun.ticket);
    const Refusal refusal = overrun.has_begun ? Refusal::kHookFailed : Refusal::kOverloaded;
    if (refusal == Refusal::kOverloaded) counters_.overloaded.Add();
    if (codec != nullptr) reply = RefusalReply(*codec, refusal, &bytes);
    // The connection may be gone.
    Settle(overrun.ticket, std::move(reply)).IgnoreError();
  }
  parts_.observer->OnOverrun(overrun);
}

absl::Status FrameServer::Settle(const Ticket& ticket, Reply reply) {
  Connection* connection = Find(ticket.connection);
  if (connection != nullptr && connection->Complete(ticket.sequence, std::move(reply))) return absl::OkStatus();
  host_.DropOrphan(ticket.held_bytes);
  return base::Error(absl::StatusCode::kNotFound, "the connection is gone");
}

void FrameServer::ResumeAndFlush() {
  for (Connection* connection : std::exchange(host_.resumable, {})) connection->Resume();
  PassGates();
  parts_.observer->OnTurn();
  // By index: flushing may touch others.
  for (size_t i = 0; i < host_.touched.size(); ++i) host_.touched[i]->Flush();
  host_.touched.clear();
}

bool FrameServer::HasResumable() const {
  return !host_.resumable.empty() || (!host_.gated.empty() && host_.gated.front()->gate()->IsOpen());
}

void FrameServer::PassGates() {
  // One round: a connection that is held up again goes to the end of the line.
  for (size_t left = host_.gated.size(); left > 0 && host_.gated.front()->gate()->IsOpen(); --left) {
    host_.gated.front()->ResumeAtGate(false);
    if (host_.gated.empty()) break;
  }
  if (host_.gated.empty() || gate_timer_ != base::kNoTimer) return;
  gate_timer_ = parts_.loop->After(host_.limits.gate_timeout_nanos / kGateLooks, [this] { GiveUpAtGates(); });
}

void FrameServer::GiveUpAtGates() {
  gate_timer_ = base::kNoTimer;
  const int64_t now_nanos = parts_.loop->NowNanos();
  while (!host_.gated.empty()) {
    Connection* const first = host_.gated.front();
    if (now_nanos - first->gated_since_nanos() < host_.limits.gate_timeout_nanos) break;
    first->ResumeAtGate(true);
  }
}

void FrameServer::OnTurnEnd() {
  counters_.turns.Add();
  for (int round = 0; round < kRoundsMax; ++round) {
    ResumeAndFlush();
    if (!HasResumable()) break;
  }
  if (MemoryIsOver()) parts_.quota->eviction.Choose(parts_.loop->NowNanos());
  for (Connection* connection : std::exchange(host_.retired, {})) Destroy(connection);
  // Connections that still wait to go on need a turn, which nothing else may bring.
  if (HasResumable()) parts_.loop->Post([] {});
  if (drained_ != nullptr && idle()) FinishDrain({});
}

void FrameServer::Destroy(Connection* connection) {
  const ConnectionId id = connection->id();
  std::erase(host_.resumable, connection);
  std::erase(host_.touched, connection);
  if (connection->refused()) {
    --refused_;
  } else {
    parts_.quota->connections.fetch_sub(1, std::memory_order_relaxed);
    parts_.observer->OnDisconnect(id);
  }
  --open_;
  slots_[id.index & 0xffffff].connection.reset();
  free_slots_.push_back(id.index & 0xffffff);
}

void FrameServer::SetAfter(const Ticket& ticket, std::unique_ptr<AfterContext> after) {
  Connection* connection = Find(ticket.connection);
  if (connection != nullptr) connection->SetAfter(ticket.sequence, std::move(after));
}

Codec* FrameServer::CodecOf(const Ticket& ticket) {
  Connection* connection = Find(ticket.connection);
  return connection == nullptr ? nullptr : connection->codec();
}

std::string_view FrameServer::PeerOf(const Ticket& ticket) {
  const Connection* const connection = Find(ticket.connection);
  return connection == nullptr ? std::string_view() : connection->peer();
}

void FrameServer::ForEach(const std::function<void(const ConnectionView& view)>& tell) const {
  for (const Slot& slot : slots_) {
    const Connection* const connection = slot.connection.get();
    if (connection != nullptr && !connection->closed() && !connection->refused()) tell(connection->View());
  }
}

void FrameServer::Tell(ConnectionId id, const std::function<void(const ConnectionView& view)>& tell) const {
  const Connection* const connection = Find(id);
  if (connection != nullptr && !connection->refused()) tell(connection->View());
}

bool FrameServer::Close(ConnectionId id) {
  Connection* const connection = Find(id);
  if (connection == nullptr || connection->refused()) return false;
  connection->Close();
  return true;
}

bool FrameServer::HasEnded(const Ticket& ticket) {
  const Connection* const connection = Find(ticket.connection);
  return connection == nullptr || connection->peer_ended();
}

bool FrameServer::MemoryIsOver() const {
  return parts_.quota->memory_bytes.load(std::memory_order_relaxed) > host_.limits.memory_bytes_max;
}

Connection* FrameServer::FindLargest() const {
  Connection* largest = nullptr;
  int64_t largest_bytes = host_.FairShareBytes();
  for (const Slot& slot : slots_) {
    Connection* connection = slot.connection.get();
    if (connection == nullptr || connection->closed()) continue;
    if (connection->kept_bytes() <= largest_bytes) continue;
    largest = connection;
    largest_bytes = connection->kept_bytes();
  }
  return largest;
}

bool FrameServer::MakeRoom() {
  Connection* oldest = nullptr;
  for (const Slot& slot : slots_) {
    Connection* const connection = slot.connection.get();
    if (connection == nullptr || connection->closed() || connection->refused()) continue;
    const int64_t since_nanos = connection->restricted_since_nanos();
    if (since_nanos == 0 || (oldest != nullptr && since_nanos >= oldest->restricted_since_nanos())) continue;
    oldest = connection;
  }
  if (oldest == nullptr) return false;
  counters_.connections_evicted.Add();
  oldest->Close();
  return true;
}

int64_t FrameServer::LargestBytes() {
  const Connection* largest = FindLargest();
  return largest == nullptr ? 0 : largest->kept_bytes();
}

void FrameServer::CloseLargest() {
  Connection* largest = MemoryIsOver() ? FindLargest() : nullptr;
  if (largest == nullptr) return;
  counters_.connections_evicted.Add();
  parts_.observer->OnEvict(largest->peer(), largest->kept_bytes());
  largest->Evict();
}

int64_t FrameServer::SweepNanos() const {
  const ServerLimits& limits = host_.limits;
  const int64_t shortest = std::min({limits.frame_timeout_nanos, limits.unread_timeout_nanos, limits.idle_timeout_nanos,
                                     limits.restricted_timeout_nanos, limits.linger_nanos});
  return std::clamp(shortest / 4, kSweepNanosMin, kSweepNanosMax);
}

void FrameServer::ScheduleSweep() {
  sweep_due_nanos_ = parts_.loop->NowNanos() + SweepNanos();
  sweep_timer_ = parts_.loop->After(SweepNanos(), [this] { Sweep(); });
}

void FrameServer::Sweep() {
  sweep_timer_ = base::kNoTimer;
  const int64_t now_nanos = parts_.loop->NowNanos();
  // Late by much: the process was stopped, or the machine, or code of the host held the loop.
  const int64_t late_nanos = now_nanos - sweep_due_nanos_;
  for (const Slot& slot : slots_) {
    if (slot.connection == nullptr) continue;
    if (late_nanos > SweepNanos()) slot.connection->Forgive(late_nanos);
    slot.connection->Sweep(now_nanos);
  }
  if (open_ > 0) ScheduleSweep();
}

void FrameServer::Drain(int64_t timeout_nanos, DrainCallback done) {
  BANDB_ASSERT(drained_ == nullptr);
  draining_ = true;
  drained_ = std::move(done);
  for (const Slot& slot : slots_) {
    if (slot.connection != nullptr) slot.connection->Drain();
  }
  drain_timer_ = parts_.loop->After(timeout_nanos, [this] {
    DrainOutcome outcome;
    for (const Slot& slot : slots_) {
      if (slot.connection == nullptr) continue;
      if (slot.connection->in_flight() > 0) {
        ++outcome.unanswered;
      } else if (slot.connection->HasOutput()) {
        ++outcome.unread;
      }
    }
    CloseAll();
    if (drained_ != nullptr) FinishDrain(outcome);
  });
  // The turn's end looks whether anything is left at all.
  parts_.loop->Post([] {});
}

void FrameServer::FinishDrain(const DrainOutcome& outcome) {
  parts_.loop->Cancel(drain_timer_);
  std::exchange(drained_, nullptr)(outcome);
}

void FrameServer::CloseAll() {
  closed_ = true;
  for (const Slot& slot : slots_) {
    if (slot.connection != nullptr) slot.connection->Close();
  }
  for (Connection* connection : std::exchange(host_.retired, {})) Destroy(connection);
}

}  // namespace bandb::net
