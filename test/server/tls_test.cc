// A server that speaks TLS, over sockets.
#include <memory>
#include <string>

#include "base/mutex.h"
#include "base/posix_file_system.h"
#include "server/wire_client.h"
#include "support/catch.h"
#include "support/temp_dir.h"
#include "tls/certificates.h"
#include "tls/tls_client_stream.h"

namespace bandb::test {
namespace {

constexpr int64_t kMinuteNanos = int64_t{60} * 1000000000;

class TlsFixture {
 public:
  explicit TlsFixture(int loops, bool mutual = false) {
    ServerOptions options;
    options.loops = loops;
    options.tls_listen = "127.0.0.1:0";
    options.redis_tls_listen = "127.0.0.1:0";
    options.tls_certificate_file = files.certificate;
    options.tls_key_file = files.key;
    if (mutual) options.tls_client_ca_file = authority.file();
    fixture = std::make_unique<ServerFixture>(options);
  }
  absl::StatusOr<std::unique_ptr<net::ClientStream>> Connect(const std::string& address,
                                                             const CertificateFiles& own = {}) {
    auto context = tls::Context::ForClient({own.certificate, own.key, authority.file()});
    REQUIRE_OK(context.status());
    auto plain = net::ClientStream::Connect(address, kMinuteNanos);
    REQUIRE_OK(plain.status());
    return tls::TlsClientStream::Over(*std::move(plain), *context, "127.0.0.1", kMinuteNanos);
  }

