// ACKNOWLEDGE and CURSORS: the named places that the store remembers in its change feed.
//
// To acknowledge moves a cursor in memory, so that it is done on the loop, and what follows it on
// its connection sees it. Making, dropping and listing cursors write and read, on a reader's
// thread. That a cursor was dropped or put elsewhere is told to what keeps account of it.
#ifndef BANDB_SERVER_CURSOR_ENDPOINT_H_
#define BANDB_SERVER_CURSOR_ENDPOINT_H_

#include "bandb/store.h"
#include "base/event_loop.h"
#include "server/commands.h"
#include "server/request.h"

namespace bandb::server {

// Thread safety: the loop's thread. Lifetime: borrows everything; to be destroyed when idle.
class CursorEndpoint {
 public:
  CursorEndpoint(Store* store, base::EventLoop* loop, const RequestContext& context)
      : store_(store), loop_(loop), context_(context) {}
  ~CursorEndpoint();

  void Acknowledge(Request& request, const AcknowledgeCommand& command);
  void Change(Request& request, CursorsCommand* command);
  bool idle() const { return in_flight_ == 0; }

 private:
  struct Asked;

  absl::Status Do(const CursorsCommand& command, Outcome* outcome);
  void Record(const Asked& asked, const absl::Status& status) const;

  Store* const store_;
  base::EventLoop* const loop_;
  const RequestContext& context_;
  int in_flight_ = 0;
};

}  // namespace bandb::server

#endif  // BANDB_SERVER_CURSOR_ENDPOINT_H_
