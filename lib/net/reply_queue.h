// The replies of one connection that cannot leave yet, because one before them is not known.
//
// A ring of places in request order. It grows to what the connection pipelines and allocates
// nothing after that.
#ifndef BANDB_NET_REPLY_QUEUE_H_
#define BANDB_NET_REPLY_QUEUE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "net/output_queue.h"
#include "net/reply.h"
#include "net/router.h"

namespace bandb::net {

// What the post-hooks of a deferred request will be told: a copy, since its bytes are gone by then.
struct AfterContext {
  const Route* route = nullptr;
  uint32_t message_id = 0;
  std::string payload;
  std::string user{};
};

class ReplyQueue {
 public:
  struct Place {
    bool ready = false;
    Lane lane = kLaneFree;
    size_t request_bytes = 0;  // what the request holds until it is answered
    std::string head;          // of the reply, and the reply's owned rest
    OwnedBytes tail;
    std::unique_ptr<AfterContext> after;
  };

  bool empty() const { return count_ == 0; }
  // Bytes of the replies that wait here; what is kept for them alone, the ring included; and what
  // with others.
  size_t bytes() const { return bytes_; }
  size_t held_bytes() const { return own_bytes_ + ring_.capacity() * sizeof(Place); }
  size_t shared_bytes() const { return bytes_ - own_bytes_; }
  // Gives the ring back if nothing is in it.
  void Shrink();

  // A place for a reply to come; its number is what Find takes.
  uint64_t PushPending(Lane lane, size_t request_bytes, std::unique_ptr<AfterContext> after);
  // A reply that is known, after ones that are not.
  void PushReady(Reply reply);
  // The place if it is still pending, else null.
  Place* FindPending(uint64_t sequence);
  void Fill(Place* place, Reply reply);
  // Moves the replies in front that are ready to `output`.
  void Drain(OutputQueue* output);
  void Clear();

 private:
  Place& At(uint64_t sequence) { return ring_[sequence & (ring_.size() - 1)]; }
  Place& Push();

  std::vector<Place> ring_;  // its size is 0 or a power of two
  uint64_t first_ = 0;       // the number of the place in front
  size_t count_ = 0;
  size_t bytes_ = 0;
  size_t own_bytes_ = 0;  // of the replies
};

}  // namespace bandb::net

#endif  // BANDB_NET_REPLY_QUEUE_H_