  TempDir dir;
  Authority authority{dir.path(), "authority"};
  CertificateFiles files = authority.Issue("server");
  std::unique_ptr<ServerFixture> fixture;
};

// Sends a text and reads what comes until it has that many bytes, or the end.
std::string Exchange(net::ClientStream* stream, std::string_view text, size_t bytes) {
  std::string heard;
  std::string buffer(70'000, '\0');
  while (heard.size() < bytes) {
    const absl::StatusOr<size_t> written = stream->WriteSome(text);
    if (!written.ok()) return heard;
    text.remove_prefix(*written);
    const absl::StatusOr<size_t> read = stream->ReadSome(absl::MakeSpan(buffer));
    if (!read.ok()) return heard;
    heard.append(buffer, 0, *read);
    net::ClientStream::Interest interest{stream, !text.empty(), false};
    if (*read == 0 && !net::ClientStream::Wait(absl::MakeSpan(&interest, 1), kMinuteNanos)) return heard;
  }
  return heard;
}

}  // namespace

TEST_CASE("clients of both protocols are served over TLS as they are without") {
  TlsFixture world(GENERATE(1, 4));
  auto stream = world.Connect(world.fixture->server->TlsAddress());
  REQUIRE_OK(stream.status());
  std::string requests, replies;
  for (int i = 0; i < 40; i++) {
    const std::string value(static_cast<size_t>(i) * 5000, static_cast<char>('a' + i % 26));
    requests += PutFrame("k", value) + GetFrame("k");
    replies += proto::OkFrame();
    std::string head(proto::kValueHeadBytes, '\0');
    proto::StoreValueHead(head.data(), value.size());
    replies += head + value;
  }
  CHECK(Exchange(stream->get(), requests, replies.size()) == replies);

  auto redis = world.Connect(world.fixture->server->RedisTlsAddress());
  REQUIRE_OK(redis.status());
  CHECK(Exchange(redis->get(), "PING\r\nSET a b\r\nGET a\r\n", 19) == "+PONG\r\n+OK\r\n$1\r\nb\r\n");
  CHECK(world.fixture->server->Stats().connections_open == 2);
  CHECK(world.fixture->server->Stats().memory_bytes < 200'000);
  const absl::StatusOr<ClientList> list = world.fixture->server->Clients(10);
  REQUIRE_OK(list.status());
  REQUIRE(list->clients.size() == 2);
  CHECK((list->clients[0].tls && list->clients[1].tls));
}

TEST_CASE("on a port for TLS whoever speaks something else is told at once, and nobody else is disturbed") {
  TlsFixture world(GENERATE(1, 4));
  auto witness = world.Connect(world.fixture->server->TlsAddress());
  REQUIRE_OK(witness.status());
  const std::string plain = "this address is for TLS";
  std::string frame;
  proto::AppendError(&frame, 259, plain);
  const struct {
    std::string address;
    std::string bytes;
    std::string reply;
  } rows[] = {
      {world.fixture->server->TlsAddress(), PutFrame("a", "b"), frame},
      {world.fixture->server->TlsAddress(), "GET / HTTP/1.1\r\n\r\n", frame},
      {world.fixture->server->RedisTlsAddress(), "PING\r\n", "-ERR " + plain + "\r\n"},
      {world.fixture->server->TlsAddress(), std::string("\x16\x03\x03\xff\xff", 5), "\x15"},
  };
  for (const auto& row : rows) {
    WireClient client(row.address);
    REQUIRE(client.Send(row.bytes));
    CHECK(client.ReceiveText(row.reply.size()) == row.reply);
    CHECK(Exchange(witness->get(), PutFrame("k", "v"), proto::OkFrame().size()) == proto::OkFrame());
  }
  CHECK(world.fixture->Eventually([&] { return world.fixture->server->Stats().tls_failures == 4; }));
}

TEST_CASE("TLS is closed in order: what was asked for is answered, and the end is said") {
  TlsFixture world(GENERATE(1, 4));
  auto stream = world.Connect(world.fixture->server->TlsAddress());
  REQUIRE_OK(stream.status());
  CHECK(Exchange(stream->get(), PutFrame("k", std::string(3'000'000, 'v')), proto::OkFrame().size()) ==
        proto::OkFrame());
  REQUIRE_OK((*stream)->WriteSome(GetFrame("k")).status());
  const std::string first = Exchange(stream->get(), {}, 1);
  REQUIRE_FALSE(first.empty());
  base::ThreadExecutor executor(1);
  base::Event drained;
  absl::Status status;
  executor.Post(base::Priority::kNormal, [&] {
    status = world.fixture->server->Drain();
    drained.Set();
  });
  const std::string rest = Exchange(stream->get(), {}, SIZE_MAX);
  CHECK(first.size() + rest.size() == proto::kValueHeadBytes + 3'000'000);
  const absl::StatusOr<size_t> end = (*stream)->WriteSome("x");
  char byte = 0;
  const absl::Status last = (*stream)->ReadSome(absl::MakeSpan(&byte, 1)).status();
  CHECK(last.message() == "the server closed the connection");
  stream->reset();
  drained.BlockUntilSet(base::kForever);
  CHECK_OK(status);
}

TEST_CASE("with an authority for clients, those with a certificate of its are served and no others") {
  TlsFixture world(GENERATE(1, 4), true);
  Authority foreign(world.dir.path(), "foreign");
  const CertificateFiles good = world.authority.Issue("client");
  const CertificateFiles bad = foreign.Issue("other");
  auto served = world.Connect(world.fixture->server->TlsAddress(), good);
  REQUIRE_OK(served.status());
  CHECK(Exchange(served->get(), PutFrame("k", "v"), proto::OkFrame().size()) == proto::OkFrame());
  for (const CertificateFiles& own : {bad, CertificateFiles()}) {
    auto stream = world.Connect(world.fixture->server->TlsAddress(), own);
    // The client believes the server, and learns from its first read that this is not mutual.
    if (stream.ok()) CHECK(Exchange(stream->get(), PutFrame("k", "v"), 1).empty());
  }
  CHECK(world.fixture->Eventually([&] { return world.fixture->server->Stats().tls_failures == 2; }));
}

TEST_CASE("a certificate is replaced while the server runs, with its key or not at all") {
  TlsFixture world(GENERATE(1, 4));
  auto before = world.Connect(world.fixture->server->TlsAddress());
  REQUIRE_OK(before.status());
  // Half of a change: the certificate is new, the key is not.
  const CertificateFiles renewed = world.authority.Issue("renewed");
  base::PosixFileSystem files;
  REQUIRE_OK(files.Rename(renewed.certificate, world.files.certificate));
  CHECK_CODE(world.fixture->server->Reload(), kInvalidArgument);
  auto still = world.Connect(world.fixture->server->TlsAddress());
  REQUIRE_OK(still.status());
  REQUIRE_OK(files.Rename(renewed.key, world.files.key));
  REQUIRE_OK(world.fixture->server->Reload());
  auto after = world.Connect(world.fixture->server->TlsAddress());
  REQUIRE_OK(after.status());
  for (auto* stream : {&before, &still, &after}) {
    CHECK(Exchange(stream->value().get(), PutFrame("k", "v"), proto::OkFrame().size()) == proto::OkFrame());
  }
}

TEST_CASE("settings of TLS that make no sense are refused at the start") {
  base::ThreadExecutor executor(1);
  MemoryStore store(&executor);
  ServerOptions options;
  options.listen = "127.0.0.1:0";
  options.tls_listen = "127.0.0.1:0";
  CHECK_CODE(Server::Start(store, options).status(), kInvalidArgument);
  TempDir dir;
  Authority authority(dir.path(), "authority");
  const CertificateFiles files = authority.Issue("server");
  options.tls_certificate_file = files.certificate;
  CHECK_CODE(Server::Start(store, options).status(), kInvalidArgument);
  options.tls_key_file = files.key;
  CHECK_OK(Server::Start(store, options).status());
  // Others can reach it: users, or certificates of clients.
  options.tls_listen = "0.0.0.0:0";
  CHECK_CODE(Server::Start(store, options).status(), kInvalidArgument);
  options.tls_client_ca_file = authority.file();
  CHECK_OK(Server::Start(store, options).status());
}

}  // namespace bandb::test
