// What a node hears from its peers, and asks of the one that leads.
#include <algorithm>
#include <iterator>
#include <utility>

#include "base/assert.h"
#include "base/status.h"
#include "cluster/node.h"

namespace bandb::cluster {

namespace {

using absl::StatusCode;

constexpr int64_t kServeNanos = 10'000'000'000;
// How often leadership is handed over because tables are damaged: it is not to go to and fro.
constexpr int64_t kGiveWayNanos = 600'000'000'000;

// What a second leader has answered, while nobody knows what the first one did.
absl::Status JudgeInDoubt(const raft::Change& change, const absl::Status& status) {
  const bool adds = change.kind == raft::ChangeKind::kAddVoter || change.kind == raft::ChangeKind::kAddLearner;
  if (adds && status.code() == StatusCode::kAlreadyExists) return absl::OkStatus();
  if (change.kind == raft::ChangeKind::kRemove && status.code() == StatusCode::kNotFound) return absl::OkStatus();
  return base::Error(StatusCode::kUnknown, "an earlier leader may have begun it; the present one says: {}",
                     base::Message(status));
}

NodeFrame FrameOf(CommandKind kind) {
  switch (kind) {
    case CommandKind::kWrite:
      return NodeFrame::kWrites;
    case CommandKind::kCursors:
      return NodeFrame::kCursors;
    case CommandKind::kAcceptClock:
      return NodeFrame::kAcceptClock;
  }
  BANDB_UNREACHABLE();
}

}  // namespace

void Node::OnMessage(raft::Message message) {
  uint64_t bytes = 0;
  for (const raft::Entry& entry : message.entries) bytes += entry.payload.size();
  // As if it had not come: it is sent again, and there may be room then.
  if (log_ != nullptr && !log_->MakeRoom(bytes).ok()) return;
  Post(raft::Receive{std::move(message)});
}

void Node::OnSnapshotReceived(raft::Message message, std::unique_ptr<storage::IncomingState> state) {
  if (applier_ == nullptr) return;
  applier_->TakeReceived(std::move(state), *message.snapshot);
  Post(raft::Receive{std::move(message)});
}

void Node::OnSnapshotSent(const raft::SnapshotSent& sent) {
  sending_.erase(sent.to);
  if (sent.ok) damage_.clear();
  Post(sent);
}

// The tables of another one may be sound; whether they are turns out when it gives a copy itself.
void Node::OnOwnDamage(const absl::Status& damage) {
  if (!health_.ok()) return;
  if (damage_ != base::Message(damage)) {
    damage_ = base::Message(damage);
    parts_.env.logger->Log(base::LogLevel::kError, "this node can give nobody a copy of the database: {}", damage_);
  }
  if (!leads() || (gave_way_nanos_ != INT64_MIN && Now() - gave_way_nanos_ < kGiveWayNanos)) return;
  gave_way_nanos_ = Now();
  HandOver([this](const absl::Status& status) {
    if (!status.ok()) gave_way_nanos_ = INT64_MIN;
  });
}

void Node::OnUnreachable(raft::NodeId peer) {
  // What was on its way to it is lost, perhaps.
  if (peer == role_.leader) forwarding_.RepeatAll();
  Post(raft::PeerUnreachable{peer});
}

void Node::OnFrame(raft::NodeId from, uint32_t id, std::string_view payload) {
  if (!health_.ok()) return;
  switch (static_cast<NodeFrame>(id)) {
    case NodeFrame::kWrites:
      return HandleWrites(from, payload, CommandKind::kWrite);
    case NodeFrame::kCursors:
      return HandleWrites(from, payload, CommandKind::kCursors);
    case NodeFrame::kAcceptClock:
      return HandleWrites(from, payload, CommandKind::kAcceptClock);
    case NodeFrame::kRefused:
      // Of a member: no other node is ever asked.
      if (driver_->core().configuration().Find(from) == nullptr) break;
      if (RefusedWrites refused; DecodeRefused(payload, &refused)) HandleRefused(refused);
      return;
    case NodeFrame::kAsk:
      if (NodeAsk ask; DecodeAsk(payload, &ask)) HandleAsk(from, ask);
      return;
    case NodeFrame::kAnswer:
      if (NodeAnswer answer; DecodeAnswer(payload, &answer)) HandleAnswer(from, answer);
      return;
    case NodeFrame::kRemoved:
      // The nodes that know this one are those that it dials.
      if (driver_->core().configuration().Find(from) == nullptr) return;
      removed_ = true;
      return Wake();
  }
}

// Of this cluster, and not of the members that are known here: one that is not known here yet, or
// one that was removed. It was let in before it could come. So what is agreed on from now on
// decides, which a read finds out.
void Node::OnStranger(raft::NodeId stranger) {
  if (!health_.ok() || !strangers_.insert(stranger).second) return;
  Read({.deadline_nanos = Now() + kServeNanos, .done = [this, stranger](const absl::Status& status) {
          strangers_.erase(stranger);
          const raft::Core& core = driver_->core();
          const bool known = core.configuration().Find(stranger) != nullptr ||
                             core.committed_configuration().Find(stranger) != nullptr;
          if (!status.ok() || known || peers_ == nullptr) return;
          peers_->SendFrame(stranger, static_cast<uint32_t>(NodeFrame::kRemoved), {});
        }});
}

// ---- Writes. ----

void Node::ForwardWrites() {
  // A peer looks for the leader itself.
  if (!leads()) proposals_.FailForwarded(base::Error(StatusCode::kFailedPrecondition, "not the leader"));
  if (role_.leader == raft::kNoNode || (leads() && forwarding_.empty())) return;
  Proposals none;
  while (true) {
    // Own writes of a leader need no session.
    const std::vector<Command> commands = forwarding_.Take(leads() ? &none : &proposals_, Now(), kEntryBytes);
    if (commands.empty()) return;
    for (const CommandKind kind : kCommandKinds) ForwardToLeader(commands, kind);
  }
}

void Node::ForwardToLeader(const std::vector<Command>& commands, CommandKind kind) {
  std::vector<Command> some;
  std::copy_if(commands.begin(), commands.end(), std::back_inserter(some),
               [kind](const Command& command) { return command.kind == kind; });
  if (some.empty()) return;
  const std::string payload = EncodeWrites(some);
  if (leads()) return HandleWrites(id(), payload, kind);
  if (peers_ == nullptr || !peers_->SendFrame(role_.leader, static_cast<uint32_t>(FrameOf(kind)), payload)) {
    forwarding_.NotSent(some, Now());
  }
}

void Node::HandleWrites(raft::NodeId from, std::string_view payload, CommandKind kind) {
  // Who was removed learns of it soon, and would not see it applied; who takes this node for the
  // leader hears of another one, and passes on to that what it does not see applied.
  if (!leads() || driver_->core().configuration().Find(from) == nullptr) return;
  std::vector<Command> commands;
  if (!DecodeWrites(payload, &commands)) return;
  const auto refuse = [this, from](const Command& command, const absl::Status& status) {
    const RefusedWrites refused{.status = status, .writes = {{command.session, command.number}}};
    if (from == id()) return HandleRefused(refused);
    if (peers_ != nullptr) {
      peers_->SendFrame(from, static_cast<uint32_t>(NodeFrame::kRefused), EncodeRefused(refused));
    }
  };
  for (const Command& command : commands) {
    // It is sent again while it waits here, and once is enough.
    if (proposals_.HasForwarded(command.session, command.number)) continue;
    WriteContent content{.session = command.session,
                         .number = command.number,
                         .conditions = std::string(command.conditions),
                         .operations = std::string(command.operations),
                         .kind = kind,
                         .deadline_nanos = base::kForever,
                         .forwarded = true};
    Write(std::make_shared<ClientWrite>(
        std::move(content), [refuse, session = command.session, number = command.number](const absl::Status& status) {
          if (!status.ok()) refuse({.session = session, .number = number}, status);
        }));
  }
}

void Node::HandleRefused(const RefusedWrites& refused) {
  for (const auto& [session, number] : refused.writes) {
    // What waits for the node's own session has been passed on to nobody.
    if (forwarding_.Refused(session, number, refused.status)) proposals_.FailAll(refused.status);
  }
}

// ---- What only the leader can do. ----

void Node::HandleAsk(raft::NodeId from, const NodeAsk& ask) {
  // Who is no member asks for nothing. If it was removed it is told so; if it is not known here
  // yet, another node leads, which it hears of.
  if (driver_->core().configuration().Find(from) == nullptr) return OnStranger(from);
  Serve(ask, [this, from, number = ask.number](const absl::Status& status) {
    if (peers_ == nullptr) return;
    peers_->SendFrame(from, static_cast<uint32_t>(NodeFrame::kAnswer), EncodeAnswer({number, status}));
  });
}

void Node::Serve(NodeAsk ask, Done done) {
  if (!leads()) return std::move(done)(base::Error(StatusCode::kUnavailable, "not the leader"));
  if (ask.transfer) return StartTransfer(ask.change.node, std::move(done));
  changes_.push_back(
      {.changes = {std::move(ask.change)}, .deadline_nanos = Now() + kServeNanos, .done = std::move(done)});
  Wake();
}

void Node::AskLeader(NodeAsk ask, int64_t deadline_nanos, Done done) {
  if (!health_.ok()) return std::move(done)(health_);
  ask.number = ++last_ask_;
  asks_.emplace(last_ask_,
                PendingAsk{.ask = std::move(ask), .deadline_nanos = deadline_nanos, .done = std::move(done)});
  Wake();
}

void Node::SendAsks() {
  if (asks_.empty() || role_.leader == raft::kNoNode) return;
  for (auto at = asks_.begin(); at != asks_.end();) {
    PendingAsk& ask = at->second;
    const uint64_t number = (at++)->first;
    if (EndedByElection(number) || ask.asked == role_.leader) continue;
    ask.in_doubt |= ask.asked != raft::kNoNode;
    ask.term = role_.term;
    if (role_.leader == id()) {
      ask.asked = id();
      Serve(ask.ask, [this, number](const absl::Status& status) { HandleAnswer(id(), {number, status}); });
    } else if (peers_ != nullptr &&
               peers_->SendFrame(role_.leader, static_cast<uint32_t>(NodeFrame::kAsk), EncodeAsk(ask.ask))) {
      ask.asked = role_.leader;
    }
  }
}

// A transfer is not asked for twice: the second time it would take leadership from the node that
// has just got it.
bool Node::EndedByElection(uint64_t number) {
  const auto at = asks_.find(number);
  PendingAsk& ask = at->second;
  if (!ask.ask.transfer || ask.asked == raft::kNoNode) return false;
  if (ask.asked == role_.leader && !(ask.handed_over && role_.term > ask.term)) return false;
  const raft::NodeId to = ask.ask.change.node;
  const bool is_it = ask.handed_over || to == raft::kNoNode || to == role_.leader;
  Done done = std::move(ask.done);
  asks_.erase(at);
  std::move(done)(is_it ? absl::OkStatus()
                        : base::Error(StatusCode::kUnavailable, "node {} leads now, and not {}", role_.leader, to));
  return true;
}

void Node::HandleAnswer(raft::NodeId from, const NodeAnswer& answer) {
  const auto at = asks_.find(answer.number);
  if (at == asks_.end()) return;
  PendingAsk& ask = at->second;
  absl::Status status = answer.status;
  // Another one has it now, and says itself what it does.
  if (from != ask.asked && !status.ok()) return;
  // Nothing was begun: the next leader is asked, once one is known.
  if (status.code() == StatusCode::kUnavailable && Now() < ask.deadline_nanos && !ask.ask.transfer) {
    ask.refusal = std::move(status);
    ask.asked = raft::kNoNode;
    return;
  }
  // Who asks next who leads is to be told.
  if (ask.ask.transfer && status.ok() && !(role_.term > ask.term && role_.leader != raft::kNoNode)) {
    ask.handed_over = true;
    return;
  }
  if (ask.in_doubt && !status.ok()) status = JudgeInDoubt(ask.ask.change, status);
  Done done = std::move(ask.done);
  asks_.erase(at);
  std::move(done)(status);
}

void Node::EndAsk(PendingAsk* ask, std::string_view why_unknown) {
  if (ask->handed_over) return std::move(ask->done)(absl::OkStatus());
  if (ask->asked == raft::kNoNode && !ask->in_doubt) {
    return std::move(ask->done)(ask->refusal.ok() ? base::Error(StatusCode::kUnavailable, "{}", why_unknown)
                                                  : ask->refusal);
  }
  std::move(ask->done)(
      base::Error(StatusCode::kUnknown, "the leader was asked, and what it did is not known: {}", why_unknown));
}

// A node that comes back under another address says so itself.
void Node::CorrectAddress() {
  if (peers_ == nullptr || correcting_address_ || role_.leader == raft::kNoNode) return;
  const raft::Member* const self = driver_->core().committed_configuration().Find(id());
  std::string address = EncodeMemberAddress(options_.address);
  if (self == nullptr || self->address == address) return;
  correcting_address_ = true;
  const raft::Change change{
      .kind = raft::ChangeKind::kSetAddress, .node = id(), .other = raft::kNoNode, .address = std::move(address)};
  AskLeader({.number = 0, .transfer = false, .change = change}, Now() + kServeNanos,
            [this](const absl::Status&) { correcting_address_ = false; });
}

void Node::OnJoinRequest(std::string_view bytes, std::function<void(std::string answer)> reply) {
  const auto answer = [reply = std::move(reply), id = directory_->identity().database_id](const absl::Status& status) {
    // It asks again as the same node if it did not hear the first answer.
    const bool member = status.ok() || status.code() == StatusCode::kAlreadyExists;
    reply(EncodeJoinAnswer(
        {.status = member ? absl::OkStatus() : status, .database_id = std::string(id.bytes.data(), id.bytes.size())}));
  };
  JoinRequest request;
  MemberAddress address;
  if (!DecodeJoinRequest(bytes, &request) || !DecodeMemberAddress(request.address, &address)) {
    return answer(base::Error(StatusCode::kInvalidArgument, "a request to join that is none"));
  }
  if (!health_.ok()) return answer(health_);
  // Others may know of members that this node does not know, yet.
  Read({.deadline_nanos = Now() + kServeNanos,
        .done = [this, request = std::move(request), answer](const absl::Status& known) {
          if (known.ok()) return LetIn(request, answer);
          answer(base::Error(StatusCode::kUnavailable, "{}", base::Message(known)));
        }});
}

void Node::LetIn(const JoinRequest& request, const std::function<void(const absl::Status&)>& answer) {
  const raft::Member* const known = driver_->core().configuration().Find(request.node);
  // What it has voted for and acknowledged counts, and who asks has nothing: another directory. One
  // that waits to be let in has not begun, so that nobody can have made it a voter.
  if (known != nullptr && known->votes() && !request.known) {
    return answer(base::Error(StatusCode::kPermissionDenied,
                              "node {} is a voter of this cluster, and this directory is not what it was: join with "
                              "an empty one",
                              request.node));
  }
  const bool let_in = request.known || (known != nullptr && (known->promote || request.learner));
  // What is not agreed on may never be; it is to ask again.
  if (known != nullptr && driver_->core().committed_configuration().Find(request.node) == nullptr) {
    return answer(base::Error(StatusCode::kUnavailable, "the members have not agreed on it yet"));
  }
  if (known != nullptr && let_in && known->address == request.address) return answer(absl::OkStatus());
  // It may have moved since, and nobody would find it.
  if (let_in) {
    return AskLeader({.number = 0,
                      .transfer = false,
                      .change = {.kind = raft::ChangeKind::kSetAddress,
                                 .node = request.node,
                                 .other = raft::kNoNode,
                                 .address = request.address}},
                     Now() + kServeNanos, answer);
  }
  raft::Change change{.kind = request.learner ? raft::ChangeKind::kAddLearner : raft::ChangeKind::kAddVoter,
                      .node = request.node,
                      .other = raft::kNoNode,
                      .address = request.address};
  if (!request.replaces.empty()) {
    const absl::StatusOr<raft::NodeId> replaced = FindMember(request.replaces);
    if (!replaced.ok()) return answer(replaced.status());
    change.kind = raft::ChangeKind::kReplace;
    change.other = *replaced;
  }
  AskLeader({.number = 0, .transfer = false, .change = std::move(change)}, Now() + kServeNanos, answer);
}

void Node::Rest() {
  const absl::Status status = base::Error(StatusCode::kFailedPrecondition, "this node was removed from the cluster");
  parts_.env.logger->Log(base::LogLevel::kWarning, "{}", base::Message(status));
  // Who has asked for that has it.
  for (auto& [number, ask] : asks_) {
    const raft::Change& change = ask.ask.change;
    const bool removes = change.kind == raft::ChangeKind::kRemove && change.node == id();
    if (ask.ask.transfer || !(removes || (change.kind == raft::ChangeKind::kReplace && change.other == id()))) continue;
    std::move(ask.done)(absl::OkStatus());
    ask.done = [](const absl::Status&) {};
  }
  End(status, base::Message(status));
  parts_.listener->OnRemoved();
}

}  // namespace bandb::cluster
