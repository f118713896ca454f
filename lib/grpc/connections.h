// The connections that are open: what hooks call each of them.
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
  // Gives the connection from HOST:PORT its number, which is never used twice.
  uint64_t Add(const std::string& peer) ABSL_LOCKS_EXCLUDED(mutex_) {
    base::MutexLock lock(&mutex_);
    numbers_[peer] = ++last_;
    return last_;
  }
  // The peer may be back by now, with another number.
  void Remove(const std::string& peer, uint64_t number) ABSL_LOCKS_EXCLUDED(mutex_) {
    base::MutexLock lock(&mutex_);
    const auto found = numbers_.find(peer);
    if (found != numbers_.end() && found->second == number) numbers_.erase(found);
  }
  // That of a connection which is gone is a new one.
  uint64_t NumberOf(std::string_view peer) ABSL_LOCKS_EXCLUDED(mutex_) {
    base::MutexLock lock(&mutex_);
    const auto found = numbers_.find(peer);
    return found == numbers_.end() ? ++last_ : found->second;
  }

 private:
  base::Mutex mutex_;
  std::map<std::string, uint64_t, std::less<>> numbers_ ABSL_GUARDED_BY(mutex_);
  uint64_t last_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace bandb::grpc

#endif  // BANDB_GRPC_CONNECTIONS_H_
