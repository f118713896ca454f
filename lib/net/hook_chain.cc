#include "net/hook_chain.h"

#include <utility>

namespace bandb::net {

namespace {

// False if the hook threw.
bool Decide(const PreHook& hook, const RequestView& request, HookDecision* decision) {
  try {
    *decision = hook(request);
    return true;
  } catch (...) {
    return false;
  }
}

}  // namespace

void HookTally::AddTo(Counters* counters) const {
  counters->hook_failures.Add(failures);
  counters->hook_drops.Add(drops);
  counters->hook_rejections.Add(rejections);
}

Reply RefusalReply(const Codec& codec, Refusal refusal, std::string* bytes) {
  bytes->clear();
  const uint16_t code = codec.CodeOf(refusal);
  codec.AppendError(code, codec.MessageOf(refusal), bytes);
  return {.head = *bytes, .ok = false, .code = code};
}

Reply ToReply(const Codec& codec, const HookEnding& ending, std::string* bytes) {
  switch (ending.kind) {
    case HookEnding::Kind::kRefused:
      return RefusalReply(codec, ending.refusal, bytes);
    case HookEnding::Kind::kRejected:
      bytes->clear();
      codec.AppendError(ending.code, ending.text, bytes);
      return {.head = *bytes, .ok = false, .code = ending.code};
    default:
      return {.head = codec.OkReply()};
  }
}

HookEnding RunHooksBefore(const Route& route, size_t payload_bytes_max, RequestView* request, std::string* bytes,
                          HookTally* tally) {
  for (const PreHook& hook : route.before) {
    HookDecision decision;
    if (!Decide(hook, *request, &decision)) {
      ++tally->failures;
      return {.kind = HookEnding::Kind::kRefused, .refusal = Refusal::kHookFailed};
    }
    switch (decision.verdict) {
      case HookDecision::Verdict::kPass:
        break;
      case HookDecision::Verdict::kModify:
        if (decision.text.size() > payload_bytes_max) {
          return {.kind = HookEnding::Kind::kRefused, .refusal = Refusal::kFrameTooLong};
        }
        *bytes = std::move(decision.text);
        request->payload = *bytes;
        break;
      case HookDecision::Verdict::kDrop:
        ++tally->drops;
        return {.kind = HookEnding::Kind::kDropped};
      case HookDecision::Verdict::kReject:
        ++tally->rejections;
        return {.kind = HookEnding::Kind::kRejected, .code = decision.code, .text = std::move(decision.text)};
    }
  }
  return {};
}

void RunHooksAfter(const Route& route, const RequestView& request, const Reply& reply, HookTally* tally) {
  for (const PostHook& hook : route.after) {
    try {
      hook(request, reply.ok, reply.code);
    } catch (...) {
      ++tally->failures;
    }
  }
}

bool HandleContained(const Route& route, Call& call, HookTally* tally) {
  try {
    route.handler->Handle(call);
    return true;
  } catch (...) {
    ++tally->failures;
    return false;
  }
}

}  // namespace bandb::net
