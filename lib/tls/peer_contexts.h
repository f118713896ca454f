// bandb::PeerTls, as this room has it: the two contexts that a node needs, since it both dials and
// is dialed.
#ifndef BANDB_TLS_PEER_CONTEXTS_H_
#define BANDB_TLS_PEER_CONTEXTS_H_

#include <memory>
#include <utility>

#include "bandb/peer_tls.h"
#include "tls/context.h"

namespace bandb::tls {

// Thread safety: any thread. The contexts change one after the other: a connection that is made
// meanwhile has either the old files or the new ones, never some of both.
class PeerContexts final : public PeerTls, public std::enable_shared_from_this<PeerContexts> {
 public:
  PeerContexts(std::shared_ptr<Context> accepting, std::shared_ptr<Context> connecting)
      : accepting_(std::move(accepting)), connecting_(std::move(connecting)) {}

  void Replace(const PeerTls& other) override;
  std::shared_ptr<base::EventLoop> Over(std::shared_ptr<base::EventLoop> below) override;

  const CurrentContext& accepting() const { return accepting_; }
  const CurrentContext& connecting() const { return connecting_; }

 private:
  CurrentContext accepting_;
  CurrentContext connecting_;
};

}  // namespace bandb::tls

#endif  // BANDB_TLS_PEER_CONTEXTS_H_
