// One call of a client, from its first header to its last.
#ifndef BANDB_GRPC_CALL_H_
#define BANDB_GRPC_CALL_H_

#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/support/byte_buffer.h>

#include <cstdint>
#include <list>
#include <string>
#include <string_view>

#include "grpc/kv.pb.h"
#include "grpc/poller.h"
#include "server/door.h"

namespace bandb::grpc {

// A message is read only once the call was let in, so what a client sends unasked is bounded by
// HTTP/2's windows. Calls of the store end as the original server's do: with the status OK, and
// what went wrong in trailing metadata.
// Thread safety: its poller's thread, but for End. Lifetime: deletes itself, by Poller::Gone.
class Call final : public server::DoorCall {
 public:
  explicit Call(Poller* poller);

  // Waits for a client.
  void Accept();
  void End() override { poller_->Ended(this); }
  void OnEnded();
  // Ends it if it waits for nothing but its client.
  void OnDrain();
  // Cancels it if its client has been too slow.
  void OnSweep(int64_t now_nanos);

  // Cancels it: another one has its free place.
  void GiveWay();

  std::list<Call*>::iterator place;       // in its poller's list
  std::list<Call*>::iterator free_place;  // likewise, if it has one

 private:
  enum class Method : uint8_t { kUnknown, kPut, kGet, kDelete, kCheck, kWatch, kReflect };
  // What it waits for.
  enum class Step : uint8_t { kClient, kMessage, kStore, kWritten, kChange, kFinished };

  void OnOperation(bool ok);
  void OnDone(bool ok);
  void OnAccepted();
  void OnMessage();
  void OnWritten(bool ok);
  void OnOperationMessage();
  void OnHealthMessage();
  void OnReflectionMessage();

  // Whether its metadata say who it is, where there are users.
  bool LogIn();
  void TellWhoAsks();
  // Into the store; false: it serves nobody any more.
  bool Enter();
  void Read();
  void Write(const ::google::protobuf::Message& message);
  void WriteAndFinish(const ::google::protobuf::Message& message);
  void Finish(::grpc::StatusCode code, const std::string& text);
  void FinishFailed(const server::Failure& failure);
  void Hold(size_t bytes);
  void ReleaseIfGone();
  bool Parse(::google::protobuf::Message* message);
  static Method MethodOf(std::string_view path);
  bool IsOfStore() const { return method_ == Method::kPut || method_ == Method::kGet || method_ == Method::kDelete; }

  Poller* const poller_;
  ::grpc::GenericServerContext context_;
  ::grpc::GenericServerAsyncReaderWriter stream_{&context_};
  ::grpc::ByteBuffer bytes_;
  EventOf<Call> on_operation_{this, &Call::OnOperation};
  EventOf<Call> on_done_{this, &Call::OnDone};
  // The requests of the other calls are the beginning of this one.
  test_grpc::PutRequest request_;
  std::string peer_;
  std::string watched_;  // the service whose health is watched
  int64_t since_nanos_ = 0;
  size_t held_bytes_ = 0;  // on the account of memory
  Method method_ = Method::kUnknown;
  Step step_ = Step::kClient;
  bool has_free_place_ = false;
  bool pending_ = false;  // an operation of gRPC's is under way
  bool done_ = false;     // gRPC has told that the call is over
};

}  // namespace bandb::grpc

#endif  // BANDB_GRPC_CALL_H_
