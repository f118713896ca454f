#include "raft/restart.h"

#include <algorithm>
#include <string>
#include <tuple>
#include <utility>

#include "base/status.h"
#include "raft/core_state.h"
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
  if (terms.empty()) {
    last_index = floor.index;
    costs.Reset(floor.index);
  }
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
  costs.Append(entry.index, CostBytes(entry));
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
  if (last > kNumberMax) return base::Error(StatusCode::kDataLoss, "no log comes to entry {}", last);
  // What is stored as committed was durable when it was stored.
  if (hard_state.commit > last) {
    return base::Error(StatusCode::kDataLoss, "committed up to {}, but the log ends at {}", hard_state.commit, last);
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

LogPosition PositionOf(const Restart& state, NodeId self) {
  const Index last = state.terms.empty() ? state.floor.index : state.last_index;
  return {self, state.last_term(), last, state.hard_state.term, LatestConfiguration(state)};
}

namespace {

// The order of logs in an election; of equal ones, the lowest id comes last.
auto Rank(const LogPosition& p) { return std::make_tuple(p.last_term, p.last_index, ~p.node); }

const LogPosition& Best(const std::vector<LogPosition>& survivors) {
  const LogPosition* best = &survivors.front();
  for (const LogPosition& p : survivors) {
    if (Rank(p) > Rank(*best)) best = &p;
  }
  return *best;
}

// Whether `candidate` would be elected by those survivors whose logs are not better than its own.
bool CanBeElected(const LogPosition& candidate, const std::vector<LogPosition>& survivors) {
  const VoteResult result = QuorumVote(candidate.configuration, [&](NodeId id) -> std::optional<bool> {
    return std::any_of(survivors.begin(), survivors.end(), [&](const LogPosition& p) {
      return p.node == id && std::tie(p.last_term, p.last_index) <= std::tie(candidate.last_term, candidate.last_index);
    });
  });
  return result == VoteResult::kWon;
}

absl::Status CheckSurvivors(const std::vector<LogPosition>& survivors) {
  for (size_t i = 0; i < survivors.size(); ++i) {
    const LogPosition& p = survivors[i];
    for (size_t j = 0; j < i; ++j) {
      if (survivors[j].node == p.node) {
        return base::Error(StatusCode::kInvalidArgument, "node {} is twice on the list", p.node);
      }
    }
    if (!IsValid(p.configuration) || p.configuration.Find(p.node) == nullptr) {
      return base::Error(StatusCode::kFailedPrecondition, "node {} does not know itself to be a member", p.node);
    }
    if (CanBeElected(p, survivors)) {
      return base::Error(StatusCode::kFailedPrecondition, "the survivors can elect node {}: start them", p.node);
    }
  }
  return absl::OkStatus();
}

// The survivors as voters, in the configuration after `before`. An address that `before` does not
// have is the one that the survivor has of itself.
Configuration SurvivorsAsVoters(const Configuration& before, const LostQuorum& lost) {
  Configuration forced;
  forced.version = before.version + 1;
  for (const LogPosition& p : lost.survivors) {
    const Member* known = before.Find(p.node);
    if (known == nullptr) known = p.configuration.Find(p.node);
    forced.members.push_back({.id = p.node, .voter = true, .address = known->address});
  }
  std::sort(forced.members.begin(), forced.members.end(), [](const Member& a, const Member& b) { return a.id < b.id; });
  return forced;
}

}  // namespace

absl::StatusOr<QuorumRecovery> RecoverLostQuorum(const Restart& state, NodeId self, GroupId group, ClusterId cluster,
                                                 const LostQuorum& lost) {
  BANDB_RETURN_IF_ERROR(state.Validate());
  if (lost.new_cluster == cluster || lost.new_cluster == 0) {
    return base::Error(StatusCode::kInvalidArgument, "the recovered group needs a new cluster id");
  }
  if (lost.survivors.empty() || lost.survivors.size() > kMembersMax) {
    return base::Error(StatusCode::kInvalidArgument, "{} survivors", lost.survivors.size());
  }
  BANDB_RETURN_IF_ERROR(CheckSurvivors(lost.survivors));
  const LogPosition own = PositionOf(state, self);
  if (std::find(lost.survivors.begin(), lost.survivors.end(), own) == lost.survivors.end()) {
    return base::Error(StatusCode::kInvalidArgument, "the position of node {} is not the one given", self);
  }
  const LogPosition& best = Best(lost.survivors);
  QuorumRecovery recovery{lost.new_cluster, state.hard_state, std::nullopt, {}};
  Term term = 0;
  for (const LogPosition& p : lost.survivors) {
    term = std::max({term, p.hard_state_term, p.last_term});
    if (!best.configuration.Votes(p.node)) recovery.new_voters.push_back(p.node);
  }
  if (best.node != self) return recovery;

  Configuration forced = SurvivorsAsVoters(best.configuration, lost);
  forced.index = best.last_index + 1;
  std::string bytes;
  EncodeConfiguration(forced, &bytes);
  // The entry is written as if this node had led a term that nobody else can have led: its number
  // is above all that the survivors know, and the lost nodes are not heard under the new cluster
  // id.
  const Term forced_term = term + 1;
  recovery.hard_state.term = forced_term;
  recovery.hard_state.vote = self;
  recovery.entry = Entry{.term = forced_term,
                         .index = forced.index,
                         .group = group,
                         .kind = EntryKind::kConfiguration,
                         .payload = Payload(bytes)};
  return recovery;
}

}  // namespace bandb::raft
