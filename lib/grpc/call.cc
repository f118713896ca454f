#include "grpc/call.h"

#include <grpc/support/time.h>
#include <grpcpp/support/proto_buffer_reader.h>
#include <grpcpp/support/slice.h>

#include <array>
#include <utility>

#include "absl/time/time.h"
#include "grpc/messages.h"
#include "net/protocol.h"
#include "server/frame_codec.h"

namespace bandb::grpc {

namespace {

// Of requests that carry names only.
constexpr size_t kNameBytesMax = 64 << 10;
// What a call may hold before its message is there.
constexpr size_t kUnreadBytes = 1 << 10;

// The clock of gRPC is another one than ours: what they have in common is what is left until then.
int64_t DeadlineNanos(gpr_timespec deadline, int64_t now_nanos) {
  const gpr_timespec monotonic = gpr_convert_clock_type(deadline, GPR_CLOCK_MONOTONIC);
  if (gpr_time_cmp(monotonic, gpr_inf_future(GPR_CLOCK_MONOTONIC)) == 0) return base::kForever;
  const gpr_timespec left = gpr_time_sub(monotonic, gpr_now(GPR_CLOCK_MONOTONIC));
  constexpr int64_t kSecondNanos = 1'000'000'000;
  if (left.tv_sec >= (base::kForever - now_nanos) / kSecondNanos - 1) return base::kForever;
  return now_nanos + left.tv_sec * kSecondNanos + left.tv_nsec;
}

::grpc::ByteBuffer ToBytes(const ::google::protobuf::Message& message) {
  const ::grpc::Slice bytes(message.ByteSizeLong());
  message.SerializeWithCachedSizesToArray(const_cast<uint8_t*>(bytes.begin()));
  return ::grpc::ByteBuffer(&bytes, 1);
}

bool IsLonger(int64_t nanos, absl::Duration timeout) { return absl::Nanoseconds(nanos) > timeout; }

}  // namespace

Call::Call(Poller* poller) : poller_(poller) {}

Call::Method Call::MethodOf(std::string_view path) {
  constexpr std::array<std::pair<std::string_view, Method>, 6> kMethods{{
      {"/test_grpc.KVService/Put", Method::kPut},
      {"/test_grpc.KVService/Get", Method::kGet},
      {"/test_grpc.KVService/Delete", Method::kDelete},
      {"/grpc.health.v1.Health/Check", Method::kCheck},
      {"/grpc.health.v1.Health/Watch", Method::kWatch},
      {"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", Method::kReflect},
  }};
  for (const auto& [name, method] : kMethods) {
    if (path == name) return method;
  }
  return Method::kUnknown;
}

void Call::Accept() {
  context_.AsyncNotifyWhenDone(&on_done_);
  pending_ = true;
  poller_->service()->RequestCall(&context_, &stream_, poller_->queue(), poller_->queue(), &on_operation_);
}

void Call::OnOperation(bool ok) {
  pending_ = false;
  switch (step_) {
    case Step::kClient:
      // Not ok: the server was shut down, and there is no call.
      if (!ok) return poller_->Gone(this, false);
      OnAccepted();
      break;
    case Step::kMessage:
      if (ok) {
        OnMessage();
      } else if (method_ == Method::kReflect) {
        Finish(::grpc::StatusCode::OK, "");
      } else {
        poller_->connections()->CountReset(ToPeer(context_.peer()));
        Finish(::grpc::StatusCode::INTERNAL, "the request has no message");
      }
      break;
    case Step::kWritten:
      OnWritten(ok);
      break;
    case Step::kFinished:
    case Step::kStore:
    case Step::kChange:
      break;
  }
  ReleaseIfGone();
}

void Call::OnDone(bool) {
  done_ = true;
  // Nobody watches any more.
  if (step_ == Step::kChange) step_ = Step::kFinished;
  ReleaseIfGone();
}

void Call::ReleaseIfGone() {
  if (pending_ || !done_ || step_ != Step::kFinished) return;
  Hold(0);
  if (has_free_place_) poller_->LeaveFreePlace(this);
  poller_->Gone(this, true);
}

void Call::Hold(size_t bytes) {
  poller_->door()->AddMemory(static_cast<int64_t>(bytes) - static_cast<int64_t>(held_bytes_));
  held_bytes_ = bytes;
}

void Call::OnAccepted() {
  poller_->Accepted(this);
  method_ = MethodOf(context_.method());
  if (method_ == Method::kUnknown) return Finish(::grpc::StatusCode::UNIMPLEMENTED, "no such method");
  if (poller_->CallsAreMany()) return Finish(::grpc::StatusCode::RESOURCE_EXHAUSTED, "too many calls are under way");
  if (!IsOfStore()) {
    poller_->TakeFreePlace(this);
    has_free_place_ = true;
  }
  if (method_ == Method::kPut && poller_->door()->MemoryIsTight()) {
    poller_->door()->CountOverloaded();
    return FinishFailed(server::ToFailure(net::Refusal::kOverloaded));
  }
  Hold(kUnreadBytes);
  if (IsOfStore() && !LogIn()) {
    // Its message is not wanted; the door answers in the time that a wrong login takes.
    TellWhoAsks();
    step_ = Step::kStore;
    if (!Enter()) Finish(::grpc::StatusCode::UNAVAILABLE, "the server is shutting down");
    return;
  }
  Read();
}

bool Call::LogIn() {
  session = poller_->door()->NewSession();
  if (!session.has_users()) return true;
  constexpr std::string_view kScheme = "Bearer ";
  const auto found = context_.client_metadata().find("authorization");
  if (found == context_.client_metadata().end()) return false;
  std::string_view value(found->second.data(), found->second.size());
  if (value.substr(0, kScheme.size()) != kScheme) return false;
  value.remove_prefix(kScheme.size());
  const size_t colon = value.find(':');
  // Without a name it may be the token, which is told nobody.
  if (colon == std::string_view::npos) return false;
  claimed_user = value.substr(0, colon);
  return session.LogIn(claimed_user, value.substr(colon + 1));
}

void Call::TellWhoAsks() {
  peer_ = ToPeer(context_.peer());
  peer = peer_;
  connection = poller_->connections()->BeginCall(peer_, session, operation.kind);
}

void Call::Read() {
  step_ = Step::kMessage;
  since_nanos_ = poller_->NowNanos();
  pending_ = true;
  bytes_.Clear();
  stream_.Read(&bytes_, &on_operation_);
}

bool Call::Parse(::google::protobuf::Message* message) {
  ::grpc::ProtoBufferReader reader(&bytes_);
  return reader.status().ok() && message->ParseFromZeroCopyStream(&reader) && reader.status().ok();
}

void Call::OnMessage() {
  const size_t bytes = bytes_.Length();
  if (!IsOfStore() && bytes > kNameBytesMax) {
    return Finish(::grpc::StatusCode::RESOURCE_EXHAUSTED, "the request is too large");
  }
  Hold(kUnreadBytes + bytes);
  if (IsOfStore()) return OnOperationMessage();
  if (method_ == Method::kReflect) return OnReflectionMessage();
  OnHealthMessage();
}

void Call::OnOperationMessage() {
  const bool parsed = Parse(&request_);
  bytes_.Clear();
  if (!parsed) return Finish(::grpc::StatusCode::INTERNAL, "the request is not a message");
  deadline_nanos = DeadlineNanos(context_.raw_deadline(), poller_->NowNanos());
  operation.key = request_.key();
  if (method_ == Method::kPut) {
    operation.kind = OperationKind::kPut;
    operation.value = request_.value();
  } else {
    operation.kind = method_ == Method::kGet ? OperationKind::kGet : OperationKind::kDelete;
  }
  TellWhoAsks();
  step_ = Step::kStore;
  if (!Enter()) FinishFailed(server::ToFailure(net::Refusal::kShuttingDown));
}

bool Call::Enter() {
  if (poller_->door()->Enter(this)) return true;
  poller_->connections()->EndCall(peer_, connection);
  return false;
}

void Call::OnEnded() {
  poller_->connections()->EndCall(peer_, connection);
  if (outcome.failure.code == static_cast<uint16_t>(absl::StatusCode::kUnauthenticated)) {
    return Finish(::grpc::StatusCode::UNAUTHENTICATED, outcome.failure.message);
  }
  if (!outcome.ok()) return FinishFailed(outcome.failure);
  test_grpc::GetResponse response;
  response.set_success(true);
  if (const auto* value = std::get_if<PinnedValue>(&outcome.answer)) {
    response.set_value(value->value().data(), value->value().size());
  }
  outcome.answer = std::monostate();
  request_.Clear();
  Hold(kUnreadBytes + response.value().size());
  WriteAndFinish(response);
}

void Call::FinishFailed(const server::Failure& failure) {
  context_.AddTrailingMetadata("bandb-code", std::to_string(failure.code));
  if (!failure.message.empty()) context_.AddTrailingMetadata("bandb-message", ToHeaderValue(failure.message));
  WriteAndFinish(test_grpc::GetResponse());
}

void Call::OnHealthMessage() {
  ::grpc::health::v1::HealthCheckRequest request;
  if (!Parse(&request)) return Finish(::grpc::StatusCode::INTERNAL, "the request is not a message");
  const ::grpc::health::v1::HealthCheckResponse response = HealthOf(request.service(), poller_->serving());
  if (method_ == Method::kWatch) {
    watched_ = request.service();
    return poller_->serving() ? Write(response) : WriteAndFinish(response);
  }
  if (response.status() == ::grpc::health::v1::HealthCheckResponse::SERVICE_UNKNOWN) {
    return Finish(::grpc::StatusCode::NOT_FOUND, "no such service");
  }
  WriteAndFinish(response);
}

void Call::OnReflectionMessage() {
  ::grpc::reflection::v1alpha::ServerReflectionRequest request;
  if (!Parse(&request)) return Finish(::grpc::StatusCode::INTERNAL, "the request is not a message");
  Write(Reflect(request));
}

void Call::OnWritten(bool ok) {
  if (!ok) return Finish(::grpc::StatusCode::CANCELLED, "");
  if (!poller_->serving()) {
    step_ = Step::kChange;
    return OnDrain();
  }
  if (method_ == Method::kReflect) return Read();
  step_ = done_ ? Step::kFinished : Step::kChange;
}

void Call::OnDrain() {
  // A call of the store whose message is on its way has its frame_timeout.
  if (step_ == Step::kMessage && method_ == Method::kReflect) return context_.TryCancel();
  if (step_ != Step::kChange) return;
  if (method_ == Method::kWatch) return WriteAndFinish(HealthOf(watched_, false));
  Finish(::grpc::StatusCode::UNAVAILABLE, "the server is shutting down");
}

void Call::GiveWay() {
  has_free_place_ = false;
  context_.TryCancel();
}

void Call::OnSweep(int64_t now_nanos) {
  const ServerOptions& options = poller_->door()->options();
  const int64_t waited_nanos = now_nanos - since_nanos_;
  const bool reads_late = step_ == Step::kMessage && IsLonger(waited_nanos, options.frame_timeout);
  const bool is_written = step_ == Step::kWritten || step_ == Step::kFinished;
  if (reads_late || (is_written && pending_ && IsLonger(waited_nanos, options.unread_timeout))) context_.TryCancel();
}

void Call::Write(const ::google::protobuf::Message& message) {
  step_ = Step::kWritten;
  since_nanos_ = poller_->NowNanos();
  pending_ = true;
  stream_.Write(ToBytes(message), &on_operation_);
}

void Call::WriteAndFinish(const ::google::protobuf::Message& message) {
  step_ = Step::kFinished;
  since_nanos_ = poller_->NowNanos();
  pending_ = true;
  stream_.WriteAndFinish(ToBytes(message), ::grpc::WriteOptions(), ::grpc::Status::OK, &on_operation_);
}

void Call::Finish(::grpc::StatusCode code, const std::string& text) {
  step_ = Step::kFinished;
  since_nanos_ = poller_->NowNanos();
  pending_ = true;
  stream_.Finish(::grpc::Status(code, text), &on_operation_);
}

}  // namespace bandb::grpc
