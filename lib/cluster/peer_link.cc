#include "cluster/peer_link.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"

namespace bandb::cluster {

PeerLink::PeerLink(const net::Dialer::Parts& parts, const Options& options, base::Random random, raft::NodeId peer,
                   proto::LinkClass link_class, bool first, Owner* owner)
    : parts_(parts),
      options_(options),
      peer_(peer),
      class_(link_class),
      first_(first),
      owner_(owner),
      dialer_(parts, options.dialer, random,
              fmt::format("{:x} ({})", peer, link_class == proto::LinkClass::kBulk ? "bulk" : "prompt"),
              static_cast<net::DialerHandler*>(this)) {}

PeerLink::~PeerLink() { parts_.loop->Cancel(patience_timer_); }

void PeerLink::SetAddress(const std::string& address) {
  if (address == address_) return;
  const net::FrameLink* const before = link();
  StopDialing("another address");
  address_ = address;
  DialOrWait();
  TellEnd(before, "another address");
}

void PeerLink::TakeIncoming(std::unique_ptr<net::FrameLink> link) {
  BANDB_ASSERT(link->up());
  if (incoming_ != nullptr) incoming_->Close("another connection came");
  incoming_ = std::move(link);
  incoming_->SetHandler(&incoming_handler_);
  if (!first_) {
    StopDialing("another connection came");
  } else if (dialing_ && dialer_.link() == nullptr) {
    // It is there: no need to rest.
    dialer_.Start(address_);
  }
  if (PeerLink::link() == incoming_.get()) owner_->OnLinkUp(this);
}

void PeerLink::Drop(std::string_view reason) {
  const net::FrameLink* const before = link();
  if (incoming_ != nullptr) incoming_->Close(reason);
  incoming_.reset();
  if (dialer_.link() != nullptr) StopDialing(reason);
  if (!dialing_) DialLater();
  TellEnd(before, reason);
}

int64_t PeerLink::last_heard_nanos() const {
  int64_t heard = INT64_MIN;
  if (dialer_.link() != nullptr) heard = dialer_.link()->last_read_nanos();
  if (incoming_ != nullptr) heard = std::max(heard, incoming_->last_read_nanos());
  return heard;
}

void PeerLink::OnDown(const net::LinkEnd& end) {
  if (incoming_ != nullptr) return owner_->OnLinkUp(this);
  owner_->OnLinkDown(this, end);
}

void PeerLink::OnIncomingDown(const net::LinkEnd& end) {
  // It is inside a call of the link, which may be destroyed there.
  const net::LinkEnd kept{end.cause, end.reason};
  const bool was_in_use = link() == incoming_.get();
  incoming_.reset();
  DialOrWait();
  if (was_in_use) owner_->OnLinkDown(this, kept);
}

void PeerLink::DialOrWait() {
  if (dialing_ || patience_timer_ != base::kNoTimer || address_.empty()) return;
  if (!first_) return DialLater();
  dialing_ = true;
  dialer_.Start(address_);
}

void PeerLink::DialLater() {
  if (address_.empty() || patience_timer_ != base::kNoTimer || (!first_ && incoming_ != nullptr)) return;
  patience_timer_ = parts_.loop->After(options_.patience_nanos, [this] {
    patience_timer_ = base::kNoTimer;
    if (!first_ && incoming_ != nullptr) return;
    dialing_ = true;
    dialer_.Start(address_);
  });
}

void PeerLink::StopDialing(std::string_view reason) {
  parts_.loop->Cancel(std::exchange(patience_timer_, base::kNoTimer));
  if (std::exchange(dialing_, false)) dialer_.Stop(reason);
}

void PeerLink::TellEnd(const net::FrameLink* before, std::string_view reason) {
  // One that the peer has made stays, whatever this side did about its own.
  if (before == nullptr || link() == before) return;
  if (up()) return owner_->OnLinkUp(this);
  owner_->OnLinkDown(this, {net::LinkEnd::Cause::kRefusedHere, std::string(reason)});
}

}  // namespace bandb::cluster
