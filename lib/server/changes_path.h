// CHANGES: what was written, from a place on, and where there is nothing yet, once there is.
//
// A request reads on a reader's thread, as a scan does. One that has found nothing and may wait
// costs no thread: it lies with the others of its loop, which are looked through together every
// kLookNanos, some at a time, on a reader's thread. What it holds meanwhile is its reader, which at
// the end of the feed holds neither a file nor a piece of one.
#ifndef BANDB_SERVER_CHANGES_PATH_H_
#define BANDB_SERVER_CHANGES_PATH_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "bandb/store.h"
#include "base/event_loop.h"
#include "server/commands.h"
#include "server/request.h"

namespace bandb::server {

// What is told of a failure of the feed.
Failure ToFeedFailure(const absl::Status& status);

// Thread safety: the loop's thread. Lifetime: borrows everything; to be destroyed when idle.
class ChangesPath {
 public:
  // So often those that wait are looked at.
  static constexpr int64_t kLookNanos = int64_t{10} * 1000000;
  // Longer than this nobody waits.
  static constexpr int64_t kWaitNanosMax = int64_t{60} * 1000000000;
  // More than these at a time, those that wait included, are not taken.
  static constexpr int kInFlightMax = 4096;

  ChangesPath(Store* store, base::EventLoop* loop, const RequestContext& context);
  ~ChangesPath();

  void Read(Request& request, ChangesCommand* command);
  // Answers those that wait, and from now on at once.
  void Close();
  bool idle() const { return in_flight_ == 0; }

 private:
  struct Step;
  using Steps = std::vector<std::unique_ptr<Step>>;

  // Has them read on a reader's thread, and what became of it told on the loop.
  void Start(Steps steps);
  void Settle(Steps steps);
  void LookAgain();
  void Finish(Step* step);

  Store* const store_;
  base::EventLoop* const loop_;
  const RequestContext& context_;
  int in_flight_ = 0;
  Steps waiting_;
  base::TimerId timer_ = base::kNoTimer;
  std::atomic<bool> closed_{false};
};

}  // namespace bandb::server

#endif  // BANDB_SERVER_CHANGES_PATH_H_
