#include "tls/peer_contexts.h"

#include "base/event_loop.h"
#include "base/status.h"
#include "tls/tls_loop.h"

namespace bandb {

absl::StatusOr<std::shared_ptr<PeerTls>> PeerTls::Load(const PeerTlsFiles& files) {
  if (files.ca.empty() || files.cert.empty() || files.key.empty()) {
    return base::Error(absl::StatusCode::kInvalidArgument, "TLS between nodes needs ca, cert and key");
  }
  const tls::ContextFiles paths{
      .certificate = files.cert, .key = files.key, .ca = files.ca, .crl = files.crl, .names = files.names};
  BANDB_ASSIGN_OR_RETURN(std::shared_ptr<tls::Context> accepting, tls::Context::ForServer(paths));
  BANDB_ASSIGN_OR_RETURN(std::shared_ptr<tls::Context> connecting, tls::Context::ForClient(paths));
  return std::shared_ptr<PeerTls>(std::make_shared<tls::PeerContexts>(std::move(accepting), std::move(connecting)));
}

namespace tls {

namespace {

// What a loop that is handed out needs for as long as it is used.
struct Layers {
  Layers(std::shared_ptr<PeerContexts> own, std::shared_ptr<base::EventLoop> plain)
      : contexts(std::move(own)), below(std::move(plain)) {}

  const std::shared_ptr<PeerContexts> contexts;
  const std::shared_ptr<base::EventLoop> below;
  TlsLoop loop{below.get(), &contexts->accepting(), &contexts->connecting()};
};

}  // namespace

void PeerContexts::Replace(const PeerTls& other) {
  // There is no other kind.
  const auto& fresh = static_cast<const PeerContexts&>(other);
  accepting_.Set(fresh.accepting_.Get());
  connecting_.Set(fresh.connecting_.Get());
}

std::shared_ptr<base::EventLoop> PeerContexts::Over(std::shared_ptr<base::EventLoop> below) {
  const auto layers = std::make_shared<Layers>(shared_from_this(), std::move(below));
  return {layers, &layers->loop};
}

}  // namespace tls

}  // namespace bandb
