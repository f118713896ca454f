// Two engines of TLS and what is between them, without a network.
#ifndef BANDB_TEST_TLS_ENGINE_RIG_H_
#define BANDB_TEST_TLS_ENGINE_RIG_H_

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>

#include "support/catch.h"
#include "support/temp_dir.h"
#include "tls/certificates.h"
#include "tls/context.h"
#include "tls/engine.h"

namespace bandb::test {

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
inline void Shake(Side* client, Side* server, State* of_client, State* of_server, size_t piece_max = SIZE_MAX) {
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

}  // namespace bandb::test

#endif  // BANDB_TEST_TLS_ENGINE_RIG_H_
