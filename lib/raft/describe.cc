#include "raft/describe.h"

#include <fmt/format.h>

#include <algorithm>

#include "raft/types/configuration_codec.h"

namespace bandb::raft {
namespace {

constexpr size_t kPayloadShownMax = 24;

std::string Quote(std::string_view bytes) {
  std::string quoted = "\"";
  for (char c : bytes.substr(0, kPayloadShownMax)) {
    if (c >= ' ' && c <= '~' && c != '"' && c != '\\') {
      quoted += c;
    } else {
      quoted += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    }
  }
  quoted += '"';
  if (bytes.size() > kPayloadShownMax) quoted += fmt::format("...({})", bytes.size());
  return quoted;
}

template <typename Wanted>
void AppendMembers(const Configuration& configuration, const char* title, Wanted wanted, std::string* to) {
  std::string members;
  for (const Member& m : configuration.members) {
    if (!wanted(m)) continue;
    if (!members.empty()) members += ' ';
    members += fmt::format("{}", m.id);
    if (m.promote && m.replaces != kNoNode) members += fmt::format("->{}", m.replaces);
    if (m.promote && m.replaces == kNoNode) members += '+';
  }
  if (!members.empty()) *to += fmt::format("{}({}) ", title, members);
}

std::string_view Name(EntryKind kind) {
  switch (kind) {
    case EntryKind::kNoop:
      return "noop";
    case EntryKind::kData:
      return "data";
    case EntryKind::kConfiguration:
      return "configuration";
  }
  return "?";
}

// " name=value" unless the value is 0.
void AppendField(const char* name, uint64_t value, std::string* to) {
  if (value != 0) *to += fmt::format(" {}={}", name, value);
}

}  // namespace

std::string_view Name(MessageKind kind) {
  static constexpr std::string_view kNames[] = {"?",         "PreVote",        "PreVoteReply", "Vote",
                                                "VoteReply", "Append",         "AppendReply",  "Snapshot",
                                                "ReadIndex", "ReadIndexReply", "TimeoutNow",   "TimeoutNowReply"};
  static_assert(std::size(kNames) == kMessageKindMax + 1);
  return kNames[static_cast<uint8_t>(kind) <= kMessageKindMax ? static_cast<uint8_t>(kind) : 0];
}

std::string_view Name(Role role) {
  switch (role) {
    case Role::kFollower:
      return "follower";
    case Role::kPreCandidate:
      return "pre-candidate";
    case Role::kCandidate:
      return "candidate";
    case Role::kLeader:
      return "leader";
  }
  return "?";
}

std::string_view Name(FaultKind kind) {
  switch (kind) {
    case FaultKind::kTwoLeaders:
      return "two leaders in one term";
    case FaultKind::kCommittedConflict:
      return "contradicts what is committed";
    case FaultKind::kMalformedMessage:
      return "malformed message";
    case FaultKind::kMalformedEntries:
      return "malformed entries";
    case FaultKind::kDiskStalled:
      return "disk stalled";
    case FaultKind::kPersistFailed:
      return "persist failed";
    case FaultKind::kLogUnreadable:
      return "log unreadable";
  }
  return "?";
}

std::string Describe(const Configuration& configuration) {
  std::string text;
  AppendMembers(
      configuration, "voters", [](const Member& m) { return m.voter; }, &text);
  AppendMembers(
      configuration, "outgoing", [](const Member& m) { return m.outgoing; }, &text);
  AppendMembers(
      configuration, "learners", [](const Member& m) { return m.learner; }, &text);
  return text + fmt::format("v{}@{}", configuration.version, configuration.index);
}

std::string Describe(const Entry& entry) {
  std::string text = fmt::format("{}/{} {}", entry.term, entry.index, Name(entry.kind));
  Configuration configuration;
  if (entry.kind == EntryKind::kConfiguration && DecodeConfiguration(entry.payload.bytes(), &configuration)) {
    return fmt::format("{} {}", text, Describe(configuration));
  }
  if (entry.payload.empty()) return text;
  return fmt::format("{} {}", text, Quote(entry.payload.bytes()));
}

std::string Describe(const Message& m) {
  std::string text = fmt::format("{}->{} {} t{}", m.from, m.to, Name(m.kind), m.term);
  if (m.reject) text += " reject";
  if (m.force) text += " force";
  if (m.log_full) text += " log-full";
  switch (m.kind) {
    case MessageKind::kAppend:
      text += fmt::format(" prev={}/{} commit={}", m.log_term, m.index, m.commit);
      break;
    case MessageKind::kPreVote:
    case MessageKind::kVote:
    case MessageKind::kTimeoutNow:
      text += fmt::format(" last={}/{}", m.log_term, m.index);
      break;
    case MessageKind::kAppendReply:
      text += m.reject ? fmt::format(" prev={} hint={}/{}", m.index, m.hint_term, m.hint)
                       : fmt::format(" match={}", m.index);
      break;
    case MessageKind::kPreVoteReply:
      AppendField("removed-at", m.hint, &text);
      break;
    default:
      AppendField("index", m.index, &text);
      break;
  }
  // Campaigns and questions are numbered from a random start, which says nothing to a reader;
  // rounds count from 1.
  if (m.kind == MessageKind::kAppend || m.kind == MessageKind::kAppendReply) AppendField("round", m.round, &text);
  if (m.snapshot != nullptr) {
    text += fmt::format(" snapshot={}/{} {}", m.snapshot->term, m.snapshot->index, Describe(m.snapshot->configuration));
  }
  if (!m.entries.empty()) {
    text += " [";
    for (const Entry& entry : m.entries) text += (&entry == m.entries.data() ? "" : ", ") + Describe(entry);
    text += "]";
  }
  return text;
}

std::string Describe(const Output& o, std::string_view indent) {
  std::string text;
  auto line = [&](const std::string& what) { text += fmt::format("{}{}\n", indent, what); };
  if (o.role) line(fmt::format("{} t{} leader={}", Name(o.role->role), o.role->term, o.role->leader));
  if (o.configuration) {
    line(fmt::format("configuration {} {}", o.configuration->committed ? "committed" : "in force",
                     Describe(o.configuration->configuration)));
  }
  if (o.transfer) line(fmt::format("transfer to {} {}", o.transfer->to, absl::StatusCodeToString(o.transfer->code)));
  for (const Fault& f : o.faults) line(fmt::format("fault {} peer={} index={}", Name(f.kind), f.peer, f.index));
  if (o.hard_state) {
    line(fmt::format("write {}: term={} vote={}", o.hard_state->write, o.hard_state->state.term,
                     o.hard_state->state.vote));
  }
  if (o.log) {
    line(fmt::format("write {}: entries", o.log->write));
    for (const Entry& entry : o.log->entries) line("  " + Describe(entry));
  }
  for (const Outgoing& m : o.messages) {
    std::string gate;
    if (!m.immediate()) gate = fmt::format(" after write {}", std::max(m.after_log_write, m.after_hard_state_write));
    line(fmt::format("send{} {}", gate, Describe(m.message)));
  }
  if (o.install) line(fmt::format("install snapshot {}/{}", o.install->term, o.install->index));
  if (!o.committed.empty()) {
    line(fmt::format("apply {}..{}{}", o.committed.first, o.committed.last,
                     o.committed.entries.empty() ? " from the log" : ""));
  }
  for (const ReadResult& r : o.reads) {
    line(r.code == absl::StatusCode::kOk ? fmt::format("read {} at {}{}", r.id, r.index, r.lease ? " by lease" : "")
                                         : fmt::format("read {} {}", r.id, absl::StatusCodeToString(r.code)));
  }
  for (const SendSnapshot& s : o.send_snapshots) line("send snapshot " + Describe(s.message));
  for (const Fetch& f : o.fetches) line(fmt::format("fetch {}: {}..{}", f.fetch, f.first, f.last));
  if (o.take_snapshot) line("take a snapshot");
  if (o.compact_to) line(fmt::format("compact to {}", *o.compact_to));
  return text;
}

}  // namespace bandb::raft
