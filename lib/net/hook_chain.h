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

// Runs the hooks in front. They may put another payload in `request`, which is then kept in
// `bytes`. True: go on. False: `answer` is the reply, its bytes in `bytes`.
bool RunHooksBefore(const Protocol& protocol, const Route& route, RequestView* request, std::string* bytes,
                    Reply* answer, HookTally* tally);
void RunHooksAfter(const Route& route, const RequestView& request, const Reply& reply, HookTally* tally);
// False if the handler threw.
bool HandleContained(const Route& route, Call& call, HookTally* tally);

// The reply that refuses a request, its bytes in `bytes`.
Reply RefusalReply(const Protocol& protocol, Refusal refusal, std::string* bytes);

}  // namespace bandb::net

#endif  // BANDB_NET_HOOK_CHAIN_H_
