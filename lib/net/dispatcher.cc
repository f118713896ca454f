#include "net/dispatcher.h"

#include <atomic>
#include <memory>
#include <string>
#include <utility>

#include "base/assert.h"
#include "net/connection.h"
#include "net/frame_server.h"
#include "net/hook_chain.h"

namespace bandb::net {

namespace {

std::unique_ptr<AfterContext> MakeAfter(const Route& route, const RequestView& request) {
  if (route.after.empty()) return nullptr;
  return std::make_unique<AfterContext>(
      AfterContext{&route, request.message_id, std::string(request.payload), std::string(request.user)});
}

RequestView ViewOf(Connection& connection, const Frame& frame) {
  return {.connection = connection.id(),
          .message_id = frame.message_id,
          .payload = frame.payload,
          .peer = connection.peer(),
          .user = connection.codec()->user(),
          .since_nanos = connection.waits_since_nanos()};
}

}  // namespace

// A request whose handler runs on the loop.
class Dispatcher::LoopCall final : public Call {
 public:
  LoopCall(Dispatcher* dispatcher, Connection* connection, const Route* route, const RequestView& request)
      : dispatcher_(dispatcher), connection_(connection), route_(route), request_(request) {}

  const RequestView& request() const override { return request_; }
  Codec* codec() override { return connection_->codec(); }
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
  std::string user;
  size_t payload_bytes_max = 0;
  // What the worker leaves for the loop: how hooks or a failure ended it, or the handler's reply,
  // or neither if the handler keeps the ticket.
  HookEnding ending;
  bool answered = false;
  std::string reply;
  bool ok = true;
  uint16_t code = 0;
  HookTally tally;
  std::atomic<bool> claimed{false};

