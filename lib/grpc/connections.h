// The connections that are open: what hooks call each of them, and which do nothing but harm.
#ifndef BANDB_GRPC_CONNECTIONS_H_
#define BANDB_GRPC_CONNECTIONS_H_

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "base/mutex.h"

namespace bandb::grpc {

// Thread safety: any thread.
class Connections {
 public:
  // Gives the connection from HOST:PORT its number, which is never used twice. `descriptor` is its
  // until it is removed.
  uint64_t Add(const std::string& peer, int descriptor) ABSL_LOCKS_EXCLUDED(mutex_);
  // The peer may be back by now, with another number.
  void Remove(const std::string& peer, uint64_t number) ABSL_LOCKS_EXCLUDED(mutex_);
  // Of one that has a call, of a client that is known or of a stranger. That of a connection which
  // is gone is a new one.
  uint64_t NumberOf(std::string_view peer, bool is_known) ABSL_LOCKS_EXCLUDED(mutex_);
  // The descriptor of the oldest on which no client that is known has had a call; -1: there is
  // none.
  int OldestStranger() const ABSL_LOCKS_EXCLUDED(mutex_);
  // A call was cancelled before its message was there. Many in a row end the connection: the
  // limit on calls under way does not bound them, and gRPC keeps memory for each.
  void CountReset(std::string_view peer) ABSL_LOCKS_EXCLUDED(mutex_);
  // Ends those that have had no call: gRPC would wait for their first bytes.
  void CutSilent() ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  struct Connection {
    uint64_t number = 0;
    int descriptor = -1;
    int resets = 0;  // since it last had a whole message
    bool had_calls = false;
    bool is_known = false;
  };

  mutable base::Mutex mutex_;
  std::map<std::string, Connection, std::less<>> open_ ABSL_GUARDED_BY(mutex_);
  uint64_t last_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace bandb::grpc

#endif  // BANDB_GRPC_CONNECTIONS_H_
