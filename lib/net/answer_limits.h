// Requests of routes on workers that are to be answered within a time.
//
// Nothing can end a handler that does not return, but its client need not wait for that: at the
// limit the request is refused. With this its ticket is used up, and an answer that comes later is
// dropped. What was on its way to the loop by then comes in time, and where the loop did not run
// the request gets that much longer, once, and no longer than its limit.
#ifndef BANDB_NET_ANSWER_LIMITS_H_
#define BANDB_NET_ANSWER_LIMITS_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <utility>

#include "base/event_loop.h"
#include "net/reply.h"

namespace bandb::net {

// Thread safety: the loop's thread. Lifetime: borrows the loop.
class AnswerLimits {
 public:
  // What has taken longer than it may.
  struct Overrun {
    Ticket ticket;
    uint32_t message_id = 0;
    int64_t limit_nanos = 0;
    bool has_begun = false;   // else no worker came to it, and none will run it
    bool unanswered = false;  // it is to be refused now
    bool is_lost = false;     // it has not returned: TakeBack tells when it has
  };
  using OnOverrun = std::function<void(const Overrun& overrun)>;

  AnswerLimits(base::EventLoop* loop, OnOverrun on_overrun) : loop_(loop), on_overrun_(std::move(on_overrun)) {}
  ~AnswerLimits();
  AnswerLimits(const AnswerLimits&) = delete;
  AnswerLimits& operator=(const AnswerLimits&) = delete;

  // So many wait in vain where all workers are lost; beyond this no more should come.
  static constexpr size_t kCancelledMax = 1000;
  bool IsFull() const { return cancelled_ >= kCancelledMax; }
  // A request that waits for a worker now. `cancel` keeps it from being run, or answers false since
  // it runs; it is not called once the request has been taken back.
  void Add(const Ticket& ticket, uint32_t message_id, int64_t limit_nanos, std::function<bool()> cancel);
  // It came back from there, before its answer if it brings one. True: it had been lost.
  bool TakeBack(const Ticket& ticket);
  // Before each answer to whatever request. False: it was refused, and this comes too late.
  bool MayAnswer(const Ticket& ticket);

 private:
  // Of a connection, and its place there.
  using Key = std::pair<uint64_t, uint64_t>;
  struct Limited {
    Overrun overrun;  // as it is now
    std::function<bool()> cancel;
    bool on_worker = true;
    bool passed = false;
    bool forgiven = false;  // it got longer
    int64_t due_nanos = 0;
    base::TimerId timer = base::kNoTimer;
  };
  using Requests = std::map<Key, Limited>;

  static Key KeyOf(const Ticket& ticket);
  void StartTimer(Requests::iterator request, int64_t nanos);
  void ComeDue(const Key& key);
  // Unless it has been forgotten since it came due.
  void Pass(const Key& key);
  void Forget(Requests::iterator request);

  base::EventLoop* const loop_;
  const OnOverrun on_overrun_;
  // Each until it has been taken back and its answer, if there is to be one, has come.
  Requests requests_;
  size_t cancelled_ = 0;  // of them, not taken back
  const std::shared_ptr<const bool> alive_ = std::make_shared<const bool>(true);
};

}  // namespace bandb::net

#endif  // BANDB_NET_ANSWER_LIMITS_H_
