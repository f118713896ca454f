// SCAN: a piece of a range, with a cursor to go on from.
//
// Each request is one step on a reader's thread, bounded in entries, in bytes and in what it looks
// at; the next one goes on where it ended. So a scan of everything holds nobody up, keeps nothing
// open in between, and sees each key's state at the time of its own step, unless it names a
// snapshot.
//
//   cursor := 0x01 key            the last key sent, to go on after; opaque to clients
//           | 0x02 key            where a step ended among deleted keys, to go on at
#ifndef BANDB_SERVER_SCAN_ENDPOINT_H_
#define BANDB_SERVER_SCAN_ENDPOINT_H_

#include "bandb/store.h"
#include "base/event_loop.h"
#include "server/commands.h"
#include "server/request.h"
#include "server/snapshot_leases.h"

namespace bandb::server {

// Thread safety: the loop's thread. Lifetime: borrows everything; to be destroyed when idle.
class ScanEndpoint {
 public:
  ScanEndpoint(Store* store, base::EventLoop* loop, const RequestContext& context, SnapshotLeases* snapshots)
      : store_(store), loop_(loop), context_(context), snapshots_(snapshots) {}
  ~ScanEndpoint();

  void Scan(Request& request, ScanCommand* command);
  bool idle() const { return in_flight_ == 0; }

 private:
  struct Step;

  // Has it collected on a reader's thread, once the barrier is open.
  void Start(Step* step, const absl::Status& barrier);
  void Finish(Step* step);

  Store* const store_;
  base::EventLoop* const loop_;
  const RequestContext& context_;
  SnapshotLeases* const snapshots_;
  int in_flight_ = 0;
};

}  // namespace bandb::server

#endif  // BANDB_SERVER_SCAN_ENDPOINT_H_
