// One loop's share of a door: takes calls over from other threads, lets them wait where connections
// would wait, and hands them to the service.
#ifndef BANDB_SERVER_DOOR_QUEUE_H_
#define BANDB_SERVER_DOOR_QUEUE_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "base/event_loop.h"
#include "base/mutex.h"
#include "net/counters.h"
#include "net/dispatcher.h"
#include "net/quota.h"
#include "net/router.h"
#include "server/door.h"
#include "server/door_codec.h"

namespace bandb::server {

struct DoorCounters {
  net::Counter calls;
  net::Counter replies;
  net::Counter error_replies;
  net::Counter overloaded;
  net::Counter in_flight;
};

// Answers find their call here as those of connections find theirs: this comes before BanNet's
// Completions, and knows its own tickets.
// Thread safety: the loop's thread, but for Enter. Lifetime: borrows everything; to be destroyed
// when idle.
class DoorQueue final : public net::Completions {
 public:
  struct Parts {
    base::EventLoop* loop = nullptr;
    net::Completions* connections = nullptr;
    net::Quota* quota = nullptr;
    int64_t memory_bytes_max = 0;
    size_t payload_bytes_max = 0;
    int64_t stall_timeout_nanos = 0;
  };
  explicit DoorQueue(const Parts& parts) : parts_(parts), codec_(parts.payload_bytes_max) {}
  ~DoorQueue();

  // Before it serves. Writes wait while the gate is closed.
  void SetService(net::Handler* service, const net::Gate* writes);

  // From any thread; see Door.
  bool Enter(DoorCall* call) ABSL_LOCKS_EXCLUDED(mutex_);
  // Starts what the gate lets through.
  void EndTurn();
  // Answers what waits, and takes nothing any more.
  void Close() ABSL_LOCKS_EXCLUDED(mutex_);
  bool idle() const { return deferred_.empty() && waiting_.empty(); }
  const DoorCounters& counters() const { return counters_; }

  absl::Status Complete(const net::Ticket& ticket, net::Reply reply) override;
  void SetAfter(const net::Ticket& ticket, std::unique_ptr<net::AfterContext> after) override;
  net::Codec* CodecOf(const net::Ticket& ticket) override;
  std::string_view PeerOf(const net::Ticket& ticket) override;
  bool HasEnded(const net::Ticket& ticket) override;

 private:
  class Call;
  struct Waiting {
    DoorCall* call = nullptr;
    int64_t since_nanos = 0;
    int64_t give_up_nanos = 0;
  };

  void TakeEntered() ABSL_LOCKS_EXCLUDED(mutex_);
  void StartOrWait(DoorCall* call);
  void Start(DoorCall* call, int64_t since_nanos);
  void Refuse(DoorCall* call, Failure failure);
  void Finish(DoorCall* call);
  void GiveUp();
  void ScheduleGivingUp();

  const Parts parts_;
  net::Handler* service_ = nullptr;
  const net::Gate* writes_ = nullptr;
  DoorCodec codec_;
  DoorCounters counters_;

  base::Mutex mutex_;
  std::vector<DoorCall*> entered_ ABSL_GUARDED_BY(mutex_);
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;

  // At the closed gate, in the order in which they came, and when each has waited long enough.
  std::map<uint64_t, Waiting> waiting_;
  std::set<std::pair<int64_t, uint64_t>> give_up_;
  std::map<uint64_t, DoorCall*> deferred_;
  uint64_t last_sequence_ = 0;
  base::TimerId timer_ = base::kNoTimer;
};

}  // namespace bandb::server

#endif  // BANDB_SERVER_DOOR_QUEUE_H_
