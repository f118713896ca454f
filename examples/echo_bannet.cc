// BanNet without a store: a protocol of one's own. Each line comes back, and "bye" is the last.
//   echo_bannet HOST:PORT
#include <iostream>

#include "base/clock.h"
#include "net/acceptor.h"
#include "net/frame_server.h"
#include "net/socket_loop.h"

namespace {

namespace net = bandb::net;

constexpr uint32_t kLine = 1;  // the only message of this protocol
constexpr size_t kLineBytesMax = 1000;

// Where a frame ends, what it asks for, and how to say no.
class LineCodec final : public net::Codec {
  net::Cut Next(std::string_view bytes, net::Frame* frame, size_t* frame_bytes) override {
    const size_t end = bytes.substr(0, kLineBytesMax).find('\n');
    if (end == std::string_view::npos) return bytes.size() < kLineBytesMax ? net::Cut::kIncomplete : net::Cut::kTooLong;
    *frame_bytes = end + 1;
    *frame = {kLine, bytes.substr(0, end + 1)};
    return frame->payload == "bye\n" ? net::Cut::kGoodbye : net::Cut::kFrame;
  }
  size_t payload_bytes_max() const override { return kLineBytesMax; }
  void AppendError(uint16_t, std::string_view message, std::string* to) const override { (*to += message) += "\n"; }
  uint16_t CodeOf(net::Refusal) const override { return 1; }
  std::string_view MessageOf(net::Refusal) const override { return "refused"; }
  std::string_view OkReply() const override { return "bye\n"; }
};

struct Lines final : net::Protocol {
  std::unique_ptr<net::Codec> NewCodec() const override { return std::make_unique<LineCodec>(); }
};

// Serves lines, to anybody who connects.
struct Echo final : net::Handler, net::FrameServerObserver {
  void Handle(net::Call& call) override { call.Answer({.head = call.request().payload}); }
};

}  // namespace

int main(int argc, char** argv) {
  bandb::base::SystemClock clock;
  const auto loop = net::SocketLoop::Create(&clock);
  if (argc != 2 || !loop.ok()) return 2;
  Echo echo;
  net::Router router;
  router.Add(kLine, &echo, net::kLaneFree);
  const Lines lines;
  net::Quota quota;
  net::FrameServer server({.loop = loop->get(), .quota = &quota, .observer = &echo}, net::ServerLimits());
  net::Acceptor acceptor(loop->get(), net::Acceptor::Limits());
  const absl::Status listens = acceptor.Listen({.address = argv[1]}, {{loop->get(), &server, {&lines, &router}}});
  (listens.ok() ? std::cout << acceptor.address() : std::cerr << listens) << std::endl;
  if (!listens.ok()) return 1;
  (*loop)->Run();
}
