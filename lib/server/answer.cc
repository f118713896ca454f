#include "server/answer.h"

#include <string>

#include "base/status.h"
#include "proto/message_id.h"
#include "proto/response.h"

namespace bandb::server {

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
