// The checks that need more than one node: leaders, commitment, messages, reads.
#include <algorithm>

#include "base/checksum.h"
#include "sim/invariants.h"
#include "sim/kv_machine.h"

namespace bandb::sim {

void Invariants::CheckLeader(raft::NodeId node, Books* books, const raft::Inspect& now) {
  const bool leads = now.role == raft::Role::kLeader;
  const auto known = leaders_.find(now.term);
  if (leads && known != leaders_.end() && known->second != node) {
    Fail("nodes {} and {} both lead in term {}", known->second, node, now.term);
  }
  if (leads && known == leaders_.end()) {
    leaders_[now.term] = node;
    for (raft::Index i = std::max(books->accepted.floor(), books->commit) + 1; i <= committed(); ++i) {
      // The votes of an election may arrive so late that a later leader has been at work meanwhile.
      if (committed_in_[i - 1] >= now.term) break;
      const ShadowEntry* entry = books->accepted.Find(i);
      if (entry == nullptr || *entry != committed_[i - 1]) {
        Fail("node {} leads in term {} without committed entry {}", node, now.term, i);
        break;
      }
    }
    books->heard.clear();
    books->acknowledged.clear();
    books->matched.clear();
    books->leader_since = scheduler_.now();
  }
  books->role = now.role;
  if (leads) CheckCheckQuorum(node, books, books->accepted.configuration());
}

void Invariants::CheckCheckQuorum(raft::NodeId node, Books* books, const raft::Configuration& configuration) {
  const Nanos now = scheduler_.now();
  // A node that was stopped has heard nothing, and cannot have done anything about it.
  const bool stood_still = now - books->last_turn > knobs_.core.election_timeout;
  if (stood_still || configuration.version != books->configuration_version) {
    books->configuration_version = configuration.version;
    books->leader_since = now;
  }
  const Nanos patience = knobs_.core.election_timeout * 4;
  const auto fresh = [&](raft::NodeId peer) {
    if (peer == node) return true;
    const auto it = books->heard.find(peer);
    const Nanos heard = std::max(books->leader_since, it == books->heard.end() ? 0 : it->second);
    return now - heard <= patience;
  };
  if (!IsQuorum(configuration, fresh)) {
    Fail("node {} leads on in term {} though it heard no quorum for four election timeouts", node, books->term);
  }
}

void Invariants::CheckOffice(raft::NodeId node, Books* of, const raft::Core& core) {
  const Books& books = *of;
  const raft::Configuration& configuration = books.accepted.configuration();
  if (configuration.index <= books.commit && !configuration.Votes(node)) {
    Fail("node {} leads on in term {} though a committed configuration has left it out", node, books.term);
  }
  // Three election timeouts of the node's own clock are the limit that it was given.
  const bool stood_still = scheduler_.now() - books.last_turn > knobs_.core.election_timeout;
  if (!stood_still && !books.log_writes_since.empty() &&
      scheduler_.now() - books.log_writes_since.front() > knobs_.core.election_timeout * 6) {
    Fail("node {} leads on in term {} though its disk hangs", node, books.term);
  }
  for (const raft::PeerView& peer : core.Peers()) {
    const auto it = books.acknowledged.find({peer.id, peer.session});
    if (peer.match > (it == books.acknowledged.end() ? 0 : it->second)) {
      Fail("leader {} counts entry {} for node {}, which did not acknowledge it in this membership", node, peer.match,
           peer.id);
    }
    raft::Index& matched = of->matched[{peer.id, peer.session}];
    if (peer.match < matched) {
      Fail("leader {} forgets that node {} has entry {}, and believes {}", node, peer.id, matched, peer.match);
    }
    matched = peer.match;
  }
}

void Invariants::CheckCommit(raft::NodeId node, Books* books, const raft::Inspect& now) {
  const raft::Index before = committed();
  for (raft::Index i = std::max(books->commit, books->accepted.floor()) + 1; i <= now.commit; ++i) {
    const ShadowEntry* entry = books->accepted.Find(i);
    if (entry == nullptr) return Fail("node {} takes entry {} for committed, and has not got it", node, i);
    if (i <= committed()) {
      if (*entry != committed_[i - 1]) {
        return Fail("node {} takes entry {} of term {} for committed; committed is one of term {}", node, i,
                    entry->term, committed_[i - 1].term);
      }
      continue;
    }
    if (now.role != raft::Role::kLeader && books->led_term == 0) {
      return Fail("node {} takes entry {} for committed, which no leader committed", node, i);
    }
    Commit(*books, now.role == raft::Role::kLeader ? now.term : books->led_term, i);
  }
  if (committed() > before) {
    const ShadowEntry& last = committed_.back();
    if (last.term != now.term && last.term != books->led_term) {
      Fail("leader {} of term {} commits entry {} of term {} by counting", node, now.term, committed(), last.term);
    }
    CheckQuorumHas(node, *books, committed());
    if (knobs_.core.leases) CheckLeases(node, committed_in_.back());
  }
  books->commit = now.commit;
}

void Invariants::CheckLeases(raft::NodeId leader, raft::Term term) {
  for (const auto& [id, books] : nodes_) {
    if (id == leader || !books.running || books.role != raft::Role::kLeader || books.term >= term) continue;
    if (lease_probe_(id)) {
      Fail("leader {} commits in term {} while node {} trusts its lease of term {}", leader, term, id, books.term);
    }
  }
}

void Invariants::Commit(const Books& books, raft::Term term, raft::Index index) {
  committed_.push_back(*books.accepted.Find(index));
  committed_in_.push_back(term);
  const raft::Configuration& configuration = books.accepted.ConfigurationAt(index);
  if (configuration.index == index) committed_configurations_[index] = configuration;
}

void Invariants::CheckQuorumHas(raft::NodeId leader, const Books& books, raft::Index index) {
  const ShadowEntry& entry = committed_[index - 1];
  const auto has = [&](raft::NodeId id) {
    const auto it = nodes_.find(id);
    if (it == nodes_.end()) return false;
    const ShadowLog& durable = it->second.durable;
    if (index <= durable.floor()) return true;
    const ShadowEntry* there = durable.Find(index);
    return there != nullptr && *there == entry;
  };
  // Any configuration that was in force during the turn.
  for (raft::Index i = std::min(books.last_before, books.accepted.last()); i <= books.accepted.last(); ++i) {
    if (IsQuorum(books.accepted.ConfigurationAt(i), has)) return;
  }
  Fail("leader {} commits entry {} of term {}, which no quorum has durably", leader, index, entry.term);
}

void Invariants::CheckHandedOut(raft::NodeId node, Books* books, const raft::Output& output) {
  const raft::Committed& out = output.committed;
  if (out.empty()) return;
  if (books->installing) Fail("node {} hands out entries while a snapshot replaces its state machine", node);
  if (out.first != books->handed_out + 1) {
    Fail("node {} hands out entry {} after entry {}", node, out.first, books->handed_out);
  }
  if (out.last > books->commit) Fail("node {} hands out entry {}, which is not committed", node, out.last);
  if (out.last > books->durable.last()) Fail("node {} hands out entry {}, which is not durable there", node, out.last);
  if (!out.entries.empty() && (out.entries.front().index != out.first || out.entries.back().index != out.last)) {
    Fail("node {} hands out other entries than it says", node);
  }
  books->handed_out = out.last;
}

void Invariants::CheckInstall(raft::NodeId node, Books* books, const raft::SnapshotMeta& meta) {
  if (meta.index > committed() || meta.index == 0 || committed_[meta.index - 1].term != meta.term) {
    return Fail("node {} installs a snapshot at {}:{}, which was never committed", node, meta.term, meta.index);
  }
  if (meta.index <= books->commit) {
    Fail("node {} installs a snapshot at {} though it knows entry {} to be committed", node, meta.index, books->commit);
  }
  if (books->accepted.TermAt(meta.index) == meta.term) {
    Fail("node {} installs a snapshot at {} over a log that has that entry", node, meta.index);
  }
  const auto at = std::prev(committed_configurations_.upper_bound(meta.index));
  if (!(at->second == meta.configuration)) {
    Fail("the snapshot at {} carries configuration {}, committed is {}", meta.index, meta.configuration.version,
         at->second.version);
  }
  books->installing = true;
}

void Invariants::OnInstalled(raft::NodeId node, const Checkpoint& checkpoint) {
  Books& books = nodes_[node];
  CheckDigest(node, checkpoint);
  books.durable.Reset(checkpoint.meta);
  books.log_writes.clear();
  books.log_writes_since.clear();
  books.installed = checkpoint.meta;
  books.applied = checkpoint.meta.index;
  books.handed_out = checkpoint.meta.index;
  books.checkpoint = checkpoint.meta.index;
}

void Invariants::OnCheckpoint(raft::NodeId node, const Checkpoint& checkpoint) {
  if (given_up_.count(node) != 0) return;
  Books& books = nodes_[node];
  CheckDigest(node, checkpoint);
  books.checkpoint = std::max(books.checkpoint, checkpoint.meta.index);
  const auto at = std::prev(committed_configurations_.upper_bound(checkpoint.meta.index));
  if (!(at->second == checkpoint.meta.configuration)) {
    Fail("node {} puts configuration {} into its snapshot at {}, committed is {}", node,
         checkpoint.meta.configuration.version, checkpoint.meta.index, at->second.version);
  }
}

void Invariants::CheckDigest(raft::NodeId node, const Checkpoint& checkpoint) {
  const uint64_t digest = base::Hash64(*checkpoint.data);
  const auto [it, fresh] = digests_.emplace(checkpoint.meta.index, digest);
  if (!fresh && it->second != digest) {
    Fail("node {} has another state at index {} than others", node, checkpoint.meta.index);
  }
}

void Invariants::OnHardStateDurable(raft::NodeId node, uint64_t write) {
  Books& books = nodes_[node];
  while (!books.hard_state_writes.empty() && books.hard_state_writes.front().write <= write) {
    books.durable_hard_state = books.hard_state_writes.front().state;
    books.hard_state_writes.pop_front();
  }
}

void Invariants::OnLogDurable(raft::NodeId node, uint64_t write) {
  Books& books = nodes_[node];
  while (!books.log_writes.empty() && books.log_writes.front().write <= write) {
    books.durable.Append(books.log_writes.front().entries);
    books.log_writes.pop_front();
    books.log_writes_since.pop_front();
  }
}

void Invariants::OnSend(raft::NodeId node, const raft::Message& m) {
  const Books& books = nodes_[node];
  if (m.from != node) Fail("node {} sends in the name of node {}", node, m.from);
  if (m.kind == raft::MessageKind::kVoteReply && !m.reject) {
    const raft::HardState& durable = books.durable_hard_state;
    if (durable.term < m.term || (durable.term == m.term && durable.vote != m.to)) {
      Fail("node {} grants its vote in term {} to node {} before that is durable", node, m.term, m.to);
    }
    const auto [it, fresh] = votes_.emplace(std::make_pair(node, m.term), m.to);
    if (!fresh && it->second != m.to) {
      Fail("node {} votes for {} and for {} in term {}", node, it->second, m.to, m.term);
    }
  }
  // An acknowledgement that waited while its term ended says nothing any more.
  if (m.kind != raft::MessageKind::kAppendReply || m.reject || m.term != books.term) return;
  if (m.index > books.durable.last()) {
    Fail("node {} acknowledges entry {}, but only {} is durable", node, m.index, books.durable.last());
    return;
  }
  const auto leader = nodes_.find(m.to);
  if (leader == nodes_.end() || leader->second.role != raft::Role::kLeader || leader->second.term != m.term) return;
  const ShadowEntry* theirs = leader->second.accepted.Find(m.index);
  const ShadowEntry* ours = books.durable.Find(m.index);
  if (theirs != nullptr && ours != nullptr && *theirs != *ours) {
    Fail("node {} acknowledges entry {}, but has another one than leader {}", node, m.index, m.to);
  }
}

void Invariants::OnReceive(raft::NodeId node, const raft::Message& message) {
  Books& books = nodes_[node];
  if (books.role != raft::Role::kLeader || message.term != books.term) return;
  books.heard[message.from] = scheduler_.now();
  if (message.kind != raft::MessageKind::kAppendReply || message.reject) return;
  raft::Index& acknowledged = books.acknowledged[{message.from, message.session}];
  acknowledged = std::max(acknowledged, message.index);
}

void Invariants::OnApply(raft::NodeId node, const raft::Entry& entry) {
  if (given_up_.count(node) != 0) return;
  Books& books = nodes_[node];
  if (entry.index != books.applied + 1) Fail("node {} applies {} after {}", node, entry.index, books.applied);
  if (entry.index > committed() || MakeShadow(entry) != committed_[entry.index - 1]) {
    return Fail("node {} applies an entry {} of term {} that is not the committed one", node, entry.index, entry.term);
  }
  books.applied = entry.index;
  NoteCommand(entry.index, entry);
}

void Invariants::NoteCommand(raft::Index index, const raft::Entry& entry) {
  Command command;
  if (entry.kind != raft::EntryKind::kData || !DecodeCommand(entry.payload.bytes(), &command)) return;
  const auto [it, fresh] = commands_.emplace(command.id, index);
  if (!fresh && it->second != index) {
    Fail("command {} takes effect twice, at {} and at {}", command.id, it->second, index);
  }
}

void Invariants::OnReadAsked(raft::NodeId node, uint64_t read) { nodes_[node].reads[read] = committed(); }

void Invariants::OnReadServed(raft::NodeId node, uint64_t read, raft::Index index, raft::Index applied) {
  if (given_up_.count(node) != 0) Fail("node {} serves a read of a group that was given up for lost", node);
  Books& books = nodes_[node];
  const auto it = books.reads.find(read);
  if (it == books.reads.end()) return Fail("node {} serves read {}, which nobody asked", node, read);
  if (index < it->second) {
    Fail("node {} serves a read at index {}; {} was committed when it was asked", node, index, it->second);
  }
  if (applied < index) Fail("node {} serves a read at index {} from a state at {}", node, index, applied);
  books.reads.erase(it);
}

void Invariants::OnProposed(raft::NodeId node, const raft::Core& core, uint64_t cost_bytes) {
  const raft::Inspect now = core.inspect();
  if (now.role != raft::Role::kLeader) Fail("node {} takes a proposal and does not lead", node);
  const uint64_t before = now.uncommitted_bytes - std::min(now.uncommitted_bytes, cost_bytes);
  if (before >= knobs_.core.uncommitted_bytes_max && now.commit < now.last) {
    Fail("node {} takes a proposal on top of {} uncommitted bytes", node, before);
  }
}

uint64_t Invariants::ForgetLost(raft::NodeId best, const std::vector<raft::NodeId>& survivors, raft::Index known) {
  const auto kept_by = [this](raft::NodeId node) {
    const ShadowLog& log = nodes_[node].durable;
    raft::Index kept = std::min<raft::Index>(log.floor(), committed());
    while (kept < committed()) {
      const ShadowEntry* entry = log.Find(kept + 1);
      if (entry == nullptr || *entry != committed_[kept]) break;
      ++kept;
    }
    return kept;
  };
  const raft::Index kept = kept_by(best);
  for (raft::NodeId node : survivors) {
    if (kept_by(node) > kept) Fail("node {} has more of what was committed than node {}, the best", node, best);
  }
  if (known > kept) Fail("entry {} was known to be committed to a survivor, and is lost after {}", known, kept);
  const uint64_t lost = committed() - kept;
  committed_.erase(committed_.begin() + static_cast<long>(kept), committed_.end());
  committed_in_.resize(kept);
  // Terms, votes and names of the old group say nothing in the new one, whose terms may be among
  // them.
  for (raft::Term& term : committed_in_)
    term = std::min(term, nodes_[best].durable.TermAt(nodes_[best].durable.last()) - 1);
  names_.clear();
  leaders_.clear();
  votes_.clear();
  committed_configurations_.erase(committed_configurations_.upper_bound(kept), committed_configurations_.end());
  digests_.erase(digests_.upper_bound(kept), digests_.end());
  for (auto it = commands_.begin(); it != commands_.end();)
    it = it->second > kept ? commands_.erase(it) : std::next(it);
  return lost;
}

}  // namespace bandb::sim
