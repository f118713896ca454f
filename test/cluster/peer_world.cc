#include "cluster/peer_world.h"

#include <algorithm>

#include "support/catch.h"

namespace bandb::test {

PeerNode::PeerNode(PeerWorld* world, raft::NodeId id, raft::ClusterId cluster)
    : self{.cluster = cluster, .node = id, .incarnation = id * 1000 + 1, .versions = {}},
      parts{.loop = nullptr,
            .resolver = world->resolver,
            .executor = &world->executor,
            .logger = &world->logger,
            .listener = this,
            .pin = nullptr,
            .meta_at = nullptr,
            .receive = nullptr},
      loop_(world->network.MakePeerLoop()),
      host(loop_.get()) {
  parts.loop = loop_;
  parts.host = &host;
}

PeerNode::~PeerNode() = default;

void PeerNode::Start(bool listen) {
  peers = std::make_unique<cluster::Peers>(self, options, parts, base::Random(self.node));
  if (listen) REQUIRE_OK(peers->Listen(PeerAddress()));
}

void PeerNode::Restart() {
  peers.reset();
  ++self.incarnation;
  Start();
}

cluster::Peers::PeerStatus PeerNode::StatusOf(raft::NodeId peer) const {
  for (cluster::Peers::PeerStatus& status : peers->Status()) {
    if (status.id == peer) return std::move(status);
  }
  return {};
}

raft::Message PeerNode::Append(raft::NodeId to, size_t entries, size_t bytes) const {
  raft::Message message;
  message.kind = raft::MessageKind::kAppend;
  message.cluster = self.cluster;
  message.from = self.node;
  message.to = to;
  message.term = 7;
  message.index = 10;
  message.log_term = 6;
  for (size_t i = 0; i < entries; ++i) {
    raft::Entry& entry = message.entries.emplace_back();
    entry.term = 7;
    entry.index = 11 + i;
    entry.payload = raft::Payload(std::string(bytes, static_cast<char>('a' + i % 26)));
  }
  return message;
}

void PeerNode::OnMessage(raft::Message message) {
  messages.push_back(std::move(message));
  if (then) then();
}

void PeerNode::OnFrame(raft::NodeId from, uint32_t id, std::string_view payload) {
  frames.push_back({from, id, std::string(payload)});
  if (then) then();
}

void PeerNode::OnSnapshotReceived(raft::Message message, std::unique_ptr<storage::IncomingState> state) {
  snapshots.emplace_back(std::move(message), std::move(state));
  if (then) then();
}

void PeerNode::OnJoinRequest(std::string_view request, std::function<void(std::string answer)> reply) {
  join_requests.emplace_back(request);
  join_replies.push_back(std::move(reply));
  if (then) then();
}

raft::Configuration MembersOf(const std::vector<const PeerNode*>& nodes) {
  std::vector<raft::NodeId> ids;
  for (const PeerNode* node : nodes) ids.push_back(node->self.node);
  raft::Configuration configuration = raft::MakeConfiguration(ids);
  for (raft::Member& member : configuration.members) {
    const auto node =
        std::find_if(nodes.begin(), nodes.end(), [&](const PeerNode* n) { return n->self.node == member.id; });
    member.address = cluster::EncodeMemberAddress(
        {.peer = (*node)->PeerAddress(), .client = {}, .name = "n" + std::to_string(member.id)});
  }
  return configuration;
}

}  // namespace bandb::test
