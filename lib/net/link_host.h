// What the links of one loop share: a buffer to read into, blocks for output, the end of the turn,
// and the streams of links that are closed, until their last words are said.
//
// All that a link sends in one turn leaves in one gathering write at the end of it.
#ifndef BANDB_NET_LINK_HOST_H_
#define BANDB_NET_LINK_HOST_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/event_loop.h"
#include "net/output_queue.h"

namespace bandb::net {

class LinkStream;

// Thread safety: the loop's thread; it is made and destroyed outside OnTurnEnd, and links are used
// in turns of the loop, or what they say waits for one.
// Lifetime: the loop must outlive it, and it all links of the loop.
class LinkHost final : private base::TurnHandler {
 public:
  // Bytes of one read.
  static constexpr size_t kReadBytes = 64 << 10;

  struct Limits {
    // For a peer to take the last words of a link.
    int64_t linger_nanos = int64_t{1} * 1000000000;
    // Streams that take leave at the same time; one more, and the oldest is dropped.
    size_t leaving_max = 16;
    // A link with more output than this takes no leave: its peer does not read.
    size_t leaving_bytes_max = 256 << 10;
  };

  LinkHost(base::EventLoop* loop, const Limits& limits);
  explicit LinkHost(base::EventLoop* loop) : LinkHost(loop, Limits()) {}
  ~LinkHost();
  LinkHost(const LinkHost&) = delete;
  LinkHost& operator=(const LinkHost&) = delete;

  base::EventLoop* loop() const { return loop_; }
  size_t leaving() const { return leaving_.size(); }

  // For links and their streams.
  BlockPool* pool() { return &pool_; }
  char* read_buffer() { return read_buffer_.get(); }
  // To be flushed at the end of this turn, or of a turn that comes soon if that is over.
  void Touch(LinkStream* stream);
  // Takes a stream over that nobody uses any more: to say its last words, or to be destroyed.
  void TakeLeave(std::unique_ptr<LinkStream> stream);
  void Retire(std::unique_ptr<LinkStream> stream);
  // One that took leave is done.
  void Left(LinkStream* stream);

 private:
  static constexpr int64_t kNoTurnYet = INT64_MIN;

  void OnTurnEnd() override;

  base::EventLoop* const loop_;
  const Limits limits_;
  BlockPool pool_;
  const std::unique_ptr<char[]> read_buffer_;
  std::vector<LinkStream*> touched_;
  std::vector<LinkStream*> flushing_;                 // kept for its memory
  std::vector<std::unique_ptr<LinkStream>> leaving_;  // the oldest first
  std::vector<std::unique_ptr<LinkStream>> retired_;  // each stays while it is touched
  // Of the last turn whose end has begun.
  int64_t turn_ended_nanos_ = kNoTurnYet;
};

}  // namespace bandb::net

#endif  // BANDB_NET_LINK_HOST_H_
