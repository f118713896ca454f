#include "net/link_acceptor.h"

#include <algorithm>
#include <map>
#include <utility>

#include "base/assert.h"
#include "base/escape.h"
#include "base/status.h"
#include "net/link_host.h"

namespace bandb::net {

namespace {

// How far a handshake has come.
enum class Progress : uint8_t { kShaking, kSilent, kGreeted };

}  // namespace

// One link before it is up.
class LinkAcceptor::Handshake final : public LinkHandler {
 public:
  Handshake(LinkAcceptor* acceptor, std::unique_ptr<base::Stream> stream)
      : acceptor_(acceptor),
        peer_(stream->peer()),
        link_(std::make_unique<FrameLink>(acceptor->parts_.host, acceptor->limits_.link,
                                          acceptor->parts_.protocol->NewCodec(), acceptor->handler_->Hello(), this)) {
    link_->Accept(std::move(stream));
  }

  const std::string& peer() const { return peer_; }
  std::string_view host() const { return std::string_view(peer_).substr(0, peer_.rfind(':')); }
  Progress progress() const {
    if (!hello_.empty()) return Progress::kGreeted;
    return link_->established() ? Progress::kSilent : Progress::kShaking;
  }
  std::string_view hello() const { return hello_; }
  std::unique_ptr<FrameLink> TakeLink() { return std::move(link_); }

  absl::Status OnHello(std::string_view hello) override {
    hello_ = hello;
    return acceptor_->handler_->OnHello(hello);
  }
  void OnUp() override { acceptor_->GiveAway(this); }
  void OnDown(const LinkEnd& end) override { acceptor_->Fail(this, end); }
  // A link that is up has another handler.
  void OnFrame(const Frame&) override { BANDB_ASSERT(false); }
  void OnWritable() override { BANDB_ASSERT(false); }

 private:
  LinkAcceptor* const acceptor_;
  const std::string peer_;
  std::string hello_;
  std::unique_ptr<FrameLink> link_;
};

LinkAcceptor::LinkAcceptor(const Parts& parts, const Limits& limits, LinkAcceptorHandler* handler)
    : parts_(parts), limits_(limits), handler_(handler) {
  BANDB_ASSERT(limits_.handshakes_max > 0);
}

LinkAcceptor::~LinkAcceptor() { Close(); }

absl::Status LinkAcceptor::Listen(const base::ListenOptions& options) {
  BANDB_ASSERT(listener_ == nullptr);
  BANDB_ASSIGN_OR_RETURN(listener_, parts_.host->loop()->Listen(options, this));
  address_ = listener_->address();
  return absl::OkStatus();
}

void LinkAcceptor::Close() {
  listener_.reset();
  parts_.host->loop()->Cancel(std::exchange(pause_timer_, base::kNoTimer));
  handshakes_.clear();
}

void LinkAcceptor::OnAcceptable() {
  for (int i = 0; i < limits_.accepts_per_turn_max && listener_ != nullptr; ++i) {
    absl::StatusOr<std::unique_ptr<base::Stream>> stream = listener_->Accept(parts_.host->loop());
    if (!stream.ok()) return Pause();
    if (*stream == nullptr) return;
    Begin(*std::move(stream));
  }
}

void LinkAcceptor::Pause() {
  ++accept_failures_;
  if (log_budget_.Spend(parts_.host->loop()->NowNanos())) {
    parts_.logger->Log(base::LogLevel::kWarning, "peers on {}: out of descriptors, a connection was turned away",
                       address_);
  }
  listener_->Watch(false);
  pause_timer_ = parts_.host->loop()->After(limits_.pause_nanos, [this] {
    pause_timer_ = base::kNoTimer;
    if (listener_ != nullptr) listener_->Watch(true);
  });
}

void LinkAcceptor::Begin(std::unique_ptr<base::Stream> stream) {
  ++accepted_;
  if (handshakes_.size() >= limits_.handshakes_max) DropOne();
  handshakes_.push_back(std::make_unique<Handshake>(this, std::move(stream)));
}

void LinkAcceptor::DropOne() {
  ++dropped_handshakes_;
  Progress least = Progress::kGreeted;
  for (const auto& handshake : handshakes_) least = std::min(least, handshake->progress());
  std::map<std::string_view, size_t> by_host;
  size_t most = 0;
  for (const auto& handshake : handshakes_) {
    if (handshake->progress() == least) most = std::max(most, ++by_host[handshake->host()]);
  }
  const auto dropped = std::find_if(handshakes_.begin(), handshakes_.end(), [&](const auto& handshake) {
    return handshake->progress() == least && by_host[handshake->host()] == most;
  });
  BANDB_ASSERT(dropped != handshakes_.end());
  handshakes_.erase(dropped);
}

std::unique_ptr<LinkAcceptor::Handshake> LinkAcceptor::Take(Handshake* handshake) {
  const auto found = std::find_if(handshakes_.begin(), handshakes_.end(),
                                  [handshake](const auto& other) { return other.get() == handshake; });
  BANDB_ASSERT(found != handshakes_.end());
  std::unique_ptr<Handshake> taken = std::move(*found);
  handshakes_.erase(found);
  return taken;
}

void LinkAcceptor::GiveAway(Handshake* handshake) {
  const std::unique_ptr<Handshake> taken = Take(handshake);
  std::unique_ptr<FrameLink> link = taken->TakeLink();
  link->SetHandler(nullptr);
  handler_->OnLink(std::move(link), taken->hello());
}

void LinkAcceptor::Fail(Handshake* handshake, const LinkEnd& end) {
  ++failed_handshakes_;
  if (log_budget_.Spend(parts_.host->loop()->NowNanos())) {
    const uint64_t left_out = log_budget_.TakeLeftOut();
    const std::string more = left_out == 0 ? "" : fmt::format(" ({} lines left out)", left_out);
    parts_.logger->Log(base::LogLevel::kWarning, "peers on {}: no link from {}: {}{}", address_,
                       base::Escape(handshake->peer(), FrameLink::kReasonBytesMax), ToString(end), more);
  }
  // With its link, inside a callback of it.
  (void)Take(handshake);
}

}  // namespace bandb::net
