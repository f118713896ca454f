#include "raft/restart.h"

#include <algorithm>
#include <string>
#include <tuple>
#include <utility>

#include "base/status.h"
#include "raft/quorum.h"
#include "raft/types/configuration_codec.h"

namespace bandb::raft {
namespace {

using absl::StatusCode;

const Configuration& LatestConfiguration(const Restart& state) {
  return state.configurations.empty() ? state.floor.configuration : state.configurations.back();
}

}  // namespace

absl::Status Restart::AddEntry(const Entry& entry) {
  if (terms.empty()) last_index = floor.index;
  if (entry.index != last_index + 1) {
    return base::Error(StatusCode::kDataLoss, "entry {} follows entry {}", entry.index, last_index);
  }
  if (entry.term < last_term() || entry.term == 0) {
    return base::Error(StatusCode::kDataLoss, "entry {} has term {} after {}", entry.index, entry.term, last_term());
  }
  if (entry.kind == EntryKind::kConfiguration) {
    Configuration configuration;
    if (!DecodeConfiguration(entry.payload.bytes(), &configuration) || configuration.index != entry.index) {
      return base::Error(StatusCode::kDataLoss, "entry {} holds no valid configuration", entry.index);
    }
    configurations.push_back(std::move(configuration));
  }
  if (terms.empty() || terms.back().term != entry.term) terms.push_back({entry.index, entry.term});
  last_index = entry.index;
  if (entry.index > std::max({floor.index, hard_state.commit, applied})) tail_costs.push_back(CostBytes(entry));
  return absl::OkStatus();
}

absl::Status Restart::Validate() const {
  const Index last = terms.empty() ? floor.index : last_index;
  if (applied < floor.index) {
    return base::Error(StatusCode::kDataLoss, "applied up to {}, but the log begins after {}", applied, floor.index);
  }
  if (applied > last) {
    return base::Error(StatusCode::kDataLoss, "applied up to {}, but the log ends at {}", applied, last);
  }
  if ((floor.index == 0) != (floor.term == 0)) {
    return base::Error(StatusCode::kDataLoss, "the log begins after index {} of term {}", floor.index, floor.term);
  }
  const Configuration& first = floor.configuration;
  if (!first.members.empty() && !IsValid(first)) {
    return base::Error(StatusCode::kDataLoss, "the configuration at {} is not valid", floor.index);
  }
  if (first.index > floor.index || (floor.index > 0 && first.members.empty())) {
    return base::Error(StatusCode::kDataLoss, "the configuration at {} is of {}", floor.index, first.index);
  }
  const Index covered = std::max({floor.index, hard_state.commit, applied});
  if (tail_costs.size() != (last > covered ? last - covered : 0)) {
    return base::Error(StatusCode::kDataLoss, "hard_state, floor and applied changed after AddEntry");
  }
  return absl::OkStatus();
}

Restart FirstStart(Configuration configuration) {
  Restart restart;
  restart.floor.configuration = std::move(configuration);
  return restart;
}

absl::StatusOr<QuorumRecovery> RecoverLostQuorum(const Restart& state, NodeId self, GroupId group, ClusterId cluster,
                                                 const LostQuorum& lost) {
  BANDB_RETURN_IF_ERROR(state.Validate());
  if (lost.new_cluster == cluster || lost.new_cluster == 0) {
    return base::Error(StatusCode::kInvalidArgument, "the recovered group needs a new cluster id");
  }
  const Configuration& before = LatestConfiguration(state);
  auto survives = [&lost](NodeId id) {
    return std::any_of(lost.survivors.begin(), lost.survivors.end(),
                       [id](const LogPosition& p) { return p.node == id; });
  };
  const LogPosition* own = nullptr;
  const LogPosition* best = nullptr;
  Term term = std::max(state.hard_state.term, state.last_term());
  for (const LogPosition& p : lost.survivors) {
    if (before.Find(p.node) == nullptr) {
      return base::Error(StatusCode::kFailedPrecondition, "node {} is not a member", p.node);
    }
    if (p.node == self) own = &p;
    auto rank = [](const LogPosition& x) { return std::make_tuple(x.last_term, x.last_index, ~x.node); };
    if (best == nullptr || rank(p) > rank(*best)) best = &p;
    term = std::max(term, p.hard_state_term);
  }
  if (QuorumVote(before, [&](NodeId id) { return std::optional<bool>(survives(id)); }) == VoteResult::kWon) {
    return base::Error(StatusCode::kFailedPrecondition, "the survivors are a quorum: start them");
  }
  const Index last = state.terms.empty() ? state.floor.index : state.last_index;
  if (own == nullptr || own->last_index != last || own->last_term != state.last_term() ||
      own->hard_state_term != state.hard_state.term) {
    return base::Error(StatusCode::kInvalidArgument, "the position of node {} is not the one given", self);
  }
  QuorumRecovery recovery{lost.new_cluster, state.hard_state, std::nullopt};
  if (best != own) return recovery;

  Configuration forced;
  forced.version = before.version + 1;
  forced.index = last + 1;
  for (const Member& member : before.members) {
    if (survives(member.id)) forced.members.push_back({.id = member.id, .voter = true, .address = member.address});
  }
  std::string bytes;
  EncodeConfiguration(forced, &bytes);
  // The entry is written as if this node had led a term that nobody else can have led: its number
  // is above all that the survivors know, and the lost nodes are not heard under the new cluster
  // id.
  const Term forced_term = term + 1;
  recovery.hard_state.term = forced_term;
  recovery.hard_state.vote = self;
  recovery.entry = Entry{.term = forced_term,
                         .index = last + 1,
                         .group = group,
                         .kind = EntryKind::kConfiguration,
                         .payload = Payload(bytes)};
  return recovery;
}

}  // namespace bandb::raft
