#include "sim/network.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "sim/exponential.h"

namespace bandb::sim {
namespace {

const char* Name(raft::MessageKind kind) {
  switch (kind) {
    case raft::MessageKind::kPreVote:
      return "pre-vote";
    case raft::MessageKind::kPreVoteReply:
      return "pre-vote-reply";
    case raft::MessageKind::kVote:
      return "vote";
    case raft::MessageKind::kVoteReply:
      return "vote-reply";
    case raft::MessageKind::kAppend:
      return "append";
    case raft::MessageKind::kAppendReply:
      return "append-reply";
    case raft::MessageKind::kSnapshot:
      return "snapshot";
    case raft::MessageKind::kReadIndex:
      return "read-index";
    case raft::MessageKind::kReadIndexReply:
      return "read-index-reply";
    case raft::MessageKind::kTimeoutNow:
      return "timeout-now";
    case raft::MessageKind::kTimeoutNowReply:
      return "timeout-now-reply";
  }
  return "?";
}

}  // namespace

std::string Describe(const raft::Message& m) {
  std::string text = fmt::format("{} -> {} {} term {} at {}:{} commit {}", m.from, m.to, Name(m.kind), m.term,
                                 m.log_term, m.index, m.commit);
  if (!m.entries.empty()) text += fmt::format(" entries {}..{}", m.entries.front().index, m.entries.back().index);
  if (m.round != 0) text += fmt::format(" round {}", m.round);
  if (m.reject) text += fmt::format(" REJECT hint {}:{}", m.hint_term, m.hint);
  if (m.force) text += " force";
  if (m.log_full) text += " log-full";
  if (m.snapshot != nullptr) text += fmt::format(" snapshot {}:{}", m.snapshot->term, m.snapshot->index);
  return text;
}

Network::Network(Scheduler* scheduler, Trace* trace, const NetworkKnobs& knobs, uint64_t seed)
    : scheduler_(scheduler), trace_(trace), knobs_(knobs), random_(seed) {}

void Network::Mend(raft::NodeId from, raft::NodeId to) {
  if (cuts_[from][to] > 0) --cuts_[from][to];
}

void Network::MendAll() {
  for (auto& row : cuts_) row.fill(0);
}

void Network::Heal() {
  knobs_.loss = 0;
  knobs_.duplicate = 0;
  knobs_.straggler = 0;
  extra_loss_ = 0;
  for (auto& row : extra_delay_) row.fill(0);
}

Nanos Network::Delay(raft::NodeId from, raft::NodeId to) {
  Nanos delay = knobs_.delay_min + Exponential(&random_, knobs_.delay_mean) + extra_delay_[from][to];
  if (random_.Chance(knobs_.straggler)) {
    ++counters_.straggling;
    delay += Exponential(&random_, knobs_.straggler_mean);
  }
  return delay;
}

void Network::Send(const raft::Message& message) {
  BANDB_ASSERT(message.from < kNodeIdLimit);
  BANDB_ASSERT(message.to < kNodeIdLimit);
  ++counters_.sent;
  trace_->Mix(TraceKind::kSend, {message.from, message.to, static_cast<uint64_t>(message.kind), message.term,
                                 message.index, message.entries.size(), message.round});
  if (IsCut(message.from, message.to)) {
    ++counters_.cut;
    return;
  }
  if (random_.Chance(knobs_.loss + extra_loss_)) {
    ++counters_.lost;
    if (trace_->wordy()) trace_->Line("lost      {}", Describe(message));
    return;
  }
  uint32_t copies = 1;
  while (copies < 4 && random_.Chance(knobs_.duplicate)) ++copies;
  counters_.duplicated += copies - 1;
  for (uint32_t i = 0; i < copies; ++i) {
    Nanos arrival = scheduler_->now() + Delay(message.from, message.to);
    if (knobs_.in_order) {
      Nanos& last = last_arrival_[message.from][message.to];
      arrival = last = std::max(last, arrival);
    }
    Deliver(message, arrival);
  }
}

void Network::Deliver(const raft::Message& message, Nanos arrival) {
  scheduler_->At(arrival, [this, message, connection = connections_[message.to]] {
    if (IsCut(message.from, message.to) || connection != connections_[message.to]) {
      ++counters_.cut;
      return;
    }
    Receiver* receiver = receivers_[message.to];
    if (receiver == nullptr) return;
    ++counters_.delivered;
    trace_->Mix(TraceKind::kDeliver, {message.from, message.to, static_cast<uint64_t>(message.kind), message.index});
    if (trace_->wordy()) trace_->Line("delivered {}", Describe(message));
    receiver->OnMessage(message);
  });
}

void Network::SendSnapshot(const raft::Message& message, const Checkpoint& checkpoint,
                           std::function<void(bool ok)> done) {
  ++counters_.snapshots;
  trace_->Mix(TraceKind::kSend, {message.from, message.to, checkpoint.meta.index});
  // A long transfer: many delays, and the link must be there at both ends of it.
  const Nanos duration = 4 * Delay(message.from, message.to);
  const bool fails = IsCut(message.from, message.to) || random_.Chance(2 * knobs_.loss + extra_loss_);
  const uint64_t connection = connections_[message.to];
  scheduler_->After(duration, [this, message, checkpoint, fails, connection, done = std::move(done)] {
    Receiver* receiver = receivers_[message.to];
    bool ok =
        !fails && connection == connections_[message.to] && receiver != nullptr && !IsCut(message.from, message.to);
    if (ok) ok = receiver->OnSnapshot(message, checkpoint);
    trace_->Mix(TraceKind::kDeliver, {message.from, message.to, checkpoint.meta.index, ok ? 1u : 0u});
    if (trace_->wordy()) trace_->Line("{} {}", ok ? "delivered" : "lost     ", Describe(message));
    // The news of it travels back, and may be lost with the connection.
    const bool heard = ok && !IsCut(message.to, message.from);
    scheduler_->After(Delay(message.to, message.from), [heard, done] { done(heard); });
  });
}

}  // namespace bandb::sim
