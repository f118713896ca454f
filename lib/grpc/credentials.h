// What a listener of gRPC shows to its clients: nothing, or a certificate.
#ifndef BANDB_GRPC_CREDENTIALS_H_
#define BANDB_GRPC_CREDENTIALS_H_

#include <grpcpp/security/server_credentials.h>

#include <memory>

#include "absl/status/statusor.h"
#include "grpc/listener.h"

namespace bandb::grpc {

// gRPC looks for changed files by itself, every ten seconds. Errors: those of
// tls::Context::ForServer.
absl::StatusOr<std::shared_ptr<::grpc::ServerCredentials>> MakeCredentials(const ListenerOptions& options);

}  // namespace bandb::grpc

#endif  // BANDB_GRPC_CREDENTIALS_H_
