#include "server/hook_ruling.h"

#include <algorithm>
#include <utility>

#include "proto/frame.h"
#include "proto/message_id.h"
#include "proto/request.h"
#include "server/frame_codec.h"

namespace bandb::server {

namespace {

bool HasValue(OperationKind kind) { return kind != OperationKind::kGet && kind != OperationKind::kDelete; }

bool MayBeEmitted(OperationKind kind) {
  return kind == OperationKind::kPut || kind == OperationKind::kDelete || kind == OperationKind::kDeleteRange;
}

size_t PayloadBytesOf(const Operation& operation) {
  return operation.ByteSize() + (HasValue(operation.kind) ? 2 : 1) * sizeof(uint32_t);
}

// As what is kept of it.
size_t PayloadBytesOf(const EmittedOperation& emitted) {
  Operation kept{.kind = emitted.kind, .key = emitted.key};
  if (HasValue(kept.kind)) kept.value = emitted.value;
  return PayloadBytesOf(kept);
}

bool TakePayload(std::string_view payload, Operation* operation) {
  if (HasValue(operation->kind)) return proto::DecodePut(payload, &operation->key, &operation->value);
  return proto::DecodeKey(payload, &operation->key);
}

// A read has no batch that something could be added to.
bool MakesSense(const HookResult& result, const Operation& operation) {
  if (result.verdict() == HookResult::Verdict::kRoute && operation.IsRange()) return false;
  if (result.emitted().empty()) return true;
  return MayBeEmitted(operation.kind) &&
         std::all_of(result.emitted().begin(), result.emitted().end(),
                     [](const EmittedOperation& emitted) { return MayBeEmitted(emitted.kind); });
}

// Of the verdicts that end a request.
Ruling FollowEnding(HookResult* result, Failure* failure) {
  if (result->verdict() == HookResult::Verdict::kDrop) return Ruling::kDropped;
  if (result->verdict() != HookResult::Verdict::kReject) return Ruling::kGoOn;
  *failure = {result->code(), result->TakeText()};
  return Ruling::kRejected;
}

Ruling OverLimit(Failure why, Failure* failure) {
  *failure = std::move(why);
  return Ruling::kOverLimit;
}

Ruling Nonsense(Failure why, Failure* failure) {
  *failure = std::move(why);
  return Ruling::kNonsense;
}

Operation Keep(EmittedOperation emitted, ModifiedBytes* bytes) {
  Operation kept{.kind = emitted.kind, .key = bytes->emplace_back(std::move(emitted.key)), .emitted = true};
  if (HasValue(kept.kind)) kept.value = bytes->emplace_back(std::move(emitted.value));
  if (kept.kind == OperationKind::kPut) kept.time_to_live = emitted.time_to_live;
  return kept;
}

}  // namespace

std::string PayloadOf(const Operation& operation) {
  if (HasValue(operation.kind)) return EncodePutPayload(operation.key, operation.value);
  std::string frame;
  proto::AppendGet(&frame, operation.key);
  return frame.substr(proto::kFrameHeaderBytes);
}

Ruling Follow(HookResult result, size_t payload_bytes_max, JudgedOperation* judged, ModifiedBytes* bytes,
              Failure* failure) {
  if (const Ruling ending = FollowEnding(&result, failure); ending != Ruling::kGoOn) return ending;
  if (!MakesSense(result, *judged->operation)) return Nonsense(ToFailure(net::Refusal::kHookFailed), failure);
  if (result.emitted().size() > judged->emitted_max - judged->emitted->size()) {
    return OverLimit(
        {ToCode(proto::ErrorCode::kTooLarge), "with what hooks add, more operations than a batch may have"}, failure);
  }
  for (const EmittedOperation& emitted : result.emitted()) {
    if (PayloadBytesOf(emitted) > payload_bytes_max) return OverLimit(ToFailure(net::Refusal::kFrameTooLong), failure);
  }
  Operation changed = *judged->operation;
  std::string_view payload = judged->payload;
  if (result.verdict() == HookResult::Verdict::kModify) {
    if (result.text().size() > payload_bytes_max) return OverLimit(ToFailure(net::Refusal::kFrameTooLong), failure);
    payload = bytes->emplace_back(result.TakeText());
    if (!TakePayload(payload, &changed)) return Nonsense(MalformedFailure(), failure);
  } else if (result.verdict() == HookResult::Verdict::kRoute) {
    changed.key = bytes->emplace_back(result.TakeText());
    payload = {};
    if (PayloadBytesOf(changed) > payload_bytes_max) {
      return OverLimit(ToFailure(net::Refusal::kFrameTooLong), failure);
    }
  }
  *judged->operation = changed;
  judged->payload = payload;
  for (EmittedOperation& emitted : result.TakeEmitted()) {
    judged->emitted->push_back(Keep(std::move(emitted), bytes));
  }
  return Ruling::kGoOn;
}

Ruling Follow(HookResult result, size_t payload_bytes_max, std::string_view* payload, ModifiedBytes* bytes,
              Failure* failure) {
  if (const Ruling ending = FollowEnding(&result, failure); ending != Ruling::kGoOn) return ending;
  if (result.verdict() == HookResult::Verdict::kRoute || !result.emitted().empty()) {
    return Nonsense(ToFailure(net::Refusal::kHookFailed), failure);
  }
  if (result.verdict() != HookResult::Verdict::kModify) return Ruling::kGoOn;
  if (result.text().size() > payload_bytes_max) return OverLimit(ToFailure(net::Refusal::kFrameTooLong), failure);
  *payload = bytes->emplace_back(result.TakeText());
  return Ruling::kGoOn;
}

}  // namespace bandb::server
