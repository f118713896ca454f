#include "server/request.h"

#include <string>
#include <utility>

#include "proto/message_id.h"
#include "server/durable_replies.h"
#include "server/host_hooks.h"

namespace bandb::server {

namespace {

void Count(const Outcome& outcome, ServiceCounters* counters) {
  if (outcome.failure.code == ToCode(proto::ErrorCode::kOverloaded)) counters->overloaded.Add();
}

}  // namespace

void Complete(const RequestContext& context, const Pending& pending, Outcome* outcome) {
  Count(*outcome, context.counters);
  net::Reply reply{.head = {}, .ok = outcome->ok(), .code = outcome->failure.code};
  std::string bytes;
  auto* const codec = static_cast<Codec*>(context.completions->CodecOf(pending.ticket));
  if (codec != nullptr && outcome->ok() && pending.done != nullptr) pending.done(codec);
  // Found out only by and by: of a walk, say, or of keys as hooks have made them.
  const bool is_denied = outcome->failure.code == proto::ToCode(absl::StatusCode::kPermissionDenied);
  if (codec != nullptr && is_denied) codec->session().CountDenial();
  if (codec != nullptr) reply = codec->Encode(outcome, context.quota, &bytes);
  if (pending.record != nullptr) context.hooks->RunAfter(*pending.record, reply.ok, reply.code);
  context.times->Add(pending.mark, [&]() -> RequestSource {
    if (codec == nullptr) return {context.completions->PeerOf(pending.ticket)};
    return {context.completions->PeerOf(pending.ticket), codec->user(), codec->client_name()};
  });
  // A connection that is gone needs no reply.
  context.completions->Complete(pending.ticket, std::move(reply)).IgnoreError();
}

void CompleteDurably(const RequestContext& context, Pending pending, Outcome outcome, bool saw_undurable) {
  if (saw_undurable && context.durable != nullptr) {
    return context.durable->Hold(std::move(pending), std::move(outcome));
  }
  Complete(context, pending, &outcome);
}

Origin Request::origin() const {
  return {ToNumber(call_.request().connection), call_.request().peer, call_.request().user};
}

std::unique_ptr<HookRecord> Request::MakeRecord() const {
  return context_.hooks->MakeRecord(origin(), message_, operations_);
}

Pending Request::Defer(size_t held_bytes) {
  std::unique_ptr<HookRecord> record = MakeRecord();
  if (record != nullptr) held_bytes += record->bytes.size();
  Pending pending{call_.Defer(held_bytes), std::move(record), mark_};
  pending.mark.submitted_nanos = context_.times->NowNanos();
  return pending;
}

void Request::Answer(Outcome outcome, const HookRecord* record) {
  Count(outcome, context_.counters);
  std::string bytes;
  net::Reply reply = codec().Encode(&outcome, context_.quota, &bytes);
  if (record != nullptr) context_.hooks->RunAfter(*record, reply.ok, reply.code);
  context_.times->Add(mark_, [this]() -> RequestSource {
    return {call_.request().peer, call_.request().user, codec().client_name()};
  });
  call_.Answer(std::move(reply));
}

}  // namespace bandb::server
