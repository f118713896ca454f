#include "net/dialer.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/escape.h"
#include "base/status.h"
#include "net/link_host.h"

namespace bandb::net {

// `dialer` and `address` belong to the loop's thread.
struct Dialer::Lookup {
  Dialer* dialer = nullptr;
  std::string address;
};

Dialer::Dialer(const Parts& parts, const DialerOptions& options, base::Random random, std::string name,
               DialerHandler* handler)
    : parts_(parts), options_(options), random_(random), name_(std::move(name)), handler_(handler) {
  BANDB_ASSERT(options_.rest_nanos_min > 0);
  BANDB_ASSERT(options_.rest_nanos_min <= options_.rest_nanos_max);
  BANDB_ASSERT(parts_.host->loop() == parts_.loop.get());
}

Dialer::~Dialer() {
  GiveUp();
  if (lookup_ != nullptr) lookup_->dialer = nullptr;
}

void Dialer::Start(const std::string& address) {
  if (link_ != nullptr) link_->Close("dialed again");
  GiveUp();
  address_ = address;
  running_ = true;
  failures_ = 0;
  late_answer_.reset();
  RestThen(0);
}

void Dialer::Stop(std::string_view reason) {
  if (link_ != nullptr) link_->Close(reason);
  GiveUp();
}

void Dialer::GiveUp() {
  parts_.loop->Cancel(std::exchange(timer_, base::kNoTimer));
  link_.reset();
  running_ = up_ = awaiting_lookup_ = false;
}

void Dialer::RestThen(int64_t nanos) {
  BANDB_ASSERT(timer_ == base::kNoTimer);
  timer_ = parts_.loop->After(nanos, [this] {
    timer_ = base::kNoTimer;
    Attempt();
  });
}

void Dialer::Attempt() {
  BANDB_ASSERT(running_);
  BANDB_ASSERT(link_ == nullptr);
  if (late_answer_.has_value()) return TakeAddresses(*std::exchange(late_answer_, std::nullopt));
  std::optional<absl::StatusOr<AddressList>> now = parts_.resolver->ResolveNow(address_);
  if (now.has_value()) return TakeAddresses(*std::move(now));
  awaiting_lookup_ = true;
  timer_ = parts_.loop->After(options_.resolve_timeout_nanos, [this] {
    timer_ = base::kNoTimer;
    awaiting_lookup_ = false;
    Fail({LinkEnd::Cause::kUnresolved, "the lookup of the name takes too long"});
  });
  if (lookup_ == nullptr) AskResolver();
}

void Dialer::AskResolver() {
  lookup_ = std::make_shared<Lookup>(Lookup{.dialer = this, .address = address_});
  const auto look_up = [lookup = lookup_, address = address_, loop = parts_.loop, resolver = parts_.resolver] {
    loop->Post([lookup, found = resolver->Resolve(address)]() mutable {
      Dialer* const dialer = lookup->dialer;
      if (dialer == nullptr) return;
      dialer->lookup_.reset();
      const bool current = lookup->address == dialer->address_;
      if (dialer->awaiting_lookup_ && !current) return dialer->AskResolver();
      if (dialer->awaiting_lookup_) return dialer->TakeAddresses(std::move(found));
      if (current && dialer->running_) dialer->late_answer_ = std::move(found);
    });
  };
  parts_.executor->Post(base::Priority::kNormal, look_up);
}

void Dialer::TakeAddresses(absl::StatusOr<AddressList> found) {
  awaiting_lookup_ = false;
  parts_.loop->Cancel(std::exchange(timer_, base::kNoTimer));
  if (!found.ok()) {
    return Fail({LinkEnd::Cause::kUnresolved, base::Escape(base::Message(found.status()), FrameLink::kReasonBytesMax)});
  }
  addresses_ = *std::move(found);
  if (addresses_.size() > options_.addresses_max) addresses_.resize(options_.addresses_max);
  next_address_ = 0;
  TryNextAddress();
}

void Dialer::TryNextAddress() {
  LinkEnd end{LinkEnd::Cause::kUnresolved, "the name has no address"};
  while (next_address_ < addresses_.size()) {
    const std::string& address = addresses_[next_address_++];
    link_ = std::make_unique<FrameLink>(parts_.host, options_.link, parts_.protocol->NewCodec(), handler_->Hello(),
                                        static_cast<LinkHandler*>(this));
    const absl::Status status = link_->Connect(address_, address);
    if (status.ok()) return;
    link_.reset();
    end = {LinkEnd::Cause::kUnreachable, base::Escape(base::Message(status), FrameLink::kReasonBytesMax)};
  }
  Fail(end);
}

void Dialer::OnUp() {
  up_ = true;
  up_since_nanos_ = parts_.loop->NowNanos();
  if (std::exchange(logged_down_, false) && log_budget_.Spend(up_since_nanos_)) {
    parts_.logger->Log(base::LogLevel::kInfo, "peer {} at {}: connected after {} failures", name_, address_, failures_);
  }
  handler_->OnUp();
}

void Dialer::OnDown(const LinkEnd& end) {
  const LinkEnd copy = end;
  link_.reset();
  if (!up_) {
    const bool reached = copy.cause != LinkEnd::Cause::kUnreachable && copy.cause != LinkEnd::Cause::kTimedOut;
    if (!reached && next_address_ < addresses_.size()) return TryNextAddress();
    return Fail(copy);
  }
  up_ = false;
  if (parts_.loop->NowNanos() - up_since_nanos_ >= options_.stable_nanos) failures_ = 0;
  ++failures_;
  LogFailure(copy, true);
  last_end_ = copy;
  RestThen(RestNanos());
  handler_->OnDown(copy);
}

void Dialer::Fail(const LinkEnd& end) {
  ++failures_;
  LogFailure(end, false);
  last_end_ = end;
  RestThen(RestNanos());
  handler_->OnAttemptFailed(end);
}

int64_t Dialer::RestNanos() {
  int64_t rest = options_.rest_nanos_min;
  for (uint64_t i = 1; i < failures_ && rest < options_.rest_nanos_max; ++i) {
    rest = rest > options_.rest_nanos_max / 2 ? options_.rest_nanos_max : rest * 2;
  }
  return random_.Between(rest - rest / 2, rest);
}

bool Dialer::WorthALine(const LinkEnd& end) const {
  return end.reason != logged_reason_ || (failures_ & (failures_ - 1)) == 0;
}

void Dialer::LogFailure(const LinkEnd& end, bool was_up) {
  if (!WorthALine(end) || !log_budget_.Spend(parts_.loop->NowNanos())) return;
  logged_reason_ = end.reason;
  logged_down_ = true;
  const uint64_t left_out = log_budget_.TakeLeftOut();
  const std::string more = left_out == 0 ? "" : fmt::format(", {} lines left out", left_out);
  parts_.logger->Log(base::LogLevel::kWarning, "peer {} at {}: {} ({}; failure {}{})", name_, address_, ToString(end),
                     was_up ? "the link was up" : "no link", failures_, more);
}

}  // namespace bandb::net
