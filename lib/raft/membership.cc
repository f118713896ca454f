#include "raft/membership.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"

namespace bandb::raft {
namespace {

using absl::StatusCode;

Member* Find(Configuration* configuration, NodeId id) { return const_cast<Member*>(configuration->Find(id)); }

// Nobody waits for the place of `node` any more, since it is no voter now, or was made one again:
// a learner that waited for it is simply added.
void ForgetReplacement(Configuration* configuration, NodeId node) {
  for (Member& m : configuration->members) {
    if (m.replaces == node) m.replaces = kNoNode;
  }
}

// A plan that failed, with nothing in it.
ChangePlan Refuse(StatusCode code, const char* reason) { return {code, reason, {}}; }

ChangePlan AddMember(Configuration next, const Change& change) {
  const NodeId replaces = change.kind == ChangeKind::kReplace ? change.other : kNoNode;
  if (change.node == kNoNode) return Refuse(StatusCode::kInvalidArgument, "no node id");
  if (change.address.size() > kMemberAddressBytesMax) return Refuse(StatusCode::kInvalidArgument, "address too long");
  if (change.kind == ChangeKind::kReplace) {
    const Member* replaced = next.Find(replaces);
    if (replaced == nullptr || !replaced->voter) return Refuse(StatusCode::kNotFound, "no such voter to replace");
  }
  ForgetReplacement(&next, change.node);
  Member* known = Find(&next, change.node);
  const bool becomes_voter = change.kind != ChangeKind::kAddLearner;
  // A learner that is already there may be asked to become a voter; anything else would be a second
  // member of one id.
  if (known != nullptr && (known->voter || !becomes_voter)) {
    return Refuse(StatusCode::kAlreadyExists, "already a member");
  }
  if (known == nullptr) {
    if (next.members.size() == kMembersMax) return Refuse(StatusCode::kInvalidArgument, "too many members");
    auto place =
        std::find_if(next.members.begin(), next.members.end(), [&](const Member& m) { return m.id > change.node; });
    known = &*next.members.insert(place, Member{.id = change.node, .learner = true, .address = change.address});
  }
  BANDB_ASSERT(!known->voter);
  BANDB_ASSERT(next.members.size() <= kMembersMax);
  known->promote = becomes_voter;
  known->replaces = replaces;
  return {StatusCode::kOk, "", std::move(next)};
}

ChangePlan ChangeMember(Configuration next, const Change& change) {
  Member* member = Find(&next, change.node);
  if (member == nullptr) return Refuse(StatusCode::kNotFound, "not a member");
  switch (change.kind) {
    case ChangeKind::kPromote:
      if (member->voter) return Refuse(StatusCode::kAlreadyExists, "already a voter");
      *member = {.id = member->id, .voter = true, .address = member->address};
      ForgetReplacement(&next, change.node);
      break;
    case ChangeKind::kDemote:
      if (!member->voter) return Refuse(StatusCode::kNotFound, "not a voter");
      *member = {.id = member->id, .learner = true, .address = member->address};
      ForgetReplacement(&next, change.node);
      break;
    case ChangeKind::kSetAddress:
      if (change.address.size() > kMemberAddressBytesMax) {
        return Refuse(StatusCode::kInvalidArgument, "address too long");
      }
      member->address = change.address;
      break;
    case ChangeKind::kRemove:
      next.members.erase(next.members.begin() + (member - next.members.data()));
      ForgetReplacement(&next, change.node);
      break;
    default:
      return Refuse(StatusCode::kInvalidArgument, "no such change");
  }
  return {StatusCode::kOk, "", std::move(next)};
}

// `wanted` says who votes in the end; the voters of `now` are added as the side that is left.
Configuration EnterJoint(const Configuration& now, Configuration wanted) {
  for (const Member& old : now.members) {
    if (!old.voter) continue;
    Member* member = Find(&wanted, old.id);
    if (member == nullptr) {
      auto place =
          std::find_if(wanted.members.begin(), wanted.members.end(), [&](const Member& m) { return m.id > old.id; });
      member = &*wanted.members.insert(place, Member{.id = old.id, .address = old.address});
    }
    member->outgoing = true;
  }
  wanted.auto_leave = true;
  return wanted;
}

bool SameVoters(const Configuration& a, const Configuration& b) {
  auto subset = [](const Configuration& x, const Configuration& y) {
    return std::all_of(x.members.begin(), x.members.end(), [&y](const Member& m) {
      const Member* other = y.Find(m.id);
      return !m.voter || (other != nullptr && other->voter);
    });
  };
  return subset(a, b) && subset(b, a);
}

}  // namespace

ChangePlan PlanChange(const Configuration& now, const std::vector<Change>& changes) {
  BANDB_ASSERT(!now.joint());
  if (changes.empty()) return Refuse(StatusCode::kInvalidArgument, "no changes");
  if (changes.size() > kMembersMax) return Refuse(StatusCode::kInvalidArgument, "too many changes");
  ChangePlan plan;
  plan.next = now;
  for (const Change& change : changes) {
    const bool adds = change.kind == ChangeKind::kAddLearner || change.kind == ChangeKind::kAddVoter ||
                      change.kind == ChangeKind::kReplace;
    plan = adds ? AddMember(std::move(plan.next), change) : ChangeMember(std::move(plan.next), change);
    if (!plan.ok()) return plan;
  }
  if (!IsValid(plan.next)) return Refuse(StatusCode::kInvalidArgument, "no voter would be left");
  if (!SameVoters(now, plan.next)) plan.next = EnterJoint(now, std::move(plan.next));
  if (plan.next.members.size() > kMembersMax) {
    return Refuse(StatusCode::kInvalidArgument, "too many members during the change");
  }
  // Until the joint configuration is left it has its old vote; it cannot wait for a new one.
  if (!IsValid(plan.next)) return Refuse(StatusCode::kInvalidArgument, "a voter is demoted and made a voter at once");
  return plan;
}

Configuration PlanPromotion(const Configuration& now, const std::vector<NodeId>& ready) {
  BANDB_ASSERT(!now.joint());
  Configuration wanted = now;
  for (NodeId id : ready) {
    // One that came before it in `ready` may have taken its place.
    Member* learner = Find(&wanted, id);
    if (learner == nullptr || !learner->promote) continue;
    const NodeId replaced = learner->replaces;
    *learner = {.id = id, .voter = true, .address = learner->address};
    ForgetReplacement(&wanted, id);
    const Member* old = replaced == kNoNode ? nullptr : wanted.Find(replaced);
    if (old == nullptr || !old->voter || replaced == id) continue;
    wanted.members.erase(wanted.members.begin() + (old - wanted.members.data()));
    ForgetReplacement(&wanted, replaced);
  }
  return EnterJoint(now, std::move(wanted));
}

Configuration LeaveJoint(const Configuration& joint) {
  Configuration next = joint;
  next.auto_leave = false;
  for (Member& member : next.members) member.outgoing = false;
  next.members.erase(
      std::remove_if(next.members.begin(), next.members.end(), [](const Member& m) { return !m.voter && !m.learner; }),
      next.members.end());
  return next;
}

}  // namespace bandb::raft
