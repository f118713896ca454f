// TLS without a network: who is believed, what is refused, and what it costs.
#include "tls/engine.h"

#include <malloc.h>
#include <openssl/bio.h>
#include <openssl/ssl.h>
#include <sys/stat.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "support/catch.h"
#include "support/temp_dir.h"
#include "tls/certificates.h"
#include "tls/context.h"

namespace bandb::test {
namespace {

using State = base::IoResult::State;

// Bytes on their way to one side.
class Pipe final : public tls::ByteSource {
 public:
  base::IoResult Read(char* to, size_t bytes_max) override {
    if (bytes.empty()) return {broken ? State::kFailed : (ended ? State::kEnd : State::kWouldBlock), 0};
    const size_t n = std::min({bytes_max, bytes.size(), piece_max});
    bytes.copy(to, n);
    bytes.erase(0, n);
    return {State::kDone, n};
  }
  std::string bytes;
  size_t piece_max = SIZE_MAX;
  bool ended = false;
  bool broken = false;
};

struct Side {
  Side(const std::shared_ptr<tls::Context>& context, const std::string& host = {}) {
    absl::StatusOr<std::unique_ptr<tls::Engine>> made = tls::Engine::Create(context, &in, host);
    REQUIRE_OK(made.status());
    engine = *std::move(made);
  }
  // At most so many bytes at a time.
  void SendTo(Side* other, size_t piece_max = SIZE_MAX) {
    const std::string_view unsent = engine->unsent().substr(0, piece_max);
    other->in.bytes.append(unsent);
    if (!unsent.empty()) engine->Sent(unsent.size());
  }
  std::string ReadAll() {
    std::string all;
    std::string buffer(10'000, '\0');
    while (true) {
      const base::IoResult result = engine->Read(buffer.data(), buffer.size());
      last = result.state;
      if (result.state != State::kDone) return all;
      all.append(buffer, 0, result.bytes);
    }
  }
  State WriteText(std::string_view text) {
    return engine->Write(absl::MakeConstSpan(&text, 1)) == text.size() ? State::kDone : State::kFailed;
  }

  Pipe in;
  std::unique_ptr<tls::Engine> engine;
  State last = State::kWouldBlock;
};

// Both sides shake hands, in pieces of so many bytes, until nothing moves.
void Shake(Side* client, Side* server, State* of_client, State* of_server, size_t piece_max = SIZE_MAX) {
  *of_client = *of_server = State::kWouldBlock;
  for (int i = 0; i < 20'000; i++) {
    if (*of_client == State::kWouldBlock) *of_client = client->engine->Handshake();
    client->SendTo(server, piece_max);
    if (*of_server == State::kWouldBlock) *of_server = server->engine->Handshake();
    server->SendTo(client, piece_max);
    const bool nothing = client->engine->unsent().empty() && server->engine->unsent().empty() &&
                         client->in.bytes.empty() && server->in.bytes.empty();
    if (*of_client != State::kWouldBlock && *of_server != State::kWouldBlock && nothing) return;
    if (*of_client == State::kFailed || *of_server == State::kFailed) return;
  }
}

class World {
 public:
  std::shared_ptr<tls::Context> Server(const std::string& client_ca = {}) {
    const CertificateFiles files = authority.Issue("server");
    absl::StatusOr<std::shared_ptr<tls::Context>> context =
        tls::Context::ForServer({files.certificate, files.key, client_ca});
    REQUIRE_OK(context.status());
    return *context;
  }
  std::shared_ptr<tls::Context> Client(const std::string& ca, const CertificateFiles& own = {}) {
    absl::StatusOr<std::shared_ptr<tls::Context>> context = tls::Context::ForClient({own.certificate, own.key, ca});
    REQUIRE_OK(context.status());
    return *context;
  }
  TempDir dir;
  Authority authority{dir.path(), "authority"};
  Authority foreign{dir.path(), "foreign"};
};

}  // namespace

TEST_CASE("bytes arrive as they were sent, whatever the pieces in which they travel") {
  World world;
  const size_t piece_max = GENERATE(size_t{1}, size_t{2}, size_t{7}, size_t{100}, SIZE_MAX);
  Side client(world.Client(world.authority.file()), "localhost");
  Side server(world.Server());
  State of_client, of_server;
  Shake(&client, &server, &of_client, &of_server, piece_max);
  REQUIRE(of_client == State::kDone);
  REQUIRE(of_server == State::kDone);
  const std::string question = "question", answer(piece_max < 100 ? 3000 : 60'000, 'a');
  REQUIRE(client.WriteText(question) == State::kDone);
  REQUIRE(server.WriteText(answer) == State::kDone);
  std::string asked, answered;
  for (int i = 0; i < 70'000 && (asked.size() < question.size() || answered.size() < answer.size()); i++) {
    client.SendTo(&server, piece_max);
    server.SendTo(&client, piece_max);
    asked += server.ReadAll();
    answered += client.ReadAll();
  }
  CHECK(asked == question);
  CHECK(answered == answer);
  client.engine->CloseWrite();
  while (!client.engine->unsent().empty()) {
    CHECK(server.ReadAll().empty());
    client.SendTo(&server, piece_max);
  }
  CHECK(server.ReadAll().empty());
  CHECK(server.last == State::kEnd);
  // The other direction goes on.
  REQUIRE(server.WriteText("more") == State::kDone);
  server.SendTo(&client);
  CHECK(client.ReadAll() == "more");
}

TEST_CASE("a connection that breaks off without a last word has failed, at every byte") {
  World world;
  const std::shared_ptr<tls::Context> of_server = world.Server();
  const std::shared_ptr<tls::Context> of_client = world.Client(world.authority.file());
  for (size_t kept = 0; kept < 2000; kept = kept < 40 ? kept + 1 : kept + 97) {
    Side client(of_client, "localhost");
    Side server(of_server);
    REQUIRE(client.engine->Handshake() == State::kWouldBlock);
    const std::string hello(client.engine->unsent());
    if (kept >= hello.size()) break;
    server.in.bytes = hello.substr(0, kept);
    server.in.ended = true;
    CHECK(server.engine->Handshake() == State::kFailed);
  }
  Side client(of_client, "localhost");
  Side server(of_server);
  State a, b;
  Shake(&client, &server, &a, &b);
  REQUIRE(client.WriteText("text") == State::kDone);
  client.SendTo(&server);
  server.in.ended = true;
  CHECK(server.ReadAll() == "text");
  CHECK(server.last == State::kFailed);
  // It stays so.
  CHECK(server.ReadAll().empty());
  CHECK(server.last == State::kFailed);
  CHECK(server.engine->HasMore());
}

TEST_CASE("a client believes those alone that its authority signed for the host") {
  World world;
  const struct {
    const char* ca;
    const char* host;
    const char* why;
  } rows[] = {
      {"authority", "localhost", ""},
      {"authority", "127.0.0.1", ""},
      {"authority", "elsewhere", "hostname mismatch"},
      {"authority", "127.0.0.2", "IP address mismatch"},
      {"foreign", "localhost", "unable to get local issuer certificate"},
  };
  for (const auto& row : rows) {
    INFO(row.ca << " " << row.host);
    const std::string ca = std::string(row.ca) == "foreign" ? world.foreign.file() : world.authority.file();
    Side client(world.Client(ca), row.host);
    Side server(world.Server());
    State of_client, of_server;
    Shake(&client, &server, &of_client, &of_server);
    CHECK(of_client == (*row.why == '\0' ? State::kDone : State::kFailed));
    CHECK(client.engine->failure().find(row.why) != std::string::npos);
  }
}

TEST_CASE("a server that asks for certificates serves nobody without one of its authority's") {
  World world;
  const CertificateFiles good = world.authority.Issue("client");
  const CertificateFiles other = world.foreign.Issue("other");
  const struct {
    CertificateFiles files;
    bool served;
  } rows[] = {{good, true}, {other, false}, {{}, false}};
  for (const auto& row : rows) {
    Side client(world.Client(world.authority.file(), row.files), "localhost");
    Side server(world.Server(world.authority.file()));
    State of_client, of_server;
    Shake(&client, &server, &of_client, &of_server);
    CHECK(of_server == (row.served ? State::kDone : State::kFailed));
    // In TLS 1.3 the client learns it with what it reads next.
    server.SendTo(&client);
    client.ReadAll();
    CHECK((client.last == State::kFailed) == !row.served);
  }
}

TEST_CASE("an authority is believed by itself, also where another one has signed it") {
  World world;
  Authority department(world.dir.path(), "department", &world.authority);
  const CertificateFiles own = department.Issue("own");
  absl::StatusOr<std::shared_ptr<tls::Context>> showing =
      tls::Context::ForServer({own.certificate, own.key, department.file()});
  REQUIRE_OK(showing.status());
  State of_client, of_server;
  {
    Side client(world.Client(department.file(), own), "localhost");
    Side server(*showing);
    Shake(&client, &server, &of_client, &of_server);
    CHECK(of_client == State::kDone);
    CHECK(of_server == State::kDone);
  }
  // What its signer has signed besides is not.
  Side client(world.Client(department.file(), world.authority.Issue("other")), "localhost");
  Side server(*showing);
  Shake(&client, &server, &of_client, &of_server);
  CHECK(of_server == State::kFailed);
}

TEST_CASE("a certificate that has expired is believed by neither side") {
  World world;
  const CertificateFiles old = world.authority.Issue("old", {.expired = true});
  // Our own contexts refuse such a file.
  const auto show = [&old](const std::shared_ptr<tls::Context>& context) { ShowCertificate(context->get(), old); };
  State of_client, of_server;
  {
    const std::shared_ptr<tls::Context> context = world.Server();
    show(context);
    Side client(world.Client(world.authority.file()), "localhost");
    Side server(context);
    Shake(&client, &server, &of_client, &of_server);
    CHECK(of_client == State::kFailed);
    CHECK(client.engine->failure().find("certificate has expired") != std::string::npos);
  }
  const std::shared_ptr<tls::Context> context = world.Client(world.authority.file());
  show(context);
  Side client(context, "localhost");
  Side server(world.Server(world.authority.file()));
  Shake(&client, &server, &of_client, &of_server);
  CHECK(of_server == State::kFailed);
  CHECK(server.engine->failure().find("certificate has expired") != std::string::npos);
}

TEST_CASE("files that make no good server are refused, with the reason") {
  World world;
  const CertificateFiles one = world.authority.Issue("one");
  const CertificateFiles two = world.authority.Issue("two");
  const CertificateFiles old = world.authority.Issue("old", {.expired = true});
  const struct {
    tls::ContextFiles files;
    absl::StatusCode code;
    const char* why;
  } rows[] = {
      {{one.certificate, two.key, {}}, absl::StatusCode::kInvalidArgument, "not the key of"},
      {{old.certificate, old.key, {}}, absl::StatusCode::kInvalidArgument, "has expired"},
      {{one.key, one.key, {}}, absl::StatusCode::kInvalidArgument, "no certificate"},
      {{one.certificate, one.certificate, {}}, absl::StatusCode::kInvalidArgument, "no key"},
      {{one.certificate, one.key, one.key}, absl::StatusCode::kInvalidArgument, "no certificate"},
      {{one.certificate, world.dir.File("none"), {}}, absl::StatusCode::kNotFound, "none"},
  };
  for (const auto& row : rows) {
    INFO(row.why);
    const absl::Status status = tls::Context::ForServer(row.files).status();
    CHECK(status.code() == row.code);
    CHECK(std::string(status.message()).find(row.why) != std::string::npos);
  }
  REQUIRE(::chmod(one.key.c_str(), 0644) == 0);
  CHECK_CODE(tls::Context::ForServer({one.certificate, one.key, {}}).status(), kPermissionDenied);
}

TEST_CASE("what is not TLS 1.3 is refused, and costs no memory") {
  World world;
  const std::string huge_record("\x16\x03\x03\xff\xff", 5);
  std::string early_data("\x17\x03\x03\x40\x00", 5);
  early_data.append(16384, 'x');
  const std::vector<std::string> rows = {"GET / HTTP/1.1\r\n\r\n", std::string(12, '\0'), "*1\r\n$4\r\nPING\r\n",
                                         huge_record, early_data};
  for (const std::string& bytes : rows) {
    Side server(world.Server());
    server.in.bytes = bytes;
    CHECK(server.engine->Handshake() == State::kFailed);
    CHECK(server.engine->held_bytes() < 100'000);
  }
  // A client that knows TLS 1.2 alone.
  SSL_CTX* const old = ::SSL_CTX_new(::TLS_client_method());
  ::SSL_CTX_set_max_proto_version(old, TLS1_2_VERSION);
  SSL* const ssl = ::SSL_new(old);
  BIO* const to_server = ::BIO_new(::BIO_s_mem());
  ::SSL_set_bio(ssl, ::BIO_new(::BIO_s_mem()), to_server);
  ::SSL_set_connect_state(ssl);
  ::SSL_do_handshake(ssl);
  char* hello = nullptr;
  const long size = BIO_get_mem_data(to_server, &hello);
  Side server(world.Server());
  server.in.bytes.assign(hello, static_cast<size_t>(size));
  CHECK(server.engine->Handshake() == State::kFailed);
  CHECK(server.engine->failure() == "unsupported protocol");
  // It is told so: an alert.
  CHECK(server.engine->unsent().substr(0, 1) == "\x15");
  ::SSL_free(ssl);
  ::SSL_CTX_free(old);
}

TEST_CASE("a bit that changed on the way ends the connection") {
  World world;
  const std::shared_ptr<tls::Context> of_server = world.Server();
  const std::shared_ptr<tls::Context> of_client = world.Client(world.authority.file());
  for (size_t at = 0; at < 40; at++) {
    Side client(of_client, "localhost");
    Side server(of_server);
    State a, b;
    Shake(&client, &server, &a, &b);
    REQUIRE(client.WriteText("eighteen characters") == State::kDone);
    client.SendTo(&server);
    REQUIRE(server.in.bytes.size() == 41);
    server.in.bytes[at] = static_cast<char>(server.in.bytes[at] ^ 1);
    server.in.ended = true;
    CHECK(server.ReadAll().empty());
    CHECK(server.last == State::kFailed);
  }
}

TEST_CASE("what is counted of a connection covers what OpenSSL takes for it") {
  World world;
  const std::shared_ptr<tls::Context> of_server = world.Server();
  const std::shared_ptr<tls::Context> of_client = world.Client(world.authority.file());
  constexpr size_t kConnections = 50;
  std::vector<std::unique_ptr<Side>> servers, clients;
  State a, b;
  // What is made once.
  {
    Side client(of_client, "localhost");
    Side server(of_server);
    Shake(&client, &server, &a, &b);
  }
  const size_t before = ::mallinfo2().uordblks;
  for (size_t i = 0; i < kConnections; i++) {
    clients.push_back(std::make_unique<Side>(of_client, "localhost"));
    servers.push_back(std::make_unique<Side>(of_server));
    Shake(clients[i].get(), servers[i].get(), &a, &b);
    // It waits for more, without a buffer.
    servers[i]->ReadAll();
  }
  clients.clear();
  const size_t after = ::mallinfo2().uordblks;
  // A sanitizer's own memory is not told.
  const size_t taken = after > before ? after - before : 0;
  size_t counted = 0;
  for (const auto& server : servers) counted += server->engine->held_bytes();
  INFO(taken / kConnections << " bytes taken, " << counted / kConnections << " counted, for each");
  CHECK(taken <= counted);
}

TEST_CASE("a peer that takes nothing is not listened to, and what is kept for it is bounded") {
  World world;
  Side client(world.Client(world.authority.file()), "localhost");
  Side server(world.Server());
  State a, b;
  Shake(&client, &server, &a, &b);
  const std::string text(1 << 20, 'x');
  const std::string_view view = text;
  CHECK(server.engine->Write(absl::MakeConstSpan(&view, 1)) == tls::Engine::kWriteBytesMax);
  CHECK(server.engine->Write(absl::MakeConstSpan(&view, 1)) == 0);
  CHECK(server.engine->held_bytes() < 160'000);
  REQUIRE(client.WriteText("more") == State::kDone);
  client.SendTo(&server);
  CHECK(server.ReadAll().empty());
  CHECK(server.last == State::kWouldBlock);
  // Nothing will come of itself until the peer has taken something.
  CHECK_FALSE(server.engine->HasMore());
  server.SendTo(&client);
  CHECK(server.ReadAll() == "more");
  CHECK(client.ReadAll().size() == tls::Engine::kWriteBytesMax);
  CHECK(server.engine->held_bytes() < 40'000);
}

namespace {

// A client that uses OpenSSL itself, and so may do what an engine does not.
class RawClient {
 public:
  explicit RawClient(const std::shared_ptr<tls::Context>& server) : server_(server) {
    ::SSL_set_bio(ssl_, to_client_, to_server_);
    ::SSL_set_connect_state(ssl_);
    for (int i = 0; i < 3; i++) {
      ::SSL_do_handshake(ssl_);
      Send();
      server_.engine->Handshake();
      Receive();
    }
    REQUIRE(::SSL_is_init_finished(ssl_) == 1);
  }
  ~RawClient() {
    ::SSL_free(ssl_);
    ::SSL_CTX_free(context_);
  }
  // Asks for other keys in both directions.
  void ChangeKeys() {
    REQUIRE(::SSL_key_update(ssl_, SSL_KEY_UPDATE_REQUESTED) == 1);
    REQUIRE(::SSL_do_handshake(ssl_) == 1);
    Send();
  }
  void Write(std::string_view text) {
    REQUIRE(::SSL_write(ssl_, text.data(), static_cast<int>(text.size())) > 0);
    Send();
  }
  Side& server() { return server_; }

 private:
  void Send() {
    char buffer[4096];
    for (int n = 0; (n = ::BIO_read(to_server_, buffer, sizeof(buffer))) > 0;) {
      server_.in.bytes.append(buffer, static_cast<size_t>(n));
    }
  }
  void Receive() {
    const std::string bytes(server_.engine->unsent());
    if (bytes.empty()) return;
    ::BIO_write(to_client_, bytes.data(), static_cast<int>(bytes.size()));
    server_.engine->Sent(bytes.size());
  }

  Side server_;
  SSL_CTX* const context_ = ::SSL_CTX_new(::TLS_client_method());
  SSL* const ssl_ = ::SSL_new(context_);
  BIO* const to_client_ = ::BIO_new(::BIO_s_mem());
  BIO* const to_server_ = ::BIO_new(::BIO_s_mem());
};

}  // namespace

TEST_CASE("a peer that does nothing but change keys is not followed") {
  World world;
  RawClient client(world.Server());
  for (int i = 0; i < 1000; i++) client.ChangeKeys();
  CHECK(client.server().ReadAll().empty());
  CHECK(client.server().last == State::kFailed);
  CHECK(client.server().engine->failure() == "too many changes of keys");
  // What it was answered is bounded, too.
  CHECK(client.server().engine->unsent().size() < 4096);
  CHECK(client.server().ReadAll().empty());
  CHECK(client.server().last == State::kFailed);
}

TEST_CASE("keys may change between bytes, and few bytes between many changes come in several reads") {
  World world;
  RawClient client(world.Server());
  std::string wanted;
  for (int i = 0; i < 100; i++) {
    for (int j = 0; j < 8; j++) client.ChangeKeys();
    client.Write("x");
    wanted += "x";
  }
  std::string read;
  char buffer[1000];
  while (read.size() < wanted.size()) {
    const base::IoResult result = client.server().engine->Read(buffer, sizeof(buffer));
    REQUIRE(result.state == State::kDone);
    // One read follows so many changes and no more.
    CHECK(result.bytes <= 5);
    read.append(buffer, result.bytes);
    const size_t unsent = client.server().engine->unsent().size();
    CHECK(unsent < 4096);
    if (unsent > 0) client.server().engine->Sent(unsent);
  }
  CHECK(read == wanted);
}

}  // namespace bandb::test
