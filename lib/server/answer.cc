#include "server/answer.h"

#include <string>
#include <utility>

#include "base/status.h"
#include "proto/message_id.h"
#include "proto/response.h"
#include "server/durable_replies.h"

namespace bandb::server {

namespace {
// A larger reply is not copied.
constexpr size_t kCopyBytesMax = 16 << 10;
}  // namespace

uint16_t FailureCode(const absl::Status& status) {
  if (status.code() == absl::StatusCode::kNotFound) return proto::ToCode(absl::StatusCode::kInternal);
  return proto::CodeFor(status);
}

void CompleteWith(const AnswerContext& context, const net::Ticket& ticket, std::string frame, bool ok, uint16_t code,
                  bool saw_undurable) {
  if (saw_undurable && context.durable != nullptr) return context.durable->Hold(ticket, std::move(frame), ok, code);
  if (code == ToCode(proto::ErrorCode::kOverloaded)) context.counters->overloaded.Add();
  net::Reply reply{.head = {}, .ok = ok, .code = code};
  const bool large = frame.size() > kCopyBytesMax;
  if (large) {
    reply.tail = net::OwnedBytes::Of(std::move(frame));
  } else {
    reply.head = frame;
  }
  // A connection that is gone needs no reply.
  context.completions->Complete(ticket, std::move(reply)).IgnoreError();
}

void AnswerError(net::Call& call, uint16_t code, std::string_view message) {
  std::string bytes;
  proto::AppendError(&bytes, code, message);
  call.Answer({.head = bytes, .ok = false, .code = code});
}

void AnswerMalformed(net::Call& call, ServiceCounters* counters) {
  counters->malformed.Add();
  AnswerError(call, ToCode(proto::ErrorCode::kMalformed), "the payload does not add up");
}

void AnswerStatus(net::Call& call, const absl::Status& status, ServiceCounters* counters) {
  if (status.code() == absl::StatusCode::kUnavailable) counters->overloaded.Add();
  AnswerError(call, proto::CodeFor(status), base::Message(status));
}

}  // namespace bandb::server
