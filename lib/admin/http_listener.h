// The door for an operator's programs: HTTP on an address of its own.
//
//   GET /metrics   all figures, for Prometheus
//   GET /livez     200 while the process answers
//   GET /readyz    200 while the server can do its work, else 503 and why not
//   GET /stats     all figures, as JSON
//   GET /          a page for people, which asks /stats
//
// It shows figures and changes nothing. There is no authentication, so it stays on the loopback
// interface unless told otherwise; and a request whose Host is a name of somebody else's is
// refused, so that a page from the web cannot read it through the browser of a user who may (DNS
// rebinding).
#ifndef BANDB_ADMIN_HTTP_LISTENER_H_
#define BANDB_ADMIN_HTTP_LISTENER_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "admin/figures.h"

namespace bandb::base {
class Thread;
}  // namespace bandb::base

namespace bandb::admin {

class BoundedHttp;

struct HttpOptions {
  // HOST:PORT; HOST is a name or an address, in brackets if IPv6. Port 0 takes a free one.
  std::string listen;
  // Listen also where others can reach it.
  bool insecure = false;
  // What there is to show, and whether the server can work. Called by the threads of the listener,
  // several at once.
  std::function<Report()> report;
  std::function<absl::Status()> ready;
};

// May block for as long as the system looks for a name. Errors: kInvalidArgument the text is not
// HOST:PORT, there is no such host, or others can reach it and `insecure` is not set.
absl::Status CheckListen(const std::string& listen, bool insecure);

// Whether a request with this Host header is meant for a listener on `listen_host`: addresses and
// "localhost" are, and the name that it was told to listen on.
bool IsOwnHost(std::string_view header, std::string_view listen_host);

// Thread safety: made and destroyed by one thread; the rest by any.
class HttpListener {
 public:
  // Connections served at once, and connections that wait for a thread. Each has one request, of
  // bounded size and time (BoundedHttp).
  static constexpr size_t kThreads = 8;
  static constexpr size_t kWaitingMax = 16;

  // Answers when it returns. Errors: as CheckListen; kFailedPrecondition the address cannot be
  // taken; kResourceExhausted the system gives no more threads.
  static absl::StatusOr<std::unique_ptr<HttpListener>> Start(HttpOptions options);
  // Waits for answers that are being written, at most for their deadline, and for no request.
  ~HttpListener();
  HttpListener(const HttpListener&) = delete;
  HttpListener& operator=(const HttpListener&) = delete;

  // HOST:PORT, with the port that was taken.
  std::string Address() const;

 private:
  explicit HttpListener(HttpOptions options);
  void Bound();
  void AddRoutes();
  absl::Status Bind();
  absl::Status Run();

  const HttpOptions options_;
  const std::string listen_host_;  // as it was told
  std::string address_;
  std::unique_ptr<BoundedHttp> server_;
  std::unique_ptr<base::Thread> thread_;
};

}  // namespace bandb::admin

#endif  // BANDB_ADMIN_HTTP_LISTENER_H_
