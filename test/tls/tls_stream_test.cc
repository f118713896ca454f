// TLS on an event loop: in the simulator, which delays, splits and breaks.
#include "tls/tls_stream.h"

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "support/catch.h"
#include "support/sim_streams.h"
#include "support/temp_dir.h"
#include "tls/certificates.h"
#include "tls/handshakes.h"

namespace bandb::test {
namespace {

using State = base::IoResult::State;
constexpr int64_t kSecond = 1000000000;

// Sends a text, says that this was all, and keeps what comes.
class Talker final : public base::StreamHandler {
 public:
  Talker(std::unique_ptr<base::Stream> stream, std::string text) : stream_(std::move(stream)), text_(std::move(text)) {
    stream_->SetHandler(this);
    stream_->Watch(true, true);
  }
  void OnReadable() override {
    std::string buffer(5000, '\0');
    const base::IoResult result = stream_->Read(buffer.data(), buffer.size());
    if (result.state == State::kDone) heard.append(buffer, 0, result.bytes);
    if (result.state == State::kEnd) ended = true;
    if (result.state == State::kFailed) broken = true;
    if (ended || broken) stream_->Watch(false, said_ < text_.size());
    if (broken) stream_.reset();
  }
  void OnWritable() override {
    // Two pieces, as replies come.
    const std::string_view rest = std::string_view(text_).substr(said_);
    const std::string_view pieces[] = {rest.substr(0, rest.size() / 3), rest.substr(rest.size() / 3)};
    if (!rest.empty()) {
      const base::IoResult result = stream_->Write(pieces);
      if (result.state == State::kDone) said_ += result.bytes;
    }
    if (said_ < text_.size()) return;
    stream_->CloseWrite();
    stream_->Watch(!ended, false);
  }
  void OnBroken() override {
    broken = true;
    stream_.reset();
  }
  void Break() { stream_.reset(); }

  std::string heard;
  bool ended = false;
  bool broken = false;

 private:
  std::unique_ptr<base::Stream> stream_;
  const std::string text_;
  size_t said_ = 0;
};

// A server whose connections say one text, and clients.
class World final : private base::AcceptHandler, private net::StreamTaker {
 public:
  explicit World(uint64_t seed, std::string text = "welcome", tls::HandshakeLimits limits = {})
      : network({.seed = seed}),
        text_(std::move(text)),
        server_loop(network.MakeLoop()),
        client_loop(network.MakeLoop()) {
    const CertificateFiles files = authority.Issue("server");
    context = std::make_unique<tls::CurrentContext>(*tls::Context::ForServer({files.certificate, files.key, {}}));
    client_context = *tls::Context::ForClient({{}, {}, authority.file()});
    handshakes = std::make_unique<tls::Handshakes>(
        tls::Handshakes::Parts{.loop = server_loop.get(), .context = context.get(), .next = this, .quota = &quota},
        limits);
    listener_ = *server_loop->Listen({.address = "server:0"}, this);
  }
  ~World() {
    served.clear();
    handshakes.reset();
    listener_.reset();
  }

  std::unique_ptr<base::Stream> Connect(base::StreamHandler* handler) {
    return *client_loop->Connect(listener_->address(), handler);
  }
  bool RunUntil(const std::function<bool()>& done) { return network.RunUntil(done, 600 * kSecond); }

  SimNetwork network;
  TempDir dir;
  Authority authority{dir.path(), "authority"};
  net::Quota quota;
  std::unique_ptr<tls::CurrentContext> context;
  std::shared_ptr<tls::Context> client_context;
  std::vector<std::unique_ptr<Talker>> served;

 private:
  void OnAcceptable() override {
    absl::StatusOr<std::unique_ptr<base::Stream>> stream = listener_->Accept(server_loop.get());
    if (stream.ok() && *stream != nullptr) handshakes->Take(*std::move(stream), {});
  }
  void Take(std::unique_ptr<base::Stream> stream, const net::Endpoint&) override {
    served.push_back(std::make_unique<Talker>(std::move(stream), text_));
  }

  const std::string text_;

