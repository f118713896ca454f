#include "server/host_hooks.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/assert.h"
#include "base/coding.h"
#include "base/status.h"
#include "proto/message_id.h"
#include "proto/request.h"
#include "server/commands.h"
#include "server/message_table.h"
#include "server/reply_sink.h"

namespace bandb::server {

namespace {

bool IsBanDbMessage(uint32_t id) { return FindMessage(id) != nullptr; }

static_assert(kPutMessage == static_cast<uint32_t>(proto::MessageId::kPut));
static_assert(kGetMessage == static_cast<uint32_t>(proto::MessageId::kGet));
static_assert(kDeleteMessage == static_cast<uint32_t>(proto::MessageId::kDelete));
static_assert(kBatchMessage == static_cast<uint32_t>(proto::MessageId::kBatch));
static_assert(kScanMessage == static_cast<uint32_t>(proto::MessageId::kScan));
static_assert(kFirstUserMessage == proto::kFirstUserMessageId);

ServerRequest ToRequest(const net::RequestView& view) {
  return {ToNumber(view.connection), view.message_id, view.payload, view.peer, view.user};
}

net::HookDecision ToDecision(HookResult result) {
  const auto verdict = static_cast<net::HookDecision::Verdict>(result.verdict());
  return {verdict, result.code(), result.TakeText()};
}

// A route has no operation that could be given another key, and no batch.
bool MakesSenseOfRoute(const HookResult& result) {
  return result.verdict() <= HookResult::Verdict::kReject && result.emitted().empty();
}

static_assert(static_cast<int>(HookResult::Verdict::kPass) == static_cast<int>(net::HookDecision::Verdict::kPass));
static_assert(static_cast<int>(HookResult::Verdict::kModify) == static_cast<int>(net::HookDecision::Verdict::kModify));
static_assert(static_cast<int>(HookResult::Verdict::kDrop) == static_cast<int>(net::HookDecision::Verdict::kDrop));
static_assert(static_cast<int>(HookResult::Verdict::kReject) == static_cast<int>(net::HookDecision::Verdict::kReject));

}  // namespace

absl::Status Validate(const ServerHooks& hooks) {
  std::string wrong;
  const auto has_route = [&hooks](uint32_t id) {
    return std::any_of(hooks.routes.begin(), hooks.routes.end(), [id](const auto& r) { return r.message_id == id; });
  };
  const auto check_hook = [&](uint32_t id, bool callable) {
    if (!callable) wrong += fmt::format("; a hook on message {} is empty", id);
    if (!IsBanDbMessage(id) && !has_route(id)) wrong += fmt::format("; a hook on message {}, which has no route", id);
  };
  for (const PreHookEntry& entry : hooks.before) check_hook(entry.message_id, entry.hook != nullptr);
  for (const PostHookEntry& entry : hooks.after) check_hook(entry.message_id, entry.hook != nullptr);
  for (const OperationHookEntry& entry : hooks.before_operations) {
    if (entry.hook == nullptr) wrong += "; a hook on operations is empty";
  }
  for (const OperationPostHook& hook : hooks.after_operations) {
    if (hook == nullptr) wrong += "; a hook on operations is empty";
  }
  for (size_t i = 0; i < hooks.routes.size(); ++i) {
    const RouteEntry& route = hooks.routes[i];
    if (route.handler == nullptr) wrong += fmt::format("; the route {} has no handler", route.message_id);
    if (route.message_id < kFirstUserMessage) {
      wrong += fmt::format("; the route {} is below {}", route.message_id, kFirstUserMessage);
    }
    const absl::Duration limit = route.options.time_limit;
    if (limit < absl::Milliseconds(1)) {
      wrong += fmt::format("; the time limit of the route {} is {}, less than 1ms", route.message_id,
                           absl::FormatDuration(limit));
    } else if (limit != absl::InfiniteDuration() && !route.options.on_worker) {
      wrong += fmt::format("; the route {} has a time limit, but is not on a worker", route.message_id);
    }
    for (size_t j = 0; j < i; ++j) {
      if (hooks.routes[j].message_id == route.message_id) {
        wrong += fmt::format("; the route {} is registered twice", route.message_id);
      }
    }
  }
  if (wrong.empty()) return absl::OkStatus();
  return base::Error(absl::StatusCode::kInvalidArgument, "server hooks: {}", wrong.substr(2));
}

// A route of the host's: always answered through a Responder, from whatever thread.
class HostHooks::RouteAdapter final : public net::Handler {
 public:
  // `name`: null on a worker.
  RouteAdapter(const HostHooks* host, const RouteHandler* handler, const std::string* name)
      : host_(host), handler_(handler), name_(name) {}
  void Handle(net::Call& call) override {
    const HookSpot::Within within(name_ == nullptr ? nullptr : host_->spot_, name_);
    const net::Ticket ticket = call.Defer(call.request().payload.size());
    auto sink = std::make_unique<internal::ReplySink>(host_->loop_, host_->completions_, ticket);
    // If the handler throws, the responder that it lets go of answers.
    (*handler_)(ToRequest(call.request()), Responder(std::move(sink)));
  }

