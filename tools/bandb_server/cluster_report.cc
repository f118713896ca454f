#include "cluster_report.h"

#include <fmt/format.h>

#include <string_view>
#include <vector>

#include "base/escape.h"
#include "base/status.h"
#include "text_table.h"

namespace bandb::server_program {

namespace {

std::string_view RoleName(NodeRole role) {
  switch (role) {
    case NodeRole::kFollower:
      return "follower";
    case NodeRole::kCandidate:
      return "candidate";
    case NodeRole::kLeader:
      return "leader";
  }
  return "unknown";
}

// What a column shows; names and addresses are whatever an operator typed.
std::string Kind(const MemberStatus& member) { return member.voter ? "voter" : "learner"; }

// A voter takes part in every write: it must have a connection; and of all who asked, this node
// knows itself best.
std::string Trouble(const ClusterStatus& status, const MemberStatus& member) {
  if (member.self && !status.health.ok()) return std::string(base::Message(status.health));
  return member.trouble;
}

std::string Progress(const ClusterStatus& status, const MemberStatus& member) {
  if (member.snapshot_bytes != 0) {
    return fmt::format("copy {}/{}", member.snapshot_bytes_sent, member.snapshot_bytes);
  }
  const uint64_t index = member.self ? status.durable_index : member.matched_index;
  // Only the leader knows how far others are.
  return index == 0 ? "-" : std::to_string(index);
}

std::string Table(const ClusterStatus& status, bool shows_progress) {
  std::vector<std::vector<std::string>> rows{{"NAME", "ID", "KIND", "PEERS", "CLIENTS"}};
  if (shows_progress) rows[0].emplace_back("LOG");
  rows[0].emplace_back("TROUBLE");
  for (const MemberStatus& member : status.members) {
    std::vector<std::string> row{Shown(member.name), std::to_string(member.id), Kind(member),
                                 Shown(member.peer_address), Shown(member.client_address)};
    if (shows_progress) row.push_back(Progress(status, member));
    row.push_back(Shown(Trouble(status, member)));
    rows.push_back(std::move(row));
  }
  return Align(rows);
}

std::string MemberJson(const ClusterStatus& status, const MemberStatus& member) {
  return fmt::format(
      R"({{"name":{},"id":"{}","kind":"{}","peer_address":{},"client_address":{},"leader":{},"self":{},"connected":{},)"
      R"("matched_index":{},"snapshot_bytes_sent":{},"snapshot_bytes":{},"trouble":{}}})",
      Json(member.name), member.id, Kind(member), Json(member.peer_address), Json(member.client_address), member.leader,
      member.self, member.self || member.connected, member.self ? status.durable_index : member.matched_index,
      member.snapshot_bytes_sent, member.snapshot_bytes, Json(Trouble(status, member)));
}

}  // namespace

std::string ShowMembers(const ClusterStatus& status) { return Table(status, false); }

std::string MembersJson(const ClusterStatus& status) {
  std::string text;
  for (const MemberStatus& member : status.members) text += (text.empty() ? "" : ",") + MemberJson(status, member);
  return "[" + text + "]";
}

std::string LeaderName(const ClusterStatus& status) {
  for (const MemberStatus& member : status.members) {
    if (member.leader) return member.name.empty() ? std::to_string(member.id) : base::Escape(member.name);
  }
  return status.leader == 0 ? "nobody" : std::to_string(status.leader);
}

std::string ShowStatus(const ClusterStatus& status) {
  std::string text = fmt::format(
      "cluster  {}\nnode     {} ({})\nhealth   {}\nleader   {}\nterm     {}\n", status.cluster_id, status.node_id,
      RoleName(status.role), status.health.ok() ? "ok" : base::Message(status.health), LeaderName(status), status.term);
  text += fmt::format("log      commit {}, applied {}, last {}, durable {}, in tables {}\n", status.commit_index,
                      status.applied_index, status.last_index, status.durable_index, status.flushed_index);
  text += fmt::format("members  {}, version {}{}\n", status.members.size(), status.members_version,
                      status.members_changing ? ", being changed" : "");
  return text + Table(status, true);
}

std::string StatusJson(const ClusterStatus& status) {
  return fmt::format(
      R"({{"cluster_id":"{}","node_id":"{}","role":"{}","health":{},"leader":"{}","leader_name":{},"term":{},)"
      R"("commit_index":{},"applied_index":{},"last_index":{},"durable_index":{},"flushed_index":{},)"
      R"("members_version":{},"members_changing":{},"members":{}}})",
      status.cluster_id, status.node_id, RoleName(status.role),
      Json(status.health.ok() ? "ok" : base::Message(status.health)), status.leader, Json(LeaderName(status)),
      status.term, status.commit_index, status.applied_index, status.last_index, status.durable_index,
      status.flushed_index, status.members_version, status.members_changing, MembersJson(status));
}

}  // namespace bandb::server_program
