#include "tls/tls_loop.h"

#include "base/status.h"
#include "net/address.h"
#include "tls/tls_stream.h"

namespace bandb::tls {

namespace {

// Of a stream that gets its handler before anything can be told.
class Nobody final : public base::StreamHandler {
 public:
  void OnReadable() override {}
  void OnWritable() override {}
  void OnBroken() override {}
};

}  // namespace

class TlsLoop::TlsListener final : public base::Listener {
 public:
  TlsListener(std::unique_ptr<base::Listener> below, const CurrentContext* context)
      : below_(std::move(below)), context_(context) {}

  // The loop must be a TlsLoop, too.
  absl::StatusOr<std::unique_ptr<base::Stream>> Accept(base::EventLoop* loop) override {
    base::EventLoop* const below = static_cast<TlsLoop*>(loop)->below_;
    BANDB_ASSIGN_OR_RETURN(std::unique_ptr<base::Stream> stream, below_->Accept(below));
    if (stream == nullptr) return stream;
    return TlsStream::Over(std::move(stream), context_->Get(), below);
  }
  void Watch(bool acceptable) override { below_->Watch(acceptable); }
  const std::string& address() const override { return below_->address(); }

 private:
  const std::unique_ptr<base::Listener> below_;
  const CurrentContext* const context_;
};

absl::StatusOr<std::unique_ptr<base::Listener>> TlsLoop::Listen(const base::ListenOptions& options,
                                                                base::AcceptHandler* handler) {
  BANDB_ASSIGN_OR_RETURN(std::unique_ptr<base::Listener> listener, below_->Listen(options, handler));
  return std::unique_ptr<base::Listener>(std::make_unique<TlsListener>(std::move(listener), accepting_));
}

absl::StatusOr<std::unique_ptr<base::Stream>> TlsLoop::ConnectFor(const std::string& name, const std::string& address,
                                                                  base::StreamHandler* handler) {
  static Nobody nobody;
  BANDB_ASSIGN_OR_RETURN(std::unique_ptr<base::Stream> below, below_->ConnectFor(name, address, &nobody));
  BANDB_ASSIGN_OR_RETURN(std::unique_ptr<TlsStream> stream,
                         TlsStream::Over(std::move(below), connecting_->Get(), below_, net::HostOf(name)));
  stream->SetHandler(handler);
  return std::unique_ptr<base::Stream>(std::move(stream));
}

}  // namespace bandb::tls
