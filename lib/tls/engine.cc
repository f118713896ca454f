#include "tls/engine.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/status.h"

namespace bandb::tls {

namespace {

using State = base::IoResult::State;

// Of an idle connection, and of the buffers of one that reads, as OpenSSL 3.0 was measured.
constexpr size_t kIdleBytes = 20 << 10;
constexpr size_t kBufferBytes = 17 << 10;
// More than this of room for bytes to send is given back.
constexpr size_t kKeptBytes = 512;

int ReadBytes(BIO* bio, char* to, size_t bytes_max, size_t* bytes) {
  ::BIO_clear_retry_flags(bio);
  *bytes = 0;
  const base::IoResult result = static_cast<Engine*>(::BIO_get_data(bio))->source()->Read(to, bytes_max);
  if (result.state == State::kDone) {
    *bytes = result.bytes;
    return 1;
  }
  if (result.state == State::kWouldBlock) ::BIO_set_retry_read(bio);
  return 0;
}

int WriteBytes(BIO* bio, const char* from, size_t bytes, size_t* written) {
  static_cast<Engine*>(::BIO_get_data(bio))->Collect(std::string_view(from, bytes));
  *written = bytes;
  return 1;
}

long Control(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }

void CountMessage(int is_sent, int, int content, const void*, size_t, SSL*, void* engine) {
  if (is_sent == 0 && content == SSL3_RT_HANDSHAKE) static_cast<Engine*>(engine)->CountMessage();
}

int Create(BIO* bio) {
  ::BIO_set_init(bio, 1);
  return 1;
}

const BIO_METHOD* Method() {
  static const BIO_METHOD* const method = [] {
    BIO_METHOD* const made = ::BIO_meth_new(::BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "bandb");
    BANDB_ASSERT(made != nullptr);
    ::BIO_meth_set_read_ex(made, &ReadBytes);
    ::BIO_meth_set_write_ex(made, &WriteBytes);
    ::BIO_meth_set_ctrl(made, &Control);
    ::BIO_meth_set_create(made, &tls::Create);
    return made;
  }();
  return method;
}

bool SetHost(SSL* ssl, const std::string& host) {
  X509_VERIFY_PARAM* const parameters = ::SSL_get0_param(ssl);
  // A name in the certificate's subject is none of its hosts.
  ::X509_VERIFY_PARAM_set_hostflags(parameters,
                                    X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
  if (::X509_VERIFY_PARAM_set1_ip_asc(parameters, host.c_str()) == 1) return true;
  ::ERR_clear_error();
  return ::X509_VERIFY_PARAM_set1_host(parameters, host.c_str(), host.size()) == 1 &&
         SSL_set_tlsext_host_name(ssl, host.c_str()) == 1;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Engine>> Engine::Create(std::shared_ptr<Context> context, ByteSource* source,
                                                       const std::string& host) {
  const bool is_server = context->is_server();
  std::unique_ptr<Engine> engine(new Engine(std::move(context), source));
  engine->ssl_ = ::SSL_new(engine->context_->get());
  BIO* const bio = engine->ssl_ == nullptr ? nullptr : ::BIO_new(Method());
  if (bio == nullptr || (!is_server && !SetHost(engine->ssl_, host))) {
    ::BIO_free(bio);
    ::ERR_clear_error();
    return base::Error(absl::StatusCode::kResourceExhausted, "OpenSSL makes no connection");
  }
  ::BIO_set_data(bio, engine.get());
  ::SSL_set_bio(engine->ssl_, bio, bio);
  ::SSL_set_msg_callback(engine->ssl_, &tls::CountMessage);
  ::SSL_set_msg_callback_arg(engine->ssl_, engine.get());
  is_server ? ::SSL_set_accept_state(engine->ssl_) : ::SSL_set_connect_state(engine->ssl_);
  return engine;
}

Engine::~Engine() { ::SSL_free(ssl_); }

void Engine::CountMessage() {
  // The only way to make OpenSSL return before it has looked at all that it was given: as if the
  // peer had ended.
  if (++messages_ > kMessagesMax) ::SSL_set_shutdown(ssl_, ::SSL_get_shutdown(ssl_) | SSL_RECEIVED_SHUTDOWN);
}

State Engine::StateAfter(int result) {
  switch (::SSL_get_error(ssl_, result)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
      return State::kWouldBlock;
    case SSL_ERROR_ZERO_RETURN:
      if (messages_ > kMessagesMax) break;
      return ended_ = State::kEnd;
    default:
      break;
  }
  const unsigned long error = ::ERR_peek_last_error();
  const char* const reason = error == 0 ? nullptr : ::ERR_reason_error_string(error);
  failure_ = reason == nullptr ? kBrokeOff : std::string_view(reason);
  const int number = reason == nullptr ? 0 : ERR_GET_REASON(error);
  if (number == SSL_R_WRONG_VERSION_NUMBER || number == SSL_R_HTTP_REQUEST) {
    failure_ = fmt::format("the peer does not speak TLS ({})", reason);
  } else if (number >= SSL_AD_REASON_OFFSET) {
    failure_ = fmt::format("the peer refuses: {}", reason);
  }
  if (messages_ > kMessagesMax) failure_ = "too many changes of keys";
  if (const long verified = ::SSL_get_verify_result(ssl_); verified != X509_V_OK) {
    failure_ += fmt::format(": {}", ::X509_verify_cert_error_string(verified));
  }
  ::ERR_clear_error();
  return ended_ = State::kFailed;
}

State Engine::Handshake() {
  if (ended_ != State::kDone) return ended_;
  if (unsent().size() >= kUnsentBytesMax) return State::kWouldBlock;
  ::ERR_clear_error();
  const int result = ::SSL_do_handshake(ssl_);
  if (result == 1) return State::kDone;
  const State state = StateAfter(result);
  // There is no end before the beginning.
  return state == State::kEnd ? ended_ = State::kFailed : state;
}

base::IoResult Engine::Read(char* to, size_t bytes_max) {
  size_t got = 0;
  source_was_empty_ = false;
  while (got < bytes_max) {
    if (ended_ != State::kDone) break;
    if (unsent().size() >= kUnsentBytesMax) break;
    // Few bytes between them make them no cheaper.
    if (got > 0 && messages_ > kMessagesMax / 2) break;
    ::ERR_clear_error();
    size_t bytes = 0;
    const int result = ::SSL_read_ex(ssl_, to + got, bytes_max - got, &bytes);
    if (result != 1) {
      source_was_empty_ = StateAfter(result) == State::kWouldBlock;
      break;
    }
    got += bytes;
  }
  if (got > 0) {
    if (ended_ != State::kFailed) messages_ = 0;
    return {State::kDone, got};
  }
  return {ended_ == State::kDone ? State::kWouldBlock : ended_, 0};
}

size_t Engine::Write(absl::Span<const std::string_view> pieces) {
  constexpr size_t kRecordBytes = SSL3_RT_MAX_PLAIN_LENGTH;
  if (ended_ == State::kFailed || said_last_ || !unsent().empty()) return 0;
  size_t taken = 0;
  std::string record;
  const auto encrypt = [&](std::string_view bytes) {
    ::ERR_clear_error();
    size_t written = 0;
    const int result = ::SSL_write_ex(ssl_, bytes.data(), bytes.size(), &written);
    // Its output has always room.
    if (result == 1 && written == bytes.size()) return true;
    failure_ = "OpenSSL refuses to write";
    ended_ = State::kFailed;
    ::ERR_clear_error();
    return false;
  };
  for (std::string_view piece : pieces) {
    // Small pieces share a record.
    while (!piece.empty() && taken + record.size() < kWriteBytesMax) {
      const size_t room = std::min(kRecordBytes - record.size(), kWriteBytesMax - taken - record.size());
      const std::string_view part = piece.substr(0, room);
      piece.remove_prefix(part.size());
      if (record.empty() && part.size() == kRecordBytes) {
        if (!encrypt(part)) return 0;
        taken += part.size();
        continue;
      }
      record.append(part);
      if (record.size() < kRecordBytes) continue;
      if (!encrypt(record)) return 0;
      taken += record.size();
      record.clear();
    }
  }
  if (!record.empty() && encrypt(record)) taken += record.size();
  return ended_ == State::kFailed ? 0 : taken;
}

void Engine::CloseWrite() {
  if (std::exchange(said_last_, true) || ended_ == State::kFailed || ::SSL_is_init_finished(ssl_) == 0) return;
  ::ERR_clear_error();
  ::SSL_shutdown(ssl_);
  ::ERR_clear_error();
}

void Engine::Sent(size_t bytes) {
  sent_bytes_ += bytes;
  BANDB_ASSERT(sent_bytes_ <= unsent_.size());
  if (sent_bytes_ < unsent_.size()) return;
  sent_bytes_ = 0;
  unsent_.clear();
  if (unsent_.capacity() > kKeptBytes) std::string().swap(unsent_);
}

bool Engine::HasMore() const {
  if (ended_ != State::kDone) return true;
  // Half a record is kept, too, of which only the source has the rest.
  return !source_was_empty_ && unsent().size() < kUnsentBytesMax && ::SSL_has_pending(ssl_) == 1;
}

size_t Engine::held_bytes() const {
  return kIdleBytes + unsent_.capacity() + (::SSL_has_pending(ssl_) == 1 ? kBufferBytes : 0);
}

}  // namespace bandb::tls
