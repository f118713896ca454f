#include "bandb/server_hooks.h"

#include <exception>
#include <string>
#include <utility>

#include "base/assert.h"
#include "base/coding.h"
#include "proto/message_id.h"
#include "proto/request.h"
#include "proto/response.h"
#include "server/reply_sink.h"

namespace bandb {

namespace internal {

void ReplySink::Ok(std::string_view payload) {
  if (payload.size() + 1 > frame_bytes_max_) {
    return Error(ToCode(proto::ErrorCode::kTooLarge), "the reply exceeds the frame limit");
  }
  std::string frame(proto::kOkFrameBytes, '\0');
  proto::StoreOkHead(frame.data(), payload.size());
  frame.append(payload);
  Post(std::move(frame), true, 0);
}

void ReplySink::Error(uint16_t code, std::string_view message) {
  std::string frame;
  proto::AppendError(&frame, code, message);
  Post(std::move(frame), false, code);
}

void ReplySink::Post(std::string frame, bool ok, uint16_t code) {
  loop_->Post([completions = completions_, ticket = ticket_, frame = std::move(frame), ok, code] {
    // Whoever is gone needs no reply.
    completions->Complete(ticket, {.head = frame, .ok = ok, .code = code}).IgnoreError();
  });
}

}  // namespace internal

Responder::Responder(std::unique_ptr<internal::ReplySink> sink) : sink_(std::move(sink)) {}

Responder::Responder(Responder&&) noexcept = default;

Responder& Responder::operator=(Responder&& other) noexcept {
  if (this != &other) {
    Responder dropped(std::move(*this));
    sink_ = std::move(other.sink_);
  }
  return *this;
}

Responder::~Responder() {
  if (sink_ == nullptr) return;
  // Let go of by an exception: then the route failed.
  if (std::uncaught_exceptions() > 0) {
    sink_->Error(ToCode(proto::ErrorCode::kHookFailed), "a hook failed");
  } else {
    sink_->Error(proto::ToCode(absl::StatusCode::kInternal), "the route did not answer");
  }
}

void Responder::Ok(std::string_view payload) {
  const std::unique_ptr<internal::ReplySink> sink = std::move(sink_);
  if (sink != nullptr) sink->Ok(payload);
}

void Responder::Error(uint16_t code, std::string_view message) {
  const std::unique_ptr<internal::ReplySink> sink = std::move(sink_);
  if (sink != nullptr) sink->Error(code, message);
}

bool DecodePutPayload(std::string_view payload, std::string_view* key, std::string_view* value) {
  return proto::DecodePut(payload, key, value);
}

bool DecodeKeyPayload(std::string_view payload, std::string_view* key) { return proto::DecodeKey(payload, key); }

std::string EncodePutPayload(std::string_view key, std::string_view value) {
  std::string frame;
  proto::AppendPut(&frame, key, value);
  return frame.substr(proto::kFrameHeaderBytes);
}

}  // namespace bandb
