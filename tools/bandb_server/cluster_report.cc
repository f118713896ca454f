#include "cluster_report.h"

#include <fmt/format.h>

#include <string_view>
#include <vector>

#include "admin/cluster_words.h"
#include "text_table.h"

namespace bandb::server_program {

namespace {

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
    std::vector<std::string> row{Shown(member.name), std::to_string(member.id), std::string(admin::KindOf(member)),
                                 Shown(member.peer_address), Shown(member.client_address)};
    if (shows_progress) row.push_back(Progress(status, member));
    row.push_back(Shown(admin::TroubleOf(status, member)));
    rows.push_back(std::move(row));
  }
  return Align(rows);
}

}  // namespace

std::string ShowMembers(const ClusterStatus& status) { return Table(status, false); }

std::string ShowStatus(const ClusterStatus& status) {
  std::string text = fmt::format("cluster  {}\nnode     {} ({})\nhealth   {}\nleader   {}\nterm     {}\n",
                                 status.cluster_id, status.node_id, admin::RoleName(status.role),
                                 admin::HealthOf(status), admin::LeaderName(status), status.term);
  text += fmt::format("log      commit {}, applied {}, last {}, durable {}, in tables {}\n", status.commit_index,
                      status.applied_index, status.last_index, status.durable_index, status.flushed_index);
  text += fmt::format("members  {}, version {}{}\n", status.members.size(), status.members_version,
                      status.members_changing ? ", being changed" : "");
  return text + Table(status, true);
}

}  // namespace bandb::server_program
