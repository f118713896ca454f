// Routes by message id, with their pre-hooks and post-hooks.
//
// A handler answers inside the call, or takes a ticket and answers later; either way replies leave
// in request order. What may be started while earlier requests of the same connection are still
// unanswered is decided by lanes: requests of one lane may overlap (their handlers keep the order
// of effects themselves), a change of lane waits until nothing is unanswered, and the exclusive
// lane overlaps with nothing. So a read after a write waits for it, and writes do not wait for one
// another.
#ifndef BANDB_NET_ROUTER_H_
#define BANDB_NET_ROUTER_H_

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "net/limits.h"
#include "net/protocol.h"
#include "net/reply.h"

namespace bandb::net {

using Lane = uint8_t;
inline constexpr Lane kLaneFree = 0;  // has no effects and sees none: starts at any time
inline constexpr Lane kLaneExclusive = 255;

// Lifetime: the views are valid until the hook or handler returns.
struct RequestView {
  ConnectionId connection;
  uint32_t message_id = 0;
  std::string_view payload;
  std::string_view peer;
  std::string_view user{};  // as Codec::user
  int64_t since_nanos = 0;  // when the turn began in which it was there, or was held up by a gate
};

struct HookDecision {
  enum class Verdict : uint8_t { kPass, kModify, kDrop, kReject };
  Verdict verdict = Verdict::kPass;
  uint16_t code = 0;   // of kReject
  std::string text{};  // the payload of kModify, the message of kReject
};

using PreHook = std::function<HookDecision(const RequestView&)>;
using PostHook = std::function<void(const RequestView&, bool ok, uint16_t code)>;

// A request while its handler runs. The handler calls Answer or Defer, once.
class Call {
 public:
  virtual const RequestView& request() const = 0;
  // That of its connection; null on a worker.
  virtual Codec* codec() = 0;
  // Earlier requests of the same connection and lane are still unanswered.
  virtual bool behind_others() const = 0;
  virtual void Answer(Reply reply) = 0;
  // The reply comes later, to FrameServer::Complete. Until then `held_bytes` count as in flight.
  virtual Ticket Defer(size_t held_bytes) = 0;

 protected:
  ~Call() = default;
};

// Called on the loop, or on a worker where the route says so; several at once if it serves several
// loops.
class Handler {
 public:
  virtual ~Handler() = default;
  virtual void Handle(Call& call) = 0;
};

// Whether requests of a route may start now. While it is closed they wait, connections in turn, and
// are not read; those that waited too long are answered "overloaded".
class Gate {
 public:
  virtual bool IsOpen() const = 0;

 protected:
  ~Gate() = default;
};

struct Route {
  Handler* handler = nullptr;
  const Gate* gate = nullptr;  // null: always open
  Lane lane = kLaneExclusive;
  bool on_worker = false;
  int64_t limit_nanos = kNoTimeout;  // on a worker: until it is refused
  std::vector<PreHook> before;
  std::vector<PostHook> after;
};

// Filled before it serves, then only read. Lifetime: handlers must outlive it. Thread safety: const
// methods from any thread.
class Router {
 public:
  // At most once for an id. A route on a worker is exclusive, whatever `lane` says.
  void Add(uint32_t message_id, Handler* handler, Lane lane, bool on_worker = false);
  // In which the route, which is on a worker, and its hooks are to have answered.
  void SetLimit(uint32_t message_id, int64_t limit_nanos);
  // The route must have been added.
  void AddBefore(uint32_t message_id, PreHook hook);
  void AddAfter(uint32_t message_id, PostHook hook);
  void SetGate(uint32_t message_id, const Gate* gate);

  bool Has(uint32_t message_id) const { return Find(message_id) != nullptr; }
  const Route* Find(uint32_t message_id) const;

 private:
  // The protocol's own ids are small and looked up for every frame.
  static constexpr uint32_t kSmallIds = 64;

  std::vector<Route> small_ = std::vector<Route>(kSmallIds);
  std::map<uint32_t, Route> large_;
};

// What the connections of one address speak, and what they may ask for. Lifetime: both must outlive
// the connections.
struct Endpoint {
  const Protocol* protocol = nullptr;
  const Router* router = nullptr;
};

}  // namespace bandb::net

#endif  // BANDB_NET_ROUTER_H_
