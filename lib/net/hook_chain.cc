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

Reply RefusalReply(const Protocol& protocol, Refusal refusal, std::string* bytes) {
  bytes->clear();
  const uint16_t code = protocol.CodeOf(refusal);
  protocol.AppendError(code, protocol.MessageOf(refusal), bytes);
  return {.head = *bytes, .ok = false, .code = code};
}

bool RunHooksBefore(const Protocol& protocol, const Route& route, RequestView* request, std::string* bytes,
                    Reply* answer, HookTally* tally) {
  for (const PreHook& hook : route.before) {
    HookDecision decision;
    if (!Decide(hook, *request, &decision)) {
      tally->failures++;
      *answer = RefusalReply(protocol, Refusal::kHookFailed, bytes);
      return false;
    }
    switch (decision.verdict) {
      case HookDecision::Verdict::kPass:
        break;
      case HookDecision::Verdict::kModify:
        if (!protocol.Fits(decision.text.size())) {
          *answer = RefusalReply(protocol, Refusal::kFrameTooLong, bytes);
          return false;
        }
        *bytes = std::move(decision.text);
        request->payload = *bytes;
        break;
      case HookDecision::Verdict::kDrop:
        tally->drops++;
        *answer = {.head = protocol.OkReply()};
        return false;
      case HookDecision::Verdict::kReject:
        tally->rejections++;
        bytes->clear();
        protocol.AppendError(decision.code, decision.text, bytes);
        *answer = {.head = *bytes, .ok = false, .code = decision.code};
        return false;
    }
  }
  return true;
}

void RunHooksAfter(const Route& route, const RequestView& request, const Reply& reply, HookTally* tally) {
  for (const PostHook& hook : route.after) {
    try {
      hook(request, reply.ok, reply.code);
    } catch (...) {
      tally->failures++;
    }
  }
}

bool HandleContained(const Route& route, Call& call, HookTally* tally) {
  try {
    route.handler->Handle(call);
    return true;
  } catch (...) {
    tally->failures++;
    return false;
  }
}

}  // namespace bandb::net
