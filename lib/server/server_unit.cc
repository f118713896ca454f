#include "server/server_unit.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"

namespace bandb::server {

namespace {

int64_t ToNanos(absl::Duration duration) {
  return duration == absl::InfiniteDuration() ? net::kNoTimeout : absl::ToInt64Nanoseconds(duration);
}

net::Limits ToLimits(const ServerOptions& options, size_t refused_max) {
  net::Limits limits;
  limits.connections_max = options.connections_max;
  limits.refused_max = refused_max;
  limits.accepts_per_turn_max = options.accepts_per_turn_max;
  limits.in_flight_requests_max = static_cast<size_t>(options.in_flight_requests_max);
  limits.in_flight_bytes_max = options.in_flight_bytes_max;
  limits.output_bytes_max = options.output_bytes_max;
  limits.memory_bytes_max = static_cast<int64_t>(options.memory_bytes_max);
  limits.frame_timeout_nanos = ToNanos(options.frame_timeout);
  limits.unread_timeout_nanos = ToNanos(options.unread_timeout);
  limits.idle_timeout_nanos = ToNanos(options.idle_timeout);
  return limits;
}

ServiceOptions ToServiceOptions(const ServerOptions& options) {
  return {.sync = options.durability == Durability::kSync,
          .reads_inline = options.reads_inline,
          .frame_bytes_max = options.frame_bytes_max,
          .in_flight_requests_max = static_cast<uint32_t>(options.in_flight_requests_max)};
}

}  // namespace

ServerUnit::ServerUnit(const Parts& parts, const ServerOptions& options)
    : parts_(parts),
      options_(options),
      protocol_(options.frame_bytes_max),
      frames_({.loop = parts.loop.get(),
               .protocol = &protocol_,
               .router = &router_,
               .executor = parts.executor,
               .quota = parts.quota,
               .observer = this,
               .number = parts.number},
              ToLimits(options, parts.refused_max)),
      service_(parts.store, parts.loop.get(), &frames_, ToServiceOptions(options), parts.stats),
      host_code_(parts.hooks, parts.loop, &frames_, options.frame_bytes_max) {
  service_.AddTo(&router_);
  host_code_.AddTo(&router_);
}

ServerUnit::~ServerUnit() {
  BANDB_ASSERT(service_.idle());
  BANDB_ASSERT(frames_.idle());
}

absl::Status ServerUnit::Listen(const std::string& address, bool share_port) {
  base::ListenOptions listen;
  listen.address = address;
  listen.share_port = share_port;
  if (options_.keepalive != absl::InfiniteDuration()) {
    listen.keepalive_seconds = static_cast<int>(absl::ToInt64Seconds(options_.keepalive));
  }
  return frames_.Listen(listen);
}

void ServerUnit::Drain(absl::AnyInvocable<void(bool in_time) &&> done) {
  frames_.Drain(ToNanos(options_.drain_timeout), std::move(done));
}

void ServerUnit::End(absl::AnyInvocable<void() &&> ended) {
  BANDB_ASSERT(ended_ == nullptr);
  ended_ = std::move(ended);
  frames_.CloseAll();
  // The end of the turn looks whether anything is under way.
  parts_.loop->Post([] {});
}

void ServerUnit::OnTurn() {
  service_.EndTurn();
  if (ended_ != nullptr && service_.idle() && frames_.idle()) std::exchange(ended_, nullptr)();
}

net::HookDecision ServerUnit::OnConnect(net::ConnectionId id, std::string_view peer) {
  bool failed = false;
  net::HookDecision decision = host_code_.OnConnect(id, peer, &failed);
  if (failed) connect_hook_failures_.Add();
  return decision;
}

void ServerUnit::OnDisconnect(net::ConnectionId id) {
  if (!host_code_.OnDisconnect(id)) connect_hook_failures_.Add();
}

void ServerUnit::AddTo(ServerStats* stats) const {
  const net::Counters& net = frames_.counters();
  const ServiceCounters& service = service_.counters();
  stats->connections_accepted += net.connections_accepted.Get();
  stats->connections_refused += net.connections_refused.Get();
  stats->connections_evicted += net.connections_evicted.Get();
  stats->connections_timed_out += net.connections_timed_out.Get();
  stats->accept_failures += net.accept_failures.Get();
  stats->bytes_read += net.bytes_read.Get();
  stats->bytes_written += net.bytes_written.Get();
  stats->frames_read += net.frames_read.Get();
  stats->replies += net.replies.Get();
  stats->error_replies += net.error_replies.Get();
  stats->malformed_frames += net.malformed_frames.Get() + service.malformed.Get();
  stats->read_calls += net.read_calls.Get();
  stats->write_calls += net.write_calls.Get();
  stats->turns += net.turns.Get();
  stats->pauses += net.pauses.Get();
  stats->hook_failures += net.hook_failures.Get() + connect_hook_failures_.Get();
  stats->hook_drops += net.hook_drops.Get();
  stats->hook_rejections += net.hook_rejections.Get();
  stats->write_groups += service.write_groups.Get();
  stats->write_operations += service.write_operations.Get();
  stats->reads += service.reads.Get();
  stats->overloaded += service.overloaded.Get();
  stats->in_flight += net.in_flight.Get();
}

}  // namespace bandb::server