 public:
  std::unique_ptr<base::EventLoop> server_loop;
  std::unique_ptr<base::EventLoop> client_loop;
  std::unique_ptr<tls::Handshakes> handshakes;

 private:
  std::unique_ptr<base::Listener> listener_;
};

// A client that becomes a Talker.
class Client final : public base::StreamHandler {
 public:
  Client(World* world, std::string text, const std::string& host = "server") : text_(std::move(text)) {
    absl::StatusOr<std::unique_ptr<tls::TlsStream>> made =
        tls::TlsStream::Over(world->Connect(this), world->client_context, world->client_loop.get(), host);
    REQUIRE_OK(made.status());
    stream_ = *std::move(made);
    stream_->Establish([this](const absl::Status& status) {
      told = true;
      result = status;
      if (status.ok()) {
        talker = std::make_unique<Talker>(std::move(stream_), text_);
      } else {
        stream_.reset();
      }
    });
  }
  void OnReadable() override {}
  void OnWritable() override {}
  void OnBroken() override {}

  bool told = false;
  absl::Status result;
  std::unique_ptr<Talker> talker;

 private:
  const std::string text_;
  std::unique_ptr<tls::TlsStream> stream_;
};

// One that says what it likes without TLS.
class PlainClient final : public base::StreamHandler {
 public:
  PlainClient(World* world, std::string text) : text_(std::move(text)), stream_(world->Connect(this)) {
    stream_->Watch(true, true);
  }
  void OnReadable() override {
    char buffer[100];
    const base::IoResult result = stream_->Read(buffer, sizeof(buffer));
    if (result.state == State::kDone) heard.append(buffer, result.bytes);
    if (result.state != State::kEnd && result.state != State::kFailed) return;
    gone = true;
    stream_->Watch(false, false);
  }
  void OnWritable() override {
    const std::string_view text = text_;
    if (!text.empty()) stream_->Write(absl::MakeConstSpan(&text, 1));
    stream_->Watch(true, false);
  }
  void OnBroken() override { gone = true; }
  std::string heard;
  bool gone = false;

