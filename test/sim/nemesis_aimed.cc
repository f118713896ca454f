// The part of Nemesis that aims: sequences of faults that by luck alone come together in one of
// some thousand runs, and crashes at the instants at which they hurt most.
#include <algorithm>
#include <utility>

#include "sim/nemesis.h"

namespace bandb::sim {
namespace {

// Of `whole`, in percent.
Nanos Share(Nanos whole, uint64_t percent) { return whole * percent / 100; }

}  // namespace

void Nemesis::After(Nanos delay, std::function<void()> what) {
  scheduler_->After(delay, [this, epoch = epoch_, what = std::move(what)] {
    if (epoch == epoch_) what();
  });
}

void Nemesis::PlanAimed() {
  if (knobs_.nemesis.aimed_interval_mean == 0) return;
  Later(knobs_.nemesis.aimed_interval_mean, [this] {
    PlanAimed();
    switch (random_.Uniform(knobs_.core.leases ? 6 : 4)) {
      case 0:
        return LateBid();
      case 1:
      case 2:
        return Strand();
      default:
        return RotateQuorum();
    }
  });
}

std::vector<raft::NodeId> Nemesis::OtherVoters(const Node& leader) {
  std::vector<raft::NodeId> ids;
  for (const raft::Member& m : leader.core()->configuration().members) {
    if (m.votes() && m.id != leader.id() && cluster_->node(m.id).up()) ids.push_back(m.id);
  }
  for (size_t i = ids.size(); i-- > 1;) std::swap(ids[i], ids[random_.Uniform(i + 1)]);
  return ids;
}

Nemesis::Links Nemesis::LinksBetween(raft::NodeId one, const std::vector<raft::NodeId>& others,
                                     bool from_others) const {
  Links links;
  for (raft::NodeId other : others) {
    links.emplace_back(one, other);
    if (from_others) links.emplace_back(other, one);
  }
  return links;
}

std::vector<raft::NodeId> Nemesis::AllBut(raft::NodeId id) const {
  std::vector<raft::NodeId> ids = cluster_->Unwiped();
  ids.erase(std::remove(ids.begin(), ids.end(), id), ids.end());
  return ids;
}

void Nemesis::Bid(raft::NodeId id) {
  Node& node = cluster_->node(id);
  if (node.up()) node.Administer(raft::Campaign{}, [](const raft::StepResult&) {});
}

// The leader keeps a quorum all the time, but not the same one: first some do not hear it, and ask
// for votes that are long under way; then others do not, while the first do again, and the late
// requests come to those who are free by now. Then the leader is cut off, with the lease that the
// last quorum gave it.
void Nemesis::RotateQuorum() {
  Node* leader = cluster_->Leader();
  if (leader == nullptr) return;
  const raft::NodeId id = leader->id();
  const std::vector<raft::NodeId> others = OtherVoters(*leader);
  if (others.size() < 2) return;
  const size_t deaf = others.size() / 2;
  const std::vector<raft::NodeId> first(others.begin(), others.begin() + static_cast<std::ptrdiff_t>(deaf));
  // The one that asks first stays deaf.
  std::vector<raft::NodeId> second(others.end() - static_cast<std::ptrdiff_t>(deaf), others.end());
  if (deaf > 1) second.front() = others.front();
  const Nanos timeout = knobs_.core.election_timeout;
  const Nanos hop = knobs_.network.delay_min + 2 * knobs_.network.delay_mean + kMilli;
  const Nanos asking = Share(timeout, 101 + random_.Uniform(10)) + 2 * hop;
  const Nanos turning = asking + hop * (2 + random_.Uniform(4));
  const Nanos late = turning - asking + Share(timeout, 99 + random_.Uniform(16)) + hop;
  trace_->Line("the quorum of leader {} rotates: deaf are [{}], then [{}]", id, fmt::join(first, " "),
               fmt::join(second, " "));
  ++counters_.faults[static_cast<size_t>(FaultKind::kRotate)];
  CutLinks(LinksBetween(id, first, false), turning);
  After(asking, [this, first, second, late, hop] {
    std::vector<std::pair<raft::NodeId, raft::NodeId>> links;
    for (raft::NodeId from : first) {
      for (raft::NodeId to : second) {
        if (from != to && std::find(first.begin(), first.end(), to) == first.end()) links.emplace_back(from, to);
      }
      Bid(from);
    }
    for (const auto& [from, to] : links) cluster_->network().Slow(from, to, late);
    // What is asked later is on time.
    scheduler_->After(hop, [this, links] {
      for (const auto& [from, to] : links) cluster_->network().Slow(from, to, 0);
    });
  });
  After(turning, [this, id, second, late] { CutLinks(LinksBetween(id, second, false), 2 * late); });
  const Nanos cut_off = asking + late - hop + random_.Uniform(3 * hop);
  After(cut_off, [this, id, timeout] { CutLinks(LinksBetween(id, AllBut(id), true), 2 * timeout); });
}

// A voter is told to stand for election so late that the leader has given up the handover, and has
// appended an entry since which the voter has not got and the others have not yet on disk.
void Nemesis::LateBid() {
  Node* leader = cluster_->Leader();
  if (leader == nullptr) return;
  const raft::NodeId id = leader->id();
  const std::vector<raft::NodeId> others = OtherVoters(*leader);
  if (others.size() < 2) return;
  const raft::NodeId to = others.front();
  const Nanos timeout = knobs_.core.election_timeout;
  const Nanos hop = knobs_.network.delay_min + knobs_.network.delay_mean + kMilli;
  const Nanos late = Share(timeout, 102 + random_.Uniform(15));
  cluster_->network().Slow(id, to, late);
  leader->Administer(raft::TransferLeadership{to}, [](const raft::StepResult&) {});
  trace_->Line("the bid of leader {} to {} is late", id, to);
  ++counters_.faults[static_cast<size_t>(FaultKind::kSlowLinks)];
  scheduler_->After(hop, [this, id, to] { cluster_->network().Slow(id, to, 0); });
  const Nanos arrival = late + hop / 2;
  const Nanos appended = arrival - random_.Uniform(2 * hop);
  After(appended, [this, id, others, hop] {
    Node& then = cluster_->node(id);
    if (!then.up() || then.core()->inspect().role != raft::Role::kLeader) return;
    for (raft::NodeId other : others) {
      if (other != others.front()) cluster_->node(other).disk().HangUntil(scheduler_->now() + random_.Uniform(8 * hop));
    }
    // The bid is under way and comes in time; what is said from now on does not.
    cluster_->network().Slow(id, others.front(), 16 * hop);
    AppendSomething(&then);
    CutLinks({{others.front(), id}}, 16 * hop);
    scheduler_->After(4 * hop, [this, id, to = others.front()] { cluster_->network().Slow(id, to, 0); });
  });
}

// An entry that no client waits for.
void Nemesis::AppendSomething(Node* leader) {
  const raft::Configuration& now = leader->core()->configuration();
  const raft::Change change{raft::ChangeKind::kSetAddress, PickMember(now, true), raft::kNoNode, "other"};
  leader->Administer(raft::ChangeMembership{{change}, now.version}, [](const raft::StepResult&) {});
}

// The leader and as many voters as are no quorum are cut off together, with disks that complete
// nothing. The others elect a leader, which finds logs to truncate whose writes are still under
// way.
void Nemesis::Strand() {
  Node* leader = cluster_->Leader();
  if (leader == nullptr) return;
  const std::vector<raft::NodeId> others = OtherVoters(*leader);
  if (others.size() < 2) return;
  const Nanos timeout = knobs_.core.election_timeout;
  const Nanos apart = Share(timeout, 180 + random_.Uniform(150));
  std::vector<raft::NodeId> stranded = {leader->id()};
  for (size_t i = 0; 2 * (stranded.size() + 1) < others.size() + 1; ++i) stranded.push_back(others[i]);
  std::vector<std::pair<raft::NodeId, raft::NodeId>> links;
  for (raft::NodeId id : stranded) {
    cluster_->node(id).disk().HangUntil(scheduler_->now() + apart + random_.Uniform(timeout));
    for (raft::NodeId other : AllBut(id)) {
      if (std::find(stranded.begin(), stranded.end(), other) != stranded.end()) continue;
      links.emplace_back(id, other);
      links.emplace_back(other, id);
    }
  }
  trace_->Line("stranded with hung disks: {}", fmt::join(stranded, " "));
  ++counters_.faults[static_cast<size_t>(FaultKind::kStrand)];
  CutLinks(std::move(links), apart);
  AppendSomething(leader);
}

void Nemesis::OnMoment(Node* node, Moment moment) {
  const NemesisKnobs& knobs = knobs_.nemesis;
  switch (moment) {
    case Moment::kInstall:
      // Anywhere between the first byte of the data and the answer.
      if (random_.Chance(knobs.install_crash_chance)) {
        CrashWithin(node->id(), 2 * (knobs_.disk.write_min + knobs_.disk.write_mean));
      }
      break;
    case Moment::kLeadsJoint:
      if (random_.Chance(knobs.joint_crash_chance)) {
        CrashWithin(node->id(), 2 * (knobs_.network.delay_min + knobs_.network.delay_mean));
      }
      break;
    case Moment::kSendsSnapshot:
      if (random_.Chance(knobs.joint_crash_chance)) AskForJoint();
      break;
  }
}

void Nemesis::CrashWithin(raft::NodeId id, Nanos span) {
  After(random_.Uniform(span + 1), [this, id, incarnation = cluster_->node(id).incarnation()] {
    Node& node = cluster_->node(id);
    if (!node.up() || node.incarnation() != incarnation) return;
    ++counters_.faults[static_cast<size_t>(FaultKind::kCrash)];
    node.Crash();
    RestartLater(id);
  });
}

void Nemesis::AskForJoint() {
  Node* leader = cluster_->Leader();
  if (leader == nullptr) return;
  const raft::Configuration& now = leader->core()->configuration();
  std::vector<raft::Change> changes;
  // A node that is a voter again in the end leaves a group of the same size.
  const raft::NodeId learner = PickMember(now, false);
  if (learner != raft::kNoNode && !cluster_->node(learner).wiped()) {
    changes.push_back({raft::ChangeKind::kPromote, learner, raft::kNoNode, ""});
  } else {
    changes.push_back({raft::ChangeKind::kDemote, PickMember(now, true), raft::kNoNode, ""});
  }
  if (!Survivable(now, changes)) return;
  const bool demotes = changes.front().kind == raft::ChangeKind::kDemote;
  leader->Administer(raft::ChangeMembership{changes, now.version},
                     [this, demotes, node = changes.front().node](const raft::StepResult& result) {
                       ++(result.ok() ? counters_.changes : counters_.changes_refused);
                       if (result.ok() && demotes)
                         Later(2 * knobs_.core.election_timeout, [this, node] { Readmit(node); });
                     });
}

void Nemesis::Readmit(raft::NodeId id) {
  Node* leader = cluster_->Leader();
  if (leader == nullptr || cluster_->node(id).wiped()) return;
  const raft::Configuration& now = leader->core()->configuration();
  std::vector<raft::Change> changes = {{raft::ChangeKind::kAddVoter, id, raft::kNoNode, ""}};
  if (!Survivable(now, changes)) return;
  leader->Administer(raft::ChangeMembership{std::move(changes), now.version}, [](const raft::StepResult&) {});
}

}  // namespace bandb::sim
