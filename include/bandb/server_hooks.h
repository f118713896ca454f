// The host's code between clients and the store: hooks on requests, routes of its own, and the life
// of connections.
#ifndef BANDB_SERVER_HOOKS_H_
#define BANDB_SERVER_HOOKS_H_

#include <concepts>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace bandb {

// The requests of the protocol (docs/protocol.md). Ids from kFirstUserMessage belong to the host.
inline constexpr uint32_t kPutMessage = 1;
inline constexpr uint32_t kGetMessage = 2;
inline constexpr uint32_t kDeleteMessage = 3;
inline constexpr uint32_t kBatchMessage = 18;
inline constexpr uint32_t kScanMessage = 19;
inline constexpr uint32_t kFirstUserMessage = 65536;

// Error codes of the host's own; those below are BanDB's.
inline constexpr uint16_t kFirstHookErrorCode = 32768;

// A request as hooks and routes see it. Lifetime: the views are valid until the hook or handler
// returns.
struct ServerRequest {
  uint64_t connection = 0;  // never used twice while a server lives
  uint32_t message_id = 0;
  std::string_view payload;  // everything after the frame header
  std::string_view peer;     // HOST:PORT of the client
  std::string_view user{};   // its name; empty where there are no users
};

// What is done to a key, or to a range of keys.
enum class OperationKind : uint8_t { kGet, kPut, kDelete, kDeleteRange, kScan };

// One operation, whatever message and protocol asked for it: a put is a put by itself and within a
// batch. Lifetime: the views are valid until the hook returns.
struct ServerOperation {
  uint64_t connection = 0;  // as in ServerRequest
  std::string_view peer;
  std::string_view user{};  // likewise
  OperationKind kind = OperationKind::kGet;
  std::string_view key;                                    // of a range: where it begins
  std::string_view limit;                                  // of a range: where it ends; empty: the end of all keys
  std::string_view value;                                  // of a put
  absl::Duration time_to_live = absl::InfiniteDuration();  // of a put
};

// A write that a pre-hook adds to the one that it was shown.
struct EmittedOperation {
  OperationKind kind = OperationKind::kPut;  // or kDelete, or kDeleteRange
  std::string key{};
  std::string value{};                                     // of a put; of a range: where it ends
  absl::Duration time_to_live = absl::InfiniteDuration();  // of a put
};

// What a pre-hook decides about a request. docs/hooks.md says more of each verdict.
class HookResult {
 public:
  // One for each of the functions below.
  enum class Verdict : uint8_t { kPass, kModify, kDrop, kReject, kRoute, kEmit };

  // Go on with the request as it is.
  static HookResult Pass() { return HookResult(Verdict::kPass, 0, {}); }
  // Go on with this payload in its place: of a put that of PUT, of a get or delete that of GET, of
  // a range that of PUT with the limit for a value. A put keeps its time to live. What is malformed
  // or exceeds a limit is answered as if the client had sent it.
  static HookResult Modify(std::string payload) { return HookResult(Verdict::kModify, 0, std::move(payload)); }
  // The same, of the parts of a put, or of a range with its limit.
  static HookResult Modify(std::string_view key, std::string_view value_or_limit);
  // The same, of a get or delete.
  static HookResult ModifyKey(std::string_view key);
  // Do nothing and answer OK, without a value.
  static HookResult Drop() { return HookResult(Verdict::kDrop, 0, {}); }
  // Do nothing and answer with this error; `code` is kFirstHookErrorCode or above (others become
  // that).
  static HookResult Reject(uint16_t code, std::string message) {
    return HookResult(Verdict::kReject, code < kFirstHookErrorCode ? kFirstHookErrorCode : code, std::move(message));
  }
  // Go on with this key in the place of the one that was asked for: a get reads it, a put writes it
  // with the same value and time to live, a delete deletes it. Makes no sense of a range, or of a
  // message that is not one operation.
  static HookResult Route(std::string_view key) { return HookResult(Verdict::kRoute, 0, std::string(key)); }
  // Go on, and do these right after the operation: in the same batch, so that either all of it is
  // done or nothing, with one sync. They are held to the limits of one BATCH, together with what
  // the client asked for, and to the rights of the client; no hook is shown them, before or after.
  // Makes no sense of a get or a scan, or of a message that is not one operation.
  static HookResult Emit(std::vector<EmittedOperation> operations) {
    return HookResult(Verdict::kEmit, 0, {}).With(std::move(operations));
  }
  // This verdict, and these operations besides, as of Emit. Of Drop and Reject nothing is done.
  HookResult With(std::vector<EmittedOperation> operations) &&;

