// The host's hooks and routes (include/bandb/server_hooks.h), as BanNet's router wants them.
#ifndef BANDB_SERVER_HOST_CODE_H_
#define BANDB_SERVER_HOST_CODE_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "bandb/server_hooks.h"
#include "base/event_loop.h"
#include "net/dispatcher.h"
#include "net/router.h"

namespace bandb::server {

// Errors: kInvalidArgument names every hook and route that makes no sense.
absl::Status Validate(const ServerHooks& hooks);

inline uint64_t ToNumber(net::ConnectionId id) { return static_cast<uint64_t>(id.index) << 32 | id.generation; }

// Lifetime: borrows the hooks; the router must not outlive this. Thread safety: as that of the
// hooks.
class HostCode {
 public:
  // `loop` is shared with every Responder not yet used, so that an answer after the server's end
  // finds a loop which nobody runs.
  HostCode(const ServerHooks* hooks, std::shared_ptr<base::EventLoop> loop, net::Completions* completions);
  ~HostCode();

  // Adds the host's routes, and its hooks on them.
  void AddTo(net::Router* router);
  // What on_connect says; contained like a hook.
  net::HookDecision OnConnect(net::ConnectionId id, std::string_view peer, bool* failed) const;
  // False if on_disconnect threw.
  bool OnDisconnect(net::ConnectionId id) const;

 private:
  class RouteAdapter;
  class AdminAdapter;

  const ServerHooks* const hooks_;
  const std::shared_ptr<base::EventLoop> loop_;
  net::Completions* const completions_;
  std::vector<std::unique_ptr<net::Handler>> routes_;
};

}  // namespace bandb::server

#endif  // BANDB_SERVER_HOST_CODE_H_
