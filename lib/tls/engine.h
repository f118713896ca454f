// One TLS connection without a socket: bytes of the peer are asked for, bytes for it are collected.
//
// What is collected is bounded: nothing more is encrypted, and nothing of the peer is looked at, as
// long as much of it was not taken. So a peer that asks and does not read costs no memory.
//
// Messages of TLS itself are bounded as well: each change of keys costs more to follow than to ask
// for, and is answered, and OpenSSL looks at all that has come before it returns. A side that sends
// nothing else is no peer.
#ifndef BANDB_TLS_ENGINE_H_
#define BANDB_TLS_ENGINE_H_

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/event_loop.h"
#include "tls/context.h"

struct ssl_st;

namespace bandb::tls {

// Where encrypted bytes come from.
class ByteSource {
 public:
  // As base::Stream::Read.
  virtual base::IoResult Read(char* to, size_t bytes_max) = 0;

 protected:
  ~ByteSource() = default;
};

// Thread safety: one thread at a time. Lifetime: borrows the source.
class Engine {
 public:
  // Of plain bytes, in one Write.
  static constexpr size_t kWriteBytesMax = 64 << 10;
  // From this on the peer must take what is for it.
  static constexpr size_t kUnsentBytesMax = 64 << 10;
  // Of TLS itself, without a byte for the reader between them; with more the connection has failed.
  static constexpr int kMessagesMax = 32;

  // `host` is the server that a client wants to speak to, a name or an address; a server has none.
  // Errors: kResourceExhausted OpenSSL has no memory.
  static absl::StatusOr<std::unique_ptr<Engine>> Create(std::shared_ptr<Context> context, ByteSource* source,
                                                        const std::string& host = {});
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // Goes on as far as there are bytes. Done once both sides know each other; failed for good.
  base::IoResult::State Handshake();
  // As base::Stream::Read. The end is what the peer says; a connection that just breaks off has
  // failed.
  base::IoResult Read(char* to, size_t bytes_max);
  // Encrypts from the front of the pieces what one write may have, if everything before was taken;
  // how much that was.
  size_t Write(absl::Span<const std::string_view> pieces);
  // The last that is said.
  void CloseWrite();

  // For the peer; and that so much of it was taken.
  std::string_view unsent() const { return std::string_view(unsent_).substr(sent_bytes_); }
  void Sent(size_t bytes);
  // A Read may give something although the source has nothing.
  bool HasMore() const;
  // What it keeps now, by our measure of OpenSSL.
  size_t held_bytes() const;
  // It has said something to the peer.
  bool has_spoken() const { return has_spoken_; }
  // A failure that has nothing to do with TLS.
  static constexpr std::string_view kBrokeOff = "the connection broke off";
  // Why it failed, for people.
  const std::string& failure() const { return failure_; }

  // For its own BIO.
  ByteSource* source() { return source_; }
  void Collect(std::string_view bytes) {
    unsent_.append(bytes);
    has_spoken_ = true;
  }
  void CountMessage();

 private:
  Engine(std::shared_ptr<Context> context, ByteSource* source) : context_(std::move(context)), source_(source) {}
  base::IoResult::State StateAfter(int result);

  const std::shared_ptr<Context> context_;
  ByteSource* const source_;
  ssl_st* ssl_ = nullptr;
  std::string unsent_;
  size_t sent_bytes_ = 0;
  bool has_spoken_ = false;
  bool said_last_ = false;
  int messages_ = 0;                                            // since bytes were last read
  bool source_was_empty_ = false;                               // when something was last read
  base::IoResult::State ended_ = base::IoResult::State::kDone;  // kEnd or kFailed once it has
  std::string failure_;
};

}  // namespace bandb::tls

#endif  // BANDB_TLS_ENGINE_H_
