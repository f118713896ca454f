// BanNet's server on one loop: runs the connections that it is given.
//
// A turn: connections read and start requests; OnTurn lets the observer hand on what it collected;
// then every connection that was touched writes once. So all requests of a turn can become one
// group, and all replies of a connection one system call.
#ifndef BANDB_NET_FRAME_SERVER_H_
#define BANDB_NET_FRAME_SERVER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "base/event_loop.h"
#include "net/answer_limits.h"
#include "net/connection.h"
#include "net/connection_host.h"
#include "net/counters.h"
#include "net/dispatcher.h"
#include "net/limits.h"
#include "net/protocol.h"
#include "net/quota.h"
#include "net/router.h"
#include "net/stream_taker.h"

namespace bandb::net {

// The user of a FrameServer, as far as it wants to know. Called on the loop.
class FrameServerObserver {
 public:
  // A connection may be refused: kReject with a code and a text for the client; everything else
  // lets it in.
  virtual HookDecision OnConnect(ConnectionId /*id*/, std::string_view /*peer*/) { return {}; }
  // A connection that was let in is gone.
  virtual void OnDisconnect(ConnectionId /*id*/) {}
  // Everything that could be read in this turn was; replies made now leave with it.
  virtual void OnTurn() {}
  // A connection that held `bytes` is being closed, because all together hold more than the limit.
  virtual void OnEvict(std::string_view /*peer*/, int64_t /*bytes*/) {}
  // The codec of its connection does not admit this.
  virtual void OnDenial(const RequestView& /*request*/, const Denial& /*denial*/) {}
  // A route has not answered, or not returned to its worker, in its time. If it is lost
  // OnWorkerBack follows once it has.
  virtual void OnOverrun(const AnswerLimits::Overrun& /*overrun*/) {}
  virtual void OnWorkerBack(uint32_t /*message_id*/) {}

 protected:
  ~FrameServerObserver() = default;
};

// What a drain had to cut when its time had passed.
struct DrainOutcome {
  int unanswered = 0;  // connections with requests on their way
  int unread = 0;      // connections that had their replies, but did not take them
};
using DrainCallback = absl::AnyInvocable<void(const DrainOutcome& outcome) &&>;

// Thread safety: the loop's thread, or before the loop runs.
// Lifetime: borrows everything it is given. To be destroyed when idle().
class FrameServer final : public Completions,
                          public StreamTaker,
                          private base::TurnHandler,
                          private Eviction::Candidates {
 public:
  struct Parts {
    base::EventLoop* loop = nullptr;
    base::Executor* executor = nullptr;  // for routes on workers; else null
    Quota* quota = nullptr;
    FrameServerObserver* observer = nullptr;
    uint8_t number = 0;  // of this loop among those that share the quota: part of connection ids
  };
  FrameServer(const Parts& parts, const ServerLimits& limits);
  ~FrameServer();

  // Serves the stream, or says why not; closes it if this server is closed.
  void Take(std::unique_ptr<base::Stream> stream, const Endpoint& endpoint) override;
  const Counters& counters() const { return counters_; }

  absl::Status Complete(const Ticket& ticket, Reply reply) override;
  void SetAfter(const Ticket& ticket, std::unique_ptr<AfterContext> after) override;
  Codec* CodecOf(const Ticket& ticket) override;
  std::string_view PeerOf(const Ticket& ticket) override;
  bool HasEnded(const Ticket& ticket) override;

  // Tells of each connection that is served.
  void ForEach(const std::function<void(const ConnectionView& view)>& tell) const;
  // Of this one, if it is served.
  void Tell(ConnectionId id, const std::function<void(const ConnectionView& view)>& tell) const;
  // As if it had broken. False: there is none.
  bool Close(ConnectionId id);

  // Refuses new connections, answers what was read, and closes. `done` runs on the loop when
  // nothing is left, or when the time has passed and the rest was closed.
  void Drain(int64_t timeout_nanos, DrainCallback done);
  // Closes everything now, and what comes later at once.
  void CloseAll();
  // No connection, and nothing on a worker.
  bool idle() const { return open_ == 0 && work_on_workers() == 0; }
  // A connection is open.
  bool has_connections() const { return open_ > 0; }
  // Requests that a worker has not given back.
  int work_on_workers() const { return dispatcher_.work_on_workers(); }

 private:
  struct Slot {
    std::unique_ptr<Connection> connection;
    uint32_t generation = 0;
  };

  void OnTurnEnd() override;
  // As Complete, whatever its limit.
  absl::Status Settle(const Ticket& ticket, Reply reply);
  void EndOverrun(const AnswerLimits::Overrun& overrun);
  int64_t LargestBytes() override;
  void CloseLargest() override;
  Connection* FindLargest() const;
  // Closes the connection that has been of a client not known for longest; false if there is none.
  bool MakeRoom();
  bool MemoryIsOver() const;
  ConnectionId NewId();
  Connection* Find(ConnectionId id) const;
  void Destroy(Connection* connection);
  void ResumeAndFlush();
  // A connection that was held up may go on.
  bool HasResumable() const;
  void PassGates();
  void GiveUpAtGates();
  void Sweep();
  void ScheduleSweep();
  void FinishDrain(const DrainOutcome& outcome);
  int64_t SweepNanos() const;

  const Parts parts_;
  Counters counters_;
  ConnectionHost host_;
  AnswerLimits answer_limits_;
  Dispatcher dispatcher_;
  std::vector<Slot> slots_;
  std::vector<uint32_t> free_slots_;
  size_t open_ = 0;     // slots in use
  size_t refused_ = 0;  // of them, connections on their way out
  base::TimerId sweep_timer_ = base::kNoTimer;
  int64_t sweep_due_nanos_ = 0;
  bool draining_ = false;
  bool closed_ = false;
  base::TimerId gate_timer_ = base::kNoTimer;
  base::TimerId drain_timer_ = base::kNoTimer;
  DrainCallback drained_;
};

}  // namespace bandb::net

#endif  // BANDB_NET_FRAME_SERVER_H_
