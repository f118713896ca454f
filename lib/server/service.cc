#include "server/service.h"

#include <utility>
#include <variant>

#include "proto/message_id.h"
#include "server/message_table.h"

namespace bandb::server {

Service::Service(const ServiceParts& parts, const ServiceOptions& options)
    : options_(options),
      stats_(parts.stats),
      hooks_(parts.hooks, &counters_),
      context_{.completions = parts.completions,
               .counters = &counters_,
               .hooks = &hooks_,
               .quota = parts.quota,
               .readers = parts.readers,
               .durable = options.sync ? &durable_ : nullptr,
               .memory_bytes_max = options.memory_bytes_max},
      durable_(parts.store, parts.loop, context_),
      writes_(parts.store, parts.loop, context_,
              {.sync = options.sync, .stall_timeout_nanos = options.stall_timeout_nanos}),
      reads_(parts.store, parts.loop, context_, options.reads_inline),
      scans_(parts.store, parts.loop, context_) {}

Service::~Service() = default;

void Service::AddTo(net::Router* router) {
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
  Request request(context_, call, message);
  const size_t payload_bytes_max = request.codec().payload_bytes_max();
  ModifiedBytes modified;
  Outcome ending;
  if (!hooks_.RunBefore(request.origin(), payload_bytes_max, &message, &modified, &ending)) {
    return request.End(std::move(ending));
  }
  request.SetMessage(message);
  Command command;
  Failure failure = request.codec().Decode(message.id, message.payload, &command);
  if (failure.code != 0) {
    if (failure.code == ToCode(proto::ErrorCode::kMalformed)) counters_.malformed.Add();
    return request.Answer({.failure = std::move(failure)});
  }
  if (!hooks_.RunBefore(request.origin(), payload_bytes_max, &command, &modified, &ending)) {
    return request.End(std::move(ending));
  }
  request.SetOperations(OperationsOf(command));
  std::visit([this, &request](auto& chosen) { Run(request, &chosen); }, command);
}

void Service::Run(Request& request, SingleCommand* command) {
  if (command->operation.kind == OperationKind::kGet) return reads_.Get(request, command->operation.key);
  writes_.Write(request, command->operation);
}

void Service::Run(Request& request, BatchCommand* command) { writes_.Write(request, *command); }

void Service::Run(Request& request, ScanCommand* command) { scans_.Scan(request, command); }

void Service::Run(Request& request, HelloCommand*) {
  request.Answer({.answer = HelloAnswer{options_.in_flight_requests_max}});
}

void Service::Run(Request& request, PingCommand* command) {
  request.Answer({.answer = EchoAnswer{std::string(command->bytes)}});
}

void Service::Run(Request& request, StatsCommand*) { request.Answer({.answer = TextAnswer{stats_()}}); }

}  // namespace bandb::server