 private:
  const std::string text_;
  std::unique_ptr<base::Stream> stream_;
};

}  // namespace

TEST_CASE("both directions arrive whole, and end when they were ended") {
  for (uint64_t seed = 1; seed <= 12; seed++) {
    INFO(seed);
    const std::string answer(300'000 + seed * 777, 'a'), question(200'000, 'q');
    World world(seed, answer);
    Client client(&world, question);
    REQUIRE(world.RunUntil([&] {
      return client.talker != nullptr && client.talker->ended && !world.served.empty() && world.served[0]->ended;
    }));
    CHECK(client.talker->heard == answer);
    CHECK(world.served[0]->heard == question);
    CHECK_FALSE(client.talker->broken);
    CHECK(world.quota.memory_bytes == 0);
  }
}

TEST_CASE("a connection that broke is told, whether or not anything was on its way") {
  for (uint64_t seed = 1; seed <= 12; seed++) {
    World world(seed, std::string(1'000'000, 'a'));
    Client client(&world, "");
    REQUIRE(world.RunUntil([&] { return client.talker != nullptr && client.talker->heard.size() > 1000 * seed; }));
    world.network.BreakAll();
    CHECK(world.RunUntil([&] { return client.talker->broken && world.served[0]->broken; }));
  }
}

TEST_CASE("a client that does not believe the server is told why") {
  World world(1);
  Client client(&world, "", "elsewhere");
  REQUIRE(world.RunUntil([&] { return client.told && world.handshakes->failures() + world.served.size() == 1; }));
  CHECK_CODE(client.result, kUnavailable);
  CHECK(std::string(client.result.message()).find("hostname mismatch") != std::string::npos);
}

TEST_CASE("plain bytes on a port for TLS end the connection at once") {
  World world(1);
  PlainClient client(&world, std::string("\5\0\0\0\2\0\0\0\1\0\0\0k", 13));
  const int64_t began_nanos = world.network.now_nanos();
  REQUIRE(world.RunUntil([&] { return client.gone; }));
  CHECK(client.heard.empty());
  CHECK(world.network.now_nanos() - began_nanos < kSecond);
  CHECK(world.handshakes->failures() == 1);
  CHECK(world.quota.memory_bytes == 0);
}

TEST_CASE("a handshake that never goes on is ended in time, and only so many of an address are begun") {
  World world(1, "welcome", {.outstanding_max = 8, .per_address_max = 8, .timeout_nanos = 5 * kSecond});
  std::vector<std::unique_ptr<PlainClient>> clients;
  // Half a hello.
  for (int i = 0; i < 40; i++) {
    clients.push_back(std::make_unique<PlainClient>(&world, std::string("\x16\x03\x01\x01\x00\x01\x00", 7)));
  }
  REQUIRE(world.RunUntil([&] { return world.handshakes->failures() == 32; }));
  CHECK(world.handshakes->outstanding() == 8);
  CHECK(world.quota.memory_bytes < 1 << 20);
  REQUIRE(world.RunUntil([&] { return world.handshakes->outstanding() == 0; }));
  CHECK(world.network.now_nanos() >= 5 * kSecond);
  CHECK(world.network.now_nanos() < 7 * kSecond);
  CHECK(world.quota.memory_bytes == 0);
  // Then there is room.
  Client client(&world, "");
  CHECK(world.RunUntil([&] { return client.talker != nullptr && client.talker->heard == "welcome"; }));
}

TEST_CASE("those that begin a handshake and do not go on keep nobody out, the oldest make room") {
  const tls::HandshakeLimits limits = GENERATE(tls::HandshakeLimits{.outstanding_max = 100, .per_address_max = 4},
                                               tls::HandshakeLimits{.outstanding_max = 4, .per_address_max = 100});
  World world(1, "welcome", limits);
  std::vector<std::unique_ptr<PlainClient>> strangers;
  for (int i = 0; i < 12; i++) {
    strangers.push_back(std::make_unique<PlainClient>(&world, std::string("\x16\x03\x01\x01\x00\x01\x00", 7)));
    if (i < 4) REQUIRE(world.RunUntil([&] { return world.handshakes->outstanding() == strangers.size(); }));
    if (i >= 4) REQUIRE(world.RunUntil([&] { return strangers[strangers.size() - 5]->gone; }));
  }
  CHECK(world.handshakes->outstanding() == 4);
  CHECK(world.handshakes->failures() == 8);
  // Long before the others have to end.
  const int64_t began_nanos = world.network.now_nanos();
  Client client(&world, "");
  CHECK(world.RunUntil([&] { return client.talker != nullptr && client.talker->heard == "welcome"; }));
  CHECK(world.network.now_nanos() - began_nanos < kSecond);
}

namespace {

// A connection on which nothing comes.
class SilentStream final : public base::Stream {
 public:
  SilentStream(std::string peer, std::vector<std::string>* closed) : peer_(std::move(peer)), closed_(closed) {}
  ~SilentStream() override { closed_->push_back(peer_); }
  void SetHandler(base::StreamHandler*) override {}
  base::IoResult Read(char*, size_t) override { return {State::kWouldBlock, 0}; }
  base::IoResult Write(absl::Span<const std::string_view>) override { return {State::kWouldBlock, 0}; }
  void Watch(bool, bool) override {}
  void CloseWrite() override {}
  const std::string& peer() const override { return peer_; }

