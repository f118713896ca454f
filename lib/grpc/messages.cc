#include "grpc/messages.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>

#include <array>

namespace bandb::grpc {

namespace {

using ::google::protobuf::DescriptorPool;
using ::google::protobuf::FileDescriptor;
using ::grpc::health::v1::HealthCheckResponse;
using ::grpc::reflection::v1alpha::ServerReflectionRequest;
using ::grpc::reflection::v1alpha::ServerReflectionResponse;

constexpr std::array kServices = {kKvServiceName, kHealthName, kReflectionName};

// Many clients take no more than 8 KiB of headers.
constexpr size_t kHeaderValueBytesMax = 1024;

// Codes of gRPC.
constexpr int kNotFound = 5;
constexpr int kUnimplemented = 12;

// None of our files imports another.
void Describe(const FileDescriptor* file, ServerReflectionResponse* response) {
  if (file == nullptr) {
    response->mutable_error_response()->set_error_code(kNotFound);
    response->mutable_error_response()->set_error_message("there is no such file or symbol");
    return;
  }
  ::google::protobuf::FileDescriptorProto described;
  file->CopyTo(&described);
  response->mutable_file_descriptor_response()->add_file_descriptor_proto(described.SerializeAsString());
}

}  // namespace

HealthCheckResponse HealthOf(std::string_view service, bool serving) {
  HealthCheckResponse response;
  response.set_status(HealthCheckResponse::SERVICE_UNKNOWN);
  bool is_known = service.empty();
  for (const std::string_view name : kServices) is_known = is_known || service == name;
  if (is_known) response.set_status(serving ? HealthCheckResponse::SERVING : HealthCheckResponse::NOT_SERVING);
  return response;
}

ServerReflectionResponse Reflect(const ServerReflectionRequest& request) {
  const DescriptorPool* const pool = DescriptorPool::generated_pool();
  ServerReflectionResponse response;
  response.set_valid_host(request.host());
  *response.mutable_original_request() = request;
  switch (request.message_request_case()) {
    case ServerReflectionRequest::kFileByFilename:
      Describe(pool->FindFileByName(request.file_by_filename()), &response);
      break;
    case ServerReflectionRequest::kFileContainingSymbol:
      Describe(pool->FindFileContainingSymbol(request.file_containing_symbol()), &response);
      break;
    case ServerReflectionRequest::kListServices:
      for (const char* name : kServices) response.mutable_list_services_response()->add_service()->set_name(name);
      break;
    case ServerReflectionRequest::kFileContainingExtension:
    case ServerReflectionRequest::kAllExtensionNumbersOfType:
      // There are no extensions in proto3.
      Describe(nullptr, &response);
      break;
    case ServerReflectionRequest::MESSAGE_REQUEST_NOT_SET:
      response.mutable_error_response()->set_error_code(kUnimplemented);
      response.mutable_error_response()->set_error_message("no such request");
      break;
  }
  return response;
}

std::string ToHeaderValue(std::string_view text) {
  constexpr std::string_view kHexDigits = "0123456789ABCDEF";
  std::string value;
  for (const char c : text) {
    if (value.size() + 3 > kHeaderValueBytesMax) break;
    if (c >= ' ' && c <= '~' && c != '%') {
      value += c;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    value += '%';
    value += kHexDigits[byte >> 4];
    value += kHexDigits[byte & 15];
  }
  return value;
}

std::string ToPeer(std::string_view uri) {
  std::string peer(uri.substr(uri.find(':') + 1));
  for (const auto& [from, to] : {std::pair("%5B", "["), std::pair("%5D", "]"), std::pair("%25", "%")}) {
    if (const size_t at = peer.find(from); at != std::string::npos) peer.replace(at, 3, to);
  }
  return peer;
}

}  // namespace bandb::grpc
