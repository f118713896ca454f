// Invariants: everything that must be true of a group at every instant, checked at every step.
//
// The checks see what the nodes do through Observer, and keep books of their own: of each node the
// log that its core accepted and the part of it that is durable, and of the group the one sequence
// of committed entries. They believe the core nothing that they can count themselves. The numbers
// are those of the traps in the catalogue of docs/raft.md.
//
// * Election safety: one leader in a term. One vote of a node in a term, over restarts; durable
//   before it leaves (2).
// * Log matching: an index and a term name one entry, after one predecessor (23). A leader only
//   appends.
// * Leader completeness: a new leader has every entry that was committed in an earlier term.
// * Commitment: only a leader moves it, to an entry of its own term (1), which a quorum of the
//   configuration in force has durably, counted by the checks (15, 25, 26, 27, 36). Committed
//   entries are the same for all nodes forever; none is cut off again (20, 31), none takes effect
//   twice.
// * The commit index that is stored along with a write speaks of entries that are durable already.
// * Acknowledgement: what a reply says is durable there, and is what the leader has (22, 25, 26).
//   Nobody refuses what it knows to be committed, whether it still has it or not (21).
// * Configuration: follows the log and its truncation (14); a leader changes it only after the last
//   change is committed and so is an entry of its own term (10); quorums of successive ones
//   intersect; snapshots carry the committed one (14).
// * Snapshots: only of committed state; none replaces what is newer, or a log that has it already
//   (31); compaction stays below the durable state machine.
// * State machines: entries come in order, once, durable; equal states at equal indexes.
// * Reads: the index of a read is no lower than anything that was committed anywhere when it was
//   asked (38 to 42).
// * Leases: no leader commits while one of an earlier term would still answer a read under its
//   lease (3, 40, 41).
// * Monotony: of term, commit and applied index in a process; of the durable term over restarts.
// * Office: no leader stays that heard no quorum for a long time (3), whose own disk hangs (34), or
//   which a committed configuration has left out (13), and no node goes on after a write of its disk
//   failed (24). Leadership is handed only to a node that has all of the log (19). A leader counts for a
//   peer only what that acknowledged in its present membership (15).
// * A group that was given up for lost says nothing more: its nodes do not lead, and hear nothing
//   of the new one (18).
// * Bounds: no proposal is taken beyond the cap of uncommitted bytes, and the count is right (37).
// * What a core calls a fault that only an incorrect peer could cause is a violation, too.
#ifndef BANDB_TEST_SIM_INVARIANTS_H_
#define BANDB_TEST_SIM_INVARIANTS_H_

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "sim/knobs.h"
#include "sim/observer.h"
#include "sim/scheduler.h"
#include "sim/shadow_log.h"

namespace bandb::sim {

class Invariants : public Observer {
 public:
  Invariants(const Scheduler& scheduler, const Knobs& knobs) : scheduler_(scheduler), knobs_(knobs) {}

  // The first violation. Everything after it is hearsay.
  const std::optional<std::string>& violation() const { return violation_; }
  // Others report here, too.
  template <typename... Args>
  void Fail(fmt::format_string<Args...> format, Args&&... args) {
    if (!violation_.has_value()) violation_ = fmt::format(format, std::forward<Args>(args)...);
  }

