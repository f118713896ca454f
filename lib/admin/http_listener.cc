#include "admin/http_listener.h"

#include <fmt/format.h>
#include <httplib.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

#include "admin/bounded_http.h"
#include "admin/dashboard.h"
#include "admin/prometheus.h"
#include "admin/stats_json.h"
#include "admin/task_queue.h"
#include "base/assert.h"
#include "base/mutex.h"
#include "base/status.h"
#include "base/thread.h"
#include "net/address.h"

namespace bandb::admin {

namespace {

constexpr char kPlainText[] = "text/plain; charset=utf-8";
constexpr size_t kBodyBytesMax = 1024;
// The page may use what it carries, ask this listener, and nothing else.
constexpr char kPagePolicy[] =
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; img-src data:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

// HOST of HOST:PORT or of HOST alone, without brackets, in small letters.
std::string HostOf(std::string_view text) {
  const size_t colon = text.rfind(':');
  const bool is_ipv6_alone = text.ends_with(']') || (text.find(':') != colon && !text.starts_with('['));
  if (colon != std::string_view::npos && !is_ipv6_alone) text = text.substr(0, colon);
  if (text.starts_with('[') && text.ends_with(']')) text = text.substr(1, text.size() - 2);
  std::string host(text);
  for (char& c : host) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return host;
}

// No name of the DNS looks like this: the last part of one is not a number, and it has no colons.
bool IsNumeric(std::string_view host) {
  const bool has_colon = host.find(':') != std::string_view::npos;
  return std::all_of(host.begin(), host.end(), [&](char c) {
    return (c >= '0' && c <= '9') || c == '.' || (has_colon && (c == ':' || (c >= 'a' && c <= 'f')));
  });
}

void Refuse(int status, std::string_view why, httplib::Response* response) {
  response->status = status;
  response->set_content(fmt::format("{}\n", why), kPlainText);
}

}  // namespace

absl::Status CheckListen(const std::string& listen, bool insecure) {
  if (!net::IsAddress(listen)) return absl::InvalidArgumentError(fmt::format("{}, not HOST:PORT", listen));
  BANDB_ASSIGN_OR_RETURN(const std::vector<net::SocketAddress> addresses, net::ParseAddresses(listen));
  if (insecure || std::all_of(addresses.begin(), addresses.end(), net::IsLoopback)) return absl::OkStatus();
  return absl::InvalidArgumentError(fmt::format(
      "{}, which others can reach: anybody there may read every figure; say insecure = true if that is meant", listen));
}

bool IsOwnHost(std::string_view header, std::string_view listen_host) {
  const std::string host = HostOf(header);
  return IsNumeric(host) || host == "localhost" || host.ends_with(".localhost") || host == HostOf(listen_host);
}

HttpListener::HttpListener(HttpOptions options)
    : options_(std::move(options)),
      listen_host_(HostOf(options_.listen)),
      server_(new BoundedHttp(BoundedHttp::Limits())) {}

HttpListener::~HttpListener() {
  if (thread_ == nullptr) return;
  server_->End();
  thread_->Join();
}

absl::StatusOr<std::unique_ptr<HttpListener>> HttpListener::Start(HttpOptions options) {
  BANDB_ASSERT(options.report != nullptr);
  BANDB_ASSERT(options.ready != nullptr);
  BANDB_RETURN_IF_ERROR(CheckListen(options.listen, options.insecure));
  auto listener = std::unique_ptr<HttpListener>(new HttpListener(std::move(options)));
  listener->Bound();
  listener->AddRoutes();
  BANDB_RETURN_IF_ERROR(listener->Bind());
  BANDB_RETURN_IF_ERROR(listener->Run());
  return listener;
}

std::string HttpListener::Address() const { return address_; }

void HttpListener::Bound() {
  server_->set_payload_max_length(kBodyBytesMax);
  // Not SO_REUSEPORT, which cpp-httplib would set: a second server on this port must be refused.
  server_->set_socket_options([](int socket) {
    const int on = 1;
    ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  });
  server_->set_pre_routing_handler([this](const httplib::Request& request, httplib::Response& response) {
    response.set_header("X-Content-Type-Options", "nosniff");
    response.set_header("Cache-Control", "no-store");
    const bool is_own = !request.has_header("Host") || IsOwnHost(request.get_header_value("Host"), listen_host_);
    const bool only_reads = request.method == "GET" || request.method == "HEAD";
    if (is_own && only_reads) return httplib::Server::HandlerResponse::Unhandled;
    if (is_own) {
      response.set_header("Allow", "GET, HEAD");
      Refuse(405, "only GET and HEAD are answered here", &response);
    } else {
      Refuse(421, "the Host of this request is not a name of this listener: ask by its address", &response);
    }
    return httplib::Server::HandlerResponse::Handled;
  });
  server_->set_exception_handler([](const httplib::Request&, httplib::Response& response, const auto&) {
    Refuse(500, "an exception ended the answer", &response);
  });
}

void HttpListener::AddRoutes() {
  server_->Get("/livez",
               [](const httplib::Request&, httplib::Response& response) { response.set_content("ok\n", kPlainText); });
  server_->Get("/readyz", [this](const httplib::Request&, httplib::Response& response) {
    const absl::Status ready = options_.ready();
    if (!ready.ok()) return Refuse(503, base::Message(ready), &response);
    response.set_content("ok\n", kPlainText);
  });
  server_->Get("/metrics", [this](const httplib::Request&, httplib::Response& response) {
    response.set_content(ToPrometheus(options_.report()), kPrometheusContentType);
  });
  server_->Get("/stats", [this](const httplib::Request&, httplib::Response& response) {
    response.set_content(ToJson(options_.report()), "application/json");
  });
  server_->Get("/", [](const httplib::Request&, httplib::Response& response) {
    response.set_header("Content-Security-Policy", kPagePolicy);
    response.set_content(kDashboard, kDashboardBytes, "text/html; charset=utf-8");
  });
  server_->set_error_handler([](const httplib::Request& request, httplib::Response& response) {
    if (response.status != 404 || !response.body.empty()) return;
    Refuse(404, fmt::format("there is no {}: /metrics, /livez, /readyz, /stats and / are answered", request.path),
           &response);
  });
}

absl::Status HttpListener::Bind() {
  BANDB_ASSIGN_OR_RETURN(const std::vector<net::SocketAddress> addresses, net::ParseAddresses(options_.listen));
  const std::string numeric = net::FormatAddress(addresses.front());
  const std::string host = HostOf(numeric);
  int port = 0;
  const std::string_view port_text = std::string_view(numeric).substr(numeric.rfind(':') + 1);
  for (const char digit : port_text) port = port * 10 + (digit - '0');
  const bool bound = port == 0 ? (port = server_->bind_to_any_port(host)) > 0 : server_->bind_to_port(host, port);
  if (!bound) {
    return absl::FailedPreconditionError(
        fmt::format("{} cannot be taken: {}", options_.listen, std::generic_category().message(errno)));
  }
  address_ = fmt::format("{}:{}", numeric.substr(0, numeric.rfind(':')), port);
  return absl::OkStatus();
}

absl::Status HttpListener::Run() {
  base::Mutex mutex;
  base::CondVar changed;
  bool running = false;
  std::unique_ptr<TaskQueue> queue;
  try {
    queue = std::make_unique<TaskQueue>(kThreads, kWaitingMax);
    // It is asked for once, when the listener has begun to run: only from then on stop() is heard.
    server_->new_task_queue = [&]() -> httplib::TaskQueue* {
      const base::MutexLock lock(&mutex);
      running = true;
      server_->SetQueue(queue.get());
      changed.Signal();
      return queue.release();
    };
    thread_ = std::make_unique<base::Thread>([this] { server_->listen_after_bind(); });
  } catch (const std::system_error& error) {
    return absl::ResourceExhaustedError(fmt::format("no thread for {}: {}", options_.listen, error.what()));
  }
  const base::MutexLock lock(&mutex);
  while (!running) changed.Wait(&mutex);
  return absl::OkStatus();
}

}  // namespace bandb::admin
