#include "server/operation_hooks.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "base/status.h"
#include "proto/message_id.h"
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

ServerOperation ToView(const Origin& origin, const Operation& operation, base::Clock* clock) {
  ServerOperation view;
  view.connection = origin.connection;
  view.peer = origin.peer;
  view.user = origin.user;
  view.kind = operation.kind;
  view.key = operation.key;
  (operation.IsRange() ? view.limit : view.value) = operation.value;
  view.time_to_live = operation.time_to_live;
  if (operation.expiry != absl::InfiniteFuture()) {
    const absl::Duration left = operation.expiry - absl::FromUnixMillis(clock->WallMillis());
    view.time_to_live = std::max(absl::ZeroDuration(), left);
  }
  return view;
}

// Each of the emitted ones after the operation with its number.
std::vector<Operation> Merge(absl::Span<const Operation> operations, absl::Span<const Operation> emitted,
                             absl::Span<const size_t> places) {
  std::vector<Operation> merged;
  merged.reserve(operations.size() + emitted.size());
  size_t next = 0;
  for (size_t i = 0; i < operations.size(); ++i) {
    merged.push_back(operations[i]);
    for (; next < emitted.size() && places[next] == i; ++next) merged.push_back(emitted[next]);
  }
  return merged;
}

size_t BytesOf(absl::Span<const Operation> operations) {
  size_t bytes = 0;
  for (const Operation& operation : operations) bytes += operation.ByteSize();
  return bytes;
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
      of->before.push_back({&entry.hook, AddTimer("before", FindMessage(entry.message_id)->name), entry.on_failure});
    }
  }
  for (const PostHookEntry& entry : hooks->after) {
    if (OfKind* of = place(entry.message_id)) {
      of->after.push_back({&entry.hook, AddTimer("after", FindMessage(entry.message_id)->name)});
    }
  }
  for (const OperationHookEntry& entry : hooks->before_operations) {
    before_operations_.push_back({&entry.hook, AddTimer("before", "operations"), entry.on_failure});
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

bool OperationHooks::JudgeOperations() const {
  const auto has_some = [](const OfKind& of) { return !of.before.empty(); };
  return !before_operations_.empty() || std::any_of(kinds_.begin(), kinds_.end(), has_some);
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

template <typename Hook, typename View, typename Follow>
OperationHooks::Verdict OperationHooks::Ask(const Timed<Hook>& hook, const View& view, Outcome* ending, Follow follow) {
  HookResult result = HookResult::Pass();
  if (!RunContained(hook.timer, &spent_nanos_, [&] { result = (*hook.hook)(view); })) {
    if (hook.on_failure == HookFailurePolicy::kPass) return Verdict::kGoOn;
    ending->failure = ToFailure(net::Refusal::kHookFailed);
    return Verdict::kEnded;
  }
  const bool routes = result.verdict() == HookResult::Verdict::kRoute;
  const size_t emissions = result.emitted().size();
  Failure failure;
  const Ruling ruling = follow(std::move(result), &failure);
  if (ruling == Ruling::kGoOn) {
    if (routes) counters_->hook_routes.Add();
    if (emissions > 0) counters_->hook_emissions.Add(emissions);
    return Verdict::kGoOn;
  }
  return Heed(ruling, hook.on_failure, std::move(failure), ending);
}

OperationHooks::Verdict OperationHooks::Heed(Ruling ruling, HookFailurePolicy on_failure, Failure failure,
                                             Outcome* ending) {
  switch (ruling) {
    case Ruling::kGoOn:
      return Verdict::kGoOn;
    case Ruling::kDropped:
      counters_->hook_drops.Add();
      return Verdict::kDropped;
    case Ruling::kRejected:
      counters_->hook_rejections.Add();
      break;
    case Ruling::kOverLimit:
      break;
    case Ruling::kNonsense:
      if (on_failure == HookFailurePolicy::kPass) {
        counters_->hook_failures.Add();
        return Verdict::kGoOn;
      }
      // As if the client had sent it.
      (failure.code == MalformedFailure().code ? counters_->malformed : counters_->hook_failures).Add();
      break;
  }
  ending->failure = std::move(failure);
  return Verdict::kEnded;
}

bool OperationHooks::RunBefore(const Origin& origin, const HookBounds& bounds, MessageView* message,
                               ModifiedBytes* modified, Outcome* ending) {
  if (messages_.empty()) return true;
  const auto found = messages_.find(message->id);
  if (found == messages_.end()) return true;
  for (const Timed<PreHook>& hook : found->second.before) {
    const ServerRequest view{origin.connection, message->id, message->payload, origin.peer, origin.user};
    const Verdict verdict = Ask(hook, view, ending, [&](HookResult result, Failure* failure) {
      return Follow(std::move(result), bounds.payload_bytes_max, &message->payload, modified, failure);
    });
    if (verdict != Verdict::kGoOn) return false;
  }
  return true;
}

OperationHooks::Verdict OperationHooks::Judge(Judging* judging, Operation* operation, std::string_view payload) {
  JudgedOperation judged{operation, payload, &judging->emitted, judging->emitted_max};
  const Origin& origin = judging->origin;
  // What a hook made is what the next one sees.
  const auto follow = [&](HookResult result, Failure* failure) {
    return Follow(std::move(result), judging->one_bytes_max, &judged, judging->modified, failure);
  };
  const std::optional<uint32_t> id = MessageOf(operation->kind);
  for (const Timed<PreHook>& hook : Of(operation->kind).before) {
    if (judged.payload.empty()) judged.payload = judging->modified->emplace_back(PayloadOf(*operation));
    const ServerRequest view{origin.connection, *id, judged.payload, origin.peer, origin.user};
    if (const Verdict verdict = Ask(hook, view, judging->ending, follow); verdict != Verdict::kGoOn) return verdict;
  }
  for (const Timed<OperationHook>& hook : before_operations_) {
    const Verdict verdict = Ask(hook, ToView(origin, *operation, clock_), judging->ending, follow);
    if (verdict != Verdict::kGoOn) return verdict;
  }
  return Verdict::kGoOn;
}

bool OperationHooks::AddBytes(Judging* judging, size_t before_bytes, size_t after_bytes, size_t* bytes) {
  *bytes += after_bytes - before_bytes;
  if (*bytes <= judging->all_bytes_max) return true;
  judging->ending->failure = ToFailure(net::Refusal::kFrameTooLong);
  return false;
}

bool OperationHooks::JudgeAll(Judging* judging, std::vector<Operation>* operations, size_t* bytes) {
  for (size_t i = 0; i < operations->size(); ++i) {
    Operation& operation = (*operations)[i];
    if (!WantsBefore(operation.kind)) continue;
    const size_t before_bytes = operation.ByteSize();
    const size_t before_emitted = judging->emitted.size();
    const Verdict verdict = Judge(judging, &operation, {});
    if (verdict == Verdict::kEnded) return false;
    if (verdict == Verdict::kDropped) judging->dropped = true;
    const size_t emitted_bytes = BytesOf(absl::MakeConstSpan(judging->emitted).subspan(before_emitted));
    if (!AddBytes(judging, before_bytes, operation.ByteSize() + emitted_bytes, bytes)) return false;
    judging->places.resize(judging->emitted.size(), i);
  }
  if (judging->dropped) return false;
  if (!judging->emitted.empty()) *operations = Merge(*operations, judging->emitted, judging->places);
  return true;
}

bool OperationHooks::JudgeConditions(Judging* judging, std::vector<Condition>* conditions, size_t* bytes) {
  if (!WantsBefore(OperationKind::kGet)) return true;
  for (Condition& condition : *conditions) {
    Operation get{.kind = OperationKind::kGet, .key = condition.key};
    const Verdict verdict = Judge(judging, &get, {});
    if (verdict == Verdict::kEnded) return false;
    if (verdict == Verdict::kDropped) judging->dropped = true;
    if (!AddBytes(judging, condition.key.size(), get.key.size(), bytes)) return false;
    condition.key = get.key;
  }
  return true;
}

bool OperationHooks::RunBefore(const Origin& origin, const HookBounds& bounds, Command* command,
                               ModifiedBytes* modified, Outcome* ending) {
  const size_t bytes_max = bounds.payload_bytes_max;
  Judging judging{origin, bytes_max, bytes_max, 0, modified, ending};
  const auto leave_room = [&](size_t count) {
    judging.emitted_max = bounds.operations_max - std::min(bounds.operations_max, count);
  };
  if (auto* batch = std::get_if<BatchCommand>(command)) {
    if (batch->bytes_max != 0) judging.all_bytes_max = batch->bytes_max;
    leave_room(batch->conditions.size() + batch->operations.size());
    if (!batch->conditions_shown && !JudgeConditions(&judging, &batch->conditions, &batch->bytes)) return false;
    return JudgeAll(&judging, &batch->operations, &batch->bytes);
  }
  if (auto* transaction = std::get_if<TransactionCommand>(command)) {
    return JudgeAll(&judging, &transaction->reads, &transaction->argument_bytes);
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
  leave_room(1);
  const std::string_view payload = single != nullptr ? single->payload : std::string_view();
  if (Judge(&judging, operation, payload) != Verdict::kGoOn) return false;
  if (judging.emitted.empty()) return true;
  BatchCommand batch;
  batch.operations = std::move(judging.emitted);
  batch.operations.insert(batch.operations.begin(), *operation);
  if (!AddBytes(&judging, 0, BytesOf(batch.operations), &batch.bytes)) return false;
  *command = std::move(batch);
  return true;
}

std::unique_ptr<HookRecord> OperationHooks::MakeRecord(const Origin& origin, const MessageView& message,
                                                       absl::Span<const Operation> operations) const {
  const auto found = messages_.empty() ? messages_.end() : messages_.find(message.id);
  const bool of_message = found != messages_.end() && !found->second.after.empty();
  size_t bytes = of_message ? message.payload.size() : 0;
  size_t count = 0;
  for (const Operation& operation : operations) {
    if (operation.emitted || !WantsAfter(operation.kind)) continue;
    bytes += operation.ByteSize();
    ++count;
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
    if (operation.emitted || !WantsAfter(operation.kind)) continue;
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
    for (const Timed<OperationPostHook>& hook : after_operations_)
      Tell(hook, ToView(origin, operation, clock_), outcome);
  }
  const auto found = messages_.find(record.message_id);
  if (found == messages_.end()) return;
  for (const Timed<PostHook>& hook : found->second.after) {
    Tell(hook, ServerRequest{origin.connection, record.message_id, record.message_payload, origin.peer, origin.user},
         outcome);
  }
}

}  // namespace bandb::server
