#include "server/loop_server.h"

#include <algorithm>
#include <utility>

#include "bandb/logger.h"
#include "base/assert.h"
#include "base/status.h"
#include "proto/message_id.h"
#include "server/message_table.h"

namespace bandb::server {

namespace {

// One line about connections closed for want of memory in this time.
constexpr int64_t kEvictLogNanos = int64_t{1} * 1000000000;

int64_t ToNanos(absl::Duration duration) {
  return duration == absl::InfiniteDuration() ? net::kNoTimeout : absl::ToInt64Nanoseconds(duration);
}

net::ServerLimits ToLimits(const ServerOptions& options, size_t refused_max) {
  net::ServerLimits limits;
  limits.connections_max = options.connections_max;
  limits.refused_max = refused_max;
  limits.in_flight_requests_max = static_cast<size_t>(options.in_flight_requests_max);
  limits.in_flight_bytes_max = options.in_flight_bytes_max;
  limits.output_bytes_max = options.output_bytes_max;
  limits.memory_bytes_max = static_cast<int64_t>(options.memory_bytes_max);
  limits.restricted_timeout_nanos = ToNanos(options.login_timeout);
  limits.frame_timeout_nanos = ToNanos(options.frame_timeout);
  limits.unread_timeout_nanos = ToNanos(options.unread_timeout);
  limits.gate_timeout_nanos = ToNanos(options.stall_timeout);
  limits.idle_timeout_nanos = ToNanos(options.idle_timeout);
  return limits;
}

ServiceOptions ToServiceOptions(const ServerOptions& options) {
  return {.sync = options.durability == Durability::kSync,
          .reads_inline = options.reads_inline,
          .in_flight_requests_max = static_cast<uint32_t>(options.in_flight_requests_max),
          .batch_operations_max = static_cast<uint32_t>(options.batch_operations_max),
          .memory_bytes_max = static_cast<int64_t>(options.memory_bytes_max),
          .stall_timeout_nanos = ToNanos(options.stall_timeout),
          .store_timeout = options.store_timeout};
}

}  // namespace

LoopServer::LoopServer(const Parts& parts, const ServerOptions& options)
    : parts_(parts),
      options_(options),
      protocol_({.frame_bytes_max = options.frame_bytes_max,
                 .batch_operations_max = static_cast<uint32_t>(options.batch_operations_max)},
                parts.users),
      redis_protocol_(parts.redis, options.frame_bytes_max),
      frames_({.loop = parts.loop.get(),
               .executor = parts.executor,
               .quota = parts.quota,
               .observer = this,
               .number = parts.number},
              ToLimits(options, parts.refused_max)),
      acceptor_(parts.loop.get(), {.accepts_per_turn_max = options.accepts_per_turn_max}),
      redis_acceptor_(parts.loop.get(), {.accepts_per_turn_max = options.accepts_per_turn_max}),
      tls_acceptor_(parts.loop.get(), {.accepts_per_turn_max = 1}),
      redis_tls_acceptor_(parts.loop.get(), {.accepts_per_turn_max = 1}),
      handshakes_({.loop = parts.loop.get(),
                   .context = parts.tls,
                   .next = &frames_,
                   .quota = parts.quota,
                   .logger = options.logger},
                  {}),
      door_queue_({.loop = parts.loop.get(),
                   .connections = &frames_,
                   .quota = parts.quota,
                   .memory_bytes_max = static_cast<int64_t>(options.memory_bytes_max),
                   .payload_bytes_max = options.frame_bytes_max,
                   .stall_timeout_nanos = ToNanos(options.stall_timeout)}),
      service_({.store = parts.store,
                .hooks = parts.hooks,
                .loop = parts.loop.get(),
                .clock = parts.clock,
                .completions = &door_queue_,
                .quota = parts.quota,
                .readers = parts.readers,
                .snapshots = parts.snapshots,
                .slow_log = parts.slow_log,
                .stats = parts.stats,
                .logger = options.logger,
                .hook_spot = &hook_spot_,
                .audit = &options_.audit,
                .roster = parts.roster,
                .clients = this},
               ToServiceOptions(options)),
      host_hooks_(parts.hooks, parts.loop, &frames_, &hook_spot_) {
  service_.AddMessagesTo(&router_);
  service_.AddRedisTo(&redis_router_);
  service_.AddTo(&door_queue_);
  host_hooks_.AddTo(&router_);
}

LoopServer::~LoopServer() {
  BANDB_ASSERT(service_.idle());
  BANDB_ASSERT(frames_.idle());
}

base::ListenOptions LoopServer::ListenOn(const std::string& address) const {
  base::ListenOptions listen;
  listen.address = address;
  if (options_.keepalive != absl::InfiniteDuration()) {
    listen.keepalive_seconds = static_cast<int>(absl::ToInt64Seconds(options_.keepalive));
  }
  return listen;
}

absl::Status LoopServer::ListenWith(net::Acceptor* acceptor, const std::string& address,
                                    const std::vector<LoopServer*>& others, MakeTaker make) {
  std::vector<net::Acceptor::Taker> takers{make(this)};
  for (LoopServer* other : others) takers.push_back(make(other));
  return acceptor->Listen(ListenOn(address), std::move(takers));
}

absl::Status LoopServer::Listen(const std::string& address, const std::vector<LoopServer*>& others) {
  return ListenWith(&acceptor_, address, others, [](LoopServer* server) -> net::Acceptor::Taker {
    return {server->parts_.loop.get(), &server->frames_, {&server->protocol_, &server->router_}};
  });
}

absl::Status LoopServer::ListenForRedis(const std::string& address, const std::vector<LoopServer*>& others) {
  return ListenWith(&redis_acceptor_, address, others, [](LoopServer* server) -> net::Acceptor::Taker {
    return {server->parts_.loop.get(), &server->frames_, {&server->redis_protocol_, &server->redis_router_}};
  });
}

absl::Status LoopServer::ListenForTls(const std::string& address, const std::vector<LoopServer*>& others) {
  return ListenWith(&tls_acceptor_, address, others, [](LoopServer* server) -> net::Acceptor::Taker {
    return {server->parts_.loop.get(), &server->handshakes_, {&server->protocol_, &server->router_}};
  });
}

absl::Status LoopServer::ListenForRedisTls(const std::string& address, const std::vector<LoopServer*>& others) {
  return ListenWith(&redis_tls_acceptor_, address, others, [](LoopServer* server) -> net::Acceptor::Taker {
    return {server->parts_.loop.get(), &server->handshakes_, {&server->redis_protocol_, &server->redis_router_}};
  });
}

void LoopServer::CloseAcceptors() {
  for (net::Acceptor* acceptor : {&acceptor_, &redis_acceptor_, &tls_acceptor_, &redis_tls_acceptor_})
    acceptor->Close();
  handshakes_.Close();
}

void LoopServer::Drain(net::DrainCallback done) {
  CloseAcceptors();
  service_.Drain();
  frames_.Drain(ToNanos(options_.drain_timeout), std::move(done));
}

void LoopServer::End(absl::AnyInvocable<void() &&> ended) {
  BANDB_ASSERT(ended_ == nullptr);
  ended_ = std::move(ended);
  CloseAcceptors();
  frames_.CloseAll();
  door_queue_.Close();
  service_.Close();
  // The end of the turn looks whether anything is under way.
  parts_.loop->Post([] {});
}

void LoopServer::AbandonWorkers() {
  workers_abandoned_ = true;
  parts_.loop->Post([] {});
}

void LoopServer::OnTurn() {
  door_queue_.EndTurn();
  service_.EndTurn();
  if (ended_ == nullptr || !service_.idle()) return;
  if (workers_abandoned_ ? !frames_.has_connections() : frames_.idle()) std::exchange(ended_, nullptr)();
}

net::HookDecision LoopServer::OnConnect(net::ConnectionId id, std::string_view peer) {
  bool failed = false;
  net::HookDecision decision = host_hooks_.OnConnect(id, peer, &failed);
  if (failed) connect_hook_failures_.Add();
  return decision;
}

void LoopServer::OnDisconnect(net::ConnectionId id) {
  if (!host_hooks_.OnDisconnect(id)) connect_hook_failures_.Add();
}

void LoopServer::OnEvict(std::string_view peer, int64_t bytes) {
  ++evicted_unlogged_;
  const int64_t now_nanos = parts_.loop->NowNanos();
  if (options_.logger == nullptr || now_nanos - evict_logged_nanos_ < kEvictLogNanos) return;
  options_.logger->Log(LogSeverity::kWarning,
                       fmt::format("connections hold more than memory_bytes_max, {} bytes: closing the one from {}, "
                                   "which holds {} bytes; {} closed on this loop since the last such line",
                                   options_.memory_bytes_max, peer, bytes, evicted_unlogged_));
  evict_logged_nanos_ = now_nanos;
  evicted_unlogged_ = 0;
}

void LoopServer::OnDenial(const net::RequestView& request, const net::Denial& denial) {
  // Of those who are not known there may be many.
  const bool is_known = denial.code == proto::ToCode(absl::StatusCode::kPermissionDenied);
  if (options_.audit == nullptr || !is_known || PermissionOf(request.message_id) != Permission::kAdmin) return;
  options_.audit({.what = "administration denied",
                  .user = std::string(request.user),
                  .address = std::string(request.peer),
                  .detail = NameOfMessage(request.message_id)});
}

void LoopServer::OnOverrun(const net::AnswerLimits::Overrun& overrun) {
  if (overrun.has_begun) route_overruns_.Add();
  if (!overrun.is_lost || parts_.workers == nullptr) return;
  parts_.workers->Lose(overrun.message_id, absl::Nanoseconds(overrun.limit_nanos), parts_.loop->NowNanos());
}

void LoopServer::OnWorkerBack(uint32_t message_id) {
  if (parts_.workers != nullptr) parts_.workers->TakeBack(message_id, parts_.loop->NowNanos());
}

void LoopServer::ListClients(size_t count_max, ClientList* list) const {
  const int64_t now_nanos = parts_.loop->NowNanos();
  frames_.ForEach([&](const net::ConnectionView& view) {
    if (list->clients.size() >= count_max) {
      ++list->omitted;
      return;
    }
    const auto* const codec = static_cast<const Codec*>(view.codec);
    list->clients.push_back(
        {.id = ToNumber(view.id),
         .address = std::string(view.peer),
         .user = std::string(codec->user()),
         .name = std::string(codec->client_name()),
         .protocol = std::string(NameOf(codec->protocol())),
         .tls = view.is_encrypted,
         .age = absl::Nanoseconds(now_nanos - view.opened_nanos),
         .idle = absl::Nanoseconds(now_nanos - view.last_frame_nanos),
         .last_operation = view.last_message_id == 0 ? "" : codec->LastOperation(view.last_message_id),
         .in_flight = view.in_flight,
         .bytes_read = view.bytes_read,
         .bytes_written = view.bytes_written,
         .output_bytes = view.output_bytes});
  });
}

std::string LoopServer::KillClient(uint64_t id) {
  const net::ConnectionId connection = ToConnection(id);
  std::string address;
  frames_.Tell(connection, [&address](const net::ConnectionView& view) { address = view.peer; });
  return frames_.Close(connection) ? address : std::string();
}

RedisClientRow LoopServer::RowOf(const net::ConnectionView& view) const {
  constexpr int64_t kSecondNanos = 1'000'000'000;
  const int64_t now_nanos = parts_.loop->NowNanos();
  RedisClientRow row;
  static_cast<const RedisCodec*>(view.codec)->Describe(&row);
  row.connection = ToNumber(view.id);
  row.address = view.peer;
  row.local_address = view.is_encrypted ? parts_.redis->tls_address : parts_.redis->address;
  row.age_seconds = (now_nanos - view.opened_nanos) / kSecondNanos;
  row.idle_seconds = (now_nanos - view.last_frame_nanos) / kSecondNanos;
  row.output_bytes = view.output_bytes;
  return row;
}

void LoopServer::ForEachRedisClient(const std::function<void(const RedisClientRow& row)>& tell) const {
  frames_.ForEach([&](const net::ConnectionView& view) {
    if (static_cast<const Codec*>(view.codec)->protocol() == ClientProtocol::kRedis) tell(RowOf(view));
  });
}

bool LoopServer::FindRedisClient(uint64_t id, RedisClientRow* row) const {
  bool found = false;
  frames_.Tell(ToConnection(id), [&](const net::ConnectionView& view) {
    found = static_cast<const Codec*>(view.codec)->protocol() == ClientProtocol::kRedis;
    if (found) *row = RowOf(view);
  });
  return found;
}

void LoopServer::AddTo(ServerStats* stats) const {
  const net::Counters& net = frames_.counters();
  const DoorCounters& door = door_queue_.counters();
  const ServiceCounters& service = service_.counters();
  stats->connections_accepted += net.connections_accepted.Get();
  stats->connections_refused += net.connections_refused.Get();
  stats->connections_evicted += net.connections_evicted.Get();
  stats->connections_timed_out += net.connections_timed_out.Get();
  stats->accept_failures += acceptor_.accept_failures() + redis_acceptor_.accept_failures() +
                            tls_acceptor_.accept_failures() + redis_tls_acceptor_.accept_failures();
  stats->tls_failures += handshakes_.failures();
  stats->bytes_read += net.bytes_read.Get();
  stats->bytes_written += net.bytes_written.Get();
  stats->frames_read += net.frames_read.Get() + door.calls.Get();
  stats->replies += net.replies.Get() + door.replies.Get();
  stats->error_replies += net.error_replies.Get() + door.error_replies.Get();
  stats->malformed_frames += net.malformed_frames.Get() + service.malformed.Get();
  stats->read_calls += net.read_calls.Get();
  stats->write_calls += net.write_calls.Get();
  stats->turns += net.turns.Get();
  stats->pauses += net.pauses.Get();
  stats->hook_failures +=
      net.hook_failures.Get() + service.hook_failures.Get() + connect_hook_failures_.Get() + host_hooks_.failures();
  stats->hook_overruns += route_overruns_.Get();
  stats->hook_drops += net.hook_drops.Get() + service.hook_drops.Get();
  stats->hook_rejections += net.hook_rejections.Get() + service.hook_rejections.Get();
  stats->hook_routes += service.hook_routes.Get();
  stats->hook_emissions += service.hook_emissions.Get();
  stats->write_groups += service.write_groups.Get();
  stats->write_operations += service.write_operations.Get();
  stats->reads += service.reads.Get();
  stats->overloaded += net.overloaded.Get() + service.overloaded.Get() + door.overloaded.Get();
  stats->slow_requests += service_.slow_requests();
  stats->in_flight += net.in_flight.Get() + door.in_flight.Get();
}

}  // namespace bandb::server
