// Where a Responder's answer goes.
#ifndef BANDB_SERVER_REPLY_SINK_H_
#define BANDB_SERVER_REPLY_SINK_H_

#include <memory>
#include <string_view>

#include "base/event_loop.h"
#include "net/dispatcher.h"
#include "net/reply.h"
#include "server/commands.h"

namespace bandb::internal {

// Posts one reply to the loop that its request came from. Thread safety: any thread, one at a time.
class ReplySink {
 public:
  ReplySink(std::shared_ptr<base::EventLoop> loop, net::Completions* completions, const net::Ticket& ticket)
      : loop_(std::move(loop)), completions_(completions), ticket_(ticket) {}

  void Ok(std::string_view payload);
  void Error(uint16_t code, std::string_view message);

 private:
  void Post(server::Outcome outcome);

  // Shared with the server: a loop that nobody runs any more drops what is posted, and
  // `completions_` is used by none but its thread.
  const std::shared_ptr<base::EventLoop> loop_;
  net::Completions* const completions_;
  const net::Ticket ticket_;
};

}  // namespace bandb::internal

#endif  // BANDB_SERVER_REPLY_SINK_H_
