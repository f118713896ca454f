#include "sim/invariants.h"

#include <algorithm>
#include <set>

#include "raft/types/configuration_codec.h"

namespace bandb::sim {
namespace {

uint64_t NameOf(raft::Term term, raft::Index index) { return term << 36 | index; }

std::set<raft::NodeId> Side(const raft::Configuration& configuration, bool outgoing) {
  std::set<raft::NodeId> side;
  for (const raft::Member& m : configuration.members) {
    if (outgoing ? m.outgoing : m.voter) side.insert(m.id);
  }
  return side;
}

}  // namespace

bool QuorumsIntersect(const raft::Configuration& a, const raft::Configuration& b) {
  // Majorities of two sets always meet if the sets differ by at most one member. A quorum of a
  // configuration contains a majority of each of its sides, so one pair of such sides is enough.
  for (bool a_outgoing : {false, true}) {
    for (bool b_outgoing : {false, true}) {
      const std::set<raft::NodeId> x = Side(a, a_outgoing);
      const std::set<raft::NodeId> y = Side(b, b_outgoing);
      if (x.empty() || y.empty()) continue;
      std::vector<raft::NodeId> difference;
      std::set_symmetric_difference(x.begin(), x.end(), y.begin(), y.end(), std::back_inserter(difference));
      if (difference.size() <= 1) return true;
    }
  }
  return false;
}

raft::Index Invariants::LastIndex(raft::NodeId node) const {
  const auto it = nodes_.find(node);
  return it == nodes_.end() ? 0 : it->second.accepted.last();
}

std::vector<raft::Configuration> Invariants::PossibleConfigurations(raft::NodeId node) const {
  std::vector<raft::Configuration> result;
  const auto it = nodes_.find(node);
  if (it == nodes_.end()) return result;
  for (const ShadowLog* log : {&it->second.accepted, &it->second.durable}) {
    for (raft::Index i = std::max(log->floor(), committed()); i <= log->last(); ++i) {
      const raft::Configuration& c = log->ConfigurationAt(i);
      if (c.has_voters() && (result.empty() || !(result.back() == c))) result.push_back(c);
    }
  }
  return result;
}

void Invariants::OnStart(raft::NodeId node, const Recovered& recovered, const raft::Core& core) {
  Books& books = nodes_[node];
  const raft::HardState& found = recovered.restart.hard_state;
  const raft::HardState& promised = books.durable_hard_state;
  if (found.term < promised.term ||
      (found.term == promised.term && promised.vote != raft::kNoNode && found.vote != promised.vote)) {
    Fail("node {} reopened its disk in term {} with vote {}, but term {} with vote {} was durable", node, found.term,
         found.vote, promised.term, promised.vote);
  }
  ShadowLog log;
  log.Reset(recovered.restart.floor);
  log.Append(recovered.entries);
  for (raft::Index i = std::max(log.floor(), books.durable.floor()) + 1; i <= committed(); ++i) {
    const ShadowEntry* was = books.durable.Find(i);
    if (was == nullptr || *was != committed_[i - 1]) continue;
    const ShadowEntry* is = log.Find(i);
    if (is == nullptr || *is != *was) Fail("node {} lost durable entry {} over a restart", node, i);
  }
  const raft::Inspect now = core.inspect();
  if (now.last != log.last() || now.term < found.term) Fail("node {} starts with another log than its disk's", node);
  books.accepted = log;
  books.durable = std::move(log);
  books.durable_hard_state = found;
  books.log_writes.clear();
  books.log_writes_since.clear();
  books.hard_state_writes.clear();
  books.running = true;
  books.disk_failed = false;
  books.installing = false;
  books.installed.reset();
  books.role = raft::Role::kFollower;
  books.term = now.term;
  books.commit = std::max(recovered.restart.floor.index, recovered.restart.applied);
  if (given_up_.count(node) != 0) books.commit = now.commit;
  books.applied = recovered.restart.applied;
  books.applied_known = 0;
  books.handed_out = recovered.restart.applied;
  books.checkpoint = recovered.checkpoint.data != nullptr ? recovered.checkpoint.meta.index : 0;
  books.reads.clear();
  books.heard.clear();
  books.last_turn = scheduler_.now();
}

void Invariants::OnStop(raft::NodeId node) {
  Books& books = nodes_[node];
  books.running = false;
  books.role = raft::Role::kFollower;
}

void Invariants::OnOutput(raft::NodeId node, const raft::Core& core, const raft::Output& output) {
  ++checks_;
  Books& books = nodes_[node];
  const raft::Inspect now = core.inspect();
  if (given_up_.count(node) != 0) return CheckGivenUp(node, &books, now, output);
  CheckFaults(node, output);
  CheckBids(node, now, output);
  CheckRefusals(node, books, output);
  CheckTerm(node, &books, now);
  if (output.hard_state.has_value()) books.hard_state_writes.push_back(*output.hard_state);
  // First: what follows the snapshot may have come in the same turn, and be written now.
  if (books.installed.has_value() && !now.installing) {
    books.accepted.Reset(*books.installed);
    books.installed.reset();
    books.installing = false;
  }
  if (output.log.has_value()) CheckLogWrite(node, &books, now, *output.log);
  CheckStoredCommit(node, books, output);
  if (output.install.has_value()) CheckInstall(node, &books, *output.install);
  if (books.disk_failed && !now.failed) Fail("node {} goes on after its disk failed", node);
  if (now.failed) {
    // It takes part in nothing more, and what it holds in memory means nothing.
    if (now.role == raft::Role::kLeader || output.log.has_value()) Fail("node {} goes on after its disk failed", node);
    books.role = now.role;
    return;
  }
  if (violation_.has_value()) return;
  if (!books.installing) {
    CheckPositions(node, books, now);
    const raft::Configuration& expected = books.accepted.configuration();
    if (!(core.configuration() == expected)) {
      Fail("node {} uses configuration {} of index {}, but its log says {} of index {}", node,
           core.configuration().version, core.configuration().index, expected.version, expected.index);
    }
    CheckLeader(node, &books, now);
    CheckCommit(node, &books, now);
    if (books.role == raft::Role::kLeader) CheckOffice(node, &books, core);
  }
  CheckHandedOut(node, &books, output);
  if (output.compact_to.has_value() && *output.compact_to > books.checkpoint) {
    Fail("node {} gives up its log up to {}, its state machine being durable up to {} only", node, *output.compact_to,
         books.checkpoint);
  }
  // The core's own opinion costs more; asked now and then.
  if (checks_ % 16 == 0) {
    const absl::Status status = core.CheckInvariants();
    if (!status.ok()) Fail("node {}: {}", node, status.ToString());
  }
  books.last_turn = scheduler_.now();
}

void Invariants::CheckFaults(raft::NodeId node, const raft::Output& output) {
  for (const raft::Fault& fault : output.faults) {
    if (fault.kind == raft::FaultKind::kDiskStalled || fault.kind == raft::FaultKind::kPersistFailed) continue;
    Fail("node {} reports fault {} of node {} at {}:{}, which no correct peer can cause", node,
         static_cast<int>(fault.kind), fault.peer, fault.term, fault.index);
  }
}

void Invariants::CheckRefusals(raft::NodeId node, const Books& books, const raft::Output& output) {
  for (const raft::Outgoing& outgoing : output.messages) {
    const raft::Message& m = outgoing.message;
    // By what was known before this turn: in the middle of it the commit index may have moved.
    // Index 0 tells a node of the past the term.
    if (m.kind != raft::MessageKind::kAppendReply || !m.reject || m.index == 0 || m.index > books.commit) continue;
    Fail("node {} refuses what follows entry {}, though it knows of commits up to {}", node, m.index, books.commit);
  }
}

void Invariants::CheckBids(raft::NodeId node, const raft::Inspect& now, const raft::Output& output) {
  // A leader that gives up for other reasons bids the best there is; one that transfers has the
  // time to wait.
  if (!now.transferring) return;
  for (const raft::Outgoing& outgoing : output.messages) {
    const raft::Message& m = outgoing.message;
    if (m.kind != raft::MessageKind::kTimeoutNow || m.term != now.term || m.index == now.last) continue;
    Fail("leader {} bids node {} to stand with a log that ends at {}, its own ends at {}", node, m.to, m.index,
         now.last);
  }
}

void Invariants::CheckStoredCommit(raft::NodeId node, const Books& books, const raft::Output& output) {
  raft::Index commit = output.log.has_value() ? output.log->commit : 0;
  if (output.hard_state.has_value()) commit = std::max(commit, output.hard_state->state.commit);
  if (commit <= books.durable.floor()) return;
  const ShadowEntry* durable = books.durable.Find(commit);
  const ShadowEntry* accepted = books.accepted.Find(commit);
  if (durable == nullptr || accepted == nullptr || *durable != *accepted) {
    Fail("node {} stores that entry {} is committed, which is not durable there", node, commit);
  }
}

void Invariants::CheckGivenUp(raft::NodeId node, Books* books, const raft::Inspect& now, const raft::Output& output) {
  if (output.hard_state.has_value()) books->hard_state_writes.push_back(*output.hard_state);
  if (now.role == raft::Role::kLeader) Fail("node {} leads a group that was given up for lost", node);
  // They are too few for an election, and only a real one begins a term.
  if (now.term > given_up_term_) {
    Fail("node {} of a group that was given up for lost is told of term {}", node, now.term);
  }
  if (output.log.has_value() || output.install.has_value()) {
    Fail("node {} of a group that was given up for lost is given entries", node);
  }
  if (now.commit != books->commit) {
    Fail("node {} of a group that was given up for lost learns that entry {} is committed", node, now.commit);
  }
}

void Invariants::CheckTerm(raft::NodeId node, Books* books, const raft::Inspect& now) {
  if (now.term < books->term) Fail("node {} went back from term {} to {}", node, books->term, now.term);
  if (now.commit < books->commit) Fail("node {} went back from commit {} to {}", node, books->commit, now.commit);
  if (now.applied < books->applied_known) {
    Fail("node {} went back from applied {} to {}", node, books->applied_known, now.applied);
  }
  books->led_term = books->role == raft::Role::kLeader ? books->term : 0;
  books->last_before = books->accepted.last();
  books->applied_known = now.applied;
  books->term = now.term;
}

void Invariants::CheckLogWrite(raft::NodeId node, Books* books, const raft::Inspect& now, const raft::LogWrite& write) {
  if (write.entries.empty() || write.entries.back().index != write.index || write.entries.back().term != write.term) {
    return Fail("node {} describes log write {} wrongly", node, write.write);
  }
  const raft::Index first = write.entries.front().index;
  if (first > books->accepted.last() + 1 || first <= books->accepted.floor()) {
    return Fail("node {} writes entry {} to a log of {}..{}", node, first, books->accepted.floor() + 1,
                books->accepted.last());
  }
  if (books->installing) Fail("node {} writes to a log that a snapshot is about to replace", node);
  CheckTruncation(node, *books, write);
  CheckNames(node, *books, write);
  if (books->led_term == now.term && now.role == raft::Role::kLeader && first != books->accepted.last() + 1) {
    Fail("leader {} of term {} overwrites its own log at {}", node, now.term, first);
  }
  if (violation_.has_value()) return;
  for (const raft::Entry& entry : write.entries) {
    if (entry.kind == raft::EntryKind::kConfiguration && now.role == raft::Role::kLeader && entry.term == now.term) {
      CheckConfigurationEntry(node, *books, now, entry);
    }
    books->accepted.Append({entry});
  }
  books->log_writes.push_back(write);
  books->log_writes_since.push_back(scheduler_.now());
}

void Invariants::CheckTruncation(raft::NodeId node, const Books& books, const raft::LogWrite& write) {
  const raft::Index first = write.entries.front().index;
  if (first > books.accepted.last()) return;
  if (books.accepted.TermAt(first) == write.entries.front().term) {
    Fail("node {} cuts its log off at {} where nothing conflicts", node, first);
  }
  for (raft::Index i = first; i <= std::min(books.accepted.last(), committed()); ++i) {
    // A node of the past may still obey a leader of the past: it is not among those by which the
    // entry was committed.
    if (committed_in_[i - 1] > write.term) continue;
    const ShadowEntry* dropped = books.accepted.Find(i);
    if (dropped != nullptr && *dropped == committed_[i - 1]) Fail("node {} cuts off committed entry {}", node, i);
  }
}

void Invariants::CheckNames(raft::NodeId node, const Books& books, const raft::LogWrite& write) {
  raft::Term previous_term = books.accepted.TermAt(write.entries.front().index - 1);
  for (const raft::Entry& entry : write.entries) {
    if (entry.term < previous_term) Fail("node {}: the term goes back at entry {}", node, entry.index);
    const Name name{MakeShadow(entry).digest, previous_term};
    const auto [it, fresh] = names_.emplace(NameOf(entry.term, entry.index), name);
    if (!fresh && (it->second.digest != name.digest || it->second.previous_term != name.previous_term)) {
      Fail("node {}: entry {} of term {} is not the entry that has this name elsewhere", node, entry.index, entry.term);
    }
    previous_term = entry.term;
  }
}

void Invariants::CheckConfigurationEntry(raft::NodeId node, const Books& books, const raft::Inspect& now,
                                         const raft::Entry& entry) {
  const raft::Configuration& before = books.accepted.configuration();
  raft::Configuration after;
  if (!raft::DecodeConfiguration(entry.payload.bytes(), &after)) {
    return Fail("node {} proposes a configuration that is none", node);
  }
  if (before.index > now.commit) {
    Fail("leader {} changes the configuration at {} while the change at {} is not committed", node, entry.index,
         before.index);
  }
  // Except to leave a joint configuration that is committed: whatever else was proposed after it
  // can only be the same.
  if (!before.joint() && books.accepted.TermAt(now.commit) != now.term) {
    Fail("leader {} changes the configuration at {} before it committed an entry of its term {}", node, entry.index,
         now.term);
  }
  if (!QuorumsIntersect(before, after)) {
    Fail("leader {} changes the configuration at {} so that old and new quorums need not meet", node, entry.index);
  }
  if (after.version <= before.version || after.index != entry.index) {
    Fail("leader {} numbers the configuration at {} wrongly", node, entry.index);
  }
}

void Invariants::CheckPositions(raft::NodeId node, const Books& books, const raft::Inspect& now) {
  if (now.last != books.accepted.last() || now.last_term != books.accepted.TermAt(now.last)) {
    Fail("node {} believes its log to end at {}:{}, but it ends at {}:{}", node, now.last_term, now.last,
         books.accepted.TermAt(books.accepted.last()), books.accepted.last());
  }
  if (now.durable > books.durable.last() ||
      (now.durable > now.floor && books.durable.TermAt(now.durable) != books.accepted.TermAt(now.durable))) {
    Fail("node {} believes entry {} to be durable, which it is not", node, now.durable);
  }
  if (now.commit > now.last || now.applied > now.commit) {
    Fail("node {}: applied {}, commit {}, last {} are out of order", node, now.applied, now.commit, now.last);
  }
  constexpr raft::Index kRecountedMax = 64;
  if (violation_.has_value() || now.last - now.commit > kRecountedMax) return;
  uint64_t uncommitted = 0;
  for (raft::Index i = now.commit + 1; i <= now.last; ++i) uncommitted += books.accepted.Find(i)->cost_bytes;
  if (uncommitted != now.uncommitted_bytes) {
    Fail("node {} counts {} uncommitted bytes, there are {}", node, now.uncommitted_bytes, uncommitted);
  }
}

}  // namespace bandb::sim