 private:
  const std::string peer_;
  std::vector<std::string>* const closed_;
};

}  // namespace

TEST_CASE("where every address has one handshake the oldest makes room, and not always the same address") {
  World world(1, "welcome", {.outstanding_max = 4, .per_address_max = 2});
  std::vector<std::string> closed;
  const auto take = [&](const std::string& peer) {
    world.handshakes->Take(std::make_unique<SilentStream>(peer, &closed), {});
  };
  for (const char* peer : {"b:1", "c:1", "d:1", "a:1"}) take(peer);
  CHECK(closed.empty());
  take("e:1");
  CHECK(closed == std::vector<std::string>{"b:1"});
  take("f:1");
  take("f:2");
  CHECK(closed == std::vector<std::string>{"b:1", "c:1", "d:1"});
  // One that has two has most; within an address it is again the oldest.
  take("g:1");
  CHECK(closed == std::vector<std::string>{"b:1", "c:1", "d:1", "f:1"});
  world.handshakes->Close();
}

TEST_CASE("closing gives up what has not begun") {
  World world(1);
  PlainClient client(&world, std::string("\x16", 1));
  REQUIRE(world.RunUntil([&] { return world.handshakes->outstanding() == 1; }));
  world.handshakes->Close();
  CHECK(world.RunUntil([&] { return client.gone; }));
  CHECK(world.quota.memory_bytes == 0);
}

TEST_CASE("new connections get the new certificate, and those that are open go on") {
  World world(3, std::string(400'000, 'a'));
  Client before(&world, "");
  REQUIRE(world.RunUntil([&] { return before.talker != nullptr && !before.talker->heard.empty(); }));
  const CertificateFiles files = world.authority.Issue("renewed", {.hosts = "DNS:renewed"});
  world.context->Set(*tls::Context::ForServer({files.certificate, files.key, {}}));
  Client after(&world, "", "renewed");
  CHECK(world.RunUntil([&] { return after.talker != nullptr && after.talker->ended && before.talker->ended; }));
  CHECK(before.talker->heard.size() == 400'000);
  CHECK(after.talker->heard.size() == 400'000);
}

namespace {

// The bytes under a stream, both ways, by hand; it may take nothing any more and still have what
// came before.
struct Wire final : public tls::ByteSource {
  base::IoResult Read(char* to, size_t bytes_max) override { return Take(&out, to, bytes_max); }
  static base::IoResult Take(std::string* from, char* to, size_t bytes_max) {
    const size_t n = std::min(bytes_max, from->size());
    from->copy(to, n);
    from->erase(0, n);
    return {n == 0 ? State::kWouldBlock : State::kDone, n};
  }
  std::string in, out;
  bool takes = true;
  base::StreamHandler* handler = nullptr;
};

class WireStream final : public base::Stream {
 public:
  explicit WireStream(Wire* wire) : wire_(wire) {}
  void SetHandler(base::StreamHandler* handler) override { wire_->handler = handler; }
  base::IoResult Read(char* to, size_t bytes_max) override { return Wire::Take(&wire_->in, to, bytes_max); }
  base::IoResult Write(absl::Span<const std::string_view> pieces) override {
    if (!wire_->takes) return {State::kFailed, 0};
    for (const std::string_view piece : pieces) wire_->out.append(piece);
    return {State::kDone, pieces[0].size()};
  }
  void Watch(bool, bool) override {}
  void CloseWrite() override {}
  const std::string& peer() const override { return peer_; }

 private:
  Wire* const wire_;
  const std::string peer_ = "server:1";
};

}  // namespace

TEST_CASE("a stream that cannot be written to says what the peer has said last") {
  World world(1);
  const CertificateFiles own = world.authority.Issue("asking");
  const std::shared_ptr<tls::Context> asks =
      *tls::Context::ForServer({own.certificate, own.key, world.authority.file()});
  Wire wire;
  const auto server = *tls::Engine::Create(asks, &wire);
  const auto answer = [&] {
    server->Handshake();
    wire.in.append(server->unsent());
    server->Sent(server->unsent().size());
  };
  auto stream = *tls::TlsStream::Over(std::make_unique<WireStream>(&wire), world.client_context,
                                      world.client_loop.get(), "server");
  absl::Status established = absl::UnknownError("");
  stream->Establish([&](const absl::Status& status) { established = status; });
  wire.handler->OnWritable();
  answer();
  // This side has all that it asked for, and the other one misses a certificate.
  wire.handler->OnReadable();
  REQUIRE_OK(established);
  CHECK(stream->failure().empty());
  answer();
  wire.takes = false;
  const std::string_view hello = "hello";
  CHECK(stream->Write(absl::MakeConstSpan(&hello, 1)).state == State::kFailed);
  CHECK(stream->failure() == "the peer refuses: tlsv13 alert certificate required");
}

}  // namespace bandb::test
