// TLS without a network: what is refused, and what it costs.
#include "tls/engine.h"

#include <malloc.h>
#include <openssl/bio.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "support/catch.h"
#include "tls/engine_rig.h"

namespace bandb::test {

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
