// The half of Nemesis that changes who belongs to the group: wiped disks, and an operator who adds,
// removes, replaces and moves leadership under all the other faults.
#include <algorithm>
#include <utility>

#include "sim/kv_machine.h"
#include "sim/nemesis.h"

namespace bandb::sim {
namespace {

constexpr size_t kVotersMax = 7;

// Majorities of the configurations that the changes lead to, seen from `wiped`.
struct Sides {
  size_t voters = 0;
  size_t wiped = 0;
  bool alive() const { return voters > 0 && wiped * 2 < voters; }
};

}  // namespace

bool Nemesis::MayWipe(raft::NodeId id) const {
  for (const raft::Configuration& configuration : cluster_->PossibleConfigurations()) {
    Sides incoming;
    Sides outgoing;
    for (const raft::Member& m : configuration.members) {
      const bool gone = m.id == id || (cluster_->nodes().count(m.id) != 0 && cluster_->node(m.id).wiped());
      // A learner on its way to a vote counts as if it had one already.
      if (m.voter || m.promote) ++incoming.voters, incoming.wiped += gone ? 1 : 0;
      if (m.outgoing) ++outgoing.voters, outgoing.wiped += gone ? 1 : 0;
    }
    if (!incoming.alive() || (outgoing.voters > 0 && !outgoing.alive())) return false;
  }
  return true;
}

bool Nemesis::WipeOne(bool rot) {
  if (wipes_ >= knobs_.nemesis.wipes_max) return false;
  Node* victim = PickUp();
  if (victim == nullptr || !MayWipe(victim->id())) return false;
  if (rot) {
    victim->Crash();
    const bool damaged = victim->disk().Rot();
    victim->Start();
    if (!damaged) return false;
    if (victim->damage().code() != absl::StatusCode::kDataLoss) {
      cluster_->invariants().Fail("node {} starts though an entry of its log is damaged", victim->id());
      return false;
    }
  }
  Node* fresh = cluster_->Spawn();
  if (fresh == nullptr) {
    if (rot) victim->Wipe();
    return rot;
  }
  ++wipes_;
  trace_->Line("node {} loses its disk; node {} comes in its place", victim->id(), fresh->id());
  victim->Wipe();
  fresh->Start();
  return true;
}

bool Nemesis::Survivable(const raft::Configuration& now, const std::vector<raft::Change>& changes) const {
  std::map<raft::NodeId, bool> voters;
  for (const raft::Member& m : now.members) {
    if (m.voter || m.promote) voters[m.id] = true;
    if (m.replaces != raft::kNoNode) voters.erase(m.replaces);
  }
  for (const raft::Change& change : changes) {
    switch (change.kind) {
      case raft::ChangeKind::kAddLearner:
      case raft::ChangeKind::kSetAddress:
        break;
      case raft::ChangeKind::kAddVoter:
      case raft::ChangeKind::kPromote:
        voters[change.node] = true;
        break;
      case raft::ChangeKind::kDemote:
      case raft::ChangeKind::kRemove:
        voters.erase(change.node);
        break;
      case raft::ChangeKind::kReplace:
        voters[change.node] = true;
        voters.erase(change.other);
        break;
    }
  }
  Sides side;
  for (const auto& [id, unused] : voters) {
    ++side.voters;
    side.wiped += cluster_->nodes().count(id) != 0 && cluster_->node(id).wiped() ? 1 : 0;
  }
  return side.alive() && side.voters <= kVotersMax;
}

raft::NodeId Nemesis::PickMember(const raft::Configuration& now, bool voter) {
  std::vector<raft::NodeId> ids;
  for (const raft::Member& m : now.members) {
    if (m.voter == voter) ids.push_back(m.id);
  }
  return ids.empty() ? raft::kNoNode : ids[random_.Uniform(ids.size())];
}

raft::NodeId Nemesis::PickStranger(const raft::Configuration& now) {
  std::vector<raft::NodeId> ids;
  for (raft::NodeId id : cluster_->Unwiped()) {
    if (now.Find(id) == nullptr) ids.push_back(id);
  }
  if (!ids.empty() && !random_.OneIn(4)) return ids[random_.Uniform(ids.size())];
  Node* fresh = cluster_->Spawn();
  if (fresh == nullptr) return ids.empty() ? raft::kNoNode : ids.front();
  fresh->Start();
  return fresh->id();
}

bool Nemesis::DrawChange(const raft::Configuration& now, raft::Change* change) {
  // A node that lost its disk goes first.
  for (const raft::Member& m : now.members) {
    if (!cluster_->node(m.id).wiped() || random_.OneIn(4)) continue;
    if (m.voter && random_.OneIn(2)) {
      *change = {raft::ChangeKind::kReplace, PickStranger(now), m.id, ""};
    } else {
      *change = {raft::ChangeKind::kRemove, m.id, raft::kNoNode, ""};
    }
    return change->node != raft::kNoNode;
  }
  // A learner that waits for the place of a voter: then something happens to that voter.
  for (const raft::Member& m : now.members) {
    if (m.replaces == raft::kNoNode || random_.OneIn(2)) continue;
    static constexpr raft::ChangeKind kKinds[] = {raft::ChangeKind::kDemote, raft::ChangeKind::kRemove,
                                                  raft::ChangeKind::kAddVoter, raft::ChangeKind::kPromote};
    *change = {kKinds[random_.Uniform(4)], m.replaces, raft::kNoNode, ""};
    return true;
  }
  *change = raft::Change{};
  change->kind = static_cast<raft::ChangeKind>(random_.Uniform(7));
  switch (change->kind) {
    case raft::ChangeKind::kAddLearner:
    case raft::ChangeKind::kAddVoter:
      // Sometimes of a member, to be refused.
      change->node = random_.OneIn(8) ? PickMember(now, random_.OneIn(2)) : PickStranger(now);
      break;
    case raft::ChangeKind::kPromote:
      change->node = PickMember(now, false);
      break;
    case raft::ChangeKind::kDemote:
      change->node = PickMember(now, true);
      break;
    case raft::ChangeKind::kRemove:
      change->node = PickMember(now, random_.OneIn(2));
      break;
    case raft::ChangeKind::kReplace:
      change->node = PickStranger(now);
      change->other = PickMember(now, true);
      break;
    case raft::ChangeKind::kSetAddress:
      change->node = PickMember(now, random_.OneIn(2));
      change->address = "new";
      break;
  }
  return change->node != raft::kNoNode;
}

void Nemesis::PlanChange() {
  if (knobs_.nemesis.membership_interval_mean == 0) return;
  Later(knobs_.nemesis.membership_interval_mean, [this] {
    ChangeMembership();
    PlanChange();
  });
}

void Nemesis::ChangeMembership() {
  Node* leader = cluster_->Leader();
  if (leader == nullptr) return;
  const raft::Configuration& now = leader->core()->configuration();
  std::vector<raft::Change> changes;
  const uint64_t count = 1 + (random_.OneIn(4) ? random_.Uniform(3) : 0);
  for (uint64_t i = 0; i < count; ++i) {
    raft::Change change;
    if (DrawChange(now, &change)) changes.push_back(std::move(change));
  }
  if (changes.empty() || !Survivable(now, changes)) return;
  raft::ChangeMembership event{changes, now.version};
  for (const raft::Change& c : changes) {
    trace_->Line("asks node {} for change {} of node {} ({})", leader->id(), static_cast<int>(c.kind), c.node, c.other);
  }
  leader->Administer(std::move(event), [this](const raft::StepResult& result) {
    ++(result.ok() ? counters_.changes : counters_.changes_refused);
    trace_->Mix(TraceKind::kNote, {static_cast<uint64_t>(result.code), result.index});
    trace_->Line("change of membership: {} {} at {}", absl::StatusCodeToString(result.code), result.reason,
                 result.index);
  });
}

void Nemesis::PlanTransfer() {
  if (knobs_.nemesis.transfer_interval_mean == 0) return;
  Later(knobs_.nemesis.transfer_interval_mean, [this] {
    PlanTransfer();
    if (random_.OneIn(4)) return Ambush();
    if (random_.OneIn(knobs_.core.leases ? 2 : 6)) return Fade();
    if (random_.OneIn(6)) {
      Node* node = PickUp();
      if (node != nullptr) node->Administer(raft::Campaign{}, [](const raft::StepResult&) {});
      return;
    }
    Node* leader = cluster_->Leader();
    if (leader == nullptr) return;
    const raft::NodeId to = random_.OneIn(2) ? raft::kNoNode : PickMember(leader->core()->configuration(), true);
    leader->Administer(raft::TransferLeadership{to}, [this, id = leader->id()](const raft::StepResult& result) {
      if (!result.ok()) return;
      ++counters_.transfers;
      // The worst time to be cut off: the successor is elected, and the predecessor does not hear
      // of it.
      if (random_.OneIn(2)) Later(4 * knobs_.network.delay_mean + kMilli, [this, id] { Deafen(id); });
    });
  });
}

void Nemesis::Ambush() {
  Node* leader = cluster_->Leader();
  if (leader == nullptr) return;
  Deafen(leader->id());
  for (const auto& [id, node] : cluster_->nodes()) {
    if (node.get() == leader || node->state() != Node::State::kUp) continue;
    node->Crash();
    node->Start();
    Later(2 * kMilli, [this, id = id] {
      Node& candidate = cluster_->node(id);
      if (candidate.up()) candidate.Administer(raft::Campaign{}, [](const raft::StepResult&) {});
    });
  }
  ++counters_.faults[static_cast<size_t>(FaultKind::kCrashMany)];
}

void Nemesis::Fade() {
  Node* leader = cluster_->Leader();
  if (leader == nullptr) return;
  const raft::NodeId id = leader->id();
  const Nanos timeout = knobs_.core.election_timeout;
  // Answers that are this late still keep it in office.
  const Nanos late = timeout * (40 + random_.Uniform(45)) / 100;
  std::vector<std::pair<raft::NodeId, raft::NodeId>> links;
  for (const auto& [other, node] : cluster_->nodes()) {
    if (other == id) continue;
    links.emplace_back(id, other);
    cluster_->network().Slow(other, id, late);
  }
  ++counters_.faults[static_cast<size_t>(FaultKind::kSlowLinks)];
  scheduler_->After(timeout / 2, [this, links, timeout, epoch = epoch_] {
    if (epoch == epoch_) CutLinks(links, 3 * timeout);
  });
  // The others need not wait for the end of their patience, only of their promise.
  for (Nanos share : {156, 162, 170, 185}) {
    scheduler_->After(timeout * share / 100, [this, id, epoch = epoch_] {
      Node* node = epoch == epoch_ ? PickUp() : nullptr;
      if (node != nullptr && node->id() != id) node->Administer(raft::Campaign{}, [](const raft::StepResult&) {});
    });
  }
  scheduler_->After(timeout * 4, [this, links] {
    for (const auto& [from, to] : links) cluster_->network().Slow(to, from, 0);
  });
}

void Nemesis::Deafen(raft::NodeId id) {
  std::vector<std::pair<raft::NodeId, raft::NodeId>> links;
  for (const auto& [other, node] : cluster_->nodes()) {
    if (other != id) links.emplace_back(other, id);
  }
  CutLinks(std::move(links), Duration());
  ++counters_.faults[static_cast<size_t>(FaultKind::kOneWay)];
}

void Nemesis::PlanStray() {
  Later(knobs_.core.election_timeout * 20, [this] {
    SendStray();
    PlanStray();
  });
}

void Nemesis::SendStray() {
  Node* node = PickUp();
  if (node == nullptr) return;
  const raft::Inspect now = node->core()->inspect();
  raft::Message message;
  message.kind = raft::MessageKind::kAppend;
  message.cluster = 0xbad;
  message.from = 1 + random_.Uniform(cluster_->nodes().size());
  message.to = node->id();
  if (message.from == message.to) return;
  message.term = now.term + random_.Uniform(3);
  message.index = now.last;
  message.log_term = now.last_term;
  message.commit = now.last + 1;
  raft::Entry entry;
  entry.term = message.term;
  entry.index = now.last + 1;
  entry.payload = raft::Payload(EncodeCommand({~random_.Next(), OpKind::kPut, 0, 1, 0}, 0));
  message.entries.push_back(std::move(entry));
  cluster_->network().Send(message);
}

}  // namespace bandb::sim
