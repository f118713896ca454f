#include "net/link_world.h"

#include <algorithm>

#include "base/assert.h"
#include "base/status.h"
#include "net/socket_loop.h"
#include "support/catch.h"

namespace bandb::test {

void RecordingLink::Note(const std::string& event) {
  // Nothing after the end.
  CHECK(std::count(events.begin(), events.end(), "down") == 0);
  events.push_back(event);
  if (then) then(event);
}

absl::Status RecordingLink::OnHello(std::string_view said) {
  hello = said;
  absl::Status answer = verdict;
  Note("hello");
  return answer;
}

void RecordingLink::OnFrame(const net::Frame& frame) {
  frames.emplace_back(frame.message_id, frame.payload);
  Note("frame");
}

void RecordingLink::OnDown(const net::LinkEnd& end) {
  ends.push_back(end);
  Note("down");
}

bool RecordingLink::Saw(std::string_view event) const {
  return std::find(events.begin(), events.end(), event) != events.end();
}

std::optional<absl::StatusOr<net::AddressList>> TableResolver::ResolveNow(const std::string& address) {
  if (names.count(address) != 0 || address.rfind("name", 0) == 0) return std::nullopt;
  return absl::StatusOr<net::AddressList>(net::AddressList{address});
}

absl::StatusOr<net::AddressList> TableResolver::Resolve(const std::string& address) {
  lookups.push_back(address);
  const auto found = names.find(address);
  if (found == names.end()) return base::Error(absl::StatusCode::kInvalidArgument, "'{}': no such host", address);
  return found->second;
}

LinkWorld::LinkWorld(int which, const SimNetworkOptions& sim)
    : sockets_(IsSockets(which) ? MakeWorld(which, &clock_) : nullptr),
      network_(IsSockets(which) ? nullptr : std::make_unique<SimNetwork>([&] {
        SimNetworkOptions options = sim;
        options.seed = static_cast<uint64_t>(which);
        return options;
      }())),
      executor(&executor_clock_, static_cast<uint64_t>(which)),
      dialing_loop(sockets_ != nullptr ? sockets_->MakeLoop() : network_->MakeLoop()),
      serving_loop(sockets_ != nullptr ? sockets_->MakeLoop() : network_->MakeLoop()),
      dialing(dialing_loop.get()),
      serving(serving_loop.get()) {}

void LinkWorld::Nudge() {
  dialing_loop->Post([] {});
  serving_loop->Post([] {});
}

bool LinkWorld::RunUntil(const std::function<bool()>& done) {
  Nudge();
  const auto step = [&] {
    if (!executor_held_) executor.RunReady();
    return done();
  };
  return sockets_ != nullptr ? sockets_->RunUntil(step) : network_->RunUntil(step);
}

void LinkWorld::RunFor(int64_t nanos) {
  Nudge();
  if (!executor_held_) executor.RunReady();
  if (sockets_ == nullptr) return network_->RunFor(nanos);
  // In small steps, each with time for the kernel to pass on what was said.
  constexpr int kSteps = 10;
  for (int i = 0; i < kSteps; i++) {
    clock_.Advance(nanos / kSteps);
    if (!executor_held_) executor.RunReady();
    for (int turns = 0; turns < 4; turns++) {
      static_cast<net::SocketLoop*>(dialing_loop.get())->RunOnce(0);
      static_cast<net::SocketLoop*>(serving_loop.get())->RunOnce(0);
    }
  }
}

std::string LinkWorld::Nowhere() {
  RecordingListener gone;
  REQUIRE_OK(gone.Listen(serving_loop.get(), Anywhere()));
  return gone.address();
}

std::unique_ptr<net::FrameLink> LinkWorld::NewLink(net::LinkHost* host, const net::LinkOptions& options,
                                                   std::string hello, net::LinkHandler* handler) {
  return std::make_unique<net::FrameLink>(host, options, protocol.NewCodec(), std::move(hello), handler);
}

LinkPair::LinkPair(LinkWorld* world, const net::LinkOptions& dialer_options, const net::LinkOptions& acceptor_options)
    : dialer(world->NewLink(&world->dialing, dialer_options, "I dial", &at_dialer)),
      world_(world),
      acceptor_options_(acceptor_options) {
  auto listener = world->serving_loop->Listen({.address = world->Anywhere()}, this);
  REQUIRE_OK(listener.status());
  listener_ = *std::move(listener);
}

void LinkPair::Connect() { REQUIRE_OK(dialer->Connect(address())); }

void LinkPair::ConnectUp() {
  Connect();
  REQUIRE(world_->RunUntil([this] { return at_dialer.Saw("up") && at_acceptor.Saw("up"); }));
}

void LinkPair::OnAcceptable() {
  auto stream = listener_->Accept(world_->serving_loop.get());
  if (!stream.ok() || *stream == nullptr) return;
  REQUIRE(acceptor == nullptr);
  acceptor = world_->NewLink(&world_->serving, acceptor_options_, "I serve", &at_acceptor);
  acceptor->Accept(*std::move(stream));
}

}  // namespace bandb::test
