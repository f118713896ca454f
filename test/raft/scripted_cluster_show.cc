// The commands of ScriptedCluster that look and change nothing.
#include <fmt/format.h>

#include <cstdlib>

#include "raft/describe.h"
#include "raft/scripted_cluster.h"

namespace bandb::raft {

void ScriptedCluster::Show(const Words& words) {
  if (words[0] == "network") {
    for (const Message& message : network_) Say(Describe(message) + "\n");
    return;
  }
  Node* node = words.size() > 1 ? Find(std::strtoull(words[1].c_str(), nullptr, 10)) : nullptr;
  if (words[0] == "status") {
    for (auto& [id, n] : nodes_) {
      if (!n.running()) {
        Say(fmt::format("{}: is down\n", id));
        continue;
      }
      const Inspect v = n.core().inspect();
      Say(fmt::format("{}: {} t{} vote={} leader={} log={}..{} durable={} commit={} applied={} {}\n", id, Name(v.role),
                      v.term, v.vote, v.leader, v.floor, v.last, v.durable, v.commit, v.applied,
                      Describe(n.core().configuration())));
    }
  } else if (node != nullptr && words[0] == "log") {
    for (auto& [index, entry] : node->memory) Say(Describe(entry) + "\n");
  } else if (node != nullptr && words[0] == "disk") {
    Say(fmt::format("term={} vote={} floor={}/{}\n", node->hard_state.term, node->hard_state.vote, node->floor.term,
                    node->floor.index));
    for (const auto& [index, entry] : node->log) Say(Describe(entry) + "\n");
  } else if (node != nullptr && words[0] == "peers" && node->running()) {
    static const char* const kStates[] = {"probe", "replicate", "snapshot"};
    for (const PeerView& p : node->core().Peers()) {
      Say(fmt::format("{}: {} match={} next={} inflight={}{}\n", p.id, kStates[static_cast<int>(p.state)], p.match,
                      p.next, p.inflight_messages, p.log_full ? " log-full" : ""));
    }
  } else {
    Say("? no such command\n");
  }
}

}  // namespace bandb::raft
