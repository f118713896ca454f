#include "grpc/listener.h"

#include <grpc/support/time.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/resource_quota.h>

#include <algorithm>
#include <climits>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/executor.h"
#include "base/mutex.h"
#include "base/status.h"
#include "grpc/acceptor.h"
#include "grpc/connections.h"
#include "grpc/credentials.h"
#include "grpc/poller.h"
#include "net/address.h"
#include "server/door.h"
#include "server/server_options.h"

namespace bandb::grpc {

namespace {

// What a message has besides a key and a value that are as large as a frame may be.
constexpr int kMessageOverheadBytes = 64 << 10;
constexpr int kHeaderBytesMax = 8 << 10;
constexpr int kUnaskedBytes = 64 << 10;

int ToMillis(absl::Duration duration) {
  return static_cast<int>(std::min<int64_t>(absl::ToInt64Milliseconds(duration), INT_MAX));
}

gpr_timespec After(absl::Duration duration) {
  if (duration == absl::InfiniteDuration()) return gpr_inf_future(GPR_CLOCK_MONOTONIC);
  return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                      gpr_time_from_millis(absl::ToInt64Milliseconds(duration), GPR_TIMESPAN));
}

}  // namespace

absl::Status CheckListen(const std::string& listen) {
  if (!net::IsAddress(listen)) return base::Error(absl::StatusCode::kInvalidArgument, "{}, not HOST:PORT", listen);
  return net::ParseAddresses(listen).status();
}

class Listener::Impl {
 public:
  Impl(Server* server, const ListenerOptions& options)
      : door_(server::Door::Of(server)),
        options_(options),
        connections_(door_, !options.tls_certificate_file.empty()),
        acceptor_(door_, &connections_) {}
  ~Impl();

  absl::Status Start();
  const std::string& address() const { return acceptor_.address(); }
  absl::Status Drain() ABSL_LOCKS_EXCLUDED(ending_);

 private:
  void Bound(::grpc::ServerBuilder* builder) const;
  void Shutdown(gpr_timespec deadline) ABSL_EXCLUSIVE_LOCKS_REQUIRED(ending_);

  server::Door* const door_;
  const ListenerOptions options_;
  Connections connections_;
  Acceptor acceptor_;
  ::grpc::AsyncGenericService service_;
  std::unique_ptr<::grpc::experimental::ExternalConnectionAcceptor> taker_;
  std::unique_ptr<::grpc::Server> server_;
  std::vector<std::unique_ptr<Poller>> pollers_;

  // Held while ending, so that one thread ends it and others wait.
  base::Mutex ending_;
  bool shut_down_ ABSL_GUARDED_BY(ending_) = false;
};

void Listener::Impl::Bound(::grpc::ServerBuilder* builder) const {
  const ServerOptions& server = door_->options();
  ::grpc::ResourceQuota quota("bandb");
  quota.Resize(static_cast<size_t>(server.memory_bytes_max / 4));
  // Its threads are the pollers.
  quota.SetMaxThreads(options_.threads);
  builder->SetResourceQuota(quota);
  builder->SetMaxReceiveMessageSize(static_cast<int>(server.frame_bytes_max) + kMessageOverheadBytes);
  builder->SetMaxSendMessageSize(static_cast<int>(server.frame_bytes_max) + kMessageOverheadBytes);
  builder->AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, options_.streams_max);
  builder->AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, kHeaderBytesMax);
  // What a client may send of a message that nobody has asked for. The probe would make it
  // megabytes.
  builder->AddChannelArgument(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  builder->AddChannelArgument(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, kUnaskedBytes);
  builder->AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS,
                              ToMillis(std::min(server.frame_timeout, server.login_timeout)));
  if (server.idle_timeout != absl::InfiniteDuration()) {
    builder->AddChannelArgument(GRPC_ARG_MAX_CONNECTION_IDLE_MS, ToMillis(server.idle_timeout));
  }
}