  raft::Index committed() const { return committed_.size(); }
  // The configuration in force at the last committed entry.
  const raft::Configuration& committed_configuration() const { return committed_configurations_.rbegin()->second; }
  // All configurations that `node` could still bring about: the durable and accepted ones of its
  // log.
  std::vector<raft::Configuration> PossibleConfigurations(raft::NodeId node) const;
  uint64_t elections() const { return leaders_.size(); }
  uint64_t checks() const { return checks_; }
  uint64_t configuration_changes() const { return committed_configurations_.size() - 1; }
  raft::Index LastIndex(raft::NodeId node) const;
  // How to ask whether a node would answer a read under its lease now.
  void SetLeaseProbe(std::function<bool(raft::NodeId)> probe) { lease_probe_ = std::move(probe); }
  // A quorum is lost, and the survivors are a new group, `best` being the one with the best log.
  // What of the committed entries no survivor has is forgotten; their number is returned. It is a
  // violation if another survivor has more of them than `best`, or if one that had been known to be
  // committed to a survivor (up to `known`) is lost.
  uint64_t ForgetLost(raft::NodeId best, const std::vector<raft::NodeId>& survivors, raft::Index known);
  // From now on `node` counts as lost, though it runs: it belongs to the group that was given up,
  // of which nothing more may be heard. It must not lead, take entries, learn of commits or of
  // terms, or serve reads. `term`: as on its disk.
  void GiveUp(raft::NodeId node, raft::Term term) {
    given_up_.insert(node);
    given_up_term_ = std::max(given_up_term_, term);
  }
  void SetFirstConfiguration(const raft::Configuration& configuration) { committed_configurations_[0] = configuration; }

  void OnStart(raft::NodeId node, const Recovered& recovered, const raft::Core& core) override;
  void OnStop(raft::NodeId node) override;
  void OnOutput(raft::NodeId node, const raft::Core& core, const raft::Output& output) override;
  void OnHardStateDurable(raft::NodeId node, uint64_t write) override;
  void OnLogDurable(raft::NodeId node, uint64_t write) override;
  void OnInstalled(raft::NodeId node, const Checkpoint& checkpoint) override;
  void OnCheckpoint(raft::NodeId node, const Checkpoint& checkpoint) override;
  void OnDiskFailed(raft::NodeId node) override { nodes_[node].disk_failed = true; }
  void OnSend(raft::NodeId node, const raft::Message& message) override;
  void OnReceive(raft::NodeId node, const raft::Message& message) override;
  void OnApply(raft::NodeId node, const raft::Entry& entry) override;
  void OnReadAsked(raft::NodeId node, uint64_t read) override;
  void OnReadServed(raft::NodeId node, uint64_t read, raft::Index index, raft::Index applied) override;
  void OnProposed(raft::NodeId node, const raft::Core& core, uint64_t cost_bytes) override;

 private:
  struct Books {
    ShadowLog accepted;
    ShadowLog durable;
    raft::HardState durable_hard_state;
    std::deque<raft::LogWrite> log_writes;
    std::deque<Nanos> log_writes_since;
    std::deque<raft::HardStateWrite> hard_state_writes;
    bool running = false;
    bool disk_failed = false;
    // From the output that asks for it until the core knows that it is done.
    bool installing = false;
    std::optional<raft::SnapshotMeta> installed;
    // As they were before the turn: a turn takes several events, and what happened in the middle of
    // it is legal, too.
    raft::Term led_term = 0;
    raft::Index last_before = 0;
    raft::Role role = raft::Role::kFollower;
    raft::Term term = 0;
    raft::Index commit = 0;
    // Of the state machine, and what the core knows of it.
    raft::Index applied = 0;
    raft::Index applied_known = 0;
    raft::Index handed_out = 0;
    raft::Index checkpoint = 0;
    // Check-quorum: when each peer was last heard in this term, and when the node last had a turn.
    std::map<raft::NodeId, Nanos> heard;
    // The highest index that each peer acknowledged in this term, by the session it named.
    std::map<std::pair<raft::NodeId, uint64_t>, raft::Index> acknowledged;
    // What the leader last counted for each peer, by session.
    std::map<std::pair<raft::NodeId, uint64_t>, raft::Index> matched;
    Nanos leader_since = 0;
    Nanos last_turn = 0;
    uint64_t configuration_version = 0;
    // What was committed anywhere when a read was asked.
    std::map<uint64_t, raft::Index> reads;
  };
  struct Name {
    uint64_t digest = 0;
    raft::Term previous_term = 0;
  };

