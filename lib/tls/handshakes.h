// Connections before they are served: TLS handshakes, few at once and not for long.
//
// A connection that waits here holds memory, and its handshake costs time: so only so many are
// here, and of each address. One more takes the place of the oldest of the address that has most,
// which is closed without a word.
#ifndef BANDB_TLS_HANDSHAKES_H_
#define BANDB_TLS_HANDSHAKES_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "bandb/logger.h"
#include "base/event_loop.h"
#include "net/counters.h"
#include "net/quota.h"
#include "net/stream_taker.h"
#include "tls/context.h"
#include "tls/tls_stream.h"

namespace bandb::tls {

struct HandshakeLimits {
  size_t outstanding_max = 64;
  size_t per_address_max = 32;
  int64_t timeout_nanos = int64_t{5} * 1000000000;
};

// Thread safety: the loop's thread, but for the counter. Lifetime: borrows everything.
class Handshakes final : public net::StreamTaker {
 public:
  struct Parts {
    base::EventLoop* loop = nullptr;
    const CurrentContext* context = nullptr;
    net::StreamTaker* next = nullptr;  // gets those that succeeded
    net::Quota* quota = nullptr;
    Logger* logger = nullptr;  // may be null
  };
  Handshakes(const Parts& parts, const HandshakeLimits& limits) : parts_(parts), limits_(limits) {}
  ~Handshakes();

  void Take(std::unique_ptr<base::Stream> stream, const net::Endpoint& endpoint) override;
  // Closes all, and what comes later.
  void Close();
  size_t outstanding() const { return outstanding_.size(); }
  // Failed, or refused; from any thread.
  uint64_t failures() const { return failures_.Get(); }

 private:
  struct Outstanding {
    std::unique_ptr<TlsStream> stream;
    net::Endpoint endpoint;
    std::string host;
    base::TimerId timer = base::kNoTimer;
  };

  // For one more of this address: ends the oldest of it, or of the one that has most. So those that
  // begin and do not go on keep nobody out.
  void MakeRoom(const std::string& host);
  void OnEstablished(uint64_t number, const absl::Status& status);
  void Fail(const std::string& peer, std::string_view why);
  std::unique_ptr<TlsStream> Remove(uint64_t number, net::Endpoint* endpoint);

  const Parts parts_;
  const HandshakeLimits limits_;
  std::map<uint64_t, Outstanding> outstanding_;
  std::map<std::string, size_t> by_host_;
  uint64_t last_number_ = 0;
  bool closed_ = false;
  net::Counter failures_;
  int64_t logged_nanos_ = 0;
  uint64_t unlogged_ = 0;
};

}  // namespace bandb::tls

#endif  // BANDB_TLS_HANDSHAKES_H_
