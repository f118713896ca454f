// What all loops of one server share of the limits: how many connections there are, and one account
// of memory.
//
// Bytes are owned once. A connection owns its half-read frame, its requests on their way, its
// replies and their ring; when it closes, what its requests hold stays on the account until they
// are done, since the work goes on. Memory that several replies keep, a large value say, is counted
// once, however many of them keep it. What a worker produced is counted from then on until a
// connection owns it.
//
//   below 3/4 of the limit     everybody is served
//   from 3/4 on (tight)        a connection holds a share of the last quarter at the most, else it is not read, or is
//                              answered "overloaded"
//   from the limit on (full)   every request that the store would see is answered "overloaded"
//   beyond it                  a connection that holds more than its fair share is closed, one at a time: see Eviction
#ifndef BANDB_NET_QUOTA_H_
#define BANDB_NET_QUOTA_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

#include "base/event_loop.h"
#include "base/mutex.h"

namespace bandb::net {

// Chooses, over all loops, which connection is closed when memory is beyond its limit.
//
// A choice is a round: every loop is asked for its largest connection, and the loop with the
// largest of all closes it. One round is under way at a time.
// Thread safety: any thread, but for Add. Lifetime: must outlive the loops' tasks.
class Eviction {
 public:
  // A loop's connections. Called on that loop.
  class Candidates {
   public:
    // Bytes of the largest connection that may be closed; 0: none.
    virtual int64_t LargestBytes() = 0;
    virtual void CloseLargest() = 0;

   protected:
    ~Candidates() = default;
  };

  // Before the loops run.
  void Add(base::EventLoop* loop, Candidates* candidates) ABSL_LOCKS_EXCLUDED(mutex_);
  // On the loop, or when it does not run any more.
  void Remove(Candidates* candidates) ABSL_LOCKS_EXCLUDED(mutex_);
  // Begins a round, unless one is under way or the last one found nobody only a moment ago.
  void Choose(int64_t now_nanos) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  struct Loop {
    base::EventLoop* loop = nullptr;
    Candidates* candidates = nullptr;  // null once removed
  };

  void Ask(size_t at) ABSL_LOCKS_EXCLUDED(mutex_);
  void CloseAt(size_t at) ABSL_LOCKS_EXCLUDED(mutex_);

  base::Mutex mutex_;
  std::vector<Loop> loops_ ABSL_GUARDED_BY(mutex_);
  bool choosing_ ABSL_GUARDED_BY(mutex_) = false;
  size_t unasked_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t largest_at_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t largest_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t began_nanos_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t not_before_nanos_ ABSL_GUARDED_BY(mutex_) = 0;
};

// Thread safety: any thread. The atomics are without order: each is a sum that nothing else hangs
// on.
class Quota {
 public:
  // Bytes at `data` that a reply keeps, with others perhaps.
  void Share(const char* data, size_t bytes) ABSL_LOCKS_EXCLUDED(mutex_);
  void Unshare(const char* data) ABSL_LOCKS_EXCLUDED(mutex_);

  void AddMemory(int64_t bytes) { memory_bytes.fetch_add(bytes, std::memory_order_relaxed); }

  std::atomic<int64_t> connections{0};
  std::atomic<int64_t> memory_bytes{0};
  Eviction eviction;

 private:
  struct Shared {
    size_t bytes = 0;
    size_t replies = 0;
  };

  base::Mutex mutex_;
  std::map<const char*, Shared> shared_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace bandb::net

#endif  // BANDB_NET_QUOTA_H_
