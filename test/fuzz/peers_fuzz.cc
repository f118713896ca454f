// Fuzzes a node's peers with everything that may come over a link: hellos, frames of all kinds, and
// the two ends of a snapshot that do not keep to the protocol.
//
// The input is a program: connections that say a hello, mutated or not, and then frames, half right
// or noise, while time passes, links break and the node sends. Beyond not crashing: what the node
// hears comes from the node that said so and is for it, each snapshot that it sends is reported
// once, a state is never taken for whole unless every byte of it came, and in the end everything is
// gone. The decoders of hellos, frames and states give back what they took.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "base/coding.h"
#include "cluster/peers.h"
#include "cluster/replica_state_codec.h"
#include "cluster/snapshot_frames.h"
#include "fuzz/fuzz_program.h"
#include "net/frame_link.h"
#include "net/link_host.h"
#include "proto/peer_hello.h"
#include "support/manual_clock.h"
#include "support/memory_logger.h"
#include "support/sim_streams.h"
#include "support/step_executor.h"

namespace bandb::test {
namespace {

constexpr size_t kStepsMax = 120;
constexpr int64_t kMillis = 1'000'000;
constexpr raft::ClusterId kCluster = 0xc1;
constexpr raft::NodeId kNode = 5;

class NoResolver final : public net::Resolver {
 public:
  std::optional<absl::StatusOr<net::AddressList>> ResolveNow(const std::string& address) override {
    return absl::StatusOr<net::AddressList>(net::AddressList{address});
  }
  absl::StatusOr<net::AddressList> Resolve(const std::string& address) override { return net::AddressList{address}; }
};

storage::ReplicaState SmallState() {
  storage::ReplicaState state;
  state.position.applied = {.index = 9, .term = 3};
  state.position.last_sequence = 50;
  return state;
}

// A connection that says what the program wants.
class FuzzPeer final : public net::LinkHandler {
 public:
  FuzzPeer(SimNetwork* network, const net::LinkProtocol* protocol, std::string hello)
      : loop_(network->MakeLoop()),
        host_(loop_.get()),
        link_(std::make_unique<net::FrameLink>(&host_, net::LinkOptions(), protocol->NewCodec(), std::move(hello),
                                               static_cast<net::LinkHandler*>(this))) {
    BANDB_ASSERT(link_->Connect("node:1").ok());
  }
  absl::Status OnHello(std::string_view) override { return absl::OkStatus(); }
  void OnUp() override {}
  void OnFrame(const net::Frame& frame) override {
    std::string_view rest = frame.payload;
    uint64_t stream = 0;
    if (frame.message_id >= 32 && frame.message_id < 39 && cluster::DecodeStream(&rest, &stream)) stream_ = stream;
  }
  void OnWritable() override {}
  void OnDown(const net::LinkEnd&) override {}

  void Say(uint32_t id, std::string_view payload) {
    link_->Send(id, payload);
    loop_->Post([] {});
  }
  void Leave() { link_->Close("enough"); }
  // Of the last stream that the node has begun or answered.
  uint64_t stream() const { return stream_; }

 private:
  const std::unique_ptr<base::EventLoop> loop_;
  net::LinkHost host_;
  const std::unique_ptr<net::FrameLink> link_;
  uint64_t stream_ = 7;
};

class FuzzWorld final : private cluster::Peers::Listener {
 public:
  explicit FuzzWorld(Program* program)
      : program_(program),
        network_({.seed = program->Byte()}),
        executor_(&clock_, 1),
        loop_(network_.MakeLoop()),
        host_(loop_.get()) {
    cluster::PeersOptions options;
    options.strangers_max = 4;
    options.joins.links_max = 2;
    const cluster::PeerSelf self{.cluster = kCluster, .node = kNode, .incarnation = 1, .versions = {}};
    const cluster::Peers::Parts parts{
        .loop = loop_,
        .resolver = std::make_shared<NoResolver>(),
        .host = &host_,
        .executor = &executor_,
        .logger = &logger_,
        .listener = this,
        .pin = nullptr,
        .meta_at = nullptr,
        .receive = [](const storage::ReplicaState& state) -> absl::StatusOr<std::unique_ptr<storage::IncomingState>> {
          const absl::Status status = storage::CheckState(state);
          if (!status.ok()) return status;
          return absl::ResourceExhaustedError("no room for any");
        }};
    peers_ = std::make_unique<cluster::Peers>(self, options, parts, base::Random(1));
    BANDB_ASSERT(peers_->Listen("node:1").ok());
    raft::Configuration members = raft::MakeConfiguration({1, kNode});
    members.members[0].address = cluster::EncodeMemberAddress({.peer = "nowhere:1", .client = {}, .name = "a"});
    peers_->SetMembers(members);
  }

