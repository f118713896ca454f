#include "server/service.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <variant>

#include "proto/message_id.h"
#include "proto/request.h"
#include "server/message_table.h"
#include "server/redis_codec.h"

namespace bandb::server {

namespace {

// As many as one command of Redis' may need that names one key or two.
constexpr size_t kTransactionKeysMin = 8;

// What a name that a hook gave takes besides its bytes.
constexpr size_t kStoredNameBytes = 2 * sizeof(std::string) + 32;

}  // namespace

Service::Service(const ServiceParts& parts, const ServiceOptions& options)
    : options_(options),
      stats_(parts.stats),
      hooks_(parts.hooks, &counters_, parts.clock, parts.hook_spot),
      times_(parts.loop, parts.clock, parts.slow_log),
      context_{.completions = parts.completions,
               .counters = &counters_,
               .hooks = &hooks_,
               .times = &times_,
               .quota = parts.quota,
               .readers = parts.readers,
               .durable = options.sync ? &durable_ : nullptr,
               .audit = parts.audit,
               .memory_bytes_max = options.memory_bytes_max,
               .store_timeout = options.store_timeout},
      durable_(parts.store, parts.loop, context_),
      writes_(parts.store, parts.loop, context_,
              {.sync = options.sync, .stall_timeout_nanos = options.stall_timeout_nanos}),
      reads_(parts.store, parts.loop, context_, options.reads_inline),
      scans_(parts.store, parts.loop, context_, parts.snapshots),
      snapshots_(parts.store, parts.loop, context_, parts.snapshots),
      changes_(parts.store, parts.loop, context_),
      cursors_(parts.store, parts.loop, context_),
      transactions_(parts.store, parts.loop, parts.clock, context_,
                    {.sync = options.sync,
                     .keys_max = std::max(kTransactionKeysMin, size_t{options.batch_operations_max}),
                     .bytes_max = static_cast<size_t>(options.memory_bytes_max) / 4}),
      logins_(parts.loop, context_, parts.logger),
      clients_(parts.loop, context_, parts.roster, parts.clients, parts.logger) {}

Service::~Service() = default;

void Service::AddRedisTo(net::Router* router) {
  for (const RedisClass redis_class : kRedisClasses) {
    const auto id = static_cast<uint32_t>(redis_class);
    router->Add(id, this, LaneOf(redis_class));
    if (IsGated(redis_class)) router->SetGate(id, &writes_);
  }
}

void Service::AddMessagesTo(net::Router* router) {
  for (const Message& message : Messages()) {
    const auto id = static_cast<uint32_t>(message.id);
    router->Add(id, this, message.lane);
    if (message.IsGated()) router->SetGate(id, &writes_);
  }
}

void Service::EndTurn() {
  writes_.EndTurn();
  reads_.EndTurn();
  durable_.EndTurn();
}

void Service::Handle(net::Call& call) {
  MessageView message{call.request().message_id, call.request().payload};
  // Its own numbers mean nothing in another protocol.
  const uint32_t id = message.id;
  Request request(context_, call, message);
  // Whose name the request has a view of, no matter whose its connection is once it is decoded.
  const std::shared_ptr<const User> asker = request.codec().session().user();
  if (!request.codec().HasMessages()) message.id = 0;
  const HookBounds bounds{request.codec().payload_bytes_max(), options_.batch_operations_max};
  ModifiedBytes modified;
  Outcome ending;
  const bool is_let_in = hooks_.RunBefore(request.origin(), bounds, &message, &modified, &ending);
  request.mark()->hook_nanos = hooks_.TakeSpentNanos();
  if (!is_let_in) return request.End(std::move(ending));
  request.SetMessage(message);
  Command command;
  Failure failure = request.codec().Decode(id, message.payload, &command);
  if (failure.code != 0) {
    if (failure.code == ToCode(proto::ErrorCode::kMalformed)) counters_.malformed.Add();
    return request.Answer({.failure = std::move(failure)});
  }
  Record(request);
  request.mark()->action = ActionOf(command);
  const bool goes_on = hooks_.RunBefore(request.origin(), bounds, &command, &modified, &ending);
  request.mark()->hook_nanos += hooks_.TakeSpentNanos();
  if (!goes_on) return request.End(std::move(ending));
  if (Failure denied = CheckKeys(request.codec().session().user().get(), command); denied.code != 0) {
    request.codec().session().CountDenial();
    return request.End({.failure = std::move(denied)});
  }
  request.SetOperations(OperationsOf(command));
  std::visit([this, &request](auto& chosen) { Run(request, &chosen); }, command);
}

void Service::Record(Request& request) const {
  if (request.codec().protocol() != ClientProtocol::kRedis) return;
  AuditEvent event = static_cast<RedisCodec&>(request.codec()).TakeEvent();
  if (event.what.empty()) return;
  event.user = request.origin().user;
  event.address = request.origin().peer;
  context_.Record(event);
}

void Service::Run(Request& request, SingleCommand* command) {
  if (command->operation.kind == OperationKind::kGet) return reads_.Get(request, command->operation.key);
  writes_.Write(request, command->operation);
}

void Service::Run(Request& request, BatchCommand* command) { writes_.Write(request, *command); }

void Service::Run(Request& request, ScanCommand* command) { scans_.Scan(request, command); }

void Service::Run(Request& request, SnapshotCommand* command) { snapshots_.Run(request, *command); }

void Service::Run(Request& request, ChangesCommand* command) { changes_.Read(request, command); }

void Service::Run(Request& request, AcknowledgeCommand* command) { cursors_.Acknowledge(request, *command); }

void Service::Run(Request& request, CursorsCommand* command) { cursors_.Change(request, command); }

void Service::Run(Request& request, TransactionCommand* command) {
  // What hooks made of the keys. The body goes on calling them what the client does, so that what
  // it writes is shown to hooks by that name, and found by it.
  for (size_t i = 0; i < command->reads.size(); ++i) {
    const std::string& argument = (*command->arguments)[command->read_arguments[i]];
    std::string_view& key = command->reads[i].key;
    if (argument.data() == key.data()) continue;
    const auto [stored, added] = command->stored_names.emplace(argument, key);
    if (added) command->bytes += argument.size() + key.size() + kStoredNameBytes;
    key = stored->second;
  }
  transactions_.Run(request, command);
}

void Service::Run(Request& request, ReadyCommand* command) {
  request.Answer({.answer = EntriesAnswer{std::move(command->reply)}});
}

void Service::Run(Request& request, LoginCommand* command) {
  if (command->answer == nullptr) {
    command->answer = [this, &request](bool right) -> Outcome {
      if (right) return {.answer = HelloOf(request)};
      return {.failure = {proto::ToCode(absl::StatusCode::kUnauthenticated), "no such user, or not its token"}};
    };
  }
  logins_.LogIn(request, command);
}

void Service::Run(Request& request, HelloCommand*) { request.Answer({.answer = HelloOf(request)}); }

HelloAnswer Service::HelloOf(Request& request) const {
  const bool has_users = request.codec().session().has_users();
  return {options_.in_flight_requests_max, has_users ? proto::kFeatureUsers : 0};
}

void Service::Run(Request& request, PingCommand* command) {
  request.Answer({.answer = EchoAnswer{std::string(command->bytes)}});
}

void Service::Run(Request& request, StatsCommand*) { request.Answer({.answer = TextAnswer{stats_()}}); }

}  // namespace bandb::server
