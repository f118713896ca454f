// The writes of a turn, from all connections, made into groups that the store commits as one.
//
// A group is one WriteBatch: atomic, logged once, synced once; its requests are answered together,
// in the order of their connections. A request that could fail by itself must not share a group, or
// it would fail its neighbours: so sizes and bounds are checked before, large requests and
// conditional ones have groups of their own, and what is left can only fail for all.
//
// Groups are handed over in order, and Store::WriteAsync keeps that order. While two are on their
// way the next one grows: the slower the store syncs, the more a sync carries. What waits here is
// bounded by time: by what the store took lately in a tenth of a second. When there is more this
// gate is closed, so that clients wait in turn and are not read; and a group that the store did not
// take within the stall timeout is answered "overloaded", for it was not done.
#ifndef BANDB_SERVER_WRITE_ENDPOINT_H_
#define BANDB_SERVER_WRITE_ENDPOINT_H_

#include <cstddef>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "bandb/store.h"
#include "base/event_loop.h"
#include "net/router.h"
#include "server/commands.h"
#include "server/request.h"

namespace bandb::server {

// Thread safety: the loop's thread. Lifetime: borrows everything; to be destroyed when idle.
class WriteEndpoint final : public net::Gate {
 public:
  struct Options {
    bool sync = true;
    int64_t stall_timeout_nanos = 0;
  };
  WriteEndpoint(Store* store, base::EventLoop* loop, const RequestContext& context, const Options& options);
  ~WriteEndpoint();

  // A put or delete.
  void Write(Request& request, const Operation& operation);
  void Write(Request& request, const BatchCommand& batch);

  bool IsOpen() const override;
  // Hands over what the turn collected.
  void EndTurn();
  bool idle() const { return in_flight_ == 0 && queue_.empty() && current_ == nullptr; }

 private:
  struct Group;

  // The group that takes a request of this size, which is deferred.
  WriteBatch* Join(Request& request, size_t bytes, size_t operations, bool alone);
  void CloseCurrent();
  void Pump();
  void Finish(Group* group);
  void Answer(Group* group);
  // Of a group whose conditions did not hold.
  bool SawUndurable(const Group& group) const;
  // Keeps the group for its memory.
  void Recycle(std::unique_ptr<Group> group);
  void Measure(const Group& group);
  void ScheduleExpiry();
  void Expire();

  Store* const store_;
  base::EventLoop* const loop_;
  const RequestContext& context_;
  const Options options_;
  std::unique_ptr<Group> current_;
  std::deque<std::unique_ptr<Group>> queue_;
  std::vector<std::unique_ptr<Group>> free_;  // kept for their memory
  int in_flight_ = 0;
  size_t queued_bytes_ = 0;  // in current_ and queue_
  // What the store took lately, in bytes a second, and when it last finished a group.
  double bytes_per_second_ = 0;
  int64_t finished_nanos_ = 0;
  base::TimerId expiry_timer_ = base::kNoTimer;
};

}  // namespace bandb::server

#endif  // BANDB_SERVER_WRITE_ENDPOINT_H_
