// PeerLink: the link of one class between this node and one peer, whichever of them made it.
//
// Of two nodes that know each other's address the one with the lower id dials. The other waits for
// it, and dials as well if there was no link for a while: the peer may not know where this node is,
// or not be able to reach it. A link that comes from there takes the place of what this side has
// made. So there is one link in the end, and none is missing for long.
//
// Invariants: at most one link in each direction; the owner hears of the first that is up and the
// last that is down, and of each change between them as another one that is up.
#ifndef BANDB_CLUSTER_PEER_LINK_H_
#define BANDB_CLUSTER_PEER_LINK_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "net/dialer.h"
#include "proto/peer_hello.h"

namespace bandb::cluster {

// Thread safety: the loop's thread. Lifetime: what it borrows must outlive it.
class PeerLink final : private net::DialerHandler {
 public:
  // Told on the loop's thread. Inside any of these but Hello and OnAnswer the link may be
  // destroyed.
  class Owner {
   public:
    // What the peer is told when it is dialed.
    virtual std::string Hello(const PeerLink& link) = 0;
    // What it answers. An error refuses it.
    virtual absl::Status OnAnswer(PeerLink* link, std::string_view hello) = 0;
    // Frames go over another link than before: what was on its way may be lost.
    virtual void OnLinkUp(PeerLink* link) = 0;
    virtual void OnLinkFrame(PeerLink* link, const net::Frame& frame) = 0;
    virtual void OnLinkWritable(PeerLink* link) = 0;
    virtual void OnLinkDown(PeerLink* link, const net::LinkEnd& end) = 0;

   protected:
    ~Owner() = default;
  };
  struct Options {
    net::DialerOptions dialer;
    // For a side that waits to be dialed, before it dials; and after a Drop.
    int64_t patience_nanos = int64_t{500} * 1000000;
  };

  // `first`: this side dials.
  PeerLink(const net::Dialer::Parts& parts, const Options& options, base::Random random, raft::NodeId peer,
           proto::LinkClass link_class, bool first, Owner* owner);
  ~PeerLink();
  PeerLink(const PeerLink&) = delete;
  PeerLink& operator=(const PeerLink&) = delete;

  raft::NodeId peer() const { return peer_; }
  proto::LinkClass link_class() const { return class_; }

  // Where to dial from now on; empty: nowhere.
  void SetAddress(const std::string& address);
  const std::string& address() const { return address_; }
  // A link that the peer has made; it replaces an earlier one.
  void TakeIncoming(std::unique_ptr<net::FrameLink> link);
  // Ends whatever is up, and tells the peer; the owner hears of it. Dials again after a while: a
  // peer that is dropped each time must not be dialed as fast as it answers.
  void Drop(std::string_view reason);

  // The one that frames are sent over; null if none is up.
  net::FrameLink* link() const { return dialer_.link() != nullptr ? dialer_.link() : incoming_.get(); }
  bool up() const { return link() != nullptr; }
  // When something came from the peer over a link that is up.
  int64_t last_heard_nanos() const;
  const net::Dialer& dialer() const { return dialer_; }

 private:
  // The handler of the link that the peer has made.
  class Incoming final : public net::LinkHandler {
   public:
    explicit Incoming(PeerLink* link) : link_(link) {}
    absl::Status OnHello(std::string_view) override { return absl::OkStatus(); }
    void OnUp() override {}
    void OnFrame(const net::Frame& frame) override { link_->owner_->OnLinkFrame(link_, frame); }
    void OnWritable() override { link_->owner_->OnLinkWritable(link_); }
    void OnDown(const net::LinkEnd& end) override { link_->OnIncomingDown(end); }

   private:
    PeerLink* const link_;
  };

  std::string Hello() override { return owner_->Hello(*this); }
  absl::Status OnHello(std::string_view hello) override { return owner_->OnAnswer(this, hello); }
  void OnUp() override { owner_->OnLinkUp(this); }
  void OnFrame(const net::Frame& frame) override { owner_->OnLinkFrame(this, frame); }
  void OnWritable() override { owner_->OnLinkWritable(this); }
  void OnDown(const net::LinkEnd& end) override;
  void OnAttemptFailed(const net::LinkEnd&) override {}
  void OnIncomingDown(const net::LinkEnd& end);

  void DialOrWait();
  // Once patience is at an end.
  void DialLater();
  void StopDialing(std::string_view reason);
  // Tells the owner what became of the link that was in use `before`, which may be gone, if this
  // side has just ended it.
  void TellEnd(const net::FrameLink* before, std::string_view reason);

  const net::Dialer::Parts parts_;
  const Options options_;
  const raft::NodeId peer_;
  const proto::LinkClass class_;
  const bool first_;
  Owner* const owner_;
  Incoming incoming_handler_{this};
  std::string address_;
  net::Dialer dialer_;
  bool dialing_ = false;
  std::unique_ptr<net::FrameLink> incoming_;
  base::TimerId patience_timer_ = base::kNoTimer;
};

}  // namespace bandb::cluster

#endif  // BANDB_CLUSTER_PEER_LINK_H_
