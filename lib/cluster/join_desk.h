// JoinDesk: nodes that are no members and ask to be let in, each until it has its answer.
//
// They are strangers: few at a time, with little to say, and for a short while.
#ifndef BANDB_CLUSTER_JOIN_DESK_H_
#define BANDB_CLUSTER_JOIN_DESK_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "base/event_loop.h"
#include "net/frame_link.h"

namespace bandb::cluster {

// Thread safety: the loop's thread. Lifetime: what it borrows must outlive it.
class JoinDesk {
 public:
  using Reply = std::function<void(std::string answer)>;
  // Told of a request, which is valid during the call.
  using Ask = std::function<void(std::string_view request, Reply reply)>;
  struct Limits {
    size_t links_max = 16;
    int64_t nanos_max = int64_t{60} * 1000000000;  // for a request to come and be answered
  };

  JoinDesk(base::EventLoop* loop, const Limits& limits, Ask ask);
  ~JoinDesk();
  JoinDesk(const JoinDesk&) = delete;
  JoinDesk& operator=(const JoinDesk&) = delete;

  // Whether one more may come. Errors: kUnavailable.
  absl::Status CheckRoom() const;
  // One that is up. If there are too many it is closed.
  void Take(std::unique_ptr<net::FrameLink> link);
  // To those that wait for an answer; now and then.
  void SayAlive();
  void Close(std::string_view reason);
  size_t links() const { return guests_->size(); }

 private:
  class Guest;
  using Guests = std::map<uint64_t, std::unique_ptr<Guest>>;

  void Remove(uint64_t number);
  void HandleRequest(Guest* guest, const net::Frame& frame);

  base::EventLoop* const loop_;
  const Limits limits_;
  const Ask ask_;
  uint64_t next_number_ = 1;
  // Shared with replies, which may come when the desk is gone.
  const std::shared_ptr<Guests> guests_;
};

}  // namespace bandb::cluster

#endif  // BANDB_CLUSTER_JOIN_DESK_H_