  void Run() {
    for (size_t i = 0; i < kStepsMax && !program_->empty(); ++i) Step();
    for (const auto& peer : others_) peer->Leave();
    if (program_->Byte() % 2 == 0) peers_->Close("the end");
    Pass(8000 * kMillis);
    for (const cluster::Peers::PeerStatus& status : peers_->Status()) BANDB_ASSERT(!status.up);
    BANDB_ASSERT(host_.leaving() == 0);
    others_.clear();
    peers_.reset();
    Pass(100 * kMillis);
  }

 private:
  void OnMessage(raft::Message message) override {
    BANDB_ASSERT(message.to == kNode && message.cluster == kCluster && message.from != kNode);
    BANDB_ASSERT(message.kind != raft::MessageKind::kSnapshot);
  }
  void OnFrame(raft::NodeId from, uint32_t id, std::string_view) override {
    BANDB_ASSERT(from != kNode && id >= cluster::kFirstNodeFrame);
  }
  void OnSnapshotReceived(raft::Message, std::unique_ptr<storage::IncomingState>) override { BANDB_ASSERT(false); }
  void OnSnapshotSent(const raft::SnapshotSent&) override { BANDB_ASSERT(false); }
  void OnUnreachable(raft::NodeId) override {}
  void OnJoinRequest(std::string_view request, std::function<void(std::string answer)> reply) override {
    BANDB_ASSERT(request.size() <= cluster::kJoinBytesMax);
    reply("no");
  }

  void Pass(int64_t nanos) {
    const int64_t end = network_.now_nanos() + nanos;
    loop_->After(nanos, [] {});
    network_.RunUntil([&] {
      executor_.RunReady();
      return network_.now_nanos() >= end;
    });
  }

  std::string Hello(uint8_t how) {
    proto::PeerHello hello;
    hello.kind = how % 7 == 0 ? proto::HelloKind::kJoin : proto::HelloKind::kMember;
    hello.link_class = how % 3 == 0 ? proto::LinkClass::kPrompt : proto::LinkClass::kBulk;
    hello.cluster = kCluster + (how % 11 == 0 ? 1 : 0);
    hello.node = how % 6;
    hello.expected = how % 5 == 0 ? kNode : 0;
    hello.incarnation = how % 4;
    std::string bytes = proto::EncodePeerHello(hello);
    proto::PeerHello again;
    BANDB_ASSERT(proto::DecodePeerHello(bytes, &again) && again == hello);
    if (how >= 240) bytes = program_->Take(60);
    if (how >= 224 && how < 240) bytes[how % bytes.size()] = static_cast<char>(program_->Byte());
    return bytes;
  }

  std::string Head(uint8_t how) {
    raft::Message message;
    message.kind = raft::MessageKind::kSnapshot;
    message.cluster = kCluster;
    message.from = how % 6;
    message.to = kNode;
    message.snapshot = std::make_shared<const raft::SnapshotMeta>(
        raft::SnapshotMeta{.index = 9, .term = 3, .configuration = raft::MakeConfiguration({1, 5}), .id = 0});
    std::string encoded, head;
    proto::EncodePeerMessage(message, &encoded);
    base::PutLengthPrefixed(&head, encoded);
    head += cluster::EncodeReplicaState(SmallState());
    if (how >= 128) head[program_->Byte() % head.size()] = static_cast<char>(program_->Byte());
    return head;
  }

