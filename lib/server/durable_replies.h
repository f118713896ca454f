// Replies that saw a write which may still be lost with the machine's power: held until it may not.
//
// A client that is shown a value takes it for stored. So with durability "sync" such a reply waits
// for one more sync, which all replies of a turn share: an empty batch is durable once everything
// before it is.
#ifndef BANDB_SERVER_DURABLE_REPLIES_H_
#define BANDB_SERVER_DURABLE_REPLIES_H_

#include <cstdint>
#include <vector>

#include "bandb/store.h"
#include "base/event_loop.h"
#include "server/commands.h"
#include "server/request.h"

namespace bandb::server {

// Thread safety: the loop's thread. Lifetime: borrows everything; to be destroyed when idle.
class DurableReplies {
 public:
  DurableReplies(Store* store, base::EventLoop* loop, const RequestContext& context)
      : store_(store), loop_(loop), context_(context) {}
  ~DurableReplies();

  // What had this outcome is over. `kept_bytes`: what the request keeps besides.
  void Hold(Pending pending, Outcome outcome, int64_t kept_bytes = 0);
  // Asks for the sync of what the turn held.
  void EndTurn();
  bool idle() const { return in_flight_ == 0 && held_.empty(); }

 private:
  struct Held {
    Pending pending;
    Outcome outcome;
    int64_t bytes = 0;
  };

  void Release(std::vector<Held>* held, const absl::Status& durable);

  Store* const store_;
  base::EventLoop* const loop_;
  const RequestContext& context_;
  std::vector<Held> held_;
  int in_flight_ = 0;
};

}  // namespace bandb::server

#endif  // BANDB_SERVER_DURABLE_REPLIES_H_
