#include "server/wire_protocol.h"

#include "proto/frame.h"
#include "proto/message_id.h"
#include "proto/response.h"

namespace bandb::server {

net::Cut WireProtocol::Next(std::string_view bytes, net::Frame* frame, size_t* frame_bytes) const {
  proto::Frame cut;
  switch (proto::CutFrame(bytes, frame_bytes_max_, &cut, frame_bytes)) {
    case proto::CutResult::kFrame:
      *frame = {cut.message_id, cut.payload};
      *frame_bytes = cut.ByteSize();
      return net::Cut::kFrame;
    case proto::CutResult::kIncomplete:
      if (bytes.size() < proto::kFrameHeaderBytes) return net::Cut::kIncomplete;
      frame->message_id = cut.message_id;
      return net::Cut::kHeader;
    case proto::CutResult::kTooLong:
      break;
  }
  return net::Cut::kTooLong;
}

void WireProtocol::AppendError(uint16_t code, std::string_view message, std::string* to) const {
  proto::AppendError(to, code, message);
}

uint16_t WireProtocol::CodeOf(net::Refusal refusal) const {
  switch (refusal) {
    case net::Refusal::kUnknownMessage:
      return ToCode(proto::ErrorCode::kUnknownMessage);
    case net::Refusal::kOverloaded:
      return ToCode(proto::ErrorCode::kOverloaded);
    case net::Refusal::kOutcomeUnknown:
      return proto::ToCode(absl::StatusCode::kUnknown);
    case net::Refusal::kFrameTooLong:
      return ToCode(proto::ErrorCode::kTooLarge);
    case net::Refusal::kFrameTimedOut:
      return ToCode(proto::ErrorCode::kTimedOut);
    case net::Refusal::kTooManyConnections:
      return ToCode(proto::ErrorCode::kTooManyConnections);
    case net::Refusal::kShuttingDown:
      return ToCode(proto::ErrorCode::kShuttingDown);
    case net::Refusal::kHookFailed:
      break;
  }
  return ToCode(proto::ErrorCode::kHookFailed);
}

std::string_view WireProtocol::MessageOf(net::Refusal refusal) const {
  switch (refusal) {
    case net::Refusal::kUnknownMessage:
      return "no such message id";
    case net::Refusal::kOverloaded:
      return "the server is short of memory: not done, try again later";
    case net::Refusal::kOutcomeUnknown:
      return "closed: the server is short of memory, and this connection held most of it";
    case net::Refusal::kFrameTooLong:
      return "the frame exceeds the limit";
    case net::Refusal::kFrameTimedOut:
      return "the frame was not completed in time";
    case net::Refusal::kTooManyConnections:
      return "too many connections";
    case net::Refusal::kShuttingDown:
      return "the server is shutting down";
    case net::Refusal::kHookFailed:
      break;
  }
  return "a hook failed";
}

std::string_view WireProtocol::OkReply() const { return proto::OkFrame(); }

}  // namespace bandb::server
