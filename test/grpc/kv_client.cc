#include "grpc/kv_client.h"

#include <grpc/support/time.h>

#include <functional>

#include "support/catch.h"

namespace bandb::test {

namespace {

constexpr int64_t kMinuteNanos = int64_t{60} * 1'000'000'000;

std::string Trailing(const ::grpc::ClientContext& context, const char* name) {
  const auto& metadata = context.GetServerTrailingMetadata();
  const auto found = metadata.find(name);
  return found == metadata.end() ? "" : std::string(found->second.data(), found->second.size());
}

}  // namespace

GrpcReply GrpcCall::Wait() {
  REQUIRE(ended_.BlockUntilSet(kMinuteNanos));
  reply_.code = Trailing(context_, "bandb-code");
  reply_.message = Trailing(context_, "bandb-message");
  return reply_;
}

KvClient::KvClient(const std::string& address, const std::shared_ptr<::grpc::ChannelCredentials>& credentials) {
  ::grpc::ChannelArguments arguments;
  // Channels with equal arguments would share a connection.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetMaxReceiveMessageSize(-1);
  arguments.SetMaxSendMessageSize(-1);
  channel_ = ::grpc::CreateCustomChannel(address, credentials, arguments);
  stub_ = test_grpc::KVService::NewStub(channel_);
}

std::unique_ptr<GrpcCall> KvClient::NewCall() const {
  auto call = std::make_unique<GrpcCall>();
  if (!authorization_.empty()) call->context_.AddMetadata("authorization", authorization_);
  return call;
}

std::unique_ptr<GrpcCall> KvClient::StartPut(std::string_view key, std::string_view value, int timeout_ms) {
  auto call = NewCall();
  call->put_.set_key(key.data(), key.size());
  call->put_.set_value(value.data(), value.size());
  if (timeout_ms > 0) {
    call->context_.set_deadline(
        gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_millis(timeout_ms, GPR_TIMESPAN)));
  }
  stub_->async()->Put(&call->context_, &call->put_, &call->put_response_, [call = call.get()](::grpc::Status status) {
    call->reply_.status = status.error_code();
    call->reply_.success = call->put_response_.success();
    call->ended_.Set();
  });
  return call;
}

std::unique_ptr<GrpcCall> KvClient::StartGet(std::string_view key) {
  auto call = NewCall();
  call->get_.set_key(key.data(), key.size());
  stub_->async()->Get(&call->context_, &call->get_, &call->get_response_, [call = call.get()](::grpc::Status status) {
    call->reply_.status = status.error_code();
    call->reply_.success = call->get_response_.success();
    call->reply_.value = call->get_response_.value();
    call->ended_.Set();
  });
  return call;
}

std::unique_ptr<GrpcCall> KvClient::StartDelete(std::string_view key) {
  auto call = NewCall();
  call->delete_.set_key(key.data(), key.size());
  stub_->async()->Delete(&call->context_, &call->delete_, &call->delete_response_,
                         [call = call.get()](::grpc::Status status) {
                           call->reply_.status = status.error_code();
                           call->reply_.success = call->delete_response_.success();
                           call->ended_.Set();
                         });
  return call;
}

GrpcFixture::GrpcFixture(ServerOptions options, ServerHooks hooks) {
  options.listen = "127.0.0.1:0";
  absl::StatusOr<std::unique_ptr<Server>> started = Server::Start(store, options, std::move(hooks));
  REQUIRE_OK(started.status());
  server = *std::move(started);
  absl::StatusOr<std::unique_ptr<grpc::Listener>> listening =
      grpc::Listener::Start(server.get(), {.listen = "127.0.0.1:0"});
  REQUIRE_OK(listening.status());
  listener = *std::move(listening);
}

GrpcFixture::~GrpcFixture() {
  store.SetHolding(false);
  listener.reset();
  server.reset();
}

bool GrpcFixture::Eventually(const std::function<bool()>& done) {
  for (int i = 0; i < 60'000; i++) {
    if (done()) return true;
    base::Event never;
    never.BlockUntilSet(1'000'000);
  }
  return false;
}

}  // namespace bandb::test
