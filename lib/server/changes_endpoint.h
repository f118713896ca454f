// CHANGES: what was written, from a place on, and where there is nothing yet, once there is.
//
// A request reads on a reader's thread, as a scan does. One that has found nothing and may wait
// costs no thread: it lies with the others of its loop until its reader is told that there is more.
// Then all that were told are looked through together, some at a time, on a reader's thread. Of any
// longer time they look for half, so that however much is written, and however many wait, they do
// not starve others. What a request holds meanwhile is its reader, which at the end of the feed
// holds neither a file nor a piece of one.
#ifndef BANDB_SERVER_CHANGES_ENDPOINT_H_
#define BANDB_SERVER_CHANGES_ENDPOINT_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "bandb/store.h"
#include "base/event_loop.h"
#include "server/commands.h"
#include "server/request.h"

namespace bandb::server {

// Thread safety: the loop's thread. Lifetime: borrows everything; to be destroyed when idle.
class ChangesEndpoint {
 public:
  // So often it is looked whether the clients of those that wait are still there; and at what a
  // reader may have that tells nobody.
  static constexpr int64_t kLookNanos = int64_t{10} * 1000000;
  // They look for so long before they rest.
  static constexpr int64_t kBurstNanos = int64_t{2} * 1000000;
  // Longer than this nobody waits.
  static constexpr int64_t kWaitNanosMax = int64_t{60} * 1000000000;
  // More than these at a time, those that wait included, are not taken.
  static constexpr int kInFlightMax = 4096;
  // Of these, shares of one user, and of one connection, so that there are some for others.
  static constexpr int kOfUserMax = 1024;
  static constexpr int kOfConnectionMax = 128;
  // A request that has looked through so many bytes of logs ends with what it has.
  static constexpr uint64_t kLookedBytesMax = 16 << 20;

  ChangesEndpoint(Store* store, base::EventLoop* loop, const RequestContext& context);
  ~ChangesEndpoint();

  void Read(Request& request, ChangesCommand* command);
  // Answers those that wait, and from now on at once.
  void Close();
  bool idle() const { return in_flight_ == 0; }

 private:
  struct Step;
  using Steps = std::vector<std::unique_ptr<Step>>;
  // What outlives the endpoint, for those that tell it of news on their threads.
  struct Ear;

  // Has them read on a reader's thread, and what became of it told on the loop.
  void Start(Steps steps, bool again);
  void Settle(Steps steps, bool again);
  // Of those that wait, those for which it is time are looked at, if they may be.
  void LookAgain();
  // Has LookAgain called then, or before.
  void WakeAt(int64_t nanos);
  void Finish(Step* step);

  Store* const store_;
  base::EventLoop* const loop_;
  const RequestContext& context_;
  // Counts one in, or out. False: the share of its user or connection is used up.
  bool Enter(const Step& step);
  void Leave(const Step& step);

  int in_flight_ = 0;
  std::map<uint64_t, int> of_connection_;
  std::map<std::string, int, std::less<>> of_user_;
  Steps waiting_;
  const std::shared_ptr<Ear> ear_;
  base::TimerId timer_ = base::kNoTimer;
  int64_t timer_nanos_ = 0;
  // Pieces of those that wait that are being looked at, and since when.
  int looking_ = 0;
  int64_t look_begin_nanos_ = 0;
  // The looks so far, and a rest as long as each, end here.
  int64_t rest_end_nanos_ = 0;
  std::atomic<bool> closed_{false};
};

}  // namespace bandb::server

#endif  // BANDB_SERVER_CHANGES_ENDPOINT_H_
