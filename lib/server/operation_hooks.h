// The host's hooks on operations: run over commands, whatever protocol they came by.
#ifndef BANDB_SERVER_OPERATION_HOOKS_H_
#define BANDB_SERVER_OPERATION_HOOKS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "bandb/server.h"
#include "bandb/server_hooks.h"
#include "base/clock.h"
#include "server/commands.h"
#include "server/hook_ruling.h"
#include "server/hook_timer.h"
#include "server/hook_watch.h"
#include "server/service_counters.h"

namespace bandb::server {

// Whose request it is. Lifetime: a view.
struct Origin {
  uint64_t connection = 0;
  std::string_view peer{};
  std::string_view user{};
};

// A message that is not an operation itself. An id of 0: there is none.
struct MessageView {
  uint32_t id = 0;
  std::string_view payload{};
};

// What post-hooks will be told of a request: a copy, since its bytes are gone by then.
struct HookRecord {
  uint64_t connection = 0;
  std::string peer;
  std::string user;
  uint32_t message_id = 0;
  std::string bytes;  // what the views below lie in
  std::string_view message_payload;
  std::vector<Operation> operations;
};

// What pre-hooks may make of a request.
struct HookBounds {
  size_t payload_bytes_max = 0;
  size_t operations_max = 0;  // and conditions, of a batch to which they add some
};

// Thread safety: one loop's thread, but for AddTo and JudgeOperations.
// Lifetime: borrows everything.
class OperationHooks {
 public:
  // `spot`: where its loop notes what it is within.
  OperationHooks(const ServerHooks* hooks, ServiceCounters* counters, base::Clock* clock, HookSpot* spot);

  // Runs the hooks in front. False if they ended the request: `ending` is how. A single command to
  // which they add operations is a batch afterwards.
  bool RunBefore(const Origin& origin, const HookBounds& bounds, MessageView* message, ModifiedBytes* modified,
                 Outcome* ending);
  bool RunBefore(const Origin& origin, const HookBounds& bounds, Command* command, ModifiedBytes* modified,
                 Outcome* ending);

  // Whether there are hooks before operations of any kind.
  bool JudgeOperations() const;

  // Null if no hook wants to know.
  std::unique_ptr<HookRecord> MakeRecord(const Origin& origin, const MessageView& message,
                                         absl::Span<const Operation> operations) const;
  void RunAfter(const HookRecord& record, bool ok, uint16_t code);

  // What pre-hooks took since this was last asked, as far as they were timed.
  int64_t TakeSpentNanos() { return std::exchange(spent_nanos_, 0); }
  // Adds to the histograms of their hook, which are made if need be. From any thread.
  void AddTo(std::vector<HookLatency>* latencies) const;

 private:
  static constexpr size_t kKinds = 5;
  enum class Verdict : uint8_t { kGoOn, kDropped, kEnded };
  // A request while hooks judge its operations.
  struct Judging {
    const Origin& origin;
    size_t one_bytes_max;  // what hooks may make of one operation
    size_t all_bytes_max;  // and of all of the request
    size_t emitted_max;
    ModifiedBytes* modified;
    Outcome* ending;
    // What hooks have added, each with the number of the operation that it follows.
    std::vector<Operation> emitted{};
    std::vector<size_t> places{};
    bool dropped = false;  // one of its operations, or conditions
  };

  template <typename Hook>
  struct Timed {
    const Hook* hook = nullptr;
    HookTimer* timer = nullptr;
    HookFailurePolicy on_failure = HookFailurePolicy::kReject;  // of a pre-hook
  };
  struct OfKind {
    std::vector<Timed<PreHook>> before;
    std::vector<Timed<PostHook>> after;
  };

  OfKind& Of(OperationKind kind) { return kinds_[static_cast<size_t>(kind)]; }
  const OfKind& Of(OperationKind kind) const { return kinds_[static_cast<size_t>(kind)]; }
  bool WantsBefore(OperationKind kind) const;
  bool WantsAfter(OperationKind kind) const;

  // `payload` is that of a message of its own if it is known, else empty.
  Verdict Judge(Judging* judging, Operation* operation, std::string_view payload);
  // False: the request has ended. `bytes` are those of all of it, and become those of what hooks
  // made of it.
  bool JudgeConditions(Judging* judging, std::vector<Condition>* conditions, size_t* bytes);
  // Likewise, of what comes last.
  bool JudgeAll(Judging* judging, std::vector<Operation>* operations, size_t* bytes);
  // False: they are more than they may be.
  static bool AddBytes(Judging* judging, size_t before_bytes, size_t after_bytes, size_t* bytes);
  // Asks one hook, and has `follow` do what it says.
  template <typename Hook, typename View, typename Follow>
  Verdict Ask(const Timed<Hook>& hook, const View& view, Outcome* ending, Follow follow);
  Verdict Heed(Ruling ruling, HookFailurePolicy on_failure, Failure failure, Outcome* ending);
  template <typename Hook, typename View>
  void Tell(const Timed<Hook>& hook, const View& view, const ServerOutcome& outcome);
  // `what`: a message, or "operations".
  HookTimer* AddTimer(std::string_view when, std::string_view what);
  // False if the call threw. Adds to `spent_nanos` if it was timed.
  template <typename Call>
  bool RunContained(HookTimer* timer, int64_t* spent_nanos, Call call);

  ServiceCounters* const counters_;
  base::Clock* const clock_;
  HookSpot* const spot_;
  int64_t spent_nanos_ = 0;
  std::deque<HookTimer> timers_;  // does not change once it is made
  std::vector<Timed<OperationHook>> before_operations_;
  std::vector<Timed<OperationPostHook>> after_operations_;
  std::array<OfKind, kKinds> kinds_;
  std::map<uint32_t, OfKind> messages_;  // those that are not operations themselves
};

// The operations of a command, as views of it.
absl::Span<const Operation> OperationsOf(const Command& command);

}  // namespace bandb::server

#endif  // BANDB_SERVER_OPERATION_HOOKS_H_
