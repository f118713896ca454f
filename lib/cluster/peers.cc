#include "cluster/peers.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/escape.h"
#include "base/status.h"

namespace bandb::cluster {

namespace {

using proto::LinkClass;

// Of a frame for which the prompt link is meant.
constexpr size_t kPromptBytesMax = 64 << 10;
constexpr size_t kPromptFrameBytesMax = 1 << 20;

net::LinkOptions MakeLinkOptions(const PeersOptions& options) {
  net::LinkOptions link = options.dialer.link;
  link.frame_bytes_max = kPeerPayloadBytesMax + proto::kFrameHeaderBytes;
  link.idle_timeout_nanos = link.output_timeout_nanos = options.silence_nanos;
  return link;
}

net::DialerOptions MakeDialerOptions(const PeersOptions& options) {
  net::DialerOptions dialer = options.dialer;
  dialer.link = MakeLinkOptions(options);
  return dialer;
}

}  // namespace

Peers::Peers(const PeerSelf& self, const PeersOptions& options, const Parts& parts, base::Random random)
    : self_(self),
      options_(options),
      parts_(parts),
      random_(random),
      acceptor_({.host = parts.host, .logger = parts.logger, .protocol = &protocol_},
                {.link = MakeLinkOptions(options)}, this),
      joins_(parts.loop.get(), options.joins,
             [this](std::string_view request, JoinDesk::Reply reply) {
               parts_.listener->OnJoinRequest(request, std::move(reply));
             }),
      incoming_(self, options.snapshots,
                {.loop = parts.loop,
                 .executor = parts.executor,
                 .receive = parts.receive,
                 .owner = static_cast<SnapshotIn::Owner*>(this)}) {
  BANDB_ASSERT(self_.node != raft::kNoNode);
  BANDB_ASSERT(self_.cluster != 0);
  BANDB_ASSERT(options_.ping_nanos > 0);
  BANDB_ASSERT(options_.ping_nanos < options_.silence_nanos / 3);
  ping_timer_ = parts_.loop->After(options_.ping_nanos, [this] { SayAlive(); });
}

Peers::~Peers() { parts_.loop->Cancel(ping_timer_); }

base::Task Peers::Later(std::function<void()> task) const {
  return [alive = std::weak_ptr<const bool>(alive_), task = std::move(task)] {
    if (!alive.expired()) task();
  };
}

absl::Status Peers::Listen(const std::string& address) { return acceptor_.Listen({.address = address}); }

void Peers::Close(std::string_view reason) {
  closed_ = true;
  acceptor_.Close();
  joins_.Close(reason);
  for (const auto& [id, peer] : peers_) {
    EndStreams(peer.get(), reason);
    for (const auto& link : peer->links) {
      link->Drop(reason);
      link->SetAddress("");
    }
  }
}

Peers::Peer* Peers::Find(raft::NodeId id) {
  const auto found = peers_.find(id);
  return found == peers_.end() ? nullptr : found->second.get();
}

Peers::Peer* Peers::Add(raft::NodeId id) {
  BANDB_ASSERT(id != self_.node);
  BANDB_ASSERT(id != raft::kNoNode);
  std::unique_ptr<Peer>& peer = peers_[id];
  if (peer != nullptr) return peer.get();
  peer = std::make_unique<Peer>();
  peer->id = id;
  for (int i = 0; i < proto::kLinkClasses; ++i) {
    peer->links[static_cast<size_t>(i)] = std::make_unique<PeerLink>(
        net::Dialer::Parts{.loop = parts_.loop,
                           .resolver = parts_.resolver,
                           .host = parts_.host,
                           .executor = parts_.executor,
                           .logger = parts_.logger,
                           .protocol = &protocol_},
        PeerLink::Options{.dialer = MakeDialerOptions(options_), .patience_nanos = options_.patience_nanos},
        random_.Fork(), id, static_cast<LinkClass>(i), self_.node < id, static_cast<PeerLink::Owner*>(this));
  }
  return peer.get();
}

void Peers::SetMembers(const raft::Configuration& configuration) {
  if (closed_) return;
  members_known_ = !configuration.members.empty();
  for (const auto& [id, peer] : peers_) {
    peer->member = configuration.Find(id) != nullptr;
    if (peer->member) continue;
    for (const auto& link : peer->links) link->SetAddress("");
  }
  for (const raft::Member& member : configuration.members) {
    if (member.id == self_.node) continue;
    Peer* const peer = Add(member.id);
    peer->member = true;
    MemberAddress address;
    if (!DecodeMemberAddress(member.address, &address)) address = MemberAddress();
    peer->name = address.name;
    for (const auto& link : peer->links) link->SetAddress(address.peer);
  }
}

uint8_t Peers::EntryVersionOf(raft::NodeId id) const {
  const auto found = peers_.find(id);
  return found == peers_.end() ? uint8_t{0} : found->second->entry_version;
}

// --- Who calls and who answers ---

std::string Peers::Hello(const PeerLink& link) {
  return proto::EncodePeerHello(MakeHello(self_, proto::HelloKind::kMember, link.link_class(), link.peer()));
}

std::string Peers::Hello() {
  return proto::EncodePeerHello(MakeHello(self_, proto::HelloKind::kMember, LinkClass::kPrompt, raft::kNoNode));
}

absl::Status Peers::OnAnswer(PeerLink* link, std::string_view hello) {
  proto::PeerHello answer;
  if (!proto::DecodePeerHello(hello, &answer)) {
    return base::Error(absl::StatusCode::kFailedPrecondition, "no hello of a node of BanDB");
  }
  BANDB_RETURN_IF_ERROR(CheckCalled(self_, link->peer(), answer));
  Peer* const peer = Find(link->peer());
  BANDB_RETURN_IF_ERROR(CheckIncarnation(peer, answer.incarnation));
  peer->incarnation = answer.incarnation;
  peer->version = *proto::AgreeOnVersion(self_.versions, answer.versions);
  peer->entry_version = answer.entry_version;
  return absl::OkStatus();
}

absl::Status Peers::OnHello(std::string_view hello) {
  proto::PeerHello caller;
  if (!proto::DecodePeerHello(hello, &caller)) {
    return base::Error(absl::StatusCode::kFailedPrecondition, "no hello of a node of BanDB");
  }
  BANDB_RETURN_IF_ERROR(CheckCaller(self_, caller));
  if (caller.kind == proto::HelloKind::kJoin) return joins_.CheckRoom();
  Peer* const peer = Find(caller.node);
  return peer == nullptr ? CheckStrangers() : CheckIncarnation(peer, caller.incarnation);
}

void Peers::OnLink(std::unique_ptr<net::FrameLink> link, std::string_view hello) {
  // Others may have come since it said hello.
  const absl::Status status = OnHello(hello);
  if (!status.ok()) return link->Close(base::Message(status));
  proto::PeerHello caller;
  BANDB_ASSERT(proto::DecodePeerHello(hello, &caller));
  if (caller.kind == proto::HelloKind::kJoin) return joins_.Take(std::move(link));
  Peer* const peer = Add(caller.node);
  peer->incarnation = caller.incarnation;
  peer->version = *proto::AgreeOnVersion(self_.versions, caller.versions);
  peer->entry_version = caller.entry_version;
  if (caller.link_class == LinkClass::kPrompt) link->SetFrameBytesMax(kPromptFrameBytesMax);
  LinkFor(peer, caller.link_class)->TakeIncoming(std::move(link));
}

absl::Status Peers::CheckIncarnation(Peer* peer, uint64_t incarnation) {
  int64_t heard = INT64_MIN;
  for (const auto& link : peer->links) heard = std::max(heard, link->last_heard_nanos());
  if (heard == INT64_MIN || peer->incarnation == incarnation) return absl::OkStatus();
  if (parts_.loop->NowNanos() - heard < 3 * options_.ping_nanos) {
    return base::Error(absl::StatusCode::kFailedPrecondition,
                       "another process is node {:x}, and lives: is one directory a copy of the other's?", peer->id);
  }
  for (const auto& link : peer->links) link->Drop("another process of the same node has come");
  return absl::OkStatus();
}

absl::Status Peers::CheckStrangers() {
  EraseStrangers();
  const auto strangers = std::count_if(peers_.begin(), peers_.end(), [](const auto& p) { return !p.second->member; });
  if (static_cast<size_t>(strangers) < options_.strangers_max) return absl::OkStatus();
  return base::Error(absl::StatusCode::kUnavailable, "node {:x} has links to {} nodes that are no members", self_.node,
                     strangers);
}

void Peers::EraseStrangers() {
  std::erase_if(peers_, [](const auto& entry) {
    const Peer& peer = *entry.second;
    return !peer.member &&
           std::none_of(peer.links.begin(), peer.links.end(), [](const auto& link) { return link->up(); }) &&
           (peer.snapshots == nullptr || !peer.snapshots->progress().active);
  });
}

// --- Links ---

void Peers::OnLinkUp(PeerLink* link) {
  Peer* const peer = Find(link->peer());
  if (link->link_class() == LinkClass::kPrompt) return link->link()->SetFrameBytesMax(kPromptFrameBytesMax);
  EndStreams(peer, "another connection has come");
}

void Peers::OnLinkWritable(PeerLink* link) {
  Peer* const peer = Find(link->peer());
  if (link->link_class() == LinkClass::kBulk && peer->snapshots != nullptr) peer->snapshots->OnWritable();
}

void Peers::OnLinkDown(PeerLink* link, const net::LinkEnd& end) {
  if (closed_) return;
  Peer* const peer = Find(link->peer());
  peer->last_error = net::ToString(end);
  if (link->link_class() == LinkClass::kBulk) EndStreams(peer, peer->last_error);
  NoteUnreachable(peer);
}

void Peers::EndStreams(Peer* peer, std::string_view why) {
  if (peer->snapshots != nullptr) peer->snapshots->OnLinkLost(why);
  incoming_.OnLinkLost(peer->id);
}

void Peers::SayAlive() {
  ping_timer_ = parts_.loop->After(options_.ping_nanos, [this] { SayAlive(); });
  EraseStrangers();
  joins_.SayAlive();
  incoming_.CheckProgress();
  for (const auto& [id, peer] : peers_) {
    if (peer->snapshots != nullptr) peer->snapshots->CheckProgress();
    for (const auto& link : peer->links) {
      if (link->up()) link->link()->Send(FrameId(PeerFrame::kPing), {});
    }
  }
  TellStrangers();
}

void Peers::TellStrangers() {
  std::vector<raft::NodeId> strangers;
  for (const auto& [id, peer] : peers_) {
    const bool up = LinkFor(peer.get(), LinkClass::kPrompt)->up();
    if (members_known_ && !peer->member && up) strangers.push_back(id);
  }
  for (const raft::NodeId stranger : strangers) {
    if (!closed_) parts_.listener->OnStranger(stranger);
  }
}

// --- What is said ---

void Peers::Send(const raft::Message& message) {
  Peer* const peer = Find(message.to);
  if (peer == nullptr || closed_) return;
  const LinkClass link_class = message.entries.empty() ? LinkClass::kPrompt : LinkClass::kBulk;
  PeerLink* const link = LinkFor(peer, link_class);
  const bool up = link->up() && message.version <= peer->version;
  bool sent = false;
  if (up && link_class == LinkClass::kPrompt) {
    payload_.clear();
    proto::EncodePeerMessage(message, &payload_);
    sent = link->link()->Send(FrameId(PeerFrame::kMessage), payload_);
  } else if (up && link->link()->writable()) {
    auto payload = std::make_unique<std::string>();
    proto::EncodePeerMessage(message, payload.get());
    sent = SendOwned(link, FrameId(PeerFrame::kMessage), std::move(payload));
  }
  if (sent) return;
  ++peer->dropped_messages;
  NoteUnreachable(peer);
}

bool Peers::SendFrame(raft::NodeId to, uint32_t id, std::string_view payload) {
  BANDB_ASSERT(id >= kFirstNodeFrame);
  BANDB_ASSERT(payload.size() <= kPeerPayloadBytesMax);
  Peer* const peer = Find(to);
  if (peer == nullptr || closed_) return false;
  const bool large = payload.size() > kPromptBytesMax;
  PeerLink* const link = LinkFor(peer, large ? LinkClass::kBulk : LinkClass::kPrompt);
  if (!link->up() || !link->link()->writable()) return false;
  return large ? SendOwned(link, id, std::make_unique<std::string>(payload)) : link->link()->Send(id, payload);
}

bool Peers::SendOwned(PeerLink* link, uint32_t id, std::unique_ptr<std::string> payload) {
  if (payload->size() > kPeerPayloadBytesMax) return false;
  const std::string_view bytes = *payload;
  const size_t own_bytes = payload->capacity();
  const auto release = [](void* owner) { delete static_cast<std::string*>(owner); };
  return link->link()->SendOwned(id, net::OwnedBytes(bytes, own_bytes, payload.release(), release));
}

bool Peers::MayLog(Peer* peer) {
  // Strangers come under as many names as they like.
  net::LogBudget& budget = peer->member ? peer->log_budget : strangers_log_budget_;
  return budget.Spend(parts_.loop->NowNanos());
}

void Peers::NoteUnreachable(Peer* peer) {
  if (!peer->member) return;
  const int64_t now = parts_.loop->NowNanos();
  if (peer->told_unreachable_nanos != INT64_MIN && now - peer->told_unreachable_nanos < options_.unreachable_nanos) {
    return;
  }
  peer->told_unreachable_nanos = now;
  parts_.loop->Post(Later([this, id = peer->id] {
    if (!closed_) parts_.listener->OnUnreachable(id);
  }));
}

// --- Snapshots ---

void Peers::SendSnapshot(const raft::SendSnapshot& send) {
  Peer* const peer = Find(send.message.to);
  if (peer == nullptr || closed_) {
    return OnStreamEnd({.to = send.message.to, .session = send.message.session, .ok = false}, "no such peer");
  }
  if (peer->snapshots == nullptr) {
    const SnapshotOut::Parts parts{.loop = parts_.loop,
                                   .executor = parts_.executor,
                                   .pin = parts_.pin,
                                   .meta_at = parts_.meta_at,
                                   .owner = static_cast<SnapshotOut::Owner*>(this)};
    peer->snapshots = std::make_unique<SnapshotOut>(peer->id, options_.snapshots, parts, random_.Fork());
  }
  peer->snapshots->Start(send);
}

void Peers::StopSnapshot(raft::NodeId to) {
  Peer* const peer = Find(to);
  if (peer != nullptr && peer->snapshots != nullptr) peer->snapshots->Stop();
}

void Peers::SnapshotInstalled(const absl::Status& status) { incoming_.Installed(status); }

bool Peers::MaySendSnapshotFrame(raft::NodeId to) {
  Peer* const peer = Find(to);
  if (peer == nullptr || closed_) return false;
  PeerLink* const link = LinkFor(peer, LinkClass::kBulk);
  return link->up() && link->link()->writable();
}

void Peers::SendSnapshotFrame(raft::NodeId to, uint32_t id, std::unique_ptr<std::string> payload) {
  const bool sent = SendOwned(LinkFor(Find(to), LinkClass::kBulk), id, std::move(payload));
  BANDB_ASSERT(sent);
}

void Peers::OnStreamEnd(const raft::SnapshotSent& sent, std::string_view why) {
  Peer* const peer = Find(sent.to);
  if (peer != nullptr) {
    // What keeps it from being sent may last, and the status tells that.
    if (!sent.ok && peer->snapshot_error != why && MayLog(peer)) {
      parts_.logger->Log(base::LogLevel::kWarning, "the snapshot for node {:x} was not sent: {}", sent.to, why);
    }
    peer->snapshot_error = why;
  }
  parts_.loop->Post(Later([this, sent] {
    if (!closed_) parts_.listener->OnSnapshotSent(sent);
  }));
}

void Peers::OnOwnDamage(const absl::Status& damage) {
  parts_.loop->Post(Later([this, damage] {
    if (!closed_) parts_.listener->OnOwnDamage(damage);
  }));
}

void Peers::OnReceived(raft::Message message, std::unique_ptr<storage::IncomingState> state) {
  if (!closed_) parts_.listener->OnSnapshotReceived(std::move(message), std::move(state));
}

void Peers::OnBehind(raft::Message message) {
  if (!closed_) parts_.listener->OnMessage(std::move(message));
}

void Peers::OnRefused(raft::NodeId from, const absl::Status& why) {
  Peer* const peer = Find(from);
  if (peer == nullptr || !MayLog(peer)) return;
  parts_.logger->Log(base::LogLevel::kWarning, "the snapshot of node {:x} was not taken: {}", from, base::Message(why));
}

// --- What is heard ---

void Peers::OnLinkFrame(PeerLink* link, const net::Frame& frame) {
  if (closed_ || frame.message_id == FrameId(PeerFrame::kPing)) return;
  Peer* const peer = Find(link->peer());
  if (frame.message_id == FrameId(PeerFrame::kMessage)) return HandleMessage(peer, link, frame.payload);
  if (frame.message_id >= kFirstNodeFrame) return parts_.listener->OnFrame(peer->id, frame.message_id, frame.payload);
  if (frame.message_id >= FrameId(PeerFrame::kSnapshotBegin) &&
      frame.message_id <= FrameId(PeerFrame::kSnapshotStopped) && link->link_class() == LinkClass::kBulk) {
    return HandleSnapshotFrame(peer, link, frame);
  }
  Malformed(link, fmt::format("a frame {} that has no place here", frame.message_id));
}

void Peers::HandleSnapshotFrame(Peer* peer, PeerLink* link, const net::Frame& frame) {
  absl::Status status;
  switch (static_cast<PeerFrame>(frame.message_id)) {
    case PeerFrame::kSnapshotWanted:
    case PeerFrame::kSnapshotTaken:
    case PeerFrame::kSnapshotDone:
      if (peer->snapshots != nullptr) status = peer->snapshots->OnFrame(frame.message_id, frame.payload);
      break;
    default:
      status = incoming_.OnFrame(peer->id, frame.message_id, frame.payload);
  }
  if (!status.ok()) Malformed(link, base::Message(status));
}

void Peers::HandleMessage(Peer* peer, PeerLink* link, std::string_view payload) {
  raft::Message message;
  if (!proto::DecodePeerMessage(payload, self_.versions, &message)) return Malformed(link, "no message");
  if (message.cluster != self_.cluster || message.group != 0) return Malformed(link, "a message of another cluster");
  if (message.from != peer->id || message.to != self_.node) {
    return Malformed(link, fmt::format("a message from {:x} to {:x}", message.from, message.to));
  }
  if (message.kind == raft::MessageKind::kSnapshot) return Malformed(link, "a snapshot without its data");
  parts_.listener->OnMessage(std::move(message));
}

void Peers::Malformed(PeerLink* link, std::string_view what) {
  Peer* const peer = Find(link->peer());
  if (MayLog(peer)) {
    parts_.logger->Log(base::LogLevel::kError, "node {:x} has sent {}: the link is closed", peer->id, what);
  }
  link->Drop(fmt::format("malformed: {}", what));
}

std::vector<Peers::PeerStatus> Peers::Status() const {
  std::vector<PeerStatus> all;
  for (const auto& [id, peer] : peers_) {
    PeerStatus status;
    status.id = id;
    status.name = peer->name;
    status.member = peer->member;
    status.up = true;
    status.dropped_messages = peer->dropped_messages;
    status.snapshot_error = peer->snapshot_error;
    if (peer->snapshots != nullptr) status.snapshot = peer->snapshots->progress();
    for (const auto& link : peer->links) {
      status.address = link->address();
      status.up = status.up && link->up();
      status.last_heard_nanos = std::max(status.last_heard_nanos, link->last_heard_nanos());
      if (link->up()) continue;
      status.failures = std::max(status.failures, link->dialer().failures());
      status.last_error = peer->last_error;
      if (link->dialer().last_end().has_value()) status.last_error = net::ToString(*link->dialer().last_end());
    }
    all.push_back(std::move(status));
  }
  return all;
}

}  // namespace bandb::cluster