  // What was decided.
  Verdict verdict() const { return verdict_; }
  // The error code of Reject; else 0.
  uint16_t code() const { return code_; }
  // The payload of Modify, the message of Reject or the key of Route.
  const std::string& text() const { return text_; }
  // As text(), moved out.
  std::string TakeText() { return std::move(text_); }
  // The operations of Emit and With.
  const std::vector<EmittedOperation>& emitted() const { return emitted_; }
  // As emitted(), moved out.
  std::vector<EmittedOperation> TakeEmitted() { return std::move(emitted_); }

 private:
  HookResult(Verdict verdict, uint16_t code, std::string text)
      : verdict_(verdict), code_(code), text_(std::move(text)) {}

  Verdict verdict_;
  uint16_t code_;
  std::string text_;
  std::vector<EmittedOperation> emitted_;
};

// What becomes of a request whose pre-hook failed: it threw, or what it decided makes no sense of
// that request. Either is counted (ServerStats::hook_failures). What exceeds a limit is no failure
// of the hook.
enum class HookFailurePolicy : uint8_t {
  kReject,  // it is not done, and answered "hook failed"; a payload of Modify that does not add up,
            // as if the client had sent it
  kPass,    // it goes on as if this hook had passed it
};

// How a request ended, as post-hooks see it.
struct ServerOutcome {
  bool ok = false;
  uint16_t code = 0;  // of the error reply: an absl::StatusCode, or 256 and up (docs/protocol.md)
};

namespace internal {
class ReplySink;
}

// The right to answer one request of a route, once, now or later. Destroyed without an answer, it
// answers kInternal: no request stays without a reply.
//
// Lifetime: may outlive the request, its connection and the server; an answer that nobody waits for
// is dropped. Thread safety: any thread, one at a time.
class Responder {
 public:
  Responder(Responder&&) noexcept;
  Responder& operator=(Responder&& other) noexcept;
  ~Responder();

  // Answers OK: status byte 0, then `payload`.
  void Ok(std::string_view payload = {});
  // Answers an error; a `code` that is not an absl::StatusCode should be kFirstHookErrorCode or
  // above.
  void Error(uint16_t code, std::string_view message);

  // For the server.
  explicit Responder(std::unique_ptr<internal::ReplySink> sink);

 private:
  std::unique_ptr<internal::ReplySink> sink_;  // null once answered
};

// Thread safety: these functions are called by the server's loops (see ServerOptions::loops),
// several at once where there are several, and must not block for long: everybody waits for them.
// Blocking routes ask for a worker. A function that throws is contained and counted: a route
// answers the error code "hook failed", and for a pre-hook its HookFailurePolicy decides.
//
// Before a request, after it, and in the place of BanDB's own handling.
using PreHook = std::function<HookResult(const ServerRequest&)>;
using PostHook = std::function<void(const ServerRequest&, const ServerOutcome&)>;
using OperationHook = std::function<HookResult(const ServerOperation&)>;
using OperationPostHook = std::function<void(const ServerOperation&, const ServerOutcome&)>;
using RouteHandler = std::function<void(const ServerRequest&, Responder)>;

// What an operator asks for, and who that is.
struct AdministrationRequest {
  std::vector<std::string> words;  // "flush" for one
  uint64_t connection = 0;         // as in ServerRequest
  std::string peer{};
  std::string user{};
};

