// Who gets accepted connections: what serves them, or what makes them fit to be served first.
#ifndef BANDB_NET_STREAM_TAKER_H_
#define BANDB_NET_STREAM_TAKER_H_

#include <memory>

#include "base/event_loop.h"
#include "net/router.h"

namespace bandb::net {

class StreamTaker {
 public:
  // On its loop. To be served as the endpoint says, or closed.
  virtual void Take(std::unique_ptr<base::Stream> stream, const Endpoint& endpoint) = 0;

 protected:
  ~StreamTaker() = default;
};

}  // namespace bandb::net

#endif  // BANDB_NET_STREAM_TAKER_H_
