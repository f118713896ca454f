// Peers: the transport that ships. Links to the other nodes of a cluster, and what goes over them:
// Raft messages, words of the node, snapshots, and strangers that ask to be let in.
//
// Which nodes to dial is said by the configuration; one that calls need not be in it. A node that
// has no log yet knows nobody and answers all that call it, and one that was removed is answered
// that it was. But all of them are of this cluster and say which node they are, and a message
// counts only if it comes from the node that it says it comes from.
//
// Two links lead to each peer (peer_link.h): entries and snapshots go over one, all else over the
// other. What a link has no room for is dropped, as a network would: Raft sends it again.
//
// Invariants: memory is bounded by the output marks and one frame for each link. At most one
// process speaks for a node at a time. Nothing here waits.
#ifndef BANDB_CLUSTER_PEERS_H_
#define BANDB_CLUSTER_PEERS_H_

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/random.h"
#include "cluster/entry_payload.h"
#include "cluster/join_desk.h"
#include "cluster/member_address.h"
#include "cluster/peer_handshake.h"
#include "cluster/peer_link.h"
#include "cluster/peer_protocol.h"
#include "cluster/snapshot_in.h"
#include "cluster/snapshot_out.h"
#include "cluster/transport.h"
#include "net/link_acceptor.h"
#include "net/link_host.h"
#include "raft/event.h"
#include "storage/engine/incoming_state.h"
#include "storage/engine/replica_state.h"

