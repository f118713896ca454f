#include "cluster/joiner.h"

#include <utility>

#include "base/assert.h"
#include "base/status.h"

namespace bandb::cluster {

namespace {

net::Dialer::Parts With(const net::LinkProtocol* protocol, net::Dialer::Parts parts) {
  parts.protocol = protocol;
  return parts;
}

net::DialerOptions MakeDialerOptions(net::DialerOptions options) {
  options.link.frame_bytes_max = proto::kFrameHeaderBytes + kJoinBytesMax;
  return options;
}

}  // namespace

Joiner::Joiner(const PeerSelf& self, const JoinerOptions& options, const net::Dialer::Parts& parts, base::Random random)
    : self_(self),
      options_(options),
      loop_(parts.loop),
      dialer_(With(&protocol_, parts), MakeDialerOptions(options.dialer), random, "of a cluster",
              static_cast<net::DialerHandler*>(this)) {}

Joiner::~Joiner() { loop_->Cancel(timer_); }

void Joiner::Ask(std::vector<std::string> addresses, std::string request, Done done) {
  BANDB_ASSERT(done_ == nullptr);
  BANDB_ASSERT(!addresses.empty());
  BANDB_ASSERT(request.size() <= kJoinBytesMax);
  addresses_ = std::move(addresses);
  request_ = std::move(request);
  done_ = std::move(done);
  failures_.clear();
  next_ = 1;
  dialer_.Start(addresses_[0]);
}

std::string Joiner::Hello() {
  return proto::EncodePeerHello(MakeHello(self_, proto::HelloKind::kJoin, proto::LinkClass::kPrompt, raft::kNoNode));
}

absl::Status Joiner::OnHello(std::string_view hello) {
  proto::PeerHello answer;
  if (!proto::DecodePeerHello(hello, &answer)) {
    return base::Error(absl::StatusCode::kFailedPrecondition, "no hello of a node of BanDB");
  }
  answering_ = answer.cluster;
  return CheckCalled(self_, raft::kNoNode, answer);
}

void Joiner::OnUp() {
  deadline_nanos_ = loop_->NowNanos() + options_.answer_timeout_nanos;
  dialer_.link()->Send(static_cast<uint32_t>(PeerFrame::kJoinRequest), request_);
  SayAlive();
}

void Joiner::SayAlive() {
  timer_ = base::kNoTimer;
  if (loop_->NowNanos() >= deadline_nanos_) {
    dialer_.Stop("no answer in time");
    return TryNext("no answer in time");
  }
  dialer_.link()->Send(static_cast<uint32_t>(PeerFrame::kPing), {});
  timer_ = loop_->After(options_.ping_nanos, [this] { SayAlive(); });
}

void Joiner::OnFrame(const net::Frame& frame) {
  if (frame.message_id == static_cast<uint32_t>(PeerFrame::kPing)) return;
  if (frame.message_id != static_cast<uint32_t>(PeerFrame::kJoinAnswer)) {
    dialer_.Stop("not an answer");
    return TryNext(fmt::format("frame {}, which is not an answer", frame.message_id));
  }
  Finish(Answer{.cluster = answering_, .bytes = std::string(frame.payload)});
}

void Joiner::TryNext(const std::string& failure) {
  loop_->Cancel(std::exchange(timer_, base::kNoTimer));
  failures_ += fmt::format("{}{}: {}", failures_.empty() ? "" : "; ", addresses_[next_ - 1], failure);
  if (next_ < addresses_.size()) return dialer_.Start(addresses_[next_++]);
  Finish(base::Error(absl::StatusCode::kUnavailable, "no node lets this one in: {}", failures_));
}

void Joiner::Finish(absl::StatusOr<Answer> answer) {
  loop_->Cancel(std::exchange(timer_, base::kNoTimer));
  dialer_.Stop("done");
  std::exchange(done_, nullptr)(std::move(answer));
}

}  // namespace bandb::cluster