  void CheckFaults(raft::NodeId node, const raft::Output& output);
  void CheckRefusals(raft::NodeId node, const Books& books, const raft::Output& output);
  void CheckBids(raft::NodeId node, const raft::Inspect& now, const raft::Output& output);
  void CheckStoredCommit(raft::NodeId node, const Books& books, const raft::Output& output);
  void CheckGivenUp(raft::NodeId node, Books* books, const raft::Inspect& now, const raft::Output& output);
  void CheckTerm(raft::NodeId node, Books* books, const raft::Inspect& now);
  void CheckLogWrite(raft::NodeId node, Books* books, const raft::Inspect& now, const raft::LogWrite& write);
  void CheckTruncation(raft::NodeId node, const Books& books, const raft::LogWrite& write);
  void CheckNames(raft::NodeId node, const Books& books, const raft::LogWrite& write);
  void CheckConfigurationEntry(raft::NodeId node, const Books& books, const raft::Inspect& now,
                               const raft::Entry& entry);
  void CheckPositions(raft::NodeId node, const Books& books, const raft::Inspect& now);
  void CheckLeader(raft::NodeId node, Books* books, const raft::Inspect& now);
  void CheckCheckQuorum(raft::NodeId node, Books* books, const raft::Configuration& configuration);
  void CheckOffice(raft::NodeId node, Books* of, const raft::Core& core);
  void CheckCommit(raft::NodeId node, Books* books, const raft::Inspect& now);
  void CheckQuorumHas(raft::NodeId leader, const Books& books, raft::Index index);
  void CheckHandedOut(raft::NodeId node, Books* books, const raft::Output& output);
  void CheckInstall(raft::NodeId node, Books* books, const raft::SnapshotMeta& meta);
  void Commit(const Books& books, raft::Term term, raft::Index index);
  void CheckLeases(raft::NodeId leader, raft::Term term);
  void CheckDigest(raft::NodeId node, const Checkpoint& checkpoint);
  void NoteCommand(raft::Index index, const raft::Entry& entry);

  const Scheduler& scheduler_;
  const Knobs& knobs_;
  std::optional<std::string> violation_;
  uint64_t checks_ = 0;
  std::map<raft::NodeId, Books> nodes_;
  std::set<raft::NodeId> given_up_;
  raft::Term given_up_term_ = 0;
  std::map<raft::Term, raft::NodeId> leaders_;
  std::map<std::pair<raft::NodeId, raft::Term>, raft::NodeId> votes_;
  // By term and index.
  std::unordered_map<uint64_t, Name> names_;
  // [i] is entry i + 1, and the term of the leader that committed it.
  std::vector<ShadowEntry> committed_;
  std::vector<raft::Term> committed_in_;
  std::function<bool(raft::NodeId)> lease_probe_;
  std::map<raft::Index, raft::Configuration> committed_configurations_{{0, {}}};
  // The command ids of applied entries, with the index they took effect at.
  std::unordered_map<uint64_t, raft::Index> commands_;
  std::map<raft::Index, uint64_t> digests_;
};

// Whether every quorum of one configuration shares a member with every quorum of the other.
bool QuorumsIntersect(const raft::Configuration& a, const raft::Configuration& b);
// Whether the nodes for which `in` holds are a quorum.
template <typename In>
bool IsQuorum(const raft::Configuration& configuration, In in) {
  size_t incoming = 0, incoming_in = 0, outgoing = 0, outgoing_in = 0;
  for (const raft::Member& member : configuration.members) {
    const bool counts = in(member.id);
    if (member.voter) ++incoming, incoming_in += counts ? 1 : 0;
    if (member.outgoing) ++outgoing, outgoing_in += counts ? 1 : 0;
  }
  return incoming > 0 && incoming_in * 2 > incoming && (outgoing == 0 || outgoing_in * 2 > outgoing);
}

}  // namespace bandb::sim

#endif  // BANDB_TEST_SIM_INVARIANTS_H_
