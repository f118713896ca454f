// An event loop whose connections are all TLS: for what connects and listens by the seam alone, and
// so need not know. Links between equals become mutual TLS by being given this loop.
#ifndef BANDB_TLS_TLS_LOOP_H_
#define BANDB_TLS_TLS_LOOP_H_

#include <memory>
#include <string>
#include <utility>

#include "base/event_loop.h"
#include "tls/context.h"

namespace bandb::tls {

// A stream is connected, for its handler, once both sides know each other; how long that may take
// is its user's affair. The server that it connects to must have a certificate for the HOST of the
// address, or of the name that it was found for.
// Thread safety and lifetime: those of the loop below, which must outlive it; it borrows the
// contexts.
class TlsLoop final : public base::EventLoop {
 public:
  // `accepting` is a server's context, `connecting` a client's.
  TlsLoop(base::EventLoop* below, const CurrentContext* accepting, const CurrentContext* connecting)
      : below_(below), accepting_(accepting), connecting_(connecting) {}

  absl::StatusOr<std::unique_ptr<base::Listener>> Listen(const base::ListenOptions& options,
                                                         base::AcceptHandler* handler) override;
  absl::StatusOr<std::unique_ptr<base::Stream>> Connect(const std::string& address,
                                                        base::StreamHandler* handler) override {
    return ConnectFor(address, address, handler);
  }
  absl::StatusOr<std::unique_ptr<base::Stream>> ConnectFor(const std::string& name, const std::string& address,
                                                           base::StreamHandler* handler) override;
  base::TimerId After(int64_t delay_nanos, base::Task task) override {
    return below_->After(delay_nanos, std::move(task));
  }
  void Cancel(base::TimerId timer) override { below_->Cancel(timer); }
  void Post(base::Task task) override { below_->Post(std::move(task)); }
  int64_t NowNanos() override { return below_->NowNanos(); }
  void AddTurnHandler(base::TurnHandler* handler) override { below_->AddTurnHandler(handler); }
  void RemoveTurnHandler(base::TurnHandler* handler) override { below_->RemoveTurnHandler(handler); }

 private:
  class TlsListener;

  base::EventLoop* const below_;
  const CurrentContext* const accepting_;
  const CurrentContext* const connecting_;
};

}  // namespace bandb::tls

#endif  // BANDB_TLS_TLS_LOOP_H_
