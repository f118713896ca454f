#include "net/dispatcher.h"

#include <memory>
#include <string>
#include <utility>

#include "base/assert.h"
#include "net/connection.h"
#include "net/hook_chain.h"

namespace bandb::net {

namespace {

std::unique_ptr<AfterContext> MakeAfter(const Route& route, const RequestView& request) {
  if (route.after.empty()) return nullptr;
  return std::make_unique<AfterContext>(AfterContext{&route, request.message_id, std::string(request.payload)});
}

}  // namespace

// A request whose handler runs on the loop.
class Dispatcher::LoopCall final : public Call {
 public:
  LoopCall(Dispatcher* dispatcher, Connection* connection, const Route* route, const RequestView& request)
      : dispatcher_(dispatcher), connection_(connection), route_(route), request_(request) {}

  const RequestView& request() const override { return request_; }
  bool behind_others() const override { return connection_->lane_in_flight() > 0; }
  void Answer(Reply reply) override {
    BANDB_ASSERT(!taken_);
    taken_ = true;
    if (!route_->after.empty()) {
      HookTally tally;
      RunHooksAfter(*route_, request_, reply, &tally);
      tally.AddTo(dispatcher_->host_->counters);
    }
    connection_->AnswerNow(std::move(reply));
  }
  Ticket Defer(size_t held_bytes) override {
    BANDB_ASSERT(!taken_);
    taken_ = true;
    std::unique_ptr<AfterContext> after = MakeAfter(*route_, request_);
    if (after != nullptr) held_bytes += request_.payload.size();
    return connection_->Defer(route_->lane, held_bytes, std::move(after));
  }
  bool taken() const { return taken_; }

 private:
  Dispatcher* const dispatcher_;
  Connection* const connection_;
  const Route* const route_;
  const RequestView request_;
  bool taken_ = false;
};

// A request on its way to a worker and back, with copies of everything.
struct Dispatcher::WorkerRequest {
  const Route* route = nullptr;
  Ticket ticket;
  uint32_t message_id = 0;
  std::string payload;
  std::string peer;
  // What the worker leaves for the loop; no reply if the handler keeps the ticket.
  bool answered = false;
  std::string reply;
  bool ok = true;
  uint16_t code = 0;
  HookTally tally;

  void Take(const Reply& from) {
    answered = true;
    reply = std::string(from.head).append(from.body).append(from.tail.bytes());
    ok = from.ok;
    code = from.code;
  }
};

class Dispatcher::WorkerCall final : public Call {
 public:
  WorkerCall(WorkerRequest* work, const RequestView& request) : work_(work), request_(request) {}

  const RequestView& request() const override { return request_; }
  // Its lane is the exclusive one.
  bool behind_others() const override { return false; }
  void Answer(Reply reply) override {
    BANDB_ASSERT(!taken_);
    taken_ = true;
    work_->Take(reply);
  }
  Ticket Defer(size_t) override {
    BANDB_ASSERT(!taken_);
    taken_ = true;
    return work_->ticket;
  }
  bool taken() const { return taken_; }

 private:
  WorkerRequest* const work_;
  const RequestView request_;
  bool taken_ = false;
};

Dispatcher::Started Dispatcher::Start(Connection& connection, const Frame& frame) {
  const Route* route = router_->Find(frame.message_id);
  if (route == nullptr) {
    host_->counters->malformed_frames.Add();
    connection.AnswerRefusal(Refusal::kUnknownMessage);
    return Started::kYes;
  }
  if (!connection.MayStart(route->lane)) return Started::kLaneBusy;
  if (route->lane != kLaneFree && host_->MemoryIsFull()) {
    host_->counters->overloaded.Add();
    connection.AnswerRefusal(Refusal::kOverloaded);
    return Started::kYes;
  }
  if (route->gate != nullptr && !connection.MayPass(route->gate)) return Started::kGateClosed;
  RequestView request{connection.id(), frame.message_id, frame.payload, connection.peer()};
  if (route->on_worker) {
    StartOnWorker(connection, *route, request);
    return Started::kYes;
  }
  std::string bytes;
  HookTally tally;
  if (!route->before.empty()) {
    Reply answer;
    const bool go_on = RunHooksBefore(*host_->protocol, *route, &request, &bytes, &answer, &tally);
    tally.AddTo(host_->counters);
    if (!go_on) {
      connection.AnswerNow(std::move(answer));
      return Started::kYes;
    }
  }
  LoopCall call(this, &connection, route, request);
  HookTally handler_tally;
  if (!HandleContained(*route, call, &handler_tally)) {
    handler_tally.AddTo(host_->counters);
    std::string error;
    if (!call.taken()) call.Answer(RefusalReply(*host_->protocol, Refusal::kHookFailed, &error));
  }
  BANDB_ASSERT(call.taken());
  return Started::kYes;
}

void Dispatcher::RunAfter(const Connection& connection, const AfterContext& context, const Reply& reply) {
  HookTally tally;
  RunHooksAfter(*context.route, {connection.id(), context.message_id, context.payload, connection.peer()}, reply,
                &tally);
  tally.AddTo(host_->counters);
}

void Dispatcher::StartOnWorker(Connection& connection, const Route& route, const RequestView& request) {
  BANDB_ASSERT(executor_ != nullptr);
  auto work = std::make_unique<WorkerRequest>();
  work->route = &route;
  work->message_id = request.message_id;
  work->payload = request.payload;
  work->peer = request.peer;
  const size_t held_bytes = request.payload.size() * (route.after.empty() ? 1 : 2);
  // What pre-hooks make of the request is known only after they ran; see RunOnWorker.
  work->ticket =
      connection.Defer(kLaneExclusive, held_bytes, route.before.empty() ? MakeAfter(route, request) : nullptr);
  work_on_workers_++;
  executor_->Post(base::Priority::kNormal, [this, work = work.release()] { RunOnWorker(work); });
}

// On a worker: touches nothing of the loop's but the router and the protocol, which do not change.
void Dispatcher::RunOnWorker(WorkerRequest* work) {
  RequestView request{work->ticket.connection, work->message_id, work->payload, work->peer};
  std::string bytes;
  Reply answer;
  if (!RunHooksBefore(*host_->protocol, *work->route, &request, &bytes, &answer, &work->tally)) {
    work->Take(answer);
  } else {
    if (!work->route->before.empty() && !work->route->after.empty()) {
      // Posted before the handler runs, so that no reply is earlier.
      host_->loop->Post([this, ticket = work->ticket, after = MakeAfter(*work->route, request)]() mutable {
        completions_->SetAfter(ticket, std::move(after));
      });
    }
    WorkerCall call(work, request);
    std::string error;
    const bool handled = HandleContained(*work->route, call, &work->tally);
    if (!handled && !call.taken()) call.Answer(RefusalReply(*host_->protocol, Refusal::kHookFailed, &error));
    BANDB_ASSERT(call.taken());
  }
  host_->loop->Post([this, work] { FinishWork(work); });
}

void Dispatcher::FinishWork(WorkerRequest* work) {
  const std::unique_ptr<WorkerRequest> owned(work);
  work_on_workers_--;
  work->tally.AddTo(host_->counters);
  if (!work->answered) return;
  // The connection may be gone; then nobody waits for the reply.
  completions_->Complete(work->ticket, {.head = work->reply, .ok = work->ok, .code = work->code}).IgnoreError();
}

}  // namespace bandb::net
