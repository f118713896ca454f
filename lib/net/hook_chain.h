// The hooks of a route and its handler, run so that what they throw stays in here.
//
// Hooks are the host's code. BanDB throws nothing itself, but a host may; whatever comes out of a
// hook or handler rejects that one request, is counted, and reaches nobody else.
#ifndef BANDB_NET_HOOK_CHAIN_H_
#define BANDB_NET_HOOK_CHAIN_H_

#include <string>

#include "net/counters.h"
#include "net/protocol.h"
#include "net/reply.h"
#include "net/router.h"

namespace bandb::net {

// What happened in hooks on some thread, to be counted on the loop's.
struct HookTally {
  uint64_t failures = 0;
  uint64_t drops = 0;
  uint64_t rejections = 0;
  void AddTo(Counters* counters) const;
};

// What the hooks in front made of a request; knows no bytes, so that a worker can hand it on.
struct HookEnding {
  enum class Kind : uint8_t { kGoOn, kDropped, kRejected, kRefused };
  Kind kind = Kind::kGoOn;
  Refusal refusal = Refusal::kHookFailed;  // of kRefused
  uint16_t code = 0;                       // of kRejected
  std::string text{};
};

// Runs the hooks in front. They may put another payload in `request`, of at most
// `payload_bytes_max`, which is then kept in `bytes`.
HookEnding RunHooksBefore(const Route& route, size_t payload_bytes_max, RequestView* request, std::string* bytes,
                          HookTally* tally);
// The reply to a request that hooks ended, its bytes in `bytes` or the codec's.
Reply ToReply(const Codec& codec, const HookEnding& ending, std::string* bytes);
void RunHooksAfter(const Route& route, const RequestView& request, const Reply& reply, HookTally* tally);
// False if the handler threw.
bool HandleContained(const Route& route, Call& call, HookTally* tally);

// The reply that refuses a request, its bytes in `bytes`.
Reply RefusalReply(const Codec& codec, Refusal refusal, std::string* bytes);

}  // namespace bandb::net

#endif  // BANDB_NET_HOOK_CHAIN_H_