// Does it, and answers with a text. It may take long.
using Administration = std::function<absl::StatusOr<std::string>(const AdministrationRequest&)>;

// How to run a route.
struct RouteOptions {
  // Run the handler (and its pre-hooks) on a worker thread.
  bool on_worker = false;
  // On a worker: how long the request may take, from when it waits for one until it is answered.
  // Then it is answered "hook failed", or "overloaded" and not run if no worker came to it; an
  // answer that comes later is dropped. A handler that has not returned keeps its thread, and is
  // counted (ServerStats::workers_lost) and logged: another takes its place, as often as there are
  // ServerOptions::worker_threads. At least 1 ms; default: no limit.
  absl::Duration time_limit = absl::InfiniteDuration();
};

// A function for the requests of one message id.
struct PreHookEntry {
  uint32_t message_id = 0;
  PreHook hook;
  HookFailurePolicy on_failure = HookFailurePolicy::kReject;
};
// A function for operations of every kind.
struct OperationHookEntry {
  // Anything that is an OperationHook.
  template <std::convertible_to<OperationHook> Hook>
  OperationHookEntry(Hook&& called, HookFailurePolicy policy = HookFailurePolicy::kReject)  // NOLINT
      : hook(std::forward<Hook>(called)), on_failure(policy) {}

  OperationHook hook;            // not empty
  HookFailurePolicy on_failure;  // of the hook
};
// Likewise, run when the outcome is known.
struct PostHookEntry {
  uint32_t message_id = 0;
  PostHook hook;
};
// A message id of the host's own.
struct RouteEntry {
  uint32_t message_id = 0;
  RouteHandler handler;
  RouteOptions options;
};

// What the host registers with Server::Start. Functions of one kind and id run in the order of
// registration.
//
// Hooks see operations. One on kPutMessage, kGetMessage or kDeleteMessage is called for each put,
// get or delete of a single key, with the payload that it has in a message of its own, also within
// a batch and from clients of other protocols. One on another message of BanDB is called for that
// message, before the operations in it. The verdict on a batch is the worst of those on its
// operations: if one is rejected so is the batch, else if one is dropped so is the batch. The
// conditions of a BATCH are gets, to pre-hooks.
struct ServerHooks {
  // Run before the operation is checked, each on what those before it left; Drop and Reject end the
  // chain. A message that is malformed gets no further than its own hooks.
  std::vector<PreHookEntry> before;
  // Run once the outcome is known, before the reply leaves, and whether or not the client is still
  // there; those on routes not for a connection that has ended. They do not run for requests that a
  // PreHook ended. While a write is on its way a copy of its payload is kept for them.
  std::vector<PostHookEntry> after;
  // The same for operations of every kind, after those on messages.
  std::vector<OperationHookEntry> before_operations;
  std::vector<OperationPostHook> after_operations;
  // Ids from kFirstUserMessage on, each at most once. A request of a route starts when everything
  // before it on its connection has been answered, and what follows it there waits for its answer.
  std::vector<RouteEntry> routes;
  // Called for each ADMIN message, on a worker thread, several at once. Null: there is no such
  // message.
  Administration administer;
  // A connection was accepted; an error status refuses it: the client gets an error frame with its
  // text. May be null.
  std::function<absl::Status(uint64_t connection, std::string_view peer)> on_connect;
  // A connection that on_connect let in has ended. May be null.
  std::function<void(uint64_t connection)> on_disconnect;
};

// The parts of a PUT, as views into `payload`; false if it is malformed.
bool DecodePutPayload(std::string_view payload, std::string_view* key, std::string_view* value);
// Likewise of a GET or DELETE.
bool DecodeKeyPayload(std::string_view payload, std::string_view* key);
// The payload of a PUT, for HookResult::Modify.
std::string EncodePutPayload(std::string_view key, std::string_view value);

}  // namespace bandb

#endif  // BANDB_SERVER_HOOKS_H_
