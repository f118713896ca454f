// The host's hooks and routes (include/bandb/server_hooks.h), as BanNet's router wants them.
#ifndef BANDB_SERVER_HOST_HOOKS_H_
#define BANDB_SERVER_HOST_HOOKS_H_

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "bandb/server_hooks.h"
#include "base/event_loop.h"
#include "net/dispatcher.h"
#include "net/router.h"
#include "server/hook_watch.h"

namespace bandb::server {

// Errors: kInvalidArgument names every hook and route that makes no sense.
absl::Status Validate(const ServerHooks& hooks);

inline uint64_t ToNumber(net::ConnectionId id) { return static_cast<uint64_t>(id.index) << 32 | id.generation; }

inline net::ConnectionId ToConnection(uint64_t number) {
  return {static_cast<uint32_t>(number >> 32), static_cast<uint32_t>(number)};
}

// Lifetime: borrows the hooks; the router must not outlive this. Thread safety: as that of the
// hooks.
class HostHooks {
 public:
  // `loop` is shared with every Responder not yet used, so that an answer after the server's end
  // finds a loop which nobody runs. `spot`: where that notes what it is within.
  HostHooks(const ServerHooks* hooks, std::shared_ptr<base::EventLoop> loop, net::Completions* completions,
            HookSpot* spot);
  ~HostHooks();

  // Adds the host's routes, and its hooks on them.
  void AddTo(net::Router* router);
  // What on_connect says; contained like a hook.
  net::HookDecision OnConnect(net::ConnectionId id, std::string_view peer, bool* failed) const;
  // False if on_disconnect threw.
  bool OnDisconnect(net::ConnectionId id) const;
  // Of pre-hooks on routes, of which BanNet knows nothing. From any thread.
  uint64_t failures() const { return failures_.load(std::memory_order_relaxed); }

 private:
  // As the log is to call what runs on the loop; null of what runs on a worker.
  const std::string* NameOf(std::string_view kind, uint32_t message_id);
  // On the loop or a worker.
  net::HookDecision Decide(const PreHookEntry& entry, const std::string* name, const net::RequestView& view);
  class RouteAdapter;
  class AdminAdapter;

  const ServerHooks* const hooks_;
  const std::shared_ptr<base::EventLoop> loop_;
  net::Completions* const completions_;
  HookSpot* const spot_;
  std::atomic<uint64_t> failures_{0};
  std::deque<std::string> names_;  // of what runs on the loop
  std::vector<std::unique_ptr<net::Handler>> routes_;
};

}  // namespace bandb::server

#endif  // BANDB_SERVER_HOST_HOOKS_H_
