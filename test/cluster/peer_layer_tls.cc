// Peers over TLS, all with one certificate.
#include "bandb/peer_tls.h"
#include "cluster/peer_world.h"
#include "support/catch.h"
#include "support/temp_dir.h"
#include "tls/certificates.h"

namespace bandb::test {

namespace {

constexpr int kNodesMax = 200;

std::shared_ptr<PeerTls> MakePeerTls() {
  const TempDir dir;
  Authority authority(dir.path(), "authority");
  std::string hosts = "DNS:elsewhere";
  for (int i = 1; i <= kNodesMax; ++i) hosts += ",DNS:node" + std::to_string(i);
  const CertificateFiles own = authority.Issue("node", {.hosts = hosts});
  auto loaded = PeerTls::Load({.ca = authority.file(), .cert = own.certificate, .key = own.key});
  REQUIRE_OK(loaded.status());
  return *std::move(loaded);
}

}  // namespace

std::shared_ptr<base::EventLoop> OverLayer(std::shared_ptr<base::EventLoop> below) {
  static const std::shared_ptr<PeerTls>& tls = *new std::shared_ptr<PeerTls>(MakePeerTls());
  return tls->Over(std::move(below));
}

}  // namespace bandb::test
