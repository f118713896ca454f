#include "grpc_bench.h"

#include <fmt/format.h>
#include <grpcpp/grpcpp.h>

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/status.h"
#include "grpc/kv.grpc.pb.h"

namespace bandb::bench {

namespace {

using test_grpc::KVService;

// A client with its one call.
struct Client {
  std::unique_ptr<KVService::Stub> stub;
  std::optional<::grpc::ClientContext> context;
  std::unique_ptr<::grpc::ClientAsyncResponseReader<test_grpc::PutResponse>> putting;
  std::unique_ptr<::grpc::ClientAsyncResponseReader<test_grpc::GetResponse>> getting;
  test_grpc::PutResponse put;
  test_grpc::GetResponse got;
  ::grpc::Status status;
  int64_t begin_nanos = 0;
};

class Round {
 public:
  Round(base::Clock* clock, const GrpcBenchOptions& options, std::vector<Client>* clients, bool is_read)
      : clock_(clock), options_(options), clients_(clients), is_read_(is_read), value_(options.value_bytes, 'v') {}

  absl::Status Run(GrpcRound* round) {
    const int64_t begin_nanos = clock_->MonotonicNanos();
    for (Client& client : *clients_) SendNext(&client);
    absl::Status failed;
    void* tag = nullptr;
    bool ok = false;
    while (under_way_ > 0 && queue_.Next(&tag, &ok)) {
      auto* const client = static_cast<Client*>(tag);
      --under_way_;
      if (!client->status.ok() && failed.ok()) {
        failed = base::Error(absl::StatusCode::kUnavailable, "{}", client->status.error_message());
      }
      latency_nanos_.Record(static_cast<uint64_t>(clock_->MonotonicNanos() - client->begin_nanos));
      const bool success = is_read_ ? client->got.success() : client->put.success();
      if (!success) ++round->failures;
      if (failed.ok()) SendNext(client);
    }
    round->seconds = static_cast<double>(clock_->MonotonicNanos() - begin_nanos) / 1e9;
    round->latency_nanos = latency_nanos_.Snapshot();
    return failed;
  }

 private:
  void SendNext(Client* client) {
    if (sent_ == options_.requests) return;
    const std::string key = fmt::format("{:0{}}", sent_++, options_.key_bytes);
    ++under_way_;
    client->context.emplace();
    client->begin_nanos = clock_->MonotonicNanos();
    if (is_read_) {
      test_grpc::GetRequest request;
      request.set_key(key);
      client->getting = client->stub->AsyncGet(&*client->context, request, &queue_);
      client->getting->Finish(&client->got, &client->status, client);
    } else {
      test_grpc::PutRequest request;
      request.set_key(key);
      request.set_value(value_);
      client->putting = client->stub->AsyncPut(&*client->context, request, &queue_);
      client->putting->Finish(&client->put, &client->status, client);
    }
  }

  base::Clock* const clock_;
  const GrpcBenchOptions& options_;
  std::vector<Client>* const clients_;
  const bool is_read_;
  const std::string value_;
  ::grpc::CompletionQueue queue_;
  Histogram latency_nanos_;
  uint64_t sent_ = 0;
  int under_way_ = 0;
};

}  // namespace

absl::Status RunGrpcBench(base::Clock* clock, const GrpcBenchOptions& options, GrpcFigures* figures) {
  std::vector<Client> clients(static_cast<size_t>(options.clients));
  for (Client& client : clients) {
    ::grpc::ChannelArguments arguments;
    // Else all clients would share one connection.
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    client.stub = KVService::NewStub(
        ::grpc::CreateCustomChannel(options.address, ::grpc::InsecureChannelCredentials(), arguments));
  }
  BANDB_RETURN_IF_ERROR(Round(clock, options, &clients, false).Run(&figures->puts));
  return Round(clock, options, &clients, true).Run(&figures->gets);
}

}  // namespace bandb::bench
