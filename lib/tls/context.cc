#include "tls/context.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <algorithm>
#include <climits>
#include <string_view>
#include <utility>

#include "base/posix_file_system.h"
#include "base/secret_file.h"
#include "base/status.h"

namespace bandb::tls {

namespace {

constexpr uint64_t kFileBytesMax = 1 << 20;

template <auto kFree>
struct Free {
  template <typename T>
  void operator()(T* of) const {
    kFree(of);
  }
};
using BioPointer = std::unique_ptr<BIO, Free<&::BIO_free_all>>;
using CertificatePointer = std::unique_ptr<X509, Free<&::X509_free>>;
using KeyPointer = std::unique_ptr<EVP_PKEY, Free<&::EVP_PKEY_free>>;

absl::Status Wrong(const std::string& path, std::string_view what) {
  const char* const reason = ::ERR_reason_error_string(::ERR_peek_last_error());
  const std::string why = reason == nullptr ? "" : fmt::format(" ({})", reason);
  ::ERR_clear_error();
  return base::Error(absl::StatusCode::kInvalidArgument, "{}: {}{}", path, what, why);
}

BioPointer Over(std::string_view text) {
  return BioPointer(::BIO_new_mem_buf(text.data(), static_cast<int>(std::min<size_t>(text.size(), INT_MAX))));
}

// Never asks at a terminal.
int NoPassword(char*, int, int, void*) { return -1; }

// Calls `take` for each certificate of the file, in order.
template <typename Take>
absl::Status TakeCertificates(const std::string& path, Take take) {
  base::PosixFileSystem files;
  BANDB_ASSIGN_OR_RETURN(const std::string text, base::ReadFile(&files, path, kFileBytesMax));
  const BioPointer bio = Over(text);
  size_t count = 0;
  while (true) {
    const CertificatePointer certificate(::PEM_read_bio_X509(bio.get(), nullptr, &NoPassword, nullptr));
    if (certificate == nullptr) break;
    BANDB_RETURN_IF_ERROR(take(certificate.get(), count++));
  }
  // The end of the file is told as a beginning that is missing.
  const unsigned long error = ::ERR_peek_last_error();
  if (count == 0 || ERR_GET_REASON(error) != PEM_R_NO_START_LINE) return Wrong(path, "no certificate in PEM");
  ::ERR_clear_error();
  return absl::OkStatus();
}

absl::Status UseCertificate(SSL_CTX* context, const ContextFiles& files) {
  BANDB_RETURN_IF_ERROR(TakeCertificates(files.certificate, [&](X509* certificate, size_t number) -> absl::Status {
    if (::X509_cmp_current_time(::X509_get0_notAfter(certificate)) < 0) {
      return Wrong(files.certificate, "the certificate has expired");
    }
    const int ok =
        number == 0 ? ::SSL_CTX_use_certificate(context, certificate) : ::SSL_CTX_add1_chain_cert(context, certificate);
    return ok == 1 ? absl::OkStatus() : Wrong(files.certificate, "a certificate that cannot be used");
  }));
  BANDB_ASSIGN_OR_RETURN(const std::string text, base::ReadSecretFile(files.key, kFileBytesMax));
  const BioPointer bio = Over(text);
  const KeyPointer key(::PEM_read_bio_PrivateKey(bio.get(), nullptr, &NoPassword, nullptr));
  if (key == nullptr) return Wrong(files.key, "no key in PEM without a password");
  if (::SSL_CTX_use_PrivateKey(context, key.get()) != 1 || ::SSL_CTX_check_private_key(context) != 1) {
    return Wrong(files.key, fmt::format("not the key of {}", files.certificate));
  }
  return absl::OkStatus();
}

absl::Status Believe(SSL_CTX* context, const std::string& ca) {
  X509_STORE* const store = ::SSL_CTX_get_cert_store(context);
  // Each of them is believed by itself, whether the file has the one that signed it or not.
  ::X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
  return TakeCertificates(ca, [&](X509* certificate, size_t) -> absl::Status {
    return ::X509_STORE_add_cert(store, certificate) == 1 ? absl::OkStatus()
                                                          : Wrong(ca, "a certificate that cannot be used");
  });
}

absl::StatusOr<SSL_CTX*> NewContext(const SSL_METHOD* method) {
  SSL_CTX* const context = ::SSL_CTX_new(method);
  if (context == nullptr || ::SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) != 1) {
    ::SSL_CTX_free(context);
    return base::Error(absl::StatusCode::kInternal, "OpenSSL makes no context for TLS 1.3");
  }
  ::SSL_CTX_set_options(context, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  ::SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  ::SSL_CTX_set_num_tickets(context, 0);
  ::SSL_CTX_set_max_early_data(context, 0);
  ::SSL_CTX_set_recv_max_early_data(context, 0);
  // Idle connections keep no buffers.
  ::SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
  // Records come in one read and not in two.
  ::SSL_CTX_set_read_ahead(context, 1);
  // More than a chain of certificates needs.
  ::SSL_CTX_set_max_cert_list(context, 64 << 10);
  return context;
}

}  // namespace

absl::StatusOr<std::shared_ptr<Context>> Context::ForServer(const ContextFiles& files) {
  BANDB_ASSIGN_OR_RETURN(SSL_CTX* const made, NewContext(::TLS_server_method()));
  std::shared_ptr<Context> context(new Context(made, true));
  BANDB_RETURN_IF_ERROR(UseCertificate(made, files));
  if (files.ca.empty()) return context;
  BANDB_RETURN_IF_ERROR(Believe(made, files.ca));
  ::SSL_CTX_set_verify(made, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  return context;
}

absl::StatusOr<std::shared_ptr<Context>> Context::ForClient(const ContextFiles& files) {
  BANDB_ASSIGN_OR_RETURN(SSL_CTX* const made, NewContext(::TLS_client_method()));
  std::shared_ptr<Context> context(new Context(made, false));
  if (!files.certificate.empty()) BANDB_RETURN_IF_ERROR(UseCertificate(made, files));
  if (!files.ca.empty()) {
    BANDB_RETURN_IF_ERROR(Believe(made, files.ca));
  } else if (::SSL_CTX_set_default_verify_paths(made) != 1) {
    return Wrong("the certificates that this system trusts", "they cannot be read");
  }
  ::SSL_CTX_set_verify(made, SSL_VERIFY_PEER, nullptr);
  return context;
}

Context::~Context() { ::SSL_CTX_free(context_); }

}  // namespace bandb::tls
