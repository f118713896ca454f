// Takes incoming links from one address, and gives each away once its handshake is done.
//
// Strangers may connect, say nothing, or noise: each costs a descriptor and a small buffer until
// its handshake times out, and at most `handshakes_max` do at a time. With one more somebody is
// dropped: of those that have come least far, which is a handshake of the stream itself (TLS), then
// silence, then a hello, the oldest of the host that has most of them. A peer that is one goes on
// at once, so that those that wait are strangers, and many from one host cost none of another host.
#ifndef BANDB_NET_LINK_ACCEPTOR_H_
#define BANDB_NET_LINK_ACCEPTOR_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "base/event_loop.h"
#include "base/logger.h"
#include "net/frame_link.h"
#include "net/link_codec.h"
#include "net/log_budget.h"

namespace bandb::net {

// Told by an acceptor, on the loop's thread. Inside any of these but Hello it may be closed, not
// destroyed.
class LinkAcceptorHandler {
 public:
  // What a peer is told that this side accepts.
  virtual std::string Hello() = 0;
  // The hello of the link that may come. An error refuses it, and the peer is told the message.
  virtual absl::Status OnHello(std::string_view hello) = 0;
  // A link that is up, after that hello. It has no handler yet: set one before anything else.
  virtual void OnLink(std::unique_ptr<FrameLink> link, std::string_view hello) = 0;

 protected:
  ~LinkAcceptorHandler() = default;
};

// Thread safety: the loop's thread, or before the loop runs. Lifetime: what it borrows must outlive
// it.
class LinkAcceptor final : private base::AcceptHandler {
 public:
  struct Parts {
    LinkHost* host = nullptr;
    base::Logger* logger = nullptr;
    const LinkProtocol* protocol = nullptr;
  };
  struct Limits {
    LinkOptions link;
    size_t handshakes_max = 64;
    int accepts_per_turn_max = 16;
    int64_t pause_nanos = 50 * 1000000;  // after running out of descriptors
  };

  LinkAcceptor(const Parts& parts, const Limits& limits, LinkAcceptorHandler* handler);
  ~LinkAcceptor();
  LinkAcceptor(const LinkAcceptor&) = delete;
  LinkAcceptor& operator=(const LinkAcceptor&) = delete;

  // Once. Errors: as EventLoop::Listen.
  absl::Status Listen(const base::ListenOptions& options);
  const std::string& address() const { return address_; }
  // Takes nobody any more, and drops the handshakes. Links that were given away stay.
  void Close();

  // Handshakes that are under way.
  size_t handshakes() const { return handshakes_.size(); }
  uint64_t accepted() const { return accepted_; }
  uint64_t failed_handshakes() const { return failed_handshakes_; }
  uint64_t dropped_handshakes() const { return dropped_handshakes_; }
  uint64_t accept_failures() const { return accept_failures_; }

 private:
  class Handshake;

  void OnAcceptable() override;
  void Begin(std::unique_ptr<base::Stream> stream);
  void Pause();
  void GiveAway(Handshake* handshake);
  void Fail(Handshake* handshake, const LinkEnd& end);
  std::unique_ptr<Handshake> Take(Handshake* handshake);
  void DropOne();

  const Parts parts_;
  const Limits limits_;
  LinkAcceptorHandler* const handler_;
  std::unique_ptr<base::Listener> listener_;
  std::string address_;
  std::vector<std::unique_ptr<Handshake>> handshakes_;  // the oldest first
  base::TimerId pause_timer_ = base::kNoTimer;
  LogBudget log_budget_;
  uint64_t accepted_ = 0;
  uint64_t failed_handshakes_ = 0;
  uint64_t dropped_handshakes_ = 0;
  uint64_t accept_failures_ = 0;
};

}  // namespace bandb::net

#endif  // BANDB_NET_LINK_ACCEPTOR_H_
