#include "server/door.h"

#include <algorithm>

#include "server/door_queue.h"

namespace bandb::server {

bool Door::Enter(DoorCall* call) { return queues_[call->connection % queues_.size()]->Enter(call); }

bool Door::MemoryIsTight() const {
  return quota_->memory_bytes.load(std::memory_order_relaxed) > static_cast<int64_t>(options_.memory_bytes_max / 4 * 3);
}

void Door::AddTo(ServerStats* stats) const {
  const uint64_t overloaded = overloaded_.load(std::memory_order_relaxed);
  stats->frames_read += overloaded;
  stats->replies += overloaded;
  stats->error_replies += overloaded;
  stats->overloaded += overloaded;
}

bool Door::AddConnection() {
  if (quota_->connections.fetch_add(1, std::memory_order_relaxed) < options_.connections_max) return true;
  DropConnection();
  return false;
}

void Door::AddClients(DoorClients* clients) {
  base::MutexLock lock(&mutex_);
  clients_.push_back(clients);
}

void Door::DropClients(DoorClients* clients) {
  base::MutexLock lock(&mutex_);
  clients_.erase(std::remove(clients_.begin(), clients_.end(), clients), clients_.end());
}

void Door::ListClients(size_t count_max, ClientList* list) const {
  base::MutexLock lock(&mutex_);
  for (const DoorClients* clients : clients_) clients->List(count_max, list);
}

std::string Door::KillClient(uint64_t id) {
  base::MutexLock lock(&mutex_);
  for (DoorClients* clients : clients_) {
    if (std::string address = clients->Kill(id & ~kFirstId); !address.empty()) return address;
  }
  return {};
}

void Door::DropConnection() { quota_->connections.fetch_sub(1, std::memory_order_relaxed); }

}  // namespace bandb::server
