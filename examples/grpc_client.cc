// A client of gRPC.
//
//   $ grpc_client 127.0.0.1:50051
//   greeting is hello
//   a missing key: 5
#include <grpcpp/grpcpp.h>

#include <iostream>
#include <string>

#include "grpc/kv.grpc.pb.h"

namespace {

// A call that gRPC could not make has another status than OK; one that failed has no success.
bool Check(const grpc::Status& status, bool success, const grpc::ClientContext& context, std::string* why) {
  if (!status.ok()) *why = status.error_message();
  if (!status.ok() || success) return status.ok();
  for (const auto& [name, value] : context.GetServerTrailingMetadata()) {
    if (!name.starts_with("bandb-")) continue;
    if (!why->empty()) *why += ", ";
    why->append(value.data(), value.size());
  }
  return false;
}

bool Put(test_grpc::KVService::Stub& kv, const std::string& key, const std::string& value, std::string* why) {
  grpc::ClientContext context;
  test_grpc::PutRequest request;
  request.set_key(key);
  request.set_value(value);
  test_grpc::PutResponse response;
  const grpc::Status status = kv.Put(&context, request, &response);
  return Check(status, response.success(), context, why);
}

bool Get(test_grpc::KVService::Stub& kv, const std::string& key, std::string* value, std::string* why) {
  grpc::ClientContext context;
  test_grpc::GetRequest request;
  request.set_key(key);
  test_grpc::GetResponse response;
  const grpc::Status status = kv.Get(&context, request, &response);
  *value = response.value();
  return Check(status, response.success(), context, why);
}

}  // namespace

int main(int argc, char** argv) {
  const std::string address = argc > 1 ? argv[1] : "127.0.0.1:50051";
  test_grpc::KVService::Stub kv(grpc::CreateChannel(address, grpc::InsecureChannelCredentials()));
  std::string value, why;
  if (!Put(kv, "greeting", "hello", &why) || !Get(kv, "greeting", &value, &why)) {
    std::cerr << why << '\n';
    return 1;
  }
  std::cout << "greeting is " << value << '\n';
  if (!Get(kv, "nowhere", &value, &why)) std::cout << "a missing key: " << why << '\n';
}
