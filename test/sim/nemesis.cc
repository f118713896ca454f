#include "sim/nemesis.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

namespace bandb::sim {

uint64_t Nemesis::Counters::total() const { return std::accumulate(faults.begin(), faults.end(), uint64_t{0}); }

Nemesis::Nemesis(Scheduler* scheduler, Trace* trace, const Knobs& knobs, Cluster* cluster, uint64_t seed)
    : scheduler_(scheduler), trace_(trace), knobs_(knobs), cluster_(cluster), random_(seed) {
  cluster_->SetOnMoment([this](Node* node, Moment moment) { OnMoment(node, moment); });
}

void Nemesis::Start() {
  PlanFault();
  PlanChange();
  PlanTransfer();
  PlanStray();
  PlanAimed();
  Tend();
}

void Nemesis::Later(Nanos mean, std::function<void()> what) {
  // Exponential, without the longest tail, so that what waits for the end of a fault need not wait
  // forever.
  const double x = std::min(-std::log(1.0 - random_.Double()), 4.0);
  scheduler_->After(static_cast<Nanos>(x * static_cast<double>(mean)), [this, epoch = epoch_, what = std::move(what)] {
    if (epoch == epoch_) what();
  });
}

Nanos Nemesis::Duration() {
  const double x = std::min(-std::log(1.0 - random_.Double()), 4.0);
  return static_cast<Nanos>(x * static_cast<double>(knobs_.nemesis.fault_duration_mean));
}

void Nemesis::PlanFault() {
  Later(knobs_.nemesis.fault_interval_mean, [this] {
    const FaultKind kind = DrawKind();
    if (Inject(kind)) {
      ++counters_.faults[static_cast<size_t>(kind)];
      trace_->Mix(TraceKind::kFault, {static_cast<uint64_t>(kind)});
      trace_->Line("FAULT {}", Name(kind));
    }
    PlanFault();
  });
}

FaultKind Nemesis::DrawKind() {
  const auto& weights = knobs_.nemesis.weights;
  uint64_t dice = random_.Uniform(std::accumulate(weights.begin(), weights.end(), uint64_t{0}));
  size_t kind = 0;
  while (dice >= weights[kind]) dice -= weights[kind++];
  return static_cast<FaultKind>(kind);
}

bool Nemesis::Inject(FaultKind kind) {
  switch (kind) {
    case FaultKind::kCrash:
    case FaultKind::kCrashMany:
    case FaultKind::kCrashMidStep:
    case FaultKind::kPause:
      return InjectProcess(kind);
    case FaultKind::kPartition:
    case FaultKind::kIsolate:
    case FaultKind::kOneWay:
    case FaultKind::kBridge:
    case FaultKind::kSlowLinks:
    case FaultKind::kLossBurst:
      return InjectNetwork(kind);
    case FaultKind::kClockJump:
    case FaultKind::kClockDrift:
      return InjectClock(kind);
    case FaultKind::kDiskHang:
    case FaultKind::kDiskFail:
    case FaultKind::kDiskFull:
      return InjectDisk(kind);
    case FaultKind::kDiskNoSpace:
      return InjectDisk(kind);
    case FaultKind::kWipe:
    case FaultKind::kRot:
      return WipeOne(kind == FaultKind::kRot);
    case FaultKind::kLostQuorum:
    case FaultKind::kRotate:
    case FaultKind::kStrand:
      return false;
  }
  return false;
}

Node* Nemesis::PickUp() {
  if (random_.OneIn(3)) {
    if (Node* leader = cluster_->Leader()) return leader;
  }
  std::vector<Node*> up;
  for (const auto& [id, node] : cluster_->nodes()) {
    if (node->up()) up.push_back(node.get());
  }
  return up.empty() ? nullptr : up[random_.Uniform(up.size())];
}

void Nemesis::RestartLater(raft::NodeId id) {
  // At once, often: that is when a lost vote hurts.
  Later(random_.OneIn(3) ? kMilli : knobs_.nemesis.fault_duration_mean, [this, id] {
    Node& node = cluster_->node(id);
    if (node.state() == Node::State::kDown && !node.wiped()) node.Start();
  });
}

bool Nemesis::InjectProcess(FaultKind kind) {
  if (kind == FaultKind::kCrashMany) {
    const bool all = random_.OneIn(3);
    for (const auto& [id, node] : cluster_->nodes()) {
      if (node->state() == Node::State::kDown || (!all && random_.OneIn(2))) continue;
      node->Crash();
      RestartLater(id);
    }
    return true;
  }
  Node* node = PickUp();
  if (node == nullptr) return false;
  const raft::NodeId id = node->id();
  if (kind == FaultKind::kCrash) {
    node->Crash();
    RestartLater(id);
  } else if (kind == FaultKind::kCrashMidStep) {
    node->SetMidStepCrash(knobs_.nemesis.mid_step_chance, [this, id] { RestartLater(id); });
  } else {
    node->Pause();
    trace_->Line("node {} stands still", id);
    scheduler_->After(Duration(), [this, id, epoch = epoch_] {
      if (epoch != epoch_) return;
      trace_->Line("node {} goes on", id);
      cluster_->node(id).Resume();
    });
  }
  return true;
}

void Nemesis::CutLinks(Links links, Nanos duration) {
  for (const auto& [from, to] : links) {
    cluster_->network().Cut(from, to);
    trace_->Line("cut {} -> {}", from, to);
  }
  scheduler_->After(duration, [this, links = std::move(links), epoch = epoch_] {
    if (epoch != epoch_) return;
    for (const auto& [from, to] : links) cluster_->network().Mend(from, to);
    trace_->Line("{} links mended", links.size());
  });
}

bool Nemesis::Isolate() {
  Node* victim = PickUp();
  if (victim == nullptr) return false;
  const uint64_t direction = random_.Uniform(4);
  std::vector<std::pair<raft::NodeId, raft::NodeId>> links;
  for (const auto& [id, node] : cluster_->nodes()) {
    if (id == victim->id()) continue;
    if (direction != 1) links.emplace_back(id, victim->id());
    if (direction != 2) links.emplace_back(victim->id(), id);
  }
  CutLinks(std::move(links), Duration());
  return true;
}

bool Nemesis::Split(bool bridge) {
  std::vector<raft::NodeId> ids = cluster_->Unwiped();
  if (ids.size() < 2) return false;
  for (size_t i = ids.size(); i-- > 1;) std::swap(ids[i], ids[random_.Uniform(i + 1)]);
  const size_t cut = 1 + random_.Uniform(ids.size() - 1);
  std::vector<std::pair<raft::NodeId, raft::NodeId>> links;
  for (size_t a = 0; a < cut; ++a) {
    for (size_t b = cut; b < ids.size(); ++b) {
      // The bridge is the first of the second half: it hears both.
      if (bridge && b == cut) continue;
      links.emplace_back(ids[a], ids[b]);
      links.emplace_back(ids[b], ids[a]);
    }
  }
  CutLinks(std::move(links), Duration());
  return true;
}

bool Nemesis::SomeLinks(bool slow) {
  const double share = random_.Double();
  std::vector<std::pair<raft::NodeId, raft::NodeId>> links;
  for (raft::NodeId from : cluster_->Unwiped()) {
    for (raft::NodeId to : cluster_->Unwiped()) {
      if (from != to && random_.Chance(share)) links.emplace_back(from, to);
    }
  }
  if (!slow) {
    CutLinks(std::move(links), Duration());
    return true;
  }
  const Nanos extra = random_.Uniform(knobs_.core.election_timeout) + 1;
  for (const auto& [from, to] : links) cluster_->network().Slow(from, to, extra);
  scheduler_->After(Duration(), [this, links = std::move(links)] {
    for (const auto& [from, to] : links) cluster_->network().Slow(from, to, 0);
  });
  return true;
}

bool Nemesis::InjectNetwork(FaultKind kind) {
  switch (kind) {
    case FaultKind::kPartition:
      return Split(false);
    case FaultKind::kBridge:
      return Split(true);
    case FaultKind::kIsolate:
      return Isolate();
    case FaultKind::kOneWay:
      return SomeLinks(false);
    case FaultKind::kSlowLinks:
      return SomeLinks(true);
    default:
      cluster_->network().SetExtraLoss(0.2 + 0.7 * random_.Double());
      scheduler_->After(Duration(), [this] { cluster_->network().SetExtraLoss(0); });
      return true;
  }
}

bool Nemesis::InjectClock(FaultKind kind) {
  Node* node = PickUp();
  if (node == nullptr) return false;
  if (kind == FaultKind::kClockJump) {
    const double share = random_.Double();
    node->clock().Jump(static_cast<Nanos>(share * share * static_cast<double>(knobs_.clock.jump_max)));
  } else {
    node->clock().SetRate(1.0 + knobs_.clock.drift_max * (2 * random_.Double() - 1));
  }
  node->ClockChanged();
  return true;
}

bool Nemesis::InjectDisk(FaultKind kind) {
  Node* node = PickUp();
  if (node == nullptr) return false;
  trace_->Line("disk of node {}: {}", node->id(), Name(kind));
  if (kind == FaultKind::kDiskHang) {
    node->disk().HangUntil(scheduler_->now() + Duration());
  } else if (kind == FaultKind::kDiskFail) {
    node->disk().FailNextWrite();
  } else {
    if (kind == FaultKind::kDiskNoSpace) {
      node->disk().SetNoSpace(true);
    } else {
      node->disk().SetFull(true);
    }
    scheduler_->After(Duration(), [this, id = node->id(), epoch = epoch_] {
      if (epoch == epoch_) cluster_->node(id).disk().SetNoSpace(false);
    });
  }
  return true;
}

void Nemesis::Tend() {
  for (const auto& [id, node] : cluster_->nodes()) {
    if (node->failed()) {
      node->Crash();
      RestartLater(id);
    }
  }
  Later(knobs_.core.election_timeout, [this] { Tend(); });
}

}  // namespace bandb::sim