  // By the worker that runs it or the loop that gives it up: who is first has it.
  bool Claim() { return !claimed.exchange(true); }
  // By the loop. It may be long until a worker finds it, with nothing in it.
  bool GiveUp() {
    if (!Claim()) return false;
    for (std::string* bytes : {&payload, &peer, &user}) std::string().swap(*bytes);
    return true;
  }

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
  // The connection is its loop's.
  Codec* codec() override { return nullptr; }
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
  const Route* route = connection.router().Find(frame.message_id);
  if (route == nullptr) {
    host_->counters->malformed_frames.Add();
    connection.AnswerRefusal(Refusal::kUnknownMessage);
    return Started::kYes;
  }
  if (!connection.MayStart(route->lane)) return Started::kLaneBusy;
  if (const Denial denial = connection.codec()->Admit(frame.message_id); denial.code != 0) {
    host_->observer->OnDenial(ViewOf(connection, frame), denial);
    connection.AnswerDenial(denial);
    return Started::kYes;
  }
  if (route->lane != kLaneFree && host_->MemoryIsFull() && !connection.codec()->NeedsNoMemory()) {
    host_->counters->overloaded.Add();
    connection.AnswerRefusal(Refusal::kOverloaded);
    return Started::kYes;
  }
  if (route->gate != nullptr && !connection.MayPass(route->gate)) return Started::kGateClosed;
  RequestView request = ViewOf(connection, frame);
  if (route->on_worker) {
    if (route->limit_nanos != kNoTimeout && limits_->IsFull()) {
      host_->counters->overloaded.Add();
      connection.AnswerRefusal(Refusal::kOverloaded);
      return Started::kYes;
    }
    StartOnWorker(connection, *route, request);
    return Started::kYes;
  }
  std::string bytes;
  HookTally tally;
  if (!route->before.empty()) {
    const HookEnding ending = RunHooksBefore(*route, connection.codec()->payload_bytes_max(), &request, &bytes, &tally);
    tally.AddTo(host_->counters);
    if (ending.kind != HookEnding::Kind::kGoOn) {
      connection.AnswerNow(ToReply(*connection.codec(), ending, &bytes));
      return Started::kYes;
    }
  }
  LoopCall call(this, &connection, route, request);
  HookTally handler_tally;
  if (!HandleContained(*route, call, &handler_tally)) {
    handler_tally.AddTo(host_->counters);
    std::string error;
    if (!call.taken()) call.Answer(RefusalReply(*connection.codec(), Refusal::kHookFailed, &error));
  }
  BANDB_ASSERT(call.taken());
  return Started::kYes;
}

void Dispatcher::RunAfter(const Connection& connection, const AfterContext& context, const Reply& reply) {
  HookTally tally;
  RunHooksAfter(*context.route, {connection.id(), context.message_id, context.payload, connection.peer(), context.user},
                reply, &tally);
  tally.AddTo(host_->counters);
}

void Dispatcher::StartOnWorker(Connection& connection, const Route& route, const RequestView& request) {
  BANDB_ASSERT(executor_ != nullptr);
  auto work = std::make_unique<WorkerRequest>();
  work->route = &route;
  work->message_id = request.message_id;
  work->payload = request.payload;
  work->peer = request.peer;
  work->user = request.user;
  work->payload_bytes_max = connection.codec()->payload_bytes_max();
  const size_t held_bytes = request.payload.size() * (route.after.empty() ? 1 : 2);
  // What pre-hooks make of the request is known only after they ran; see RunOnWorker.
  work->ticket =
      connection.Defer(kLaneExclusive, held_bytes, route.before.empty() ? MakeAfter(route, request) : nullptr);
  if (route.limit_nanos != kNoTimeout) {
    limits_->Add(work->ticket, request.message_id, route.limit_nanos, [work = work.get()] { return work->GiveUp(); });
  }
  ++work_on_workers_;
  executor_->Post(base::Priority::kNormal, [this, work = work.release()] { RunOnWorker(work); });
}

// On a worker: touches nothing of the loop's but the route, which does not change.
void Dispatcher::RunOnWorker(WorkerRequest* work) {
  if (!work->Claim()) {
    host_->loop->Post([this, work] { FinishWork(work); });
    return;
  }
  RequestView request{work->ticket.connection, work->message_id, work->payload, work->peer, work->user};
  std::string bytes;
  work->ending = RunHooksBefore(*work->route, work->payload_bytes_max, &request, &bytes, &work->tally);
  if (work->ending.kind == HookEnding::Kind::kGoOn) {
    if (!work->route->before.empty() && !work->route->after.empty()) {
      // Posted before the handler runs, so that no reply is earlier.
      host_->loop->Post([this, ticket = work->ticket, after = MakeAfter(*work->route, request)]() mutable {
        completions_->SetAfter(ticket, std::move(after));
      });
    }
    WorkerCall call(work, request);
    const bool handled = HandleContained(*work->route, call, &work->tally);
    BANDB_ASSERT(!handled || call.taken());
    if (!call.taken()) work->ending = {.kind = HookEnding::Kind::kRefused, .refusal = Refusal::kHookFailed};
  }
  host_->loop->Post([this, work] { FinishWork(work); });
}

void Dispatcher::FinishWork(WorkerRequest* work) {
  const std::unique_ptr<WorkerRequest> owned(work);
  --work_on_workers_;
  work->tally.AddTo(host_->counters);
  if (limits_->TakeBack(work->ticket)) host_->observer->OnWorkerBack(work->message_id);
  const bool ended = work->ending.kind != HookEnding::Kind::kGoOn;
  if (!work->answered && !ended) return;
  Reply reply{.head = work->reply, .ok = work->ok, .code = work->code};
  const Codec* const codec = completions_->CodecOf(work->ticket);
  if (ended && codec != nullptr) reply = ToReply(*codec, work->ending, &work->reply);
  // The connection may be gone; then nobody waits for the reply.
  completions_->Complete(work->ticket, std::move(reply)).IgnoreError();
}

}  // namespace bandb::net
