// SCAN: a piece of a range, with a cursor to go on from.
//
// Each request is one step on the store's thread, bounded in entries and bytes; the next one begins behind the last key
// that was sent. So a scan of everything holds nobody up, keeps nothing open in between, and sees each key's state at
// the time of its own step.
//
//   cursor := 0x01 key            the last key sent; opaque to clients
#ifndef BANDB_SERVER_SCAN_PATH_H_
#define BANDB_SERVER_SCAN_PATH_H_

#include <string_view>

#include "bandb/store.h"
#include "base/event_loop.h"
#include "net/dispatcher.h"
#include "net/router.h"
#include "server/answer.h"

namespace bandb::server {

// Thread safety: the loop's thread. Lifetime: borrows everything; to be destroyed when idle.
class ScanPath {
 public:
  ScanPath(Store* store, base::EventLoop* loop, const AnswerContext& context)
      : store_(store), loop_(loop), context_(context) {}
  ~ScanPath();

  void Scan(net::Call& call, std::string_view payload);
  bool idle() const { return in_flight_ == 0; }

 private:
  struct Step;

  void Finish(Step* step);

  Store* const store_;
  base::EventLoop* const loop_;
  const AnswerContext context_;
  int in_flight_ = 0;
};

}  // namespace bandb::server

#endif  // BANDB_SERVER_SCAN_PATH_H_
