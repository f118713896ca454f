// Replies that saw a write which may still be lost with the machine's power: held until it may not.
//
// A client that is shown a value takes it for stored. So with durability "sync" such a reply waits
// for one more sync, which all replies of a turn share: an empty batch is durable once everything
// before it is.
#ifndef BANDB_SERVER_DURABLE_REPLIES_H_
#define BANDB_SERVER_DURABLE_REPLIES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "bandb/store.h"
#include "base/event_loop.h"
#include "net/dispatcher.h"
#include "net/quota.h"
#include "net/reply.h"

namespace bandb::server {

// Thread safety: the loop's thread. Lifetime: borrows everything; to be destroyed when idle.
class DurableReplies {
 public:
  DurableReplies(Store* store, base::EventLoop* loop, net::Completions* completions, net::Quota* quota)
      : store_(store), loop_(loop), completions_(completions), quota_(quota) {}
  ~DurableReplies();

  // Takes a whole reply frame. The read that made it is over.
  void Hold(const net::Ticket& ticket, std::string frame, bool ok, uint16_t code);
  // Asks for the sync of what the turn held.
  void EndTurn();
  bool idle() const { return in_flight_ == 0 && held_.empty(); }

 private:
  struct Held {
    net::Ticket ticket;
    std::string frame;
    bool ok = true;
    uint16_t code = 0;
  };

  void Release(const std::vector<Held>& held, const absl::Status& durable);

  Store* const store_;
  base::EventLoop* const loop_;
  net::Completions* const completions_;
  net::Quota* const quota_;
  std::vector<Held> held_;
  int in_flight_ = 0;
};

}  // namespace bandb::server

#endif  // BANDB_SERVER_DURABLE_REPLIES_H_
