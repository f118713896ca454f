#include "server/operation_hooks.h"

#include <optional>
#include <utility>

#include "proto/frame.h"
#include "proto/message_id.h"
#include "proto/request.h"
#include "server/frame_codec.h"
#include "server/message_table.h"

namespace bandb::server {

namespace {

// The message that does this and nothing else.
std::optional<uint32_t> MessageOf(OperationKind kind) {
  switch (kind) {
    case OperationKind::kPut:
      return kPutMessage;
    case OperationKind::kGet:
      return kGetMessage;
    case OperationKind::kDelete:
      return kDeleteMessage;
    case OperationKind::kDeleteRange:
    case OperationKind::kScan:
      break;
  }
  return std::nullopt;
}

std::optional<OperationKind> KindOf(uint32_t message_id) {
  for (const OperationKind kind : {OperationKind::kPut, OperationKind::kGet, OperationKind::kDelete}) {
    if (MessageOf(kind) == message_id) return kind;
  }
  return std::nullopt;
}

bool HasValue(OperationKind kind) { return kind != OperationKind::kGet && kind != OperationKind::kDelete; }

std::string PayloadOf(const Operation& operation) {
  if (HasValue(operation.kind)) return EncodePutPayload(operation.key, operation.value);
  std::string frame;
  proto::AppendGet(&frame, operation.key);
  return frame.substr(proto::kFrameHeaderBytes);
}

bool TakePayload(std::string_view payload, Operation* operation) {
  if (HasValue(operation->kind)) return proto::DecodePut(payload, &operation->key, &operation->value);
  return proto::DecodeKey(payload, &operation->key);
}

ServerOperation ToView(const Origin& origin, const Operation& operation) {
  ServerOperation view;
  view.connection = origin.connection;
  view.peer = origin.peer;
  view.user = origin.user;
  view.kind = operation.kind;
  view.key = operation.key;
  (operation.IsRange() ? view.limit : view.value) = operation.value;
  view.time_to_live = operation.time_to_live;
  return view;
}

}  // namespace

absl::Span<const Operation> OperationsOf(const Command& command) {
  if (const auto* single = std::get_if<SingleCommand>(&command)) return absl::MakeConstSpan(&single->operation, 1);
  if (const auto* batch = std::get_if<BatchCommand>(&command)) return batch->operations;
  if (const auto* scan = std::get_if<ScanCommand>(&command)) return absl::MakeConstSpan(&scan->range, 1);
  if (const auto* changes = std::get_if<ChangesCommand>(&command)) return absl::MakeConstSpan(&changes->range, 1);
  if (const auto* transaction = std::get_if<TransactionCommand>(&command)) return transaction->reads;
  return {};
}

OperationHooks::OperationHooks(const ServerHooks* hooks, ServiceCounters* counters)
    : hooks_(hooks), counters_(counters) {
  // Those on the host's routes are BanNet's.
  const auto place = [this](uint32_t id) -> OfKind* {
    if (FindMessage(id) == nullptr) return nullptr;
    const std::optional<OperationKind> kind = KindOf(id);
    return kind.has_value() ? &Of(*kind) : &messages_[id];
  };
  for (const PreHookEntry& entry : hooks->before) {
    if (OfKind* of = place(entry.message_id)) of->before.push_back(&entry.hook);
  }
  for (const PostHookEntry& entry : hooks->after) {
    if (OfKind* of = place(entry.message_id)) of->after.push_back(&entry.hook);
  }
}

bool OperationHooks::WantsBefore(OperationKind kind) const {
  return !Of(kind).before.empty() || !hooks_->before_operations.empty();
}

bool OperationHooks::WantsAfter(OperationKind kind) const {
  return !Of(kind).after.empty() || !hooks_->after_operations.empty();
}

template <typename Hook, typename View>
bool OperationHooks::Ask(const Hook& hook, const View& view, HookResult* result) {
  try {
    *result = hook(view);
    return true;
  } catch (...) {
    counters_->hook_failures.Add();
    return false;
  }
}

OperationHooks::Verdict OperationHooks::Heed(HookResult result, size_t payload_bytes_max, std::string_view* payload,
                                             ModifiedBytes* modified, Outcome* ending) {
  switch (result.verdict()) {
    case HookResult::Verdict::kPass:
      break;
    case HookResult::Verdict::kModify:
      if (result.text().size() > payload_bytes_max) {
        ending->failure = ToFailure(net::Refusal::kFrameTooLong);
        return Verdict::kEnded;
      }
      *payload = modified->emplace_back(result.TakeText());
      break;
    case HookResult::Verdict::kDrop:
      counters_->hook_drops.Add();
      return Verdict::kDropped;
    case HookResult::Verdict::kReject:
      counters_->hook_rejections.Add();
      ending->failure = {result.code(), result.TakeText()};
      return Verdict::kEnded;
  }
  return Verdict::kGoOn;
}

bool OperationHooks::RunBefore(const Origin& origin, size_t payload_bytes_max, MessageView* message,
                               ModifiedBytes* modified, Outcome* ending) {
  if (messages_.empty()) return true;
  const auto found = messages_.find(message->id);
  if (found == messages_.end()) return true;
  for (const PreHook* hook : found->second.before) {
    HookResult result = HookResult::Pass();
    if (!Ask(*hook, ServerRequest{origin.connection, message->id, message->payload, origin.peer, origin.user},
             &result)) {
      ending->failure = ToFailure(net::Refusal::kHookFailed);
      return false;
    }
    if (Heed(std::move(result), payload_bytes_max, &message->payload, modified, ending) != Verdict::kGoOn) return false;
  }
  return true;
}

OperationHooks::Verdict OperationHooks::Judge(const Origin& origin, size_t payload_bytes_max, Operation* operation,
                                              std::string_view payload, ModifiedBytes* modified, Outcome* ending) {
  // After each hook: what it made is what the next one sees.
  const auto heed = [&](HookResult result) {
    const bool modifies = result.verdict() == HookResult::Verdict::kModify;
    const Verdict verdict = Heed(std::move(result), payload_bytes_max, &payload, modified, ending);
    if (verdict != Verdict::kGoOn || !modifies || TakePayload(payload, operation)) return verdict;
    counters_->malformed.Add();
    ending->failure = MalformedFailure();
    return Verdict::kEnded;
  };
  const auto failed = [&] {
    ending->failure = ToFailure(net::Refusal::kHookFailed);
    return Verdict::kEnded;
  };
  HookResult result = HookResult::Pass();
  const std::optional<uint32_t> id = MessageOf(operation->kind);
  for (const PreHook* hook : Of(operation->kind).before) {
    if (payload.empty()) payload = modified->emplace_back(PayloadOf(*operation));
    if (!Ask(*hook, ServerRequest{origin.connection, *id, payload, origin.peer, origin.user}, &result)) return failed();
    if (const Verdict verdict = heed(std::move(result)); verdict != Verdict::kGoOn) return verdict;
  }
  for (const OperationHook& hook : hooks_->before_operations) {
    if (!Ask(hook, ToView(origin, *operation), &result)) return failed();
    if (const Verdict verdict = heed(std::move(result)); verdict != Verdict::kGoOn) return verdict;
  }
  return Verdict::kGoOn;
}

bool OperationHooks::JudgeAll(const Origin& origin, size_t payload_bytes_max, absl::Span<Operation> operations,
                              size_t* bytes, ModifiedBytes* modified, Outcome* ending) {
  bool dropped = false;
  for (Operation& operation : operations) {
    if (!WantsBefore(operation.kind)) continue;
    const size_t before_bytes = operation.ByteSize();
    switch (Judge(origin, payload_bytes_max, &operation, {}, modified, ending)) {
      case Verdict::kGoOn:
        break;
      case Verdict::kDropped:
        dropped = true;
        break;
      case Verdict::kEnded:
        return false;
    }
    *bytes += operation.ByteSize() - before_bytes;
    if (*bytes > payload_bytes_max) {
      ending->failure = ToFailure(net::Refusal::kFrameTooLong);
      return false;
    }
  }
  return !dropped;
}

bool OperationHooks::RunBefore(const Origin& origin, size_t payload_bytes_max, Command* command,
                               ModifiedBytes* modified, Outcome* ending) {
  if (auto* batch = std::get_if<BatchCommand>(command)) {
    return JudgeAll(origin, payload_bytes_max, absl::MakeSpan(batch->operations), &batch->bytes, modified, ending);
  }
  if (auto* transaction = std::get_if<TransactionCommand>(command)) {
    return JudgeAll(origin, payload_bytes_max, absl::MakeSpan(transaction->reads), &transaction->bytes, modified,
                    ending);
  }
  auto* const single = std::get_if<SingleCommand>(command);
  auto* const scan = std::get_if<ScanCommand>(command);
  auto* const changes = std::get_if<ChangesCommand>(command);
  Operation* const operation = single != nullptr    ? &single->operation
                               : scan != nullptr    ? &scan->range
                               : changes != nullptr ? &changes->range
                                                    : nullptr;
  if (operation == nullptr) return true;
  if (!WantsBefore(operation->kind)) return true;
  const std::string_view payload = single != nullptr ? single->payload : std::string_view();
  return Judge(origin, payload_bytes_max, operation, payload, modified, ending) == Verdict::kGoOn;
}

std::unique_ptr<HookRecord> OperationHooks::MakeRecord(const Origin& origin, const MessageView& message,
                                                       absl::Span<const Operation> operations) const {
  const auto found = messages_.empty() ? messages_.end() : messages_.find(message.id);
  const bool of_message = found != messages_.end() && !found->second.after.empty();
  size_t bytes = of_message ? message.payload.size() : 0;
  size_t count = 0;
  for (const Operation& operation : operations) {
    if (!WantsAfter(operation.kind)) continue;
    bytes += operation.ByteSize();
    count++;
  }
  if (!of_message && count == 0) return nullptr;
  auto record = std::make_unique<HookRecord>();
  record->connection = origin.connection;
  record->peer = origin.peer;
  record->user = origin.user;
  record->bytes.reserve(bytes);  // so that the views stay
  const auto keep = [to = &record->bytes](std::string_view from) {
    const size_t at = to->size();
    to->append(from);
    return std::string_view(*to).substr(at);
  };
  if (of_message) {
    record->message_id = message.id;
    record->message_payload = keep(message.payload);
  }
  record->operations.reserve(count);
  for (const Operation& operation : operations) {
    if (!WantsAfter(operation.kind)) continue;
    Operation& kept = record->operations.emplace_back(operation);
    kept.key = keep(operation.key);
    kept.value = keep(operation.value);
  }
  return record;
}

template <typename Hook, typename View>
void OperationHooks::Tell(const Hook& hook, const View& view, const ServerOutcome& outcome) {
  try {
    hook(view, outcome);
  } catch (...) {
    counters_->hook_failures.Add();
  }
}

void OperationHooks::RunAfter(const HookRecord& record, bool ok, uint16_t code) {
  const Origin origin{record.connection, record.peer, record.user};
  const ServerOutcome outcome{ok, code};
  for (const Operation& operation : record.operations) {
    std::string payload;
    for (const PostHook* hook : Of(operation.kind).after) {
      if (payload.empty()) payload = PayloadOf(operation);
      const uint32_t id = *MessageOf(operation.kind);
      Tell(*hook, ServerRequest{origin.connection, id, payload, origin.peer, origin.user}, outcome);
    }
    for (const OperationPostHook& hook : hooks_->after_operations) Tell(hook, ToView(origin, operation), outcome);
  }
  const auto found = messages_.find(record.message_id);
  if (found == messages_.end()) return;
  for (const PostHook* hook : found->second.after) {
    Tell(*hook, ServerRequest{origin.connection, record.message_id, record.message_payload, origin.peer, origin.user},
         outcome);
  }
}

}  // namespace bandb::server
