#include "grpc/credentials.h"

#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_credentials_options.h>

#include "base/status.h"
#include "tls/context.h"

namespace bandb::grpc {

namespace {

using ::grpc::experimental::FileWatcherCertificateProvider;

constexpr unsigned int kLookSeconds = 10;

}  // namespace

absl::StatusOr<std::shared_ptr<::grpc::ServerCredentials>> MakeCredentials(const ListenerOptions& options) {
  if (options.tls_certificate_file.empty()) return ::grpc::InsecureServerCredentials();
  // gRPC would only tell that nobody can connect.
  const tls::ContextFiles files{options.tls_certificate_file, options.tls_key_file, options.tls_client_ca_file};
  BANDB_RETURN_IF_ERROR(tls::Context::ForServer(files).status());
  std::shared_ptr<FileWatcherCertificateProvider> provider;
  if (files.ca.empty()) {
    provider = std::make_shared<FileWatcherCertificateProvider>(files.key, files.certificate, kLookSeconds);
  } else {
    provider = std::make_shared<FileWatcherCertificateProvider>(files.key, files.certificate, files.ca, kLookSeconds);
  }
  ::grpc::experimental::TlsServerCredentialsOptions made(provider);
  made.watch_identity_key_cert_pairs();
  if (!files.ca.empty()) {
    made.watch_root_certs();
    made.set_cert_request_type(GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  }
  return ::grpc::experimental::TlsServerCredentials(made);
}

}  // namespace bandb::grpc
