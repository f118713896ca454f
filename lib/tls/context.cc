#include "tls/context.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <climits>
#include <string_view>
#include <utility>
#include <vector>

#include "base/posix_file_system.h"
#include "base/secret_file.h"
#include "base/status.h"

namespace bandb::tls {

namespace {

constexpr uint64_t kFileBytesMax = 1 << 20;
// As in Engine: a name in the certificate's subject is none of its hosts, and what signs for others
// than nodes may let them choose it.
constexpr unsigned int kHostFlags = X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT;

template <auto kFree>
struct Free {
  template <typename T>
  void operator()(T* of) const {
    kFree(of);
  }
};
using BioPointer = std::unique_ptr<BIO, Free<&::BIO_free_all>>;
using CertificatePointer = std::unique_ptr<X509, Free<&::X509_free>>;
using ListPointer = std::unique_ptr<X509_CRL, Free<&::X509_CRL_free>>;
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

absl::Status TrustAuthorities(SSL_CTX* context, const std::string& ca) {
  X509_STORE* const store = ::SSL_CTX_get_cert_store(context);
  // Each of them is believed by itself, whether the file has the one that signed it or not.
  ::X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
  return TakeCertificates(ca, [&](X509* certificate, size_t) -> absl::Status {
    return ::X509_STORE_add_cert(store, certificate) == 1 ? absl::OkStatus()
                                                          : Wrong(ca, "a certificate that cannot be used");
  });
}

// A peer whose authority has no list here is refused, and so is everybody once a list is past its
// time: an operator that keeps lists wants to know of what was taken back.
absl::Status HeedRevocations(SSL_CTX* context, const std::string& crl) {
  X509_STORE* const store = ::SSL_CTX_get_cert_store(context);
  base::PosixFileSystem files;
  BANDB_ASSIGN_OR_RETURN(const std::string text, base::ReadFile(&files, crl, kFileBytesMax));
  const BioPointer bio = Over(text);
  size_t count = 0;
  while (true) {
    const ListPointer list(::PEM_read_bio_X509_CRL(bio.get(), nullptr, &NoPassword, nullptr));
    if (list == nullptr) break;
    const ASN1_TIME* const next = ::X509_CRL_get0_nextUpdate(list.get());
    if (next != nullptr && ::X509_cmp_current_time(next) < 0) return Wrong(crl, "the revocation list is out of date");
    if (::X509_STORE_add_crl(store, list.get()) != 1) return Wrong(crl, "a revocation list that cannot be used");
    ++count;
  }
  const unsigned long error = ::ERR_peek_last_error();
  if (count == 0 || ERR_GET_REASON(error) != PEM_R_NO_START_LINE) return Wrong(crl, "no revocation list in PEM");
  ::ERR_clear_error();
  ::X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK);
  return absl::OkStatus();
}

// OpenSSL asks this of each certificate of a chain, the peer's own last.
int CheckName(int is_good, X509_STORE_CTX* chain) {
  if (is_good == 0 || ::X509_STORE_CTX_get_error_depth(chain) > 0) return is_good;
  const auto* const ssl =
      static_cast<const SSL*>(::X509_STORE_CTX_get_ex_data(chain, ::SSL_get_ex_data_X509_STORE_CTX_idx()));
  const auto* const names = static_cast<const std::vector<std::string>*>(SSL_CTX_get_app_data(::SSL_get_SSL_CTX(ssl)));
  X509* const certificate = ::X509_STORE_CTX_get_current_cert(chain);
  const bool named = std::any_of(names->begin(), names->end(), [certificate](const std::string& name) {
    return ::X509_check_host(certificate, name.data(), name.size(), kHostFlags, nullptr) == 1 ||
           ::X509_check_ip_asc(certificate, name.c_str(), 0) == 1;
  });
  if (named) return 1;
  ::X509_STORE_CTX_set_error(chain, X509_V_ERR_HOSTNAME_MISMATCH);
  return 0;
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
  BANDB_RETURN_IF_ERROR(context->Believe(files));
  return context;
}

absl::StatusOr<std::shared_ptr<Context>> Context::ForClient(const ContextFiles& files) {
  BANDB_ASSIGN_OR_RETURN(SSL_CTX* const made, NewContext(::TLS_client_method()));
  std::shared_ptr<Context> context(new Context(made, false));
  if (!files.certificate.empty()) BANDB_RETURN_IF_ERROR(UseCertificate(made, files));
  BANDB_RETURN_IF_ERROR(context->Believe(files));
  return context;
}

absl::Status Context::Believe(const ContextFiles& files) {
  if (!files.ca.empty()) {
    BANDB_RETURN_IF_ERROR(TrustAuthorities(context_, files.ca));
  } else if (::SSL_CTX_set_default_verify_paths(context_) != 1) {
    return Wrong("the certificates that this system trusts", "they cannot be read");
  }
  if (!files.crl.empty()) BANDB_RETURN_IF_ERROR(HeedRevocations(context_, files.crl));
  names_ = files.names;
  SSL_CTX_set_app_data(context_, &names_);
  ::SSL_CTX_set_verify(context_, SSL_VERIFY_PEER | (is_server_ ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0),
                       names_.empty() ? nullptr : &CheckName);
  return absl::OkStatus();
}

Context::~Context() { ::SSL_CTX_free(context_); }

}  // namespace bandb::tls
