// A TLS connection for programs that wait for it; see net::ClientStream.
#ifndef BANDB_TLS_TLS_CLIENT_STREAM_H_
#define BANDB_TLS_TLS_CLIENT_STREAM_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "net/client_stream.h"
#include "tls/context.h"
#include "tls/engine.h"

namespace bandb::tls {

// Thread safety: one thread at a time.
class TlsClientStream final : public net::ClientStream, private ByteSource {
 public:
  // Waits for the handshake. `host`: whose certificate it must be. Errors: kUnavailable it did not
  // come about, with the reason, or not in time.
  static absl::StatusOr<std::unique_ptr<net::ClientStream>> Over(std::unique_ptr<net::ClientStream> plain,
                                                                 std::shared_ptr<Context> context,
                                                                 const std::string& host, int64_t timeout_nanos);
  ~TlsClientStream() override;

  absl::StatusOr<size_t> WriteSome(std::string_view bytes) override;
  absl::StatusOr<size_t> ReadSome(absl::Span<char> to) override;

 private:
  explicit TlsClientStream(std::unique_ptr<net::ClientStream> plain) : ClientStream(std::move(plain)) {}
  base::IoResult Read(char* to, size_t bytes_max) override;
  bool HasMore() const override { return engine_ != nullptr && engine_->HasMore(); }
  bool WantsToWrite() const override { return engine_ != nullptr && !engine_->unsent().empty(); }
  absl::Status Flush();

  std::unique_ptr<Engine> engine_;
};

}  // namespace bandb::tls

#endif  // BANDB_TLS_TLS_CLIENT_STREAM_H_