 private:
  const HostHooks* const host_;
  const RouteHandler* const handler_;
  const std::string* const name_;
};

// ADMIN, the message of an operator: answered by the host, on a worker.
class HostHooks::AdminAdapter final : public net::Handler {
 public:
  explicit AdminAdapter(const HostHooks* host) : host_(host) {}
  void Handle(net::Call& call) override {
    std::vector<std::string_view> words;
    const bool well_formed = proto::DecodeAdmin(call.request().payload, &words);
    const net::RequestView& view = call.request();
    const AdministrationRequest asked{.words = {words.begin(), words.end()},
                                      .connection = ToNumber(view.connection),
                                      .peer = std::string(view.peer),
                                      .user = std::string(view.user)};
    const net::Ticket ticket = call.Defer(call.request().payload.size());
    Responder responder(std::make_unique<internal::ReplySink>(host_->loop_, host_->completions_, ticket));
    if (!well_formed) {
      const Failure failure = MalformedFailure();
      return responder.Error(failure.code, failure.message);
    }
    const absl::StatusOr<std::string> answer = host_->hooks_->administer(asked);
    if (!answer.ok()) {
      const Failure failure = ToFailureOfAll(answer.status());
      return responder.Error(failure.code, failure.message);
    }
    std::string body;
    base::PutFixed32(&body, static_cast<uint32_t>(answer->size()));
    responder.Ok(body + *answer);
  }

 private:
  const HostHooks* const host_;
};

HostHooks::HostHooks(const ServerHooks* hooks, std::shared_ptr<base::EventLoop> loop, net::Completions* completions,
                     HookSpot* spot)
    : hooks_(hooks), loop_(std::move(loop)), completions_(completions), spot_(spot) {}

HostHooks::~HostHooks() = default;

const std::string* HostHooks::NameOf(std::string_view kind, uint32_t message_id) {
  const bool on_worker = std::any_of(hooks_->routes.begin(), hooks_->routes.end(), [message_id](const auto& route) {
    return route.message_id == message_id && route.options.on_worker;
  });
  return on_worker ? nullptr : &names_.emplace_back(fmt::format("{} {}", kind, message_id));
}

net::HookDecision HostHooks::Decide(const PreHookEntry& entry, const std::string* name, const net::RequestView& view) {
  const bool passes = entry.on_failure == HookFailurePolicy::kPass;
  HookResult result = HookResult::Pass();
  try {
    const HookSpot::Within within(name == nullptr ? nullptr : spot_, name);
    result = entry.hook(ToRequest(view));
  } catch (...) {
    // BanNet contains and counts it.
    if (!passes) throw;
    failures_.fetch_add(1, std::memory_order_relaxed);
    return {};
  }
  if (MakesSenseOfRoute(result)) return ToDecision(std::move(result));
  failures_.fetch_add(1, std::memory_order_relaxed);
  if (passes) return {};
  return {net::HookDecision::Verdict::kReject, ToCode(proto::ErrorCode::kHookFailed), "a hook failed"};
}

void HostHooks::AddTo(net::Router* router) {
  for (const RouteEntry& route : hooks_->routes) {
    routes_.push_back(std::make_unique<RouteAdapter>(this, &route.handler, NameOf("the route", route.message_id)));
    router->Add(route.message_id, routes_.back().get(), net::kLaneExclusive, route.options.on_worker);
    const absl::Duration limit = route.options.time_limit;
    if (limit != absl::InfiniteDuration()) router->SetLimit(route.message_id, absl::ToInt64Nanoseconds(limit));
  }
  if (hooks_->administer != nullptr) {
    routes_.push_back(std::make_unique<AdminAdapter>(this));
    router->Add(static_cast<uint32_t>(proto::MessageId::kAdmin), routes_.back().get(), net::kLaneExclusive,
                /*on_worker=*/true);
  }
  // Those on BanDB's own messages are for OperationHooks.
  for (const PreHookEntry& entry : hooks_->before) {
    if (IsBanDbMessage(entry.message_id)) continue;
    const std::string* const name = NameOf("a hook before the route", entry.message_id);
    router->AddBefore(entry.message_id, [this, entry = &entry, name](const net::RequestView& view) {
      return Decide(*entry, name, view);
    });
  }
  for (const PostHookEntry& entry : hooks_->after) {
    if (IsBanDbMessage(entry.message_id)) continue;
    const std::string* const name = NameOf("a hook after the route", entry.message_id);
    const auto run = [hook = &entry.hook, spot = spot_, name](const net::RequestView& view, bool ok, uint16_t code) {
      const HookSpot::Within within(name == nullptr ? nullptr : spot, name);
      (*hook)(ToRequest(view), {ok, code});
    };
    router->AddAfter(entry.message_id, run);
  }
}

net::HookDecision HostHooks::OnConnect(net::ConnectionId id, std::string_view peer, bool* failed) const {
  if (hooks_->on_connect == nullptr) return {};
  static const std::string& name = *new std::string("on_connect");
  try {
    const HookSpot::Within within(spot_, &name);
    const absl::Status status = hooks_->on_connect(ToNumber(id), peer);
    if (status.ok()) return {};
    return {net::HookDecision::Verdict::kReject, proto::CodeFor(status), std::string(base::Message(status))};
  } catch (...) {
    *failed = true;
    return {net::HookDecision::Verdict::kReject, ToCode(proto::ErrorCode::kHookFailed), "a hook failed"};
  }
}

bool HostHooks::OnDisconnect(net::ConnectionId id) const {
  if (hooks_->on_disconnect == nullptr) return true;
  static const std::string& name = *new std::string("on_disconnect");
  try {
    const HookSpot::Within within(spot_, &name);
    hooks_->on_disconnect(ToNumber(id));
    return true;
  } catch (...) {
    return false;
  }
}

}  // namespace bandb::server
