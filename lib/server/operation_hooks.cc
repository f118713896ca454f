#include "server/operation_hooks.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "base/status.h"
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

OperationHooks::OperationHooks(const ServerHooks* hooks, ServiceCounters* counters, base::Clock* clock, HookSpot* spot)
    : counters_(counters), clock_(clock), spot_(spot) {
  // Those on the host's routes are BanNet's.
  const auto place = [this](uint32_t id) -> OfKind* {
    if (FindMessage(id) == nullptr) return nullptr;
    const std::optional<OperationKind> kind = KindOf(id);
    return kind.has_value() ? &Of(*kind) : &messages_[id];
  };
  for (const PreHookEntry& entry : hooks->before) {
    if (OfKind* of = place(entry.message_id)) {
      of->before.push_back({&entry.hook, AddTimer("before", FindMessage(entry.message_id)->name)});
    }
  }
  for (const PostHookEntry& entry : hooks->after) {
    if (OfKind* of = place(entry.message_id)) {
      of->after.push_back({&entry.hook, AddTimer("after", FindMessage(entry.message_id)->name)});
    }
  }
  for (const OperationHook& hook : hooks->before_operations) {
    before_operations_.push_back({&hook, AddTimer("before", "operations")});
  }
  for (const OperationPostHook& hook : hooks->after_operations) {
    after_operations_.push_back({&hook, AddTimer("after", "operations")});
  }
}

HookTimer* OperationHooks::AddTimer(std::string_view when, std::string_view what) {
  const std::string stem = fmt::format("{} {} ", when, absl::AsciiStrToLower(std::string(what)));
  const auto number = 1 + std::count_if(timers_.begin(), timers_.end(),
                                        [&stem](const HookTimer& timer) { return timer.name().starts_with(stem); });
  return &timers_.emplace_back(fmt::format("{}{}", stem, number));
}

void OperationHooks::AddTo(std::vector<HookLatency>* latencies) const {
  for (const HookTimer& timer : timers_) {
    auto found = std::find_if(latencies->begin(), latencies->end(),
                              [&timer](const HookLatency& one) { return one.hook == timer.name(); });
    if (found == latencies->end()) found = latencies->insert(found, {timer.name(), {}});
    timer.recorder().AddTo(&found->histogram);
  }
}

bool OperationHooks::WantsBefore(OperationKind kind) const {
  return !Of(kind).before.empty() || !before_operations_.empty();
}

bool OperationHooks::WantsAfter(OperationKind kind) const {
  return !Of(kind).after.empty() || !after_operations_.empty();
}

template <typename Call>
bool OperationHooks::RunContained(HookTimer* timer, int64_t* spent_nanos, Call call) {
  const bool is_timed = timer->IsDue();
  const int64_t begin_nanos = is_timed ? clock_->MonotonicNanos() : 0;
  bool returned = false;
  try {
    const HookSpot::Within within(spot_, &timer->name());
    call();
    returned = true;
  } catch (...) {
    counters_->hook_failures.Add();
  }
  if (is_timed) {
    const int64_t nanos = clock_->MonotonicNanos() - begin_nanos;
    timer->Add(nanos);
    *spent_nanos += nanos;
  }
  return returned;
}

template <typename Hook, typename View>
bool OperationHooks::Ask(const Timed<Hook>& hook, const View& view, HookResult* result) {
  return RunContained(hook.timer, &spent_nanos_, [&] { *result = (*hook.hook)(view); });
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
  for (const Timed<PreHook>& hook : found->second.before) {
    HookResult result = HookResult::Pass();
    if (!Ask(hook, ServerRequest{origin.connection, message->id, message->payload, origin.peer, origin.user},
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
  for (const Timed<PreHook>& hook : Of(operation->kind).before) {
    if (payload.empty()) payload = modified->emplace_back(PayloadOf(*operation));
    if (!Ask(hook, ServerRequest{origin.connection, *id, payload, origin.peer, origin.user}, &result)) return failed();
    if (const Verdict verdict = heed(std::move(result)); verdict != Verdict::kGoOn) return verdict;
  }
  for (const Timed<OperationHook>& hook : before_operations_) {
    if (!Ask(hook, ToView(origin, *operation), &result)) return failed();
    if (const Verdict verdict = heed(std::move(result)); verdict != Verdict::kGoOn) return verdict;
  }
  return Verdict::kGoOn;
}

bool OperationHooks::JudgeAll(const Origin& origin, const BytesMax& bytes_max, absl::Span<Operation> operations,
                              size_t* bytes, ModifiedBytes* modified, Outcome* ending) {
  bool dropped = false;
  for (Operation& operation : operations) {
    if (!WantsBefore(operation.kind)) continue;
    const size_t before_bytes = operation.ByteSize();
    switch (Judge(origin, bytes_max.of_one, &operation, {}, modified, ending)) {
      case Verdict::kGoOn:
        break;
      case Verdict::kDropped:
        dropped = true;
        break;
      case Verdict::kEnded:
        return false;
    }
    *bytes += operation.ByteSize() - before_bytes;
    if (*bytes > bytes_max.of_all) {
      ending->failure = ToFailure(net::Refusal::kFrameTooLong);
      return false;
    }
  }
  return !dropped;
}

bool OperationHooks::RunBefore(const Origin& origin, size_t payload_bytes_max, Command* command,
                               ModifiedBytes* modified, Outcome* ending) {
  if (auto* batch = std::get_if<BatchCommand>(command)) {
    const size_t bytes_max = batch->bytes_max == 0 ? payload_bytes_max : batch->bytes_max;
    return JudgeAll(origin, {payload_bytes_max, bytes_max}, absl::MakeSpan(batch->operations), &batch->bytes, modified,
                    ending);
  }
  if (auto* transaction = std::get_if<TransactionCommand>(command)) {
    return JudgeAll(origin, {payload_bytes_max, payload_bytes_max}, absl::MakeSpan(transaction->reads),
                    &transaction->argument_bytes, modified, ending);
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
void OperationHooks::Tell(const Timed<Hook>& hook, const View& view, const ServerOutcome& outcome) {
  int64_t after_nanos = 0;
  (void)RunContained(hook.timer, &after_nanos, [&] { (*hook.hook)(view, outcome); });
}

void OperationHooks::RunAfter(const HookRecord& record, bool ok, uint16_t code) {
  const Origin origin{record.connection, record.peer, record.user};
  const ServerOutcome outcome{ok, code};
  for (const Operation& operation : record.operations) {
    std::string payload;
    for (const Timed<PostHook>& hook : Of(operation.kind).after) {
      if (payload.empty()) payload = PayloadOf(operation);
      const uint32_t id = *MessageOf(operation.kind);
      Tell(hook, ServerRequest{origin.connection, id, payload, origin.peer, origin.user}, outcome);
    }
    for (const Timed<OperationPostHook>& hook : after_operations_) Tell(hook, ToView(origin, operation), outcome);
  }
  const auto found = messages_.find(record.message_id);
  if (found == messages_.end()) return;
  for (const Timed<PostHook>& hook : found->second.after) {
    Tell(hook, ServerRequest{origin.connection, record.message_id, record.message_payload, origin.peer, origin.user},
         outcome);
  }
}

}  // namespace bandb::server