absl::Status Listener::Impl::Start() {
  if (options_.streams_max < 1 || options_.streams_max > 100000 || options_.threads < 1 || options_.threads > 64) {
    return base::Error(absl::StatusCode::kInvalidArgument,
                       "streams_max is 1 to 100,000 and threads are 1 to 64, not {} and {}", options_.streams_max,
                       options_.threads);
  }
  if (options_.calls_max < 4 * options_.threads) {
    return base::Error(absl::StatusCode::kInvalidArgument, "calls_max is {}, less than four for each of {} threads",
                       options_.calls_max, options_.threads);
  }
  BANDB_RETURN_IF_ERROR(CheckListen(options_.listen));
  // Clients that need a certificate are no strangers.
  if (options_.tls_client_ca_file.empty()) {
    BANDB_RETURN_IF_ERROR(server::CheckReach(door_->options(), options_.listen));
  }
  BANDB_ASSIGN_OR_RETURN(const std::shared_ptr<::grpc::ServerCredentials> credentials, MakeCredentials(options_));
  BANDB_RETURN_IF_ERROR(acceptor_.Listen(options_.listen));
  ::grpc::ServerBuilder builder;
  Bound(&builder);
  builder.RegisterAsyncGenericService(&service_);
  taker_ = builder.experimental().AddExternalConnectionAcceptor(
      ::grpc::ServerBuilder::experimental_type::ExternalConnectionType::FROM_FD, credentials);
  for (int i = 0; i < options_.threads; ++i) {
    pollers_.push_back(std::make_unique<Poller>(
        Poller::Parts{.door = door_,
                      .connections = &connections_,
                      .service = &service_,
                      .queue = builder.AddCompletionQueue(),
                      .calls_max = static_cast<size_t>(options_.calls_max / options_.threads)}));
  }
  server_ = builder.BuildAndStart();
  if (server_ == nullptr) return base::Error(absl::StatusCode::kInternal, "gRPC did not start");
  for (const auto& poller : pollers_) poller->Start();
  acceptor_.Start([this](int descriptor) {
    ::grpc::experimental::ExternalConnectionAcceptor::NewConnectionParameters connection;
    connection.fd = descriptor;
    taker_->HandleNewConnection(&connection);
  });
  return absl::OkStatus();
}

absl::Status Listener::Impl::Drain() {
  base::MutexLock lock(&ending_);
  if (shut_down_) return absl::OkStatus();
  acceptor_.Close();
  connections_.CutSilent();
  for (const auto& poller : pollers_) poller->BeginDrain();
  const gpr_timespec deadline = After(door_->options().drain_timeout);
  Shutdown(deadline);
  if (gpr_time_cmp(gpr_now(GPR_CLOCK_MONOTONIC), deadline) < 0) return absl::OkStatus();
  return base::Error(absl::StatusCode::kDeadlineExceeded, "the drain timeout passed: calls of gRPC were cancelled");
}

void Listener::Impl::Shutdown(gpr_timespec deadline) {
  shut_down_ = true;
  server_->Shutdown(deadline);
}

Listener::Impl::~Impl() {
  if (server_ == nullptr) return;
  {
    base::MutexLock lock(&ending_);
    if (!shut_down_) {
      acceptor_.Close();
      Shutdown(gpr_inf_past(GPR_CLOCK_MONOTONIC));
    }
  }
  for (const auto& poller : pollers_) poller->Close();
}

Listener::Listener(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Listener::~Listener() = default;

absl::StatusOr<std::unique_ptr<Listener>> Listener::Start(Server* server, const ListenerOptions& options) {
  auto impl = std::make_unique<Impl>(server, options);
  BANDB_RETURN_IF_ERROR(impl->Start());
  return std::unique_ptr<Listener>(new Listener(std::move(impl)));
}

const std::string& Listener::Address() const { return impl_->address(); }

absl::Status Listener::Drain() { return impl_->Drain(); }

}  // namespace bandb::grpc
