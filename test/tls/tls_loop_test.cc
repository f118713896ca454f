// Links between equals over TLS: the code of links as it is, on a loop whose connections are all
// TLS.
#include "tls/tls_loop.h"

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "net/frame_link.h"
#include "net/length_codec.h"
#include "net/link_acceptor.h"
#include "net/link_host.h"
#include "support/catch.h"
#include "support/memory_logger.h"
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
  void OnDown(const net::LinkEnd& end) override {
    down = true;
    why = net::ToString(end);
  }

  std::string hello;
  bool up = false;
  bool down = false;
  std::string why;
  std::vector<std::string> frames;
};

// Two equals: each has a certificate, and asks for the other's.
class Equals final : private base::AcceptHandler {
 public:
  // The side that dials has a certificate of this authority: "authority", "foreign", or none.
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
  // A name: the address was found for it.
  void Dial(const std::string& name = {}) {
    dialer = std::make_unique<net::FrameLink>(dialing_host.get(), net::LinkOptions(), protocol.NewCodec(), "I dial",
                                              &at_dialer);
    REQUIRE_OK(name.empty() ? dialer->Connect(listener->address()) : dialer->Connect(name, listener->address()));
  }
  // One of the two without TLS.
  void SetPlain(bool dialing) {
    if (dialing) {
      dialing_host = std::make_unique<net::LinkHost>(dialing_below.get());
    } else {
      listener = *accepting_below->Listen({.address = "a:0"}, this);
      accepting_plainly = true;
      accepting_host = std::make_unique<net::LinkHost>(accepting_below.get());
    }
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
  bool accepting_plainly = false;
  Recording at_acceptor, at_dialer;
  std::unique_ptr<net::FrameLink> acceptor, dialer;

 private:
  void OnAcceptable() override {
    base::EventLoop* const loop = accepting_plainly ? accepting_below.get() : accepting_loop.get();
    absl::StatusOr<std::unique_ptr<base::Stream>> stream = listener->Accept(loop);
    if (!stream.ok() || *stream == nullptr) return;
    acceptor = std::make_unique<net::FrameLink>(accepting_host.get(), net::LinkOptions(), protocol.NewCodec(),
                                                "I accept", &at_acceptor);
    acceptor->Accept(*std::move(stream));
  }
};

// Keeps the links that it is given.
class Keeper final : public net::LinkAcceptorHandler {
 public:
  std::string Hello() override { return "I accept"; }
  absl::Status OnHello(std::string_view) override { return absl::OkStatus(); }
  void OnLink(std::unique_ptr<net::FrameLink> link, std::string_view hello) override {
    hellos.emplace_back(hello);
    links.push_back(std::move(link));
  }

  std::vector<std::string> hellos;
  std::vector<std::unique_ptr<net::FrameLink>> links;
};

// One end of a connection.
class End final : public base::StreamHandler {
 public:
  void Own(std::unique_ptr<base::Stream> stream) {
    stream_ = std::move(stream);
    stream_->Watch(true, true);
  }
  void Say(const std::string& bytes) {
    const std::string_view pieces[] = {bytes};
    REQUIRE(stream_->Write(pieces).bytes == bytes.size());
  }

  bool writable = false;
  bool broken = false;

 private:
  void OnReadable() override { stream_->Watch(false, !writable); }
  void OnWritable() override {
    writable = true;
    stream_->Watch(true, false);
  }
  void OnBroken() override { broken = true; }

  std::unique_ptr<base::Stream> stream_;
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

TEST_CASE("many that never begin with TLS keep out none that did") {
  for (uint64_t seed = 1; seed <= 10; seed++) {
    INFO(seed);
    Equals equals(seed, "authority");
    equals.listener.reset();
    Keeper keeper;
    MemoryLogger logger;
    net::LinkAcceptor::Limits limits;
    limits.handshakes_max = 4;
    net::LinkAcceptor acceptor({.host = equals.accepting_host.get(), .logger = &logger, .protocol = &equals.protocol},
                               limits, &keeper);
    REQUIRE_OK(acceptor.Listen({.address = "a:0"}));
    // An equal that is slow to say its hello, and strangers of the same host.
    End slow;
    slow.Own(*equals.dialing_loop->Connect(acceptor.address(), &slow));
    REQUIRE(equals.RunUntil([&] { return slow.writable; }));
    equals.network.RunFor(kSecond);
    std::vector<std::unique_ptr<End>> strangers;
    for (int i = 0; i < 40; i++) {
      strangers.push_back(std::make_unique<End>());
      strangers.back()->Own(*equals.dialing_below->Connect(acceptor.address(), strangers.back().get()));
    }
    REQUIRE(equals.RunUntil([&] { return acceptor.accepted() == 41; }));
    CHECK(acceptor.dropped_handshakes() == 37);
    CHECK(acceptor.handshakes() == 4);
    CHECK_FALSE(slow.broken);
    slow.Say(LengthFrame(1, "hello") + LengthFrame(2, ""));
    CHECK(equals.RunUntil([&] { return keeper.hellos == std::vector<std::string>{"hello"}; }));
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
    CHECK(equals.at_dialer.why.starts_with("TLS failed: the peer refuses: "));
    CHECK(equals.at_acceptor.why.starts_with("TLS failed: "));
  }
}

TEST_CASE("where one of two has no TLS there is no link, and both know why") {
  for (const bool dialing : {true, false}) {
    for (uint64_t seed = 1; seed <= 5; seed++) {
      INFO(dialing << " " << seed);
      Equals equals(seed, "authority");
      equals.SetPlain(dialing);
      equals.Dial();
      REQUIRE(equals.RunUntil([&] { return equals.at_dialer.down && equals.at_acceptor.down; }));
      const std::string& with = dialing ? equals.at_acceptor.why : equals.at_dialer.why;
      const std::string& without = dialing ? equals.at_dialer.why : equals.at_acceptor.why;
      CHECK(with == "TLS failed: the peer does not speak TLS (wrong version number)");
      CHECK(without == "TLS failed: the peer speaks TLS, and this side does not");
    }
  }
}

TEST_CASE("the certificate is to be for the name that the address was found for") {
  Equals equals(1, "authority");
  equals.Dial("a:7400");
  REQUIRE(equals.RunUntil([&] { return equals.at_dialer.up && equals.at_acceptor.up; }));
  Equals others(1, "authority");
  others.Dial("b:7400");
  REQUIRE(others.RunUntil([&] { return others.at_dialer.down && others.at_acceptor.down; }));
  CHECK(others.at_dialer.why.starts_with("TLS failed: certificate verify failed"));
}

TEST_CASE("where nobody accepts it is no failure of TLS") {
  Equals equals(1, "authority");
  equals.listener.reset();
  equals.dialer = std::make_unique<net::FrameLink>(equals.dialing_host.get(), net::LinkOptions(),
                                                   equals.protocol.NewCodec(), "I dial", &equals.at_dialer);
  REQUIRE_OK(equals.dialer->Connect("a:9"));
  REQUIRE(equals.RunUntil([&] { return equals.at_dialer.down; }));
  CHECK(equals.at_dialer.why == "cannot connect: nobody accepts there");
}

}  // namespace bandb::test
