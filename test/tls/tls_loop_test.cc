// Links between equals over TLS: the code of links as it is, on a loop whose connections are all
// TLS.
#include "tls/tls_loop.h"

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "net/frame_link.h"
#include "net/length_codec.h"
#include "net/link_host.h"
#include "support/catch.h"
#include "support/sim_streams.h"
#include "support/temp_dir.h"
#include "tls/certificates.h"

namespace bandb::test {
namespace {

constexpr int64_t kSecond = 1000000000;

class Recording final : public net::LinkHandler {
 public:
  absl::Status OnHello(std::string_view said) override {
    hello = said;
    return absl::OkStatus();
  }
  void OnUp() override { up = true; }
  void OnFrame(const net::Frame& frame) override { frames.emplace_back(frame.payload); }
  void OnWritable() override {}
  void OnDown(const net::LinkEnd&) override { down = true; }

  std::string hello;
  bool up = false;
  bool down = false;
  std::vector<std::string> frames;
};

// Two equals: each has a certificate, and asks for the other's.
class Equals final : private base::AcceptHandler {
 public:
  // Who dials has a certificate of this authority: "authority", "foreign", or none.
  Equals(uint64_t seed, const std::string& dialer_authority) : network({.seed = seed}) {
    const CertificateFiles own = authority.Issue("acceptor", {.hosts = "DNS:a"});
    CertificateFiles dialers;
    if (dialer_authority == "authority") dialers = authority.Issue("dialer");
    if (dialer_authority == "foreign") dialers = foreign.Issue("dialer");
    server =
        std::make_unique<tls::CurrentContext>(*tls::Context::ForServer({own.certificate, own.key, authority.file()}));
    client = std::make_unique<tls::CurrentContext>(
        *tls::Context::ForClient({dialers.certificate, dialers.key, authority.file()}));
    accepting_below = network.MakeLoop();
    dialing_below = network.MakeLoop();
    accepting_loop = std::make_unique<tls::TlsLoop>(accepting_below.get(), server.get(), client.get());
    dialing_loop = std::make_unique<tls::TlsLoop>(dialing_below.get(), server.get(), client.get());
    accepting_host = std::make_unique<net::LinkHost>(accepting_loop.get());
    dialing_host = std::make_unique<net::LinkHost>(dialing_loop.get());
    listener = *accepting_loop->Listen({.address = "a:0"}, this);
  }
  void Dial() {
    dialer = std::make_unique<net::FrameLink>(dialing_host.get(), net::LinkOptions(), protocol.NewCodec(), "I dial",
                                              &at_dialer);
    REQUIRE_OK(dialer->Connect(listener->address()));
  }
  bool RunUntil(const std::function<bool()>& done) { return network.RunUntil(done, 60 * kSecond); }

  TempDir dir;
  Authority authority{dir.path(), "authority"};
  Authority foreign{dir.path(), "foreign"};
  SimNetwork network;
  const LengthProtocol protocol;
  std::unique_ptr<tls::CurrentContext> server, client;
  std::unique_ptr<base::EventLoop> accepting_below, dialing_below;
  std::unique_ptr<tls::TlsLoop> accepting_loop, dialing_loop;
  std::unique_ptr<net::LinkHost> accepting_host, dialing_host;
  std::unique_ptr<base::Listener> listener;
  Recording at_acceptor, at_dialer;
  std::unique_ptr<net::FrameLink> acceptor, dialer;

 private:
  void OnAcceptable() override {
    absl::StatusOr<std::unique_ptr<base::Stream>> stream = listener->Accept(accepting_loop.get());
    if (!stream.ok() || *stream == nullptr) return;
    acceptor = std::make_unique<net::FrameLink>(accepting_host.get(), net::LinkOptions(), protocol.NewCodec(),
                                                "I accept", &at_acceptor);
    acceptor->Accept(*std::move(stream));
  }
};

}  // namespace

TEST_CASE("equals that believe each other exchange frames both ways") {
  for (uint64_t seed = 1; seed <= 10; seed++) {
    INFO(seed);
    Equals equals(seed, "authority");
    equals.Dial();
    REQUIRE(equals.RunUntil([&] { return equals.at_dialer.up && equals.at_acceptor.up; }));
    CHECK(equals.at_acceptor.hello == "I dial");
    CHECK(equals.at_dialer.hello == "I accept");
    const std::string large(200'000, 'x');
    CHECK(equals.dialer->Send(net::kFirstLinkMessage, large));
    CHECK(equals.dialer->Send(net::kFirstLinkMessage, "small"));
    CHECK(equals.acceptor->Send(net::kFirstLinkMessage, large));
    // What is said outside of a turn leaves with the next.
    equals.dialing_loop->Post([] {});
    equals.accepting_loop->Post([] {});
    REQUIRE(
        equals.RunUntil([&] { return equals.at_acceptor.frames.size() == 2 && equals.at_dialer.frames.size() == 1; }));
    CHECK(equals.at_acceptor.frames[0] == large);
    CHECK(equals.at_acceptor.frames[1] == "small");
    CHECK(equals.at_dialer.frames[0] == large);
    equals.network.BreakAll();
    CHECK(equals.RunUntil([&] { return equals.at_dialer.down && equals.at_acceptor.down; }));
  }
}

TEST_CASE("who has no certificate of the authority is no equal") {
  for (const char* whose : {"foreign", "none"}) {
    INFO(whose);
    Equals equals(1, whose);
    equals.Dial();
    CHECK(equals.RunUntil([&] { return equals.at_dialer.down && equals.at_acceptor.down; }));
    CHECK_FALSE(equals.at_acceptor.up);
    CHECK(equals.at_acceptor.hello.empty());
  }
}

}  // namespace bandb::test
