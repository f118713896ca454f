// In the place of credentials.cc where there is no OpenSSL.
#include "base/status.h"
#include "grpc/credentials.h"
#include "tls/token.h"

namespace bandb::grpc {

absl::StatusOr<std::shared_ptr<::grpc::ServerCredentials>> MakeCredentials(const ListenerOptions& options) {
  if (!options.tls_certificate_file.empty()) BANDB_RETURN_IF_ERROR(tls::CheckAvailable());
  return ::grpc::InsecureServerCredentials();
}

}  // namespace bandb::grpc
