#include "tls/tls_client_stream.h"

#include <utility>

#include "base/status.h"

namespace bandb::tls {

using State = base::IoResult::State;

absl::StatusOr<std::unique_ptr<net::ClientStream>> TlsClientStream::Over(std::unique_ptr<net::ClientStream> plain,
                                                                         std::shared_ptr<Context> context,
                                                                         const std::string& host,
                                                                         int64_t timeout_nanos) {
  std::unique_ptr<TlsClientStream> stream(new TlsClientStream(std::move(plain)));
  BANDB_ASSIGN_OR_RETURN(stream->engine_, Engine::Create(std::move(context), stream.get(), host));
  while (true) {
    const State state = stream->engine_->Handshake();
    BANDB_RETURN_IF_ERROR(stream->Flush());
    if (state == State::kFailed) {
      return base::Error(absl::StatusCode::kUnavailable, "no TLS connection: {}", stream->engine_->failure());
    }
    if (state == State::kDone) return stream;
    Interest interest{stream.get(), false, false};
    if (!Wait(absl::MakeSpan(&interest, 1), timeout_nanos)) {
      return base::Error(absl::StatusCode::kUnavailable, "no TLS connection: the server does not answer");
    }
  }
}

TlsClientStream::~TlsClientStream() {
  if (engine_ == nullptr) return;
  engine_->CloseWrite();
  Flush().IgnoreError();
}

base::IoResult TlsClientStream::Read(char* to, size_t bytes_max) {
  const absl::StatusOr<size_t> read = ClientStream::ReadSome(absl::MakeSpan(to, bytes_max));
  if (!read.ok()) return {State::kFailed, 0};
  return {*read == 0 ? State::kWouldBlock : State::kDone, *read};
}

absl::Status TlsClientStream::Flush() {
  while (!engine_->unsent().empty()) {
    BANDB_ASSIGN_OR_RETURN(const size_t written, ClientStream::WriteSome(engine_->unsent()));
    engine_->Sent(written);
    if (written == 0) break;
  }
  return absl::OkStatus();
}

absl::StatusOr<size_t> TlsClientStream::WriteSome(std::string_view bytes) {
  size_t taken = 0;
  BANDB_RETURN_IF_ERROR(Flush());
  while (taken < bytes.size() && engine_->unsent().empty()) {
    const std::string_view rest = bytes.substr(taken);
    const size_t more = engine_->Write(absl::MakeConstSpan(&rest, 1));
    if (more == 0) return base::Error(absl::StatusCode::kUnavailable, "TLS: {}", engine_->failure());
    taken += more;
    BANDB_RETURN_IF_ERROR(Flush());
  }
  return taken;
}

absl::StatusOr<size_t> TlsClientStream::ReadSome(absl::Span<char> to) {
  const base::IoResult result = engine_->Read(to.data(), to.size());
  BANDB_RETURN_IF_ERROR(Flush());
  switch (result.state) {
    case State::kDone:
      return result.bytes;
    case State::kWouldBlock:
      return size_t{0};
    case State::kEnd:
      return base::Error(absl::StatusCode::kUnavailable, "the server closed the connection");
    case State::kFailed:
      break;
  }
  return base::Error(absl::StatusCode::kUnavailable, "TLS: {}", engine_->failure());
}

}  // namespace bandb::tls
