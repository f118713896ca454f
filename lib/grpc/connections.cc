#include "grpc/connections.h"

#include <sys/socket.h>

namespace bandb::grpc {

namespace {

constexpr int kResetsMax = 1000;

std::string_view NameOf(OperationKind kind) {
  if (kind == OperationKind::kPut) return "put";
  return kind == OperationKind::kGet ? "get" : "delete";
}

}  // namespace

Connections::Connections(server::Door* door, bool tls) : door_(door), tls_(tls) { door_->AddClients(this); }

Connections::~Connections() { door_->DropClients(this); }

uint64_t Connections::Add(const std::string& peer, int descriptor) {
  const uint64_t number = door_->NextConnection();
  const int64_t now_nanos = clock_.MonotonicNanos();
  base::MutexLock lock(&mutex_);
  open_[peer] = {.number = number, .descriptor = descriptor, .opened_nanos = now_nanos, .last_nanos = now_nanos};
  return number;
}

void Connections::Remove(const std::string& peer, uint64_t number) {
  base::MutexLock lock(&mutex_);
  const auto found = open_.find(peer);
  if (found != open_.end() && found->second.number == number) open_.erase(found);
}

uint64_t Connections::BeginCall(std::string_view peer, const server::Session& session, OperationKind kind) {
  const int64_t now_nanos = clock_.MonotonicNanos();
  base::MutexLock lock(&mutex_);
  const auto found = open_.find(peer);
  if (found == open_.end()) return door_->NextConnection();
  Connection& connection = found->second;
  connection.resets = 0;
  connection.had_calls = true;
  connection.is_known = connection.is_known || !session.is_nobody();
  connection.last_nanos = now_nanos;
  connection.user = session.name();
  connection.last_operation = NameOf(kind);
  ++connection.in_flight;
  return connection.number;
}

void Connections::EndCall(std::string_view peer, uint64_t number) {
  base::MutexLock lock(&mutex_);
  const auto found = open_.find(peer);
  if (found != open_.end() && found->second.number == number) --found->second.in_flight;
}

void Connections::List(size_t count_max, ClientList* list) const {
  const int64_t now_nanos = clock_.MonotonicNanos();
  size_t listed = 0;
  base::MutexLock lock(&mutex_);
  for (const auto& [peer, connection] : open_) {
    if (++listed > count_max) {
      ++list->omitted;
      continue;
    }
    ClientInfo& client = list->clients.emplace_back();
    client.id = server::Door::IdOf(connection.number);
    client.address = peer;
    client.user = connection.user;
    client.protocol = "grpc";
    client.tls = tls_;
    client.age = absl::Nanoseconds(now_nanos - connection.opened_nanos);
    client.idle = absl::Nanoseconds(now_nanos - connection.last_nanos);
    client.last_operation = connection.last_operation;
    client.in_flight = connection.in_flight;
  }
}

std::string Connections::Kill(uint64_t connection) {
  base::MutexLock lock(&mutex_);
  for (const auto& [peer, open] : open_) {
    if (open.number != connection) continue;
    // gRPC sees it broken, and closes it.
    ::shutdown(open.descriptor, SHUT_RDWR);
    return peer;
  }
  return {};
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
