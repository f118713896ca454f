#include "bandb/server_hooks.h"

#include <exception>
#include <iterator>
#include <string>
#include <utility>

#include "base/assert.h"
#include "proto/frame.h"
#include "proto/message_id.h"
#include "proto/request.h"
#include "server/codec.h"
#include "server/reply_sink.h"

namespace bandb {

namespace internal {

void ReplySink::Ok(std::string_view payload) { Post({.answer = server::EchoAnswer{std::string(payload)}}); }

void ReplySink::Error(uint16_t code, std::string_view message) { Post({.failure = {code, std::string(message)}}); }

void ReplySink::Post(server::Outcome outcome) {
  loop_->Post([completions = completions_, ticket = ticket_, outcome = std::move(outcome)]() mutable {
    std::string bytes;
    net::Reply reply;
    auto* const codec = static_cast<server::Codec*>(completions->CodecOf(ticket));
    if (codec != nullptr) reply = codec->Encode(&outcome, nullptr, &bytes);
    // A client that is gone needs no reply.
    completions->Complete(ticket, std::move(reply)).IgnoreError();
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

HookResult HookResult::Modify(std::string_view key, std::string_view value_or_limit) {
  return Modify(EncodePutPayload(key, value_or_limit));
}

HookResult HookResult::ModifyKey(std::string_view key) {
  std::string frame;
  proto::AppendGet(&frame, key);
  return Modify(frame.substr(proto::kFrameHeaderBytes));
}

HookResult HookResult::With(std::vector<EmittedOperation> operations) && {
  emitted_.insert(emitted_.end(), std::make_move_iterator(operations.begin()),
                  std::make_move_iterator(operations.end()));
  return std::move(*this);
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
