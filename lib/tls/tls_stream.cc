#include "tls/tls_stream.h"

#include <utility>

#include "base/assert.h"
#include "base/status.h"

namespace bandb::tls {

using State = base::IoResult::State;

namespace {

// A fatal alert of TLS, "protocol version", as a record.
constexpr std::string_view kWrongProtocol("\x15\x03\x01\x00\x02\x02\x46", 7);

}  // namespace

absl::StatusOr<std::unique_ptr<TlsStream>> TlsStream::Over(std::unique_ptr<base::Stream> below,
                                                           std::shared_ptr<Context> context, base::EventLoop* loop,
                                                           const std::string& host) {
  std::unique_ptr<TlsStream> stream(new TlsStream(std::move(below), loop, !context->is_server()));
  BANDB_ASSIGN_OR_RETURN(stream->engine_, Engine::Create(std::move(context), &stream->source_, host));
  return stream;
}

TlsStream::~TlsStream() {
  *alive_ = false;
  // The peer is told that this was the end, if that can be said at once.
  if (!broken_ && !closing_ && established_ == nullptr && engine_ != nullptr) {
    engine_->CloseWrite();
    Flush();
  }
}

void TlsStream::Establish(Established established) {
  begun_ = true;
  established_ = std::move(established);
  below_->SetHandler(this);
  WatchBelow();
}

void TlsStream::SetHandler(base::StreamHandler* handler) {
  handler_ = handler;
  if (std::exchange(begun_, true)) return;
  established_ = [this](const absl::Status& status) {
    if (!status.ok()) {
      // A peer that does not speak TLS is told that this side does, as far as that is possible.
      if (!is_client_) TellPlainly(kWrongProtocol);
      return handler_->OnBroken();
    }
    WatchBelow();
    if (engine_->HasMore()) TellOfMore();
    if (writable_) handler_->OnWritable();
  };
  below_->SetHandler(this);
  WatchBelow();
}

void TlsStream::Shake() {
  const State state = engine_->Handshake();
  // What it says in the end is often why it says nothing more.
  const bool flushed = Flush();
  if (state == State::kFailed || !flushed) {
    broken_ = true;
    below_->Watch(false, false);
    return std::exchange(established_, nullptr)(base::Error(absl::StatusCode::kUnavailable, "no TLS connection: {}",
                                                            flushed ? engine_->failure() : "it broke off"));
  }
  WatchBelow();
  if (state != State::kDone) return;
  was_established_ = true;
  std::exchange(established_, nullptr)(absl::OkStatus());
}

void TlsStream::TellPlainly(std::string_view bytes) {
  if (!engine_->has_spoken()) below_->Write(absl::MakeConstSpan(&bytes, 1));
}

std::string TlsStream::failure() const {
  const std::string& why = engine_->failure();
  if (!why.empty() && why != Engine::kBrokeOff) return why;
  const bool broke_early = broken_ && !was_established_ && (!is_client_ || engine_->has_spoken());
  return broke_early ? "the connection broke in the handshake" : "";
}

bool TlsStream::Flush() {
  while (!engine_->unsent().empty()) {
    const std::string_view bytes = engine_->unsent();
    const base::IoResult result = below_->Write(absl::MakeConstSpan(&bytes, 1));
    if (result.state == State::kFailed) return false;
    if (result.bytes == 0) return true;
    engine_->Sent(result.bytes);
  }
  if (closing_ && !std::exchange(closed_below_, true)) below_->CloseWrite();
  return true;
}

void TlsStream::WatchBelow() {
  if (broken_) return;
  const bool unsent = !engine_->unsent().empty();
  // The side that connects speaks first, once there is a connection: one that cannot be made must
  // not look as if it had been.
  const bool begins = is_shaking() && is_client_ && !engine_->has_spoken();
  // A peer that asks for much and takes nothing is not read.
  const bool reads = (readable_ || is_shaking()) && !begins && engine_->unsent().size() < Engine::kUnsentBytesMax;
  below_->Watch(reads, unsent || begins || (writable_ && !is_shaking()));
}

base::IoResult TlsStream::Read(char* to, size_t bytes_max) {
  if (is_shaking()) return {State::kWouldBlock, 0};
  if (broken_) return {State::kFailed, 0};
  const base::IoResult result = engine_->Read(to, bytes_max);
  // It may have answered by itself, as to a change of keys.
  if (!Flush()) broken_ = true;
  WatchBelow();
  if (engine_->HasMore() || broken_) TellOfMore();
  return result;
}

base::IoResult TlsStream::Write(absl::Span<const std::string_view> pieces) {
  if (is_shaking()) return {State::kWouldBlock, 0};
  if (broken_) return {State::kFailed, 0};
  const size_t taken = engine_->Write(pieces);
  if (!Flush()) {
    broken_ = true;
    // What it said before it closed may be why.
    char last = 0;
    engine_->Read(&last, 1);
  }
  WatchBelow();
  if (broken_ || !engine_->failure().empty()) return {State::kFailed, 0};
  return {taken == 0 ? State::kWouldBlock : State::kDone, taken};
}

void TlsStream::Watch(bool readable, bool writable) {
  readable_ = readable;
  writable_ = writable;
  WatchBelow();
  if (readable_ && engine_->HasMore()) TellOfMore();
}

void TlsStream::TellOfMore() {
  if (!readable_ || std::exchange(telling_, true)) return;
  loop_->Post([this, alive = alive_] {
    if (!*alive) return;
    telling_ = false;
    if (readable_ && (broken_ || engine_->HasMore())) handler_->OnReadable();
  });
}

void TlsStream::CloseWrite() {
  if (broken_ || std::exchange(closing_, true)) return;
  engine_->CloseWrite();
  if (!Flush()) broken_ = true;
  WatchBelow();
}

void TlsStream::OnReadable() {
  if (established_ != nullptr) return Shake();
  if (readable_) handler_->OnReadable();
}

void TlsStream::OnWritable() {
  if (established_ != nullptr) return Shake();
  const bool had_much = engine_->unsent().size() >= Engine::kUnsentBytesMax;
  if (!Flush()) {
    broken_ = true;
    return handler_->OnBroken();
  }
  WatchBelow();
  if (had_much && engine_->HasMore()) TellOfMore();
  if (writable_ && engine_->unsent().empty()) handler_->OnWritable();
}

void TlsStream::OnBroken() {
  broken_ = true;
  if (established_ != nullptr) {
    return std::exchange(established_,
                         nullptr)(base::Error(absl::StatusCode::kUnavailable, "no TLS connection: it broke off"));
  }
  handler_->OnBroken();
}

}  // namespace bandb::tls
