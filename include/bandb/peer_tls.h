// TLS between the nodes of a cluster: what a node shows to the others, and which authority it
// trusts.
#ifndef BANDB_PEER_TLS_H_
#define BANDB_PEER_TLS_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace bandb {

namespace base {
class EventLoop;
}  // namespace base

// Paths of files in PEM, the first three needed.
struct PeerTlsFiles {
  // Certificates of authorities: a peer that shows a certificate signed by one of these is a node.
  // So this authority should sign for nodes of the cluster and nobody else, or `names` say who they
  // are.
  std::string ca{};
  // The node's own: the chain, its own first, for clients and servers alike. It names the host that
  // others dial, as a DNS name or an IP address.
  std::string cert{};
  // Its key, without a password, in a file that others can neither read nor change.
  std::string key{};
  // Lists of certificates that their authorities have taken back; empty: none is asked for. If
  // there are any, each authority that has signed for a node needs one, and once
  // one has expired no certificate is believed: load it again in time.
  std::string crl{};
  // No files: a node's certificate has to name one of these, as DNS name, or as IP address; one
  // that begins with a dot stands for all below it, as ".db.example.org". Empty: the authority's
  // word is enough.
  std::vector<std::string> names{};
};

// Connections between nodes are TLS 1.3 then, and each side demands a certificate of the other.
//
//   absl::StatusOr<std::shared_ptr<bandb::PeerTls>> tls = bandb::PeerTls::Load({ca, cert, key});
//   bandb::ClusterOptions options{.dir = dir, .listen = "10.0.0.1:7400", .tls = *tls};
//   ...
//   absl::StatusOr<std::shared_ptr<bandb::PeerTls>> renewed = bandb::PeerTls::Load({ca, cert, key});
//   if (renewed.ok()) (*tls)->Replace(**renewed);
//
// Thread safety: every method may be called from any thread.
class PeerTls {
 public:
  // Errors: kInvalidArgument a file does not hold what it should, the key is not the certificate's,
  // or that or a list has expired · kPermissionDenied others may read the key · kUnimplemented this
  // build has no OpenSSL; and of reading the files.
  static absl::StatusOr<std::shared_ptr<PeerTls>> Load(const PeerTlsFiles& files);
  virtual ~PeerTls() = default;
  PeerTls(const PeerTls&) = delete;
  PeerTls& operator=(const PeerTls&) = delete;

  // New connections use what `other` has loaded, all of it, from now on; those that are there go
  // on.
  virtual void Replace(const PeerTls& other) = 0;

  // For BanDB: connections of the loop, over TLS.
  virtual std::shared_ptr<base::EventLoop> Over(std::shared_ptr<base::EventLoop> below) = 0;

 protected:
  PeerTls() = default;
};

}  // namespace bandb

#endif  // BANDB_PEER_TLS_H_