  void SaySnapshot(FuzzPeer* peer, uint8_t how) {
    using cluster::PeerFrame;
    const uint64_t stream = how % 5 == 0 ? 8 : peer->stream();
    const auto say = [peer](PeerFrame id, const std::string& payload) {
      peer->Say(static_cast<uint32_t>(id), payload);
    };
    switch (how % 8) {
      case 0:
      case 1: {
        const std::string head = Head(program_->Byte());
        say(PeerFrame::kSnapshotBegin, cluster::EncodeSnapshotBegin(stream, head.size() + (how > 200 ? 1 : 0)));
        return say(PeerFrame::kSnapshotHead, cluster::EncodeSnapshotHead(stream, head));
      }
      case 2:
        return say(PeerFrame::kSnapshotBegin, cluster::EncodeSnapshotBegin(stream, program_->Byte()));
      case 3:
        return say(PeerFrame::kSnapshotHead, cluster::EncodeSnapshotHead(stream, program_->Take(how)));
      case 4:
        return say(PeerFrame::kSnapshotChunk,
                   cluster::EncodeSnapshotChunk(stream, {program_->Byte(), program_->Byte()}, program_->Take(how)));
      case 5:
        return say(PeerFrame::kSnapshotWanted, cluster::EncodeSnapshotWanted(stream, {{program_->Byte(), how}}));
      case 6:
        return say(PeerFrame::kSnapshotTaken, cluster::EncodeSnapshotTaken(stream, program_->Byte()));
      default:
        return say(PeerFrame::kSnapshotStopped, cluster::EncodeSnapshotStopped(stream, program_->Take(how)));
    }
  }

  void SayMessage(FuzzPeer* peer, uint8_t how) {
    raft::Message message;
    message.cluster = kCluster;
    message.from = how % 6;
    message.to = kNode;
    for (int i = 0; i < how % 3; ++i) message.entries.emplace_back().payload = raft::Payload(program_->Take(how));
    std::string bytes;
    proto::EncodePeerMessage(message, &bytes);
    if (how >= 200) bytes[program_->Byte() % bytes.size()] = static_cast<char>(program_->Byte());
    peer->Say(static_cast<uint32_t>(cluster::PeerFrame::kMessage), bytes);
  }

  void Step() {
    const uint8_t what = program_->Byte();
    const uint8_t how = program_->Byte();
    FuzzPeer* const peer = others_.empty() ? nullptr : others_[what / 16 % others_.size()].get();
    switch (what % 16) {
      case 0:
      case 1:
        if (others_.size() < 12) others_.push_back(std::make_unique<FuzzPeer>(&network_, &protocol_, Hello(how)));
        return Pass(5 * kMillis);
      case 2:
      case 3:
        if (peer != nullptr) SayMessage(peer, how);
        return;
      case 4:
        if (peer != nullptr) peer->Say(16 + how % 60, program_->Take(how));
        return;
      case 5:
        if (peer != nullptr && how < 16) peer->Leave();
        return;
      case 6:
        if (how < 8) network_.BreakAll();
        return;
      case 7: {
        raft::Message message;
        message.cluster = kCluster;
        message.from = kNode;
        message.to = how % 6;
        message.entries.resize(how % 3);
        return peers_->Send(message);
      }
      case 8:
        peers_->SendFrame(how % 6, cluster::kFirstNodeFrame, std::string(size_t{how} << (how % 11), 'f'));
        return;
      case 9:
        return peers_->SetMembers(raft::MakeConfiguration({uint64_t{1} + how % 3, kNode}));
      case 10:
        return Pass(int64_t{how} * 10 * kMillis);
      case 11:
        for (int i = 0; i < how; ++i) network_.Step();
        return;
      default:
        if (peer != nullptr) SaySnapshot(peer, how);
    }
  }

  Program* const program_;
  SimNetwork network_;
  ManualClock clock_;
  StepExecutor executor_;
  MemoryLogger logger_;
  const cluster::PeerProtocol protocol_;
  const std::shared_ptr<base::EventLoop> loop_;
  net::LinkHost host_;
  std::unique_ptr<cluster::Peers> peers_;
  std::vector<std::unique_ptr<FuzzPeer>> others_;
};

// What a decoder takes comes back as it was, if it is no state that is refused next.
void Decode(std::string_view bytes) {
  const absl::StatusOr<storage::ReplicaState> state = cluster::DecodeReplicaState(bytes);
  if (state.ok() && storage::CheckState(*state).ok()) {
    const std::string encoded = cluster::EncodeReplicaState(*state);
    const absl::StatusOr<storage::ReplicaState> again = cluster::DecodeReplicaState(encoded);
    BANDB_ASSERT(again.ok() && cluster::EncodeReplicaState(*again) == encoded);
  }
  std::vector<cluster::WantedTable> wanted;
  if (cluster::DecodeSnapshotWanted(bytes, &wanted)) BANDB_ASSERT(wanted.size() <= bytes.size() / 2);
}

}  // namespace
}  // namespace bandb::test

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  bandb::test::Decode(bytes);
  bandb::test::Program program(bytes);
  bandb::test::FuzzWorld(&program).Run();
  return 0;
}
