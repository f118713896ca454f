// BanNet's server: listens, accepts, and runs the connections of one loop.
//
// A turn: connections read and start requests; OnTurn lets whoever stands above hand on what it collected; then every
// connection that was touched writes once. So all requests of a turn can become one group, and all replies of a
// connection one system call.
#ifndef BANDB_NET_FRAME_SERVER_H_
#define BANDB_NET_FRAME_SERVER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "base/event_loop.h"
#include "net/connection.h"
#include "net/connection_host.h"
#include "net/counters.h"
#include "net/dispatcher.h"
#include "net/limits.h"
#include "net/protocol.h"
#include "net/router.h"

namespace bandb::net {

// Whoever stands above a FrameServer. Called on the loop.
class FrameServerObserver {
 public:
  // A connection may be refused: kReject with a code and a text for the client; everything else lets it in.
  virtual HookDecision OnConnect(ConnectionId id, std::string_view peer) = 0;
  // A connection that was let in is gone.
  virtual void OnDisconnect(ConnectionId id) = 0;
  // Everything that could be read in this turn was; replies made now leave with it.
  virtual void OnTurn() = 0;

 protected:
  ~FrameServerObserver() = default;
};

// Thread safety: the loop's thread, or before the loop runs.
// Lifetime: borrows everything it is given. To be destroyed when idle().
class FrameServer final : public Completions, private base::TurnHandler, private base::AcceptHandler {
 public:
  struct Parts {
    base::EventLoop* loop = nullptr;
    const Protocol* protocol = nullptr;
    const Router* router = nullptr;
    base::Executor* executor = nullptr;  // for routes on workers; else null
    Quota* quota = nullptr;
    FrameServerObserver* observer = nullptr;
    uint8_t number = 0;  // of this loop among those that share the quota: part of connection ids
  };
  FrameServer(const Parts& parts, const Limits& limits);
  ~FrameServer();

  // Errors: as EventLoop::Listen.
  absl::Status Listen(const base::ListenOptions& options);
  const std::string& address() const { return listener_->address(); }
  const Counters& counters() const { return counters_; }

  absl::Status Complete(const Ticket& ticket, Reply reply) override;

  // Takes no more connections, answers what was read, and closes. `done` runs on the loop when nothing is left, or when
  // the time has passed and the rest was closed.
  void Drain(int64_t timeout_nanos, absl::AnyInvocable<void(bool in_time) &&> done);
  // Closes everything now.
  void CloseAll();
  // No connection, and nothing on a worker.
  bool idle() const { return open_ == 0 && dispatcher_.work_on_workers() == 0; }

 private:
  struct Slot {
    std::unique_ptr<Connection> connection;
    uint32_t generation = 0;
  };

  void OnAcceptable() override;
  void OnTurnEnd() override;
  void Admit(std::unique_ptr<base::Stream> stream);
  ConnectionId NewId();
  Connection* Find(ConnectionId id);
  void Destroy(Connection* connection);
  void ResumeAndFlush();
  void EvictWhileOverMemory();
  void Sweep();
  void FinishDrain(bool in_time);
  int64_t SweepNanos() const;

  const Parts parts_;
  Counters counters_;
  ConnectionHost host_;
  Dispatcher dispatcher_;
  std::unique_ptr<base::Listener> listener_;
  std::vector<Slot> slots_;
  std::vector<uint32_t> free_slots_;
  size_t open_ = 0;     // slots in use
  size_t refused_ = 0;  // of them, connections on their way out
  base::TimerId sweep_timer_ = base::kNoTimer;
  base::TimerId accept_timer_ = base::kNoTimer;
  base::TimerId drain_timer_ = base::kNoTimer;
  absl::AnyInvocable<void(bool) &&> drained_;
};

}  // namespace bandb::net

#endif  // BANDB_NET_FRAME_SERVER_H_
