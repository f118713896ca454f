#include "server/login_endpoint.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "base/assert.h"
#include "base/escape.h"
#include "net/protocol.h"
#include "server/frame_codec.h"
#include "tls/token.h"

namespace bandb::server {

namespace {

// On one loop.
constexpr size_t kWaitingMax = 256;
// One line about wrong logins in this time.
constexpr int64_t kLogNanos = int64_t{1} * 1000000000;
constexpr size_t kNameBytesShown = 64;

// Escaped, and in quotes of which it holds none.
std::string Quoted(const std::string& name) {
  std::string quoted = "'";
  for (const char c : name) {
    if (c == '\'') quoted += '\\';
    quoted += c;
  }
  return quoted + '\'';
}

std::string_view HostOf(std::string_view peer) { return peer.substr(0, peer.rfind(':')); }

}  // namespace

int64_t FailureLog::Add(std::string_view peer, int64_t now_nanos) {
  const std::string_view host = HostOf(peer);
  auto found = failures_.find(host);
  if (found == failures_.end()) {
    if (failures_.size() >= kAddressesMax) {
      auto oldest = failures_.begin();
      for (auto at = failures_.begin(); at != failures_.end(); ++at) {
        if (at->second.last_nanos < oldest->second.last_nanos) oldest = at;
      }
      failures_.erase(oldest);
    }
    found = failures_.emplace(std::string(host), Failures()).first;
  }
  Failures& failures = found->second;
  if (now_nanos - failures.last_nanos > kForgottenNanos) failures.count = 0;
  failures.last_nanos = now_nanos;
  const int64_t delay_nanos = std::min(kDelayNanosMax, kDelayNanosMin << std::min(failures.count, 16));
  ++failures.count;
  return delay_nanos;
}

bool FailureLog::Has(std::string_view peer, int64_t now_nanos) const {
  const auto found = failures_.find(HostOf(peer));
  return found != failures_.end() && now_nanos - found->second.last_nanos <= kForgottenNanos;
}

LoginEndpoint::~LoginEndpoint() { BANDB_ASSERT(idle()); }

void LoginEndpoint::LogIn(Request& request, LoginCommand* command) {
  const int64_t now_nanos = loop_->NowNanos();
  const std::string peer(request.origin().peer);
  const bool right = request.codec().session().LogIn(command->user, command->token);
  Outcome outcome = command->answer(right);
  if (right) return request.Answer(std::move(outcome));
  request.codec().session().CountFailedLogin();
  Tell(command->user, peer);
  if (closed_) return request.Answer(std::move(outcome));
  // Too many of them wait: such an address learns even less.
  if (waiting_.size() >= kWaitingMax && failures_.Has(peer, now_nanos)) {
    return request.Answer({.failure = ToFailure(net::Refusal::kOverloaded)});
  }
  const int64_t delay_nanos = failures_.Add(peer, now_nanos);
  const uint64_t number = ++last_number_;
  Waiting& waiting = waiting_[number];
  waiting.pending = request.Defer(outcome.ByteSize());
  waiting.outcome = std::move(outcome);
  waiting.timer = loop_->After(delay_nanos, [this, number] { Answer(number); });
}

void LoginEndpoint::Answer(uint64_t number) {
  const auto found = waiting_.find(number);
  Waiting ended = std::move(found->second);
  waiting_.erase(found);
  Complete(context_, ended.pending, &ended.outcome);
}

void LoginEndpoint::Close() {
  closed_ = true;
  while (!waiting_.empty()) {
    loop_->Cancel(waiting_.begin()->second.timer);
    Answer(waiting_.begin()->first);
  }
}

void LoginEndpoint::Tell(std::string_view user, std::string_view peer) {
  // Name and token in the wrong order, say, and more people read logs than files of tokens.
  const bool is_token = tls::HoldsToken(user);
  const std::string name = is_token ? std::string() : base::Escape(user, kNameBytesShown);
  context_.Record({.what = "login refused",
                   .user = name,
                   .address = std::string(peer),
                   .detail = is_token ? "a token in the place of a name" : ""});
  ++unlogged_;
  const int64_t now_nanos = loop_->NowNanos();
  if (logger_ == nullptr || (logged_nanos_ != 0 && now_nanos - logged_nanos_ < kLogNanos)) return;
  const std::string who = is_token ? "with a token for a name" : fmt::format("as {}", Quoted(name));
  logger_->Log(LogSeverity::kWarning,
               fmt::format("a wrong login {} from {}; {} on this loop since the last such line", who, peer, unlogged_));
  logged_nanos_ = now_nanos;
  unlogged_ = 0;
}

}  // namespace bandb::server
