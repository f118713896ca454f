// SNAPSHOT: the present state under a number, for scans that are to see one state.
//
// To take one waits for the barrier that reads wait for, so that it has all that was acknowledged
// before.
#ifndef BANDB_SERVER_SNAPSHOT_ENDPOINT_H_
#define BANDB_SERVER_SNAPSHOT_ENDPOINT_H_

#include <cstdint>
#include <string>

#include "bandb/store.h"
#include "base/event_loop.h"
#include "server/commands.h"
#include "server/request.h"
#include "server/snapshot_leases.h"

namespace bandb::server {

// What is told of a number that names no snapshot.
Failure NoSnapshotFailure(uint64_t id);

// Thread safety: the loop's thread. Lifetime: borrows everything; to be destroyed when idle.
class SnapshotEndpoint {
 public:
  SnapshotEndpoint(Store* store, base::EventLoop* loop, const RequestContext& context, SnapshotLeases* leases)
      : store_(store), loop_(loop), context_(context), leases_(leases) {}
  ~SnapshotEndpoint();

  void Run(Request& request, const SnapshotCommand& command);
  // Looks for leases that run out no more.
  void Close();
  bool idle() const { return in_flight_ == 0; }

 private:
  void Take(Request& request, int64_t lease_nanos);
  // On a reader's thread.
  Outcome TakeNow(const absl::Status& barrier, int64_t lease_nanos, const std::string& owner, uint64_t connection);
  // Comes back when the next lease may run out.
  void Watch();
  // Likewise, where that may be sooner than it was.
  void WatchAnew();

  Store* const store_;
  base::EventLoop* const loop_;
  const RequestContext& context_;
  SnapshotLeases* const leases_;
  int in_flight_ = 0;
  base::TimerId timer_ = base::kNoTimer;
  bool closed_ = false;
};

}  // namespace bandb::server

#endif  // BANDB_SERVER_SNAPSHOT_ENDPOINT_H_
