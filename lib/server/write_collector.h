// The writes of a turn, from all connections, made into groups that the store commits as one.
//
// A group is one WriteBatch: atomic, logged once, synced once; its requests are answered together, in the order of
// their connections. A request that could fail by itself must not share a group, or it would fail its neighbours: so
// sizes and bounds are checked before, large requests and conditional ones stand alone, and what is left can only fail
// for all.
//
// Groups are handed over in order, and Store::WriteAsync keeps that order. While as many as `groups_in_flight_max` are
// on their way the next one grows: the slower the store syncs, the more a sync carries.
#ifndef BANDB_SERVER_WRITE_COLLECTOR_H_
#define BANDB_SERVER_WRITE_COLLECTOR_H_

#include <cstddef>
#include <deque>
#include <memory>
#include <string_view>
#include <vector>

#include "bandb/store.h"
#include "base/event_loop.h"
#include "net/dispatcher.h"
#include "net/router.h"
#include "server/answer.h"

namespace bandb::server {

// Thread safety: the loop's thread. Lifetime: borrows everything; to be destroyed when idle.
class WriteCollector {
 public:
  WriteCollector(Store* store, base::EventLoop* loop, const AnswerContext& context, bool sync);
  ~WriteCollector();

  void Put(net::Call& call, std::string_view key, std::string_view value);
  void Delete(net::Call& call, std::string_view key);
  // The payload of a BATCH.
  void Batch(net::Call& call, std::string_view payload);

  // Hands over what the turn collected.
  void EndTurn();
  bool idle() const { return in_flight_ == 0 && queue_.empty() && current_ == nullptr; }

 private:
  struct Group;

  // The group that takes a request of this size, and a ticket of it.
  WriteBatch* Join(net::Call& call, size_t bytes, size_t operations, bool alone);
  void CloseCurrent();
  void Pump();
  void Finish(Group* group);

  Store* const store_;
  base::EventLoop* const loop_;
  const AnswerContext context_;
  const WriteOptions options_;
  std::unique_ptr<Group> current_;
  std::deque<std::unique_ptr<Group>> queue_;
  std::vector<std::unique_ptr<Group>> free_;  // kept for their memory
  int in_flight_ = 0;
};

}  // namespace bandb::server

#endif  // BANDB_SERVER_WRITE_COLLECTOR_H_
