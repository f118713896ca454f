// A completion queue of gRPC's and its thread: all that happens to a call happens there, so calls
// need no locks.
#ifndef BANDB_GRPC_POLLER_H_
#define BANDB_GRPC_POLLER_H_

#include <grpcpp/alarm.h>
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/server_builder.h>

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "base/thread.h"
#include "grpc/connections.h"
#include "server/door.h"

namespace bandb::grpc {

class Call;

// What a tag in the completion queue is.
class Event {
 public:
  // The operation succeeded, or not.
  virtual void Run(bool ok) = 0;

 protected:
  ~Event() = default;
};

// An event that is a function of its owner's.
template <typename Owner>
class EventOf final : public Event {
 public:
  EventOf(Owner* owner, void (Owner::*run)(bool ok)) : owner_(owner), run_(run) {}
  void Run(bool ok) override { (owner_->*run_)(ok); }

 private:
  Owner* const owner_;
  void (Owner::*const run_)(bool ok);
};

// Thread safety: its own thread, except where noted. Lifetime: borrows everything.
class Poller {
 public:
  struct Parts {
    server::Door* door = nullptr;
    Connections* connections = nullptr;
    ::grpc::AsyncGenericService* service = nullptr;
    std::unique_ptr<::grpc::ServerCompletionQueue> queue;
    size_t calls_max = 0;
  };
  explicit Poller(Parts parts);

  // From the thread that made it, once gRPC's server has started.
  void Start();
  // Once gRPC's server has been shut down: waits until all calls have ended in the store, too.
  void Close() ABSL_LOCKS_EXCLUDED(mutex_);

  // From any thread: the call has ended in the store.
  void Ended(Call* call) ABSL_LOCKS_EXCLUDED(mutex_);
  // From any thread: ends the calls that would not end by themselves.
  void BeginDrain() ABSL_LOCKS_EXCLUDED(mutex_);

  // For calls.
  void Accepted(Call* call);
  void Gone(Call* call, bool was_accepted);
  bool serving() const { return serving_; }
  bool CallsAreMany() const { return calls_.size() > parts_.calls_max; }
  // A quarter of the places is for calls that need no user, and may last as long as their clients
  // like: strangers must not take those of the others. One more ends the oldest of them, so that
  // those that watch without end keep nobody from asking.
  void TakeFreePlace(Call* call);
  void LeaveFreePlace(Call* call);
  int64_t NowNanos() { return clock_.MonotonicNanos(); }
  server::Door* door() { return parts_.door; }
  Connections* connections() { return parts_.connections; }
  ::grpc::AsyncGenericService* service() { return parts_.service; }
  ::grpc::ServerCompletionQueue* queue() { return parts_.queue.get(); }

 private:
  void Run();
  void AcceptOne();
  void Wake() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void OnWake(bool ok) ABSL_LOCKS_EXCLUDED(mutex_);
  void ScheduleSweep();
  void OnSweep(bool ok);
  void CloseIfDone() ABSL_LOCKS_EXCLUDED(mutex_);

  const Parts parts_;
  base::SystemClock clock_;
  EventOf<Poller> on_wake_{this, &Poller::OnWake};
  EventOf<Poller> on_sweep_{this, &Poller::OnSweep};
  std::list<Call*> calls_;
  std::list<Call*> free_calls_;  // among calls_, the oldest first
  size_t accepts_ = 0;           // calls that wait for a client
  bool serving_ = true;
  bool sweeps_ = false;
  ::grpc::Alarm sweep_alarm_;
  std::unique_ptr<base::Thread> thread_;

  base::Mutex mutex_;
  ::grpc::Alarm wake_alarm_ ABSL_GUARDED_BY(mutex_);
  bool woken_ ABSL_GUARDED_BY(mutex_) = false;
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
  bool closes_ ABSL_GUARDED_BY(mutex_) = false;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<Call*> ended_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace bandb::grpc

#endif  // BANDB_GRPC_POLLER_H_
