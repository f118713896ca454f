// A server with a gRPC listener, and a client of it, over a real socket.
#ifndef BANDB_TEST_GRPC_KV_CLIENT_H_
#define BANDB_TEST_GRPC_KV_CLIENT_H_

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "bandb/server.h"
#include "base/mutex.h"
#include "base/thread_executor.h"
#include "grpc/kv.grpc.pb.h"
#include "grpc/listener.h"
#include "support/memory_store.h"

namespace bandb::test {

// How a call ended, as a client sees it.
struct GrpcReply {
  ::grpc::StatusCode status = ::grpc::StatusCode::UNKNOWN;
  bool success = false;
  std::string value;
  std::string code;  // the trailing metadata
  std::string message;
};

// A call that is not waited for.
class GrpcCall {
 public:
  // Waits for its end, a minute at most.
  GrpcReply Wait();
  void Cancel() { context_.TryCancel(); }

 private:
  friend class KvClient;
  ::grpc::ClientContext context_;
  test_grpc::PutRequest put_;
  test_grpc::GetRequest get_;
  test_grpc::DeleteRequest delete_;
  test_grpc::PutResponse put_response_;
  test_grpc::GetResponse get_response_;
  test_grpc::DeleteResponse delete_response_;
  GrpcReply reply_;
  base::Event ended_;
};

class KvClient {
 public:
  // With a connection of its own.
  explicit KvClient(const std::string& address, const std::shared_ptr<::grpc::ChannelCredentials>& credentials =
                                                    ::grpc::InsecureChannelCredentials());

  std::unique_ptr<GrpcCall> StartPut(std::string_view key, std::string_view value, int timeout_ms = 0);
  std::unique_ptr<GrpcCall> StartGet(std::string_view key);
  std::unique_ptr<GrpcCall> StartDelete(std::string_view key);
  GrpcReply Put(std::string_view key, std::string_view value) { return StartPut(key, value)->Wait(); }
  GrpcReply Get(std::string_view key) { return StartGet(key)->Wait(); }
  GrpcReply Delete(std::string_view key) { return StartDelete(key)->Wait(); }
  // Sent with every call from now on.
  void Authorize(const std::string& value) { authorization_ = value; }
  const std::shared_ptr<::grpc::Channel>& channel() const { return channel_; }

 private:
  std::unique_ptr<GrpcCall> NewCall() const;

  std::string authorization_;
  std::shared_ptr<::grpc::Channel> channel_;
  std::unique_ptr<test_grpc::KVService::Stub> stub_;
};

// Lifetime: destroyed in the order that a program ends in.
struct GrpcFixture {
  explicit GrpcFixture(ServerOptions options = {}, ServerHooks hooks = {});
  ~GrpcFixture();

  std::string address() const { return listener->Address(); }
  // Waits until `done` holds, a minute at most; false if it never does.
  static bool Eventually(const std::function<bool()>& done);

  base::ThreadExecutor executor{1};
  MemoryStore store{&executor};
  std::unique_ptr<Server> server;
  std::unique_ptr<grpc::Listener> listener;
};

}  // namespace bandb::test

#endif  // BANDB_TEST_GRPC_KV_CLIENT_H_
