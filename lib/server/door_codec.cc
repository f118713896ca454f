#include "server/door_codec.h"

#include <utility>

#include "server/frame_codec.h"

namespace bandb::server {

uint16_t DoorCodec::CodeOf(net::Refusal refusal) const { return ToFailure(refusal).code; }

net::Denial DoorCodec::Admit(uint32_t) {
  // Nobody is answered as a wrong login is.
  if (call_->session.has_users() && !call_->session.Knows()) return {};
  const bool reads = call_->operation.kind == OperationKind::kGet;
  Failure failure = call_->session.Admit(reads ? Permission::kRead : Permission::kWrite);
  return {failure.code, std::move(failure.message)};
}

Failure DoorCodec::Decode(uint32_t, std::string_view, Command* command) {
  if (call_->session.is_nobody()) {
    *command = LoginCommand{.user = std::string(call_->claimed_user), .token = {}, .answer = [](bool) {
                              return Outcome{.failure = NobodyFailure()};
                            }};
    return {};
  }
  if (call_->operation.ByteSize() > payload_bytes_max_) return ToFailure(net::Refusal::kFrameTooLong);
  *command = SingleCommand{.operation = call_->operation};
  return {};
}

net::Reply DoorCodec::Encode(Outcome* outcome, net::Quota*, std::string*) {
  // A failure may be that of many calls.
  call_->outcome.failure = outcome->failure;
  if (outcome->ok()) call_->outcome.answer = std::move(outcome->answer);
  if (call_->outcome.ByteSize() > payload_bytes_max_) {
    call_->outcome = {.failure = ToFailure(net::Refusal::kFrameTooLong)};
  }
  return {.head = {}, .ok = call_->outcome.ok(), .code = call_->outcome.failure.code};
}

}  // namespace bandb::server
