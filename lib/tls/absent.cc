// In the place of this room where there is no OpenSSL.
#include "base/assert.h"
#include "base/status.h"
#include "tls/context.h"
#include "tls/engine.h"
#include "tls/token.h"

namespace bandb::tls {

absl::Status CheckAvailable() {
  return base::Error(absl::StatusCode::kUnimplemented, "this build has no OpenSSL, which users and TLS need");
}

std::string DigestOf(std::string_view) {
  BANDB_ASSERT(CheckAvailable().ok());
  return {};
}

bool AreSameDigest(std::string_view, std::string_view) {
  BANDB_ASSERT(CheckAvailable().ok());
  return false;
}

bool HoldsToken(std::string_view) { return false; }

absl::StatusOr<std::shared_ptr<Context>> Context::ForServer(const ContextFiles&) { return CheckAvailable(); }

absl::StatusOr<std::shared_ptr<Context>> Context::ForClient(const ContextFiles&) { return CheckAvailable(); }

Context::~Context() { BANDB_ASSERT(context_ == nullptr); }

// Without a context there is no engine.
absl::StatusOr<std::unique_ptr<Engine>> Engine::Create(std::shared_ptr<Context>, ByteSource*, const std::string&) {
  return CheckAvailable();
}

Engine::~Engine() { BANDB_ASSERT(ssl_ == nullptr); }

base::IoResult::State Engine::Handshake() { return base::IoResult::State::kFailed; }

base::IoResult Engine::Read(char*, size_t) { return {base::IoResult::State::kFailed, 0}; }

size_t Engine::Write(absl::Span<const std::string_view>) { return 0; }

void Engine::CloseWrite() {}

void Engine::Sent(size_t) {}

bool Engine::HasMore() const { return false; }

size_t Engine::held_bytes() const { return 0; }

absl::StatusOr<std::string> NewToken() { return CheckAvailable(); }

}  // namespace bandb::tls
