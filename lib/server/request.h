// A request that is being handled: where its outcome goes, at once or later.
#ifndef BANDB_SERVER_REQUEST_H_
#define BANDB_SERVER_REQUEST_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <utility>

#include "absl/time/time.h"
#include "bandb/server.h"
#include "base/executor.h"
#include "net/dispatcher.h"
#include "net/quota.h"
#include "net/router.h"
#include "server/codec.h"
#include "server/commands.h"
#include "server/operation_hooks.h"
#include "server/request_mark.h"
#include "server/request_times.h"
#include "server/service_counters.h"

namespace bandb::server {

class DurableReplies;

// What the handlers of one loop share. Lifetime: borrows.
struct RequestContext {
  net::Completions* completions = nullptr;
  ServiceCounters* counters = nullptr;
  OperationHooks* hooks = nullptr;
  RequestTimes* times = nullptr;
  net::Quota* quota = nullptr;
  base::Executor* readers = nullptr;  // for reads that may wait for a disk
  DurableReplies* durable = nullptr;  // null: replies may show what is not durable yet
  const Audit* audit = nullptr;       // may be null, or empty
  int64_t memory_bytes_max = 0;
  // How long a request waits for a store that cannot serve it.
  absl::Duration store_timeout = absl::InfiniteDuration();

  void Record(const AuditEvent& event) const {
    if (audit != nullptr && *audit != nullptr) (*audit)(event);
  }
  // No more may be produced for now.
  bool MemoryIsFull() const { return quota->memory_bytes.load(std::memory_order_relaxed) >= memory_bytes_max; }
};

// A request whose outcome comes later. To be completed once, also when its client is gone.
struct Pending {
  net::Ticket ticket;
  std::unique_ptr<HookRecord> record;  // null: no post-hook wants to know
  RequestMark mark{};                  // submitted when it was deferred, unless a path knows better
  // On the loop, right before the reply is made: once it has succeeded, if its client is there.
  std::function<void(Codec* codec)> done{};
};

// Tells the post-hooks and then, if it is still there, the client. The outcome may be used again if
// it is a failure, or has no answer.
void Complete(const RequestContext& context, const Pending& pending, Outcome* outcome);
// Likewise, but not before what the outcome saw is durable, if it `saw_undurable` writes and that
// matters.
void CompleteDurably(const RequestContext& context, Pending pending, Outcome outcome, bool saw_undurable);

// Lives as long as the call.
class Request {
 public:
  Request(const RequestContext& context, net::Call& call, const MessageView& message)
      : context_(context), call_(call), message_(message) {
    mark_.since_nanos = call.request().since_nanos;
    mark_.protocol = codec().protocol();
  }
  Request(const Request&) = delete;
  Request& operator=(const Request&) = delete;

  Codec& codec() { return static_cast<Codec&>(*call_.codec()); }
  Origin origin() const;
  // Earlier requests of the same connection and lane are still unanswered.
  bool behind_others() const { return call_.behind_others(); }
  // What post-hooks are told of; views of it must live as long as this.
  void SetOperations(absl::Span<const Operation> operations) {
    operations_ = operations;
    if (!operations.empty() && context_.times->KeepsKeys()) mark_.Keep(operations.front().key);
  }
  void SetMessage(const MessageView& message) { message_ = message; }
  // What it turned out to be, and how long pre-hooks took.
  RequestMark* mark() { return &mark_; }

  // Exactly one of these, once. Pre-hooks ended it: post-hooks are not told.
  void End(Outcome outcome) { Answer(std::move(outcome), nullptr); }
  void Answer(Outcome outcome) { Answer(std::move(outcome), MakeRecord().get()); }
  // `held_bytes` count as in flight until the outcome is there.
  Pending Defer(size_t held_bytes);

 private:
  void Answer(Outcome outcome, const HookRecord* record);
  std::unique_ptr<HookRecord> MakeRecord() const;

  const RequestContext& context_;
  net::Call& call_;
  MessageView message_;
  absl::Span<const Operation> operations_;
  RequestMark mark_;
};

}  // namespace bandb::server

#endif  // BANDB_SERVER_REQUEST_H_
