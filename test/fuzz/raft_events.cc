#include "fuzz/raft_events.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/assert.h"
#include "raft/types/configuration_codec.h"

namespace bandb::raft {
namespace {

constexpr NodeId kSelf = 1;
constexpr size_t kMaxEvents = 4096;

}  // namespace

RaftEvents::RaftEvents(std::string_view bytes)
    : bytes_(bytes),
      node_({[this](const Output& output) { CheckOutput(output); },
             [this](const Message& message) { Deliver(message); },
             [this](const Message& message) {
               BANDB_ASSERT(message.snapshot != nullptr);
               BANDB_ASSERT(IsValid(message.snapshot->configuration));
               sent_[message.to] = message;
             }}) {
  options_.self = kSelf;
  options_.cluster = 7;
  options_.election_timeout_nanos = 1000;
  options_.heartbeat_interval_nanos = 100;
  options_.disk_stall_timeout_nanos = 20000;
  options_.message_bytes_max = 1 + 8 * Below(64);
  options_.inflight_messages_max = static_cast<uint32_t>(1 + Below(4));
  options_.uncommitted_bytes_max = 1 + 16 * Below(256);
  options_.cached_bytes_max = 16 * Below(256);
  options_.applying_bytes_max = 1 + 16 * Below(64);
  options_.pending_reads_max = 8;
  options_.promotion_lag_entries = Below(8);
  options_.snapshot_log_bytes = 1 + 16 * Below(256);
  options_.retained_log_bytes = Below(8) * kEntryOverheadBytes;
  options_.lease_reads = Below(2) == 1;
  options_.priority = static_cast<uint32_t>(Below(kPriorityMax + 1));
  switch (Below(4)) {
    case 0:
      node_.floor.configuration = MakeConfiguration({kSelf});
      break;
    case 1:
      break;
    default:
      node_.floor.configuration = MakeConfiguration({kSelf, 2, 3}, {4});
  }
}

uint64_t RaftEvents::Byte() {
  uint8_t byte = 0;
  bytes_.ReadFixed(&byte);
  return byte;
}

uint64_t RaftEvents::Near(uint64_t middle) {
  const uint64_t byte = Byte();
  if (byte < 200) return middle + byte % 5 >= 2 ? middle + byte % 5 - 2 : 0;
  if (byte < 250) return byte % 16;
  uint64_t any = 0;
  bytes_.ReadFixed(&any);
  return any;
}

void RaftEvents::Start() {
  options_.seed = ++starts_;
  const absl::Status started = node_.Start(options_, node_.floor.index, now_);
  BANDB_ASSERT(started.ok());
  before_ = node_.core().inspect();
  // What was committed and is not known to be any more may be contradicted by peers that lie.
  applied_terms_.erase(applied_terms_.upper_bound(before_.commit), applied_terms_.end());
  TakeOutput();
}

void RaftEvents::Run() {
  Start();
  for (size_t i = 0; i < kMaxEvents && !bytes_.empty(); ++i) {
    OneEvent();
    if (Below(4) != 0) TakeOutput();
    CheckView();
  }
}

void RaftEvents::Step(Event event) {
  const StepResult result = node_.Step(now_, std::move(event));
  BANDB_ASSERT(result.reason != nullptr);
}

void RaftEvents::OneEvent() {
  const Inspect view = node_.core().inspect();
  now_ += static_cast<Nanos>(Below(16) * Below(16));
  switch (Below(28)) {
    case 0:
      now_ += 1000;
      [[fallthrough]];
    case 1:
      return Step(Tick{});
    case 2:
      return Step(Propose{Payload(std::string(Below(64), 'p'))});
    case 3:
      return Step(Read{Byte()});
    case 4:
      return Step(AnyChange());
    case 5:
      return Step(TransferLeadership{Below(6)});
    case 6:
      return Step(PeerUnreachable{Below(6)});
    case 7:
      return Step(LogCapacity{Below(4) == 0});
    case 8:
      return Step(Campaign{});
    case 9:
      return Step(Applied{std::min(Near(node_.handed_out), node_.handed_out)});
    case 10:
      return Step(SnapshotTaken{Near(view.applied), Byte()});
    case 11:
      return LyingCompletion();
    case 12:
      return FinishInstall();
    case 13:
      return AnswerFetch();
    case 14:
      if (Below(8) == 0) return Crash();
      return Step(Applied{node_.handed_out});
    case 15:
    case 16:
    case 17:
    case 18:
      return PersistOne();
    default:
      return Step(Receive{AnyMessage()});
  }
}

Configuration RaftEvents::AnyConfiguration(Index index) {
  Configuration configuration;
  const uint64_t shape = Byte();
  for (NodeId id = 1; id <= 5; ++id) {
    const uint64_t flags = shape == 0 ? Byte() % 16 : (shape >> id) % 2 + 4 * ((shape >> id) % 2 == 0);
    if (flags == 0) continue;
    Member member{
        .id = id, .voter = (flags & 1) != 0, .outgoing = (flags & 2) != 0, .learner = (flags & 4) != 0, .address = {}};
    member.promote = (flags & 8) != 0;
    if (member.promote && Below(2) == 0) member.replaces = Below(6);
    configuration.members.push_back(member);
  }
  configuration.auto_leave = configuration.joint();
  configuration.version = Near(node_.core().configuration().version);
  configuration.index = Below(32) == 0 ? Near(index) : index;
  return configuration;
}

Entry RaftEvents::AnyEntry(Term term, Index index) {
  Entry entry{.term = term, .index = index, .kind = EntryKind::kData, .payload = {}};
  const uint64_t kind = Byte();
  if (kind < 40) entry.kind = EntryKind::kNoop;
  if (kind >= 40 && kind < 90) {
    entry.kind = EntryKind::kConfiguration;
    std::string bytes;
    EncodeConfiguration(AnyConfiguration(index), &bytes);
    entry.payload = Payload(bytes);
  } else if (entry.kind == EntryKind::kData) {
    entry.payload = Payload(std::string(Below(64), 'e'));
  }
  if (kind == 255) entry.kind = static_cast<EntryKind>(Byte());
  if (kind == 254) entry.group = 1;
  return entry;
}

void RaftEvents::AddEntries(Message* message) {
  const uint64_t count = Below(6);
  Term term = message->log_term == 0 ? 1 : message->log_term;
  for (uint64_t i = 1; i <= count; ++i) {
    term = Below(4) == 0 ? std::max(term, Near(message->term)) : term;
    if (Below(64) == 0) term = Near(term);
    message->entries.push_back(AnyEntry(term, Below(128) == 0 ? Near(message->index + i) : message->index + i));
  }
}

Message RaftEvents::AnyMessage() {
  const Inspect view = node_.core().inspect();
  Message m;
  m.from = 2 + Below(4);
  if (auto sent = sent_.find(m.from); sent != sent_.end()) m = sent->second;
  m.entries.clear();
  std::swap(m.from, m.to);
  if (m.from == kNoNode) m.from = 2;
  m.to = kSelf;
  m.kind = static_cast<MessageKind>(1 + Below(kMessageKindMax));
  if (Below(3) != 0) m.kind = Below(2) == 0 ? MessageKind::kAppend : MessageKind::kAppendReply;
  m.cluster = Below(64) == 0 ? Byte() : options_.cluster;
  m.term = Near(view.term);
  m.index = Near(Below(2) == 0 ? view.last : view.commit);
  const std::optional<Term> known = node_.core().TermAt(m.index);
  m.log_term = known.has_value() && Below(4) != 0 ? *known : Near(view.last_term);
  m.commit = Near(view.commit);
  m.hint = Near(view.commit);
  m.hint_term = Near(view.last_term);
  m.reject = Below(4) == 0;
  m.force = Below(4) == 0;
  m.log_full = Below(16) == 0;
  if (Below(8) == 0) m.round = Near(m.round);
  if (Below(8) == 0) m.session = Near(m.session);
  if (Below(64) == 0) m.version = static_cast<uint8_t>(Byte());
  if (m.kind == MessageKind::kAppend && Below(3) != 0) {
    AddEntries(&m);
    m.round = 0;
  }
  if (m.kind == MessageKind::kSnapshot && Below(16) != 0) {
    SnapshotMeta meta{Near(view.commit + 2), Near(view.last_term), {}, 0};
    meta.configuration = AnyConfiguration(meta.index);
    m.snapshot = std::make_shared<const SnapshotMeta>(meta);
  }
  return m;
}

ChangeMembership RaftEvents::AnyChange() {
  ChangeMembership event;
  for (uint64_t count = Below(3) + (Below(16) != 0); count > 0; --count) {
    // Often of a voter that a learner waits to replace: the two must not get in each other's way.
    const Configuration& now = node_.core().configuration();
    const auto waits =
        std::find_if(now.members.begin(), now.members.end(), [](const Member& m) { return m.replaces != kNoNode; });
    if (waits != now.members.end() && Below(4) != 0) {
      event.changes.push_back({.kind = static_cast<ChangeKind>(Below(6)), .node = waits->replaces, .address = {}});
      continue;
    }
    event.changes.push_back({.kind = static_cast<ChangeKind>(Below(8)),
                             .node = Below(7),
                             .other = Below(7),
                             .address = std::string(Below(3), 'a')});
  }
  if (Below(4) == 0) event.expected_version = Near(node_.core().configuration().version);
  return event;
}

// Reports of what the core never asked for, or no longer waits for.
void RaftEvents::LyingCompletion() {
  const uint64_t never = uint64_t{1} << 40;
  switch (Below(6)) {
    case 0:
      return Step(LogPersisted{never, Near(before_.term), Near(before_.last)});
    case 1:
      return Step(HardStatePersisted{Below(2) == 0 ? never : 0});
    case 2:
      return Step(SnapshotSent{Below(6), Below(4), Below(2) == 0});
    case 3:
      return Step(EntriesFetched{Below(4) == 0 ? never : 0, true, {AnyEntry(1, Near(before_.last))}});
    case 4:
      return Step(Applied{node_.handed_out + 1 + Below(4)});
    default:
      return Step(SnapshotInstalled{Near(before_.last) + 1000, 1, true});
  }
}

void RaftEvents::StepPosted() {
  for (Event& event : node_.TakePosted()) Step(std::move(event));
}

void RaftEvents::PersistOne() {
  node_.PersistOne();
  StepPosted();
}

void RaftEvents::FinishInstall() {
  if (!node_.install.has_value()) return;
  const bool ok = Below(4) != 0;
  // The log will be void, and so are the entries on their way; term and vote are not.
  while (ok && !node_.writes.empty()) PersistOne();
  node_.FinishInstall(ok);
  StepPosted();
}

void RaftEvents::AnswerFetch() {
  if (node_.fetches.empty()) return;
  const Fetch fetch = node_.fetches.front();
  node_.fetches.erase(node_.fetches.begin());
  EntriesFetched answer{fetch.fetch, Below(4) != 0, {}};
  for (Index i = fetch.first; i <= fetch.last && i < fetch.first + 4; ++i) {
    if (auto entry = node_.memory.find(i); entry != node_.memory.end()) answer.entries.push_back(entry->second);
    if (Below(32) == 0) answer.entries.push_back(AnyEntry(1, i));
  }
  Step(std::move(answer));
}

void RaftEvents::Crash() {
  if (Below(2) == 0) {
    node_.FailWrites();
    StepPosted();
    TakeOutput();
    BANDB_ASSERT(node_.core().inspect().failed);
    BANDB_ASSERT(!node_.Step(now_, Propose{}).ok());
  }
  node_.Crash();
  sent_.clear();
  Start();
}

void RaftEvents::TakeOutput() {
  node_.Turn();
  BANDB_ASSERT(node_.ApplyAll() == node_.handed_out || node_.install.has_value());
}

void RaftEvents::CheckOutput(const Output& output) {
  if (output.log) {
    const Entries& entries = output.log->entries;
    BANDB_ASSERT(!entries.empty());
    BANDB_ASSERT(entries.back().index == output.log->index);
    BANDB_ASSERT(entries.back().term == output.log->term);
    const Index end =
        node_.memory.empty() ? node_.handed_out : std::max(node_.handed_out, node_.memory.rbegin()->first);
    BANDB_ASSERT(entries.front().index <= end + 1);
    BANDB_ASSERT(entries.front().index > node_.handed_out);
    for (size_t i = 1; i < entries.size(); ++i) BANDB_ASSERT(entries[i].index == entries[i - 1].index + 1);
  }
  if (!output.committed.empty()) {
    const Committed& c = output.committed;
    BANDB_ASSERT(c.first == node_.handed_out + 1);
    BANDB_ASSERT(c.entries.empty() || c.entries.size() == c.last - c.first + 1);
    for (Index i = c.first; i <= c.last; ++i) {
      // Readable from the log, and durable.
      BANDB_ASSERT(node_.log.count(i) == 1);
      BANDB_ASSERT(c.entries.empty() || c.entries[i - c.first] == node_.log[i]);
      auto [known, added] = applied_terms_.emplace(i, node_.log[i].term);
      BANDB_ASSERT(added || known->second == node_.log[i].term);
    }
  }
  for (const Outgoing& message : output.messages) {
    BANDB_ASSERT(message.message.from == kSelf);
    BANDB_ASSERT(message.message.to != kSelf);
    BANDB_ASSERT(message.message.cluster == options_.cluster);
  }
}

// A message leaves the node: everything that it rests on must be on disk.
void RaftEvents::Deliver(const Message& m) {
  sent_[m.to] = m;
  if (m.kind == MessageKind::kAppendReply) {
    BANDB_ASSERT(node_.hard_state.term >= m.term);
    const Index end = node_.log.empty() ? node_.floor.index : node_.log.rbegin()->first;
    if (!m.reject && m.term == node_.core().inspect().term) BANDB_ASSERT(m.index <= end);
  }
  if (m.kind == MessageKind::kVoteReply && !m.reject) {
    BANDB_ASSERT(node_.hard_state.term > m.term || (node_.hard_state.term == m.term && node_.hard_state.vote == m.to));
    auto [vote, added] = votes_.emplace(m.term, m.to);
    BANDB_ASSERT(added || vote->second == m.to);
  }
  if (m.kind == MessageKind::kAppend) {
    // Only a leader speaks as one, and it has voted for itself.
    auto [vote, added] = votes_.emplace(m.term, kSelf);
    BANDB_ASSERT(added || vote->second == kSelf);
    BANDB_ASSERT(node_.hard_state.term >= m.term);
  }
}

void RaftEvents::CheckView() {
  const absl::Status status = node_.core().CheckInvariants();
  BANDB_ASSERT(status.ok());
  const Inspect view = node_.core().inspect();
  BANDB_ASSERT(view.term >= before_.term);
  BANDB_ASSERT(view.commit >= before_.commit);
  BANDB_ASSERT(view.applied >= before_.applied);
  BANDB_ASSERT(view.floor >= before_.floor);
  // Ten times the limits of these options is far below what an unbounded queue reaches in a run.
  BANDB_ASSERT(view.cached_bytes <= 10 * (options_.cached_bytes_max + options_.uncommitted_bytes_max +
                                          options_.message_bytes_max + options_.inflight_bytes_max));
  before_ = view;
}

}  // namespace bandb::raft
