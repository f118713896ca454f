// TLS as a stream over another stream, on an event loop.
//
// What Write takes is encrypted at once and leaves as the stream below has room; then the next is
// taken. What the stream below has no more to say about may still be inside, whole records: the
// handler is told of it in a turn of its own.
#ifndef BANDB_TLS_TLS_STREAM_H_
#define BANDB_TLS_TLS_STREAM_H_

#include <memory>
#include <string>
#include <string_view>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "base/event_loop.h"
#include "tls/context.h"
#include "tls/engine.h"

namespace bandb::tls {

class TlsStream final : public base::Stream, private base::StreamHandler {
 public:
  // Called once, on the loop, if it is not destroyed before: OK, or why there is no connection. The
  // stream may be handed on or destroyed in it.
  using Established = absl::AnyInvocable<void(const absl::Status& status) &&>;

  // Over a stream that nobody else uses; `host` as Engine::Create. Lifetime: borrows the loop.
  static absl::StatusOr<std::unique_ptr<TlsStream>> Over(std::unique_ptr<base::Stream> below,
                                                         std::shared_ptr<Context> context, base::EventLoop* loop,
                                                         const std::string& host = {});
  ~TlsStream() override;

  // Begins; until it is established nothing else may be done. One that is being connected goes on
  // once it is. Without this the handshake begins with the handler: OnWritable tells that it was
  // done, OnBroken that it failed; until then there is nothing to read and no room to write.
  void Establish(Established established);

  // After a handshake that failed: says this without TLS, if nothing was said yet, to a peer that
  // does not speak it.
  void TellPlainly(std::string_view bytes);

  void SetHandler(base::StreamHandler* handler) override;
  base::IoResult Read(char* to, size_t bytes_max) override;
  base::IoResult Write(absl::Span<const std::string_view> pieces) override;
  void Watch(bool readable, bool writable) override;
  void CloseWrite() override;
  const std::string& peer() const override { return below_->peer(); }
  bool established() const override { return was_established_; }
  bool is_encrypted() const override { return true; }
  size_t unsent_bytes() const override { return engine_->unsent().size(); }
  size_t held_bytes() const override { return engine_->held_bytes() + below_->held_bytes(); }
  // Of a connection that was never made below: nothing, for that is no affair of TLS.
  std::string failure() const override;

 private:
  class Below final : public ByteSource {
   public:
    explicit Below(base::Stream* stream) : stream_(stream) {}
    base::IoResult Read(char* to, size_t bytes_max) override { return stream_->Read(to, bytes_max); }

   private:
    base::Stream* const stream_;
  };

  TlsStream(std::unique_ptr<base::Stream> below, base::EventLoop* loop, bool is_client)
      : loop_(loop), is_client_(is_client), below_(std::move(below)) {}

  void OnReadable() override;
  void OnWritable() override;
  void OnBroken() override;

  // Goes on with the handshake.
  void Shake();
  // Gives what is ready to the stream below; false if that is gone.
  bool Flush();
  void WatchBelow();
  bool is_shaking() const { return established_ != nullptr; }
  // Tells in the next turn what the stream below will not.
  void TellOfMore();

  base::EventLoop* const loop_;
  const bool is_client_;
  const std::unique_ptr<base::Stream> below_;
  Below source_{below_.get()};
  std::unique_ptr<Engine> engine_;
  base::StreamHandler* handler_ = nullptr;
  Established established_;  // null once it was called
  bool readable_ = false;    // watched
  bool writable_ = false;
  bool begun_ = false;
  bool was_established_ = false;
  bool broken_ = false;
  bool closing_ = false;       // nothing will be written any more
  bool closed_below_ = false;  // and that was said
  bool telling_ = false;       // a task is posted
  // Gone with this, so that a task knows.
  const std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace bandb::tls

#endif  // BANDB_TLS_TLS_STREAM_H_
