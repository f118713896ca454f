// What must hold of one core between any two events, whatever the events were. Checked by the
// fuzzer and by the simulator after every step; what must hold between cores is theirs to check.
#include "base/status.h"
#include "raft/core_state.h"

namespace bandb::raft {
namespace {

absl::Status Violated(const char* invariant) {
  return base::Error(absl::StatusCode::kInternal, "raft invariant violated: {}", invariant);
}

}  // namespace

Inspect CoreState::View() const {
  Inspect view;
  view.self = options_.self;
  view.role = role_;
  view.term = term_;
  view.vote = vote_;
  view.leader = leader_;
  view.floor = log_.floor();
  view.floor_term = log_.floor_term();
  view.applied = log_.applied();
  view.handed_out = log_.handed_out();
  view.commit = log_.commit();
  view.durable = log_.durable();
  view.last = log_.last();
  view.last_term = log_.last_term();
  view.durable_term = durable_term_;
  view.durable_vote = durable_vote_;
  view.uncommitted_bytes = log_.uncommitted_bytes();
  view.cached_bytes = log_.cached_bytes();
  view.pending_reads = static_cast<uint32_t>(reads_.pending());
  view.transferring = transfer_.has_value();
  view.installing = install_.has_value();
  view.removed = Removed();
  view.failed = failed_;
  view.lease_valid = LeaseValid(now_);
  return view;
}

absl::Status CoreState::CheckInvariants() const {
  if (log_.floor() > log_.applied()) return Violated("floor <= applied");
  if (log_.applied() > log_.handed_out()) return Violated("applied <= handed out");
  if (log_.handed_out() > log_.commit()) return Violated("handed out <= commit");
  if (log_.handed_out() > log_.durable()) return Violated("handed out <= durable");
  if (log_.commit() > log_.last()) return Violated("commit <= last");
  if (log_.durable() > log_.last()) return Violated("durable <= last");
  if (log_.last_term() > term_) return Violated("no entry of a later term");
  if (durable_term_ > term_) return Violated("durable term <= term");
  if (snapshot_.index > log_.applied()) return Violated("snapshot <= applied");
  if (configuration().index > log_.last()) return Violated("the configuration in force is in the log");
  if (log_.uncommitted_bytes() < (log_.last() - log_.commit()) * kEntryOverheadBytes) {
    return Violated("all uncommitted entries are counted");
  }
  if (role_ == Role::kLeader) {
    if (leader_ != options_.self) return Violated("a leader knows that it leads");
    if (vote_ != options_.self) return Violated("a leader voted for itself");
    if (durable_term_ != term_) return Violated("a leader's term is durable");
    if (rounds_.proved() > rounds_.current()) return Violated("no round is proved before it began");
  } else if (!peers_.empty()) {
    return Violated("only a leader has peers");
  }
  if (role_ == Role::kCandidate && vote_ != options_.self) return Violated("a candidate voted for itself");
  if (transfer_.has_value() && role_ != Role::kLeader) return Violated("only a leader transfers");
  if (install_.has_value() && role_ == Role::kLeader) return Violated("a leader installs no snapshot");
  for (const Progress& peer : peers_) {
    if (peer.match >= peer.next) return Violated("match < next");
    if (peer.match > log_.last()) return Violated("no peer matches what is not there");
    if (configuration().Find(peer.id) == nullptr) return Violated("peers are members");
  }
  if (reads_.pending() > options_.pending_reads_max + kMembersMax) return Violated("pending reads are bounded");
  return absl::OkStatus();
}

}  // namespace bandb::raft
