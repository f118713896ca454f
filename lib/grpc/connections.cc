#include "grpc/connections.h"

#include <sys/socket.h>

namespace bandb::grpc {

namespace {

constexpr int kResetsMax = 1000;

}  // namespace

uint64_t Connections::Add(const std::string& peer, int descriptor) {
  base::MutexLock lock(&mutex_);
  open_[peer] = {.number = ++last_, .descriptor = descriptor};
  return last_;
}

void Connections::Remove(const std::string& peer, uint64_t number) {
  base::MutexLock lock(&mutex_);
  const auto found = open_.find(peer);
  if (found != open_.end() && found->second.number == number) open_.erase(found);
}

uint64_t Connections::NumberOf(std::string_view peer, bool is_known) {
  base::MutexLock lock(&mutex_);
  const auto found = open_.find(peer);
  if (found == open_.end()) return ++last_;
  found->second.resets = 0;
  found->second.had_calls = true;
  found->second.is_known = found->second.is_known || is_known;
  return found->second.number;
}

int Connections::OldestStranger() const {
  base::MutexLock lock(&mutex_);
  const Connection* oldest = nullptr;
  for (const auto& [peer, connection] : open_) {
    if (connection.is_known) continue;
    if (oldest == nullptr || connection.number < oldest->number) oldest = &connection;
  }
  return oldest == nullptr ? -1 : oldest->descriptor;
}

void Connections::CutSilent() {
  base::MutexLock lock(&mutex_);
  for (const auto& [peer, connection] : open_) {
    if (!connection.had_calls) ::shutdown(connection.descriptor, SHUT_RDWR);
  }
}

void Connections::CountReset(std::string_view peer) {
  base::MutexLock lock(&mutex_);
  const auto found = open_.find(peer);
  if (found == open_.end() || ++found->second.resets < kResetsMax) return;
  // gRPC sees it broken, and closes it.
  ::shutdown(found->second.descriptor, SHUT_RDWR);
}

}  // namespace bandb::grpc