namespace bandb::cluster {

struct PeersOptions {
  net::DialerOptions dialer;
  // Replaces those of `dialer.link`: a peer that says nothing for so long is gone.
  int64_t silence_nanos = int64_t{5} * 1000000000;
  // How often each side says that it lives. One that does not for three times as long may give way
  // to another process of the same node.
  int64_t ping_nanos = int64_t{500} * 1000000;
  int64_t patience_nanos = int64_t{500} * 1000000;      // see PeerLink
  int64_t unreachable_nanos = int64_t{1} * 1000000000;  // between two reports of one peer
  // Nodes that are no members and have a link.
  size_t strangers_max = 32;
  JoinDesk::Limits joins;
  SnapshotOptions snapshots;
  // The highest version of entries that the node says it understands.
  uint8_t entry_version = kEntryVersionMax;
};

// Thread safety: the loop's thread, or before the loop runs.
// Lifetime: what it borrows must outlive it. It may be destroyed while work on the executor is
// under way: what that would have said is not said. Not from inside a call to the listener, which
// may Close it.
class Peers final : public Transport,
                    private PeerLink::Owner,
                    private net::LinkAcceptorHandler,
                    private SnapshotOut::Owner,
                    private SnapshotIn::Owner {
 public:
  // Told on the loop's thread, in turns of its own: never from inside a call to Peers.
  class Listener {
   public:
    virtual ~Listener() = default;
    // Of this cluster and group, from a node that is who it says. Also what heads a snapshot that
    // was not taken, being older than the state that is here.
    virtual void OnMessage(raft::Message message) = 0;
    // What the node of a peer has sent with SendFrame. Valid during the call.
    virtual void OnFrame(raft::NodeId from, uint32_t id, std::string_view payload) = 0;
    // A whole state, as `message` heads it. It is the listener's to install, and to say with
    // SnapshotInstalled what became of it, also if the core does not want it: until then no other
    // snapshot is taken.
    virtual void OnSnapshotReceived(raft::Message message, std::unique_ptr<storage::IncomingState> state) = 0;
    // The end of a SendSnapshot. `ok`: the receiver has installed it.
    virtual void OnSnapshotSent(const raft::SnapshotSent& sent) = 0;
    // A table of this node is damaged, which `damage` names: it can give nobody a snapshot.
    virtual void OnOwnDamage(const absl::Status& /*damage*/) {}
    // Something could not be sent to a member; at most once a second.
    virtual void OnUnreachable(raft::NodeId peer) = 0;
    // A node that is no member asks to be let in. `reply` may be called once, later, on the loop's
    // thread; the node that asked may be gone by then.
    virtual void OnJoinRequest(std::string_view request, std::function<void(std::string answer)> reply) = 0;
    // Now and then, of each node with a link that the configuration does not have.
    virtual void OnStranger(raft::NodeId /*stranger*/) {}
  };
  // Borrowed, but for what is shared with work that outlives Peers.
  struct Parts {
    std::shared_ptr<base::EventLoop> loop;
    std::shared_ptr<net::Resolver> resolver;
    net::LinkHost* host = nullptr;  // of the loop
    base::Executor* executor = nullptr;
    base::Logger* logger = nullptr;
    Listener* listener = nullptr;
    // The state that is sent, and what the core says of a state at an index: Core::SnapshotAt.
    std::function<storage::PinnedState()> pin;
    std::function<std::optional<raft::SnapshotMeta>(raft::Index)> meta_at;
    // EngineReplica::Receive. Called on the executor, also when Peers is gone meanwhile: whatever
    // it refers to must live until the executor has no more work of it.
    std::function<absl::StatusOr<std::unique_ptr<storage::IncomingState>>(const storage::ReplicaState&)> receive;
  };
  struct PeerStatus {
    raft::NodeId id = raft::kNoNode;
    std::string address;
    std::string name;
    bool member = false;
    // Both links are.
    bool up = false;
    uint64_t failures = 0;  // to make a link, since the last success
    // Why there is no link, or none could be made; for people.
    std::string last_error;
    int64_t last_heard_nanos = INT64_MIN;  // on the loop's clock; never: the least
    uint64_t dropped_messages = 0;
    SnapshotOut::Progress snapshot;
    std::string snapshot_error;  // of the last that failed; empty once one was installed
  };

  // `random` is its own.
  Peers(const PeerSelf& self, const PeersOptions& options, const Parts& parts, base::Random random);
  ~Peers() override;

  // Once; a node that is alone in its cluster need not. Errors: as EventLoop::Listen.
  absl::Status Listen(const std::string& address);
  // HOST:PORT; empty unless it listens.
  const std::string& address() const { return acceptor_.address(); }
  // The nodes to reach from now on. Peers that are in it no more are not dialed, but may still
  // call.
  void SetMembers(const raft::Configuration& configuration);

  void Send(const raft::Message& message) override;
  void SendSnapshot(const raft::SendSnapshot& send) override;
  // False: the peer has no link, or too much waits for it. `id` is at least kFirstNodeFrame, and
  // the payload within kPeerPayloadBytesMax. Frames of different sizes may overtake each other, and
  // whatever is sent may be lost.
  bool SendFrame(raft::NodeId to, uint32_t id, std::string_view payload);

  // The peer takes entries again: a snapshot on its way to it is not needed any more.
  void StopSnapshot(raft::NodeId to);
  // What became of the snapshot that OnSnapshotReceived gave, for the peer that has sent it:
  // installed, or why not.
  void SnapshotInstalled(const absl::Status& status);

  // The highest version of entries that a node understands, as it said when it was linked last; 0:
  // it was not, since this one has started, or did not say.
  uint8_t EntryVersionOf(raft::NodeId id) const;
  std::vector<PeerStatus> Status() const;
  // Leaves all peers, which are told why, and says nothing more.
  void Close(std::string_view reason);

 private:
  struct Peer {
    raft::NodeId id = raft::kNoNode;
    bool member = false;
    std::string name;
    // Of the process that the links lead to.
    uint64_t incarnation = 0;
    uint8_t version = 0;        // the highest that it understands
    uint8_t entry_version = 0;  // likewise, of entries; 0: it did not say, or no link was up yet
    std::array<std::unique_ptr<PeerLink>, proto::kLinkClasses> links;
    int64_t told_unreachable_nanos = INT64_MIN;
    uint64_t dropped_messages = 0;
    std::string last_error;
    std::unique_ptr<SnapshotOut> snapshots;  // null until one was sent
    std::string snapshot_error;
    net::LogBudget log_budget;  // of a member; others have one together
  };

  // PeerLink::Owner
  std::string Hello(const PeerLink& link) override;
  absl::Status OnAnswer(PeerLink* link, std::string_view hello) override;
  void OnLinkUp(PeerLink* link) override;
  void OnLinkFrame(PeerLink* link, const net::Frame& frame) override;
  void OnLinkWritable(PeerLink* link) override;
  void OnLinkDown(PeerLink* link, const net::LinkEnd& end) override;
  // net::LinkAcceptorHandler
  std::string Hello() override;
  absl::Status OnHello(std::string_view hello) override;
  void OnLink(std::unique_ptr<net::FrameLink> link, std::string_view hello) override;

  // SnapshotOut::Owner, SnapshotIn::Owner
  bool MaySendSnapshotFrame(raft::NodeId to) override;
  void SendSnapshotFrame(raft::NodeId to, uint32_t id, std::unique_ptr<std::string> payload) override;
  void OnStreamEnd(const raft::SnapshotSent& sent, std::string_view why) override;
  void OnOwnDamage(const absl::Status& damage) override;
  void OnReceived(raft::Message message, std::unique_ptr<storage::IncomingState> state) override;
  void OnBehind(raft::Message message) override;
  void OnRefused(raft::NodeId from, const absl::Status& why) override;

  Peer* Find(raft::NodeId id);
  Peer* Add(raft::NodeId id);
  // Errors: kFailedPrecondition another process speaks for the node.
  absl::Status CheckIncarnation(Peer* peer, uint64_t incarnation);
  // Errors: kUnavailable there are too many.
  absl::Status CheckStrangers();
  void EraseStrangers();
  // Snapshots to and from the peer, whose link is another or none.
  void EndStreams(Peer* peer, std::string_view why);
  PeerLink* LinkFor(Peer* peer, proto::LinkClass link_class) {
    return peer->links[static_cast<size_t>(link_class)].get();
  }
  bool SendOwned(PeerLink* link, uint32_t id, std::unique_ptr<std::string> payload);
  void HandleMessage(Peer* peer, PeerLink* link, std::string_view payload);
  void HandleSnapshotFrame(Peer* peer, PeerLink* link, const net::Frame& frame);
  void Malformed(PeerLink* link, std::string_view what);
  void NoteUnreachable(Peer* peer);
  // Whether a line about the peer may be written.
  bool MayLog(Peer* peer);
  void SayAlive();
  void TellStrangers();
  base::Task Later(std::function<void()> task) const;

  const PeerSelf self_;
  const PeersOptions options_;
  const Parts parts_;
  const PeerProtocol protocol_;
  base::Random random_;
  const std::shared_ptr<const bool> alive_ = std::make_shared<bool>(true);
  bool closed_ = false;
  bool members_known_ = false;  // a configuration was set that has some
  net::LinkAcceptor acceptor_;
  JoinDesk joins_;
  SnapshotIn incoming_;
  std::map<raft::NodeId, std::unique_ptr<Peer>> peers_;
  net::LogBudget strangers_log_budget_;
  base::TimerId ping_timer_ = base::kNoTimer;
  std::string payload_;  // kept for its memory
};

}  // namespace bandb::cluster

#endif  // BANDB_CLUSTER_PEERS_H_
