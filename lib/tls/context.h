// What one side of TLS connections is: its certificate and key, and which authorities it trusts.
//
// TLS 1.3 alone, without early data, renegotiation and resumption.
#ifndef BANDB_TLS_CONTEXT_H_
#define BANDB_TLS_CONTEXT_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/mutex.h"

struct ssl_ctx_st;

namespace bandb::tls {

// Paths of files in PEM.
struct ContextFiles {
  std::string certificate{};  // the chain, its own first
  std::string key{};          // of the certificate, without a password; only its owner and group may read it
  // Of a server: clients need a certificate that one of these signed; empty: they need none. Of a
  // client: what must have signed the server's; empty: one that this system trusts.
  std::string ca{};
  // Lists of certificates that were taken back, in PEM, one of each authority that has signed a
  // certificate of a peer; empty: none is asked for.
  std::string crl{};
  // What else a peer's certificate must name, at least one: a DNS name, one that begins with a dot
  // for all below it, or an IP address. Empty: a signature of the authority is enough.
  std::vector<std::string> names{};
};

// Thread safety: any thread.
class Context {
 public:
  // Errors: kInvalidArgument a file does not hold what it should, the key is not the certificate's,
  // or that has expired · kPermissionDenied others may read the key · kUnimplemented there is no
  // OpenSSL; and of reading the files.
  static absl::StatusOr<std::shared_ptr<Context>> ForServer(const ContextFiles& files);
  // A certificate is not needed.
  static absl::StatusOr<std::shared_ptr<Context>> ForClient(const ContextFiles& files);
  ~Context();
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  // For this room.
  ssl_ctx_st* get() const { return context_; }
  bool is_server() const { return is_server_; }

 private:
  Context(ssl_ctx_st* context, bool is_server) : context_(context), is_server_(is_server) {}
  // The authorities that it trusts.
  absl::Status Believe(const ContextFiles& files);

  ssl_ctx_st* const context_;
  const bool is_server_;
  std::vector<std::string> names_;
};

// The context that new connections get: certificate and key change together. Thread safety: any
// thread.
class CurrentContext {
 public:
  explicit CurrentContext(std::shared_ptr<Context> context) : context_(std::move(context)) {}
  std::shared_ptr<Context> Get() const ABSL_LOCKS_EXCLUDED(mutex_) {
    base::MutexLock lock(&mutex_);
    return context_;
  }
  void Set(std::shared_ptr<Context> context) ABSL_LOCKS_EXCLUDED(mutex_) {
    base::MutexLock lock(&mutex_);
    context_ = std::move(context);
  }

 private:
  mutable base::Mutex mutex_;
  std::shared_ptr<Context> context_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace bandb::tls

#endif  // BANDB_TLS_CONTEXT_H_
