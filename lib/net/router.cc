#include "net/router.h"

#include <utility>

#include "base/assert.h"

namespace bandb::net {

void Router::Add(uint32_t message_id, Handler* handler, Lane lane, bool on_worker) {
  BANDB_ASSERT(handler != nullptr);
  BANDB_ASSERT(!Has(message_id));
  Route& route = message_id < kSmallIds ? small_[message_id] : large_[message_id];
  route.handler = handler;
  route.lane = on_worker ? kLaneExclusive : lane;
  route.on_worker = on_worker;
}

const Route* Router::Find(uint32_t message_id) const {
  if (message_id < kSmallIds) {
    const Route& route = small_[message_id];
    return route.handler == nullptr ? nullptr : &route;
  }
  const auto found = large_.find(message_id);
  return found == large_.end() ? nullptr : &found->second;
}

void Router::AddBefore(uint32_t message_id, PreHook hook) {
  BANDB_ASSERT(Has(message_id));
  const_cast<Route*>(Find(message_id))->before.push_back(std::move(hook));
}

void Router::SetLimit(uint32_t message_id, int64_t limit_nanos) {
  BANDB_ASSERT(Has(message_id));
  auto* const route = const_cast<Route*>(Find(message_id));
  BANDB_ASSERT(route->on_worker);
  route->limit_nanos = limit_nanos;
}

void Router::SetGate(uint32_t message_id, const Gate* gate) {
  BANDB_ASSERT(Has(message_id));
  const_cast<Route*>(Find(message_id))->gate = gate;
}

void Router::AddAfter(uint32_t message_id, PostHook hook) {
  BANDB_ASSERT(Has(message_id));
  const_cast<Route*>(Find(message_id))->after.push_back(std::move(hook));
}

}  // namespace bandb::net
