#include "tls/handshakes.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/status.h"
#include "net/protocol.h"

namespace bandb::tls {

namespace {

// One line about failures in this time.
constexpr int64_t kLogNanos = int64_t{1} * 1000000000;
// What one holds while it lasts, by our measure of OpenSSL.
constexpr int64_t kHeldBytes = 48 << 10;

}  // namespace

Handshakes::~Handshakes() { Close(); }

void Handshakes::Take(std::unique_ptr<base::Stream> stream, const net::Endpoint& endpoint) {
  if (closed_) return;
  const std::string peer = stream->peer();
  const std::string host = peer.substr(0, peer.rfind(':'));
  MakeRoom(host);
  absl::StatusOr<std::unique_ptr<TlsStream>> made =
      TlsStream::Over(std::move(stream), parts_.context->Get(), parts_.loop);
  if (!made.ok()) return Fail(peer, base::Message(made.status()));
  const uint64_t number = ++last_number_;
  TlsStream* const begun = made->get();
  ++by_host_[host];
  parts_.quota->AddMemory(kHeldBytes);
  outstanding_.emplace(
      number, Outstanding{*std::move(made), endpoint, host, parts_.loop->After(limits_.timeout_nanos, [this, number] {
                            OnEstablished(number, absl::DeadlineExceededError("it took too long"));
                          })});
  begun->Establish([this, number](const absl::Status& status) { OnEstablished(number, status); });
}

void Handshakes::MakeRoom(const std::string& host) {
  const auto own = by_host_.find(host);
  const bool own_are_many = own != by_host_.end() && own->second >= limits_.per_address_max;
  if (!own_are_many && outstanding_.size() < limits_.outstanding_max) return;
  size_t most = 0;
  for (const auto& [other, count] : by_host_) most = std::max(most, count);
  // Of addresses that have as many each, it is that of the oldest: no address is always the one.
  const auto oldest = std::find_if(outstanding_.begin(), outstanding_.end(), [&](const auto& one) {
    return own_are_many ? one.second.host == host : by_host_.find(one.second.host)->second == most;
  });
  OnEstablished(oldest->first, absl::ResourceExhaustedError("a newer one needed its place"));
}

std::unique_ptr<TlsStream> Handshakes::Remove(uint64_t number, net::Endpoint* endpoint) {
  const auto found = outstanding_.find(number);
  parts_.loop->Cancel(found->second.timer);
  parts_.quota->AddMemory(-kHeldBytes);
  if (--by_host_[found->second.host] == 0) by_host_.erase(found->second.host);
  *endpoint = found->second.endpoint;
  std::unique_ptr<TlsStream> stream = std::move(found->second.stream);
  outstanding_.erase(found);
  return stream;
}

void Handshakes::OnEstablished(uint64_t number, const absl::Status& status) {
  net::Endpoint endpoint;
  std::unique_ptr<TlsStream> stream = Remove(number, &endpoint);
  if (!status.ok()) {
    if (absl::IsUnavailable(status) && endpoint.protocol != nullptr) {
      const std::unique_ptr<net::Codec> codec = endpoint.protocol->NewCodec();
      std::string told;
      codec->AppendError(codec->CodeOf(net::Refusal::kUnknownMessage), "this address is for TLS", &told);
      stream->TellPlainly(told);
    }
    return Fail(stream->peer(), base::Message(status));
  }
  parts_.next->Take(std::move(stream), endpoint);
}

void Handshakes::Fail(const std::string& peer, std::string_view why) {
  failures_.Add();
  ++unlogged_;
  const int64_t now_nanos = parts_.loop->NowNanos();
  if (parts_.logger == nullptr || (logged_nanos_ != 0 && now_nanos - logged_nanos_ < kLogNanos)) return;
  parts_.logger->Log(LogSeverity::kInfo, fmt::format("TLS with {} failed: {}; {} on this loop since the last such line",
                                                     peer, why, unlogged_));
  logged_nanos_ = now_nanos;
  unlogged_ = 0;
}

void Handshakes::Close() {
  closed_ = true;
  net::Endpoint endpoint;
  while (!outstanding_.empty()) Remove(outstanding_.begin()->first, &endpoint);
}

}  // namespace bandb::tls
