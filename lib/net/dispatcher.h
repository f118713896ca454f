// From a frame to its handler: finds the route, runs the hooks, and takes routes that ask for it to
// a worker.
#ifndef BANDB_NET_DISPATCHER_H_
#define BANDB_NET_DISPATCHER_H_

#include <memory>
#include <string_view>

#include "absl/status/status.h"
#include "base/executor.h"
#include "net/answer_limits.h"
#include "net/connection_host.h"
#include "net/protocol.h"
#include "net/reply_queue.h"
#include "net/router.h"

namespace bandb::net {

class Connection;

// Where replies that come later find their connection.
class Completions {
 public:
  // On the loop. Errors: kNotFound the connection is gone, or has its reply.
  virtual absl::Status Complete(const Ticket& ticket, Reply reply) = 0;
  // On the loop, before that: what the post-hooks will be told. Nothing if the connection is gone.
  virtual void SetAfter(const Ticket& ticket, std::unique_ptr<AfterContext> after) = 0;
  // On the loop. Null if the connection is gone; for use at once.
  virtual Codec* CodecOf(const Ticket& ticket) = 0;
  // On the loop. HOST:PORT of the client; empty if it is gone. For use at once.
  virtual std::string_view PeerOf(const Ticket& ticket) = 0;
  // On the loop. Whether the client is gone, or will at least send nothing more: then nothing
  // should be waited for on its behalf.
  virtual bool HasEnded(const Ticket& ticket) = 0;

 protected:
  ~Completions() = default;
};

// Thread safety: the loop's thread. Lifetime: borrows everything; must outlive the work it has on
// workers.
class Dispatcher {
 public:
  // `executor` may be null if no route asks for a worker.
  Dispatcher(ConnectionHost* host, base::Executor* executor, Completions* completions, AnswerLimits* limits)
      : host_(host), executor_(executor), completions_(completions), limits_(limits) {}

  enum class Started : uint8_t {
    kYes,       // or answered why not
    kLaneBusy,  // it must wait for what is unanswered before it
    kGateClosed,
  };
  Started Start(Connection& connection, const Frame& frame);
  // Tells the post-hooks of a deferred request how it ended.
  void RunAfter(const Connection& connection, const AfterContext& context, const Reply& reply);

  // Requests that a worker has not given back.
  int work_on_workers() const { return work_on_workers_; }

 private:
  class LoopCall;
  class WorkerCall;
  struct WorkerRequest;

  void StartOnWorker(Connection& connection, const Route& route, const RequestView& request);
  void RunOnWorker(WorkerRequest* work);
  void FinishWork(WorkerRequest* work);

  ConnectionHost* const host_;
  base::Executor* const executor_;
  Completions* const completions_;
  AnswerLimits* const limits_;
  int work_on_workers_ = 0;
};

}  // namespace bandb::net

#endif  // BANDB_NET_DISPATCHER_H_
