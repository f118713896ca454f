#include "sim/workload.h"

#include <iterator>
#include <utility>

#include "base/assert.h"
#include "sim/exponential.h"

namespace bandb::sim {
Workload::Workload(Scheduler* scheduler, Trace* trace, const Knobs& knobs, const Nodes* nodes, uint64_t seed)
    : scheduler_(scheduler),
      trace_(trace),
      knobs_(knobs),
      nodes_(nodes),
      random_(seed),
      clients_(knobs.workload.clients),
      think_mean_(knobs.workload.think_mean),
      last_seen_(knobs.workload.keys, kAbsent) {}

void Workload::Start() {
  for (uint32_t client = 0; client < clients_.size(); ++client) Think(client);
}

void Workload::Concentrate(std::vector<raft::NodeId> nodes) {
  concentrated_ = std::move(nodes);
  think_mean_ = std::min(think_mean_, knobs_.core.election_timeout / 4);
  writes_done_ = 0;
  reads_done_ = 0;
  // A client that thinks is woken.
  for (uint32_t client = 0; client < clients_.size(); ++client) Think(client);
}

Nanos Workload::Trip() { return 10 * kMicro + Exponential(&random_, 200 * kMicro); }

void Workload::Think(uint32_t client) {
  scheduler_->After(Exponential(&random_, think_mean_), [this, client] { Burst(client); });
}

void Workload::Burst(uint32_t client) {
  if (stopped_ || clients_[client].open > 0) return;
  // Once concentrated, one at a time: a queue of them might take longer than anyone waits.
  const uint64_t count = concentrated_.empty() ? 1 + random_.Uniform(knobs_.workload.burst_max) : 1;
  clients_[client].open = static_cast<uint32_t>(count);
  for (uint64_t i = 0; i < count; ++i) Send(client);
}

Operation Workload::Draw(uint32_t client) {
  const WorkloadKnobs& w = knobs_.workload;
  Operation op;
  op.client = client;
  op.key = random_.Uniform(w.keys);
  if (random_.Uniform(100) < w.reads_percent) {
    op.kind = OpKind::kGet;
  } else if (random_.Uniform(100) < w.cas_percent) {
    op.kind = OpKind::kCas;
    op.expected = last_seen_[op.key];
  } else {
    op.kind = random_.Uniform(100) < w.delete_percent ? OpKind::kDelete : OpKind::kPut;
  }
  if (op.kind == OpKind::kPut || op.kind == OpKind::kCas) op.value = next_serial_;
  return op;
}

raft::NodeId Workload::Choose(uint32_t client, const Operation& op) {
  const auto random_node = [this] {
    if (!concentrated_.empty()) return concentrated_[random_.Uniform(concentrated_.size())];
    auto it = nodes_->begin();
    std::advance(it, static_cast<long>(random_.Uniform(nodes_->size())));
    return it->first;
  };
  raft::NodeId& target = clients_[client].target;
  if (target == raft::kNoNode || random_.OneIn(20)) target = random_node();
  if (op.kind == OpKind::kGet && random_.Uniform(100) < knobs_.workload.follower_reads_percent) return random_node();
  return target;
}

void Workload::Send(uint32_t client) {
  Operation op = Draw(client);
  const uint64_t serial = next_serial_++;
  const raft::NodeId node = Choose(client, op);
  op.call = ++clock_;
  Request request;
  request.command = Command{serial, op.kind, op.key, op.value, op.expected};
  request.padding = random_.Uniform(knobs_.workload.value_bytes_max + 1);
  if (!random_.OneIn(8)) request.padding /= 16;
  request.reply = [this, serial, client](const Reply& reply) {
    scheduler_->After(Trip(), [this, serial, client, reply] {
      if (reply.outcome == Outcome::kNotDone) clients_[client].target = reply.leader;
      End(serial, reply.outcome, reply.found);
    });
  };
  open_.emplace(serial, op);
  scheduler_->After(Trip(), [this, node, request = std::move(request)] {
    const auto it = nodes_->find(node);
    if (it != nodes_->end()) it->second->Submit(request);
  });
  const Nanos patience = knobs_.workload.timeout + (concentrated_.empty() ? 0 : 10 * kSecond);
  scheduler_->After(patience, [this, serial, client] {
    if (open_.count(serial) != 0) clients_[client].target = raft::kNoNode;
    End(serial, Outcome::kUnknown, kAbsent);
  });
}

void Workload::End(uint64_t serial, Outcome outcome, uint64_t found) {
  const auto it = open_.find(serial);
  if (it == open_.end()) return;
  Operation op = it->second;
  open_.erase(it);
  op.outcome = outcome;
  op.found = found;
  op.ret = outcome == Outcome::kUnknown ? kNever : ++clock_;
  trace_->Mix(TraceKind::kClient, {serial, static_cast<uint64_t>(outcome), found});
  if (trace_->wordy()) trace_->Line("{}", Describe(op));
  if (op.done()) {
    ++counters_.done;
    ++(op.kind == OpKind::kGet ? reads_done_ : writes_done_);
    last_seen_[op.key] = op.kind == OpKind::kGet ? found : op.value;
    if (op.kind == OpKind::kCas && !op.swapped()) last_seen_[op.key] = found;
  } else {
    ++(outcome == Outcome::kNotDone ? counters_.not_done : counters_.unknown);
  }
  history_.push_back(op);
  BANDB_ASSERT(clients_[op.client].open > 0);
  if (--clients_[op.client].open == 0) Think(op.client);
}

std::vector<Operation> Workload::TakeHistory() {
  for (auto& [serial, op] : open_) {
    op.outcome = Outcome::kUnknown;
    op.ret = kNever;
    history_.push_back(op);
    ++counters_.unknown;
  }
  open_.clear();
  return std::move(history_);
}

std::vector<Operation> Workload::NewEpoch(const std::map<uint64_t, uint64_t>& state) {
  const size_t ended = history_.size();
  while (!open_.empty()) End(open_.begin()->first, Outcome::kUnknown, kAbsent);
  std::vector<Operation> before = std::exchange(history_, {});
  for (const auto& [key, value] : state) {
    if (value == kAbsent) continue;
    Operation put;
    put.kind = OpKind::kPut;
    put.outcome = Outcome::kDone;
    put.key = key;
    put.value = value;
    put.call = 0;
    put.ret = 1;
    history_.push_back(put);
  }
  for (size_t i = ended; i < before.size(); ++i) {
    const Operation& op = before[i];
    const bool there = op.value != kAbsent && state.at(op.key) == op.value;
    if (op.kind != OpKind::kGet && !there) history_.push_back(op);
  }
  return before;
}

}  // namespace bandb::sim
