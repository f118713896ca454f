#include "tls/certificates.h"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "base/posix_file_system.h"
#include "base/secret_file.h"
#include "support/catch.h"

namespace bandb::test {

namespace {

constexpr long kDaySeconds = 86400;

template <typename Write>
void WritePem(const std::string& path, Write write) {
  BIO* const bio = ::BIO_new(::BIO_s_mem());
  REQUIRE(write(bio) == 1);
  char* bytes = nullptr;
  const long size = BIO_get_mem_data(bio, &bytes);
  base::PosixFileSystem files;
  REQUIRE_OK(base::ReplaceSecretFile(&files, path, std::string_view(bytes, static_cast<size_t>(size))));
  ::BIO_free(bio);
}

void AddExtension(X509* to, X509* issuer, int id, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  ::X509V3_set_ctx(&context, issuer, to, nullptr, nullptr, 0);
  X509_EXTENSION* const extension = ::X509V3_EXT_conf_nid(nullptr, &context, id, value.c_str());
  REQUIRE(extension != nullptr);
  REQUIRE(::X509_add_ext(to, extension, -1) == 1);
  ::X509_EXTENSION_free(extension);
}

X509* NewCertificate(const std::string& name, EVP_PKEY* key, long serial, bool expired) {
  X509* const certificate = ::X509_new();
  ::X509_set_version(certificate, 2);
  ::ASN1_INTEGER_set(::X509_get_serialNumber(certificate), serial);
  ::X509_gmtime_adj(X509_getm_notBefore(certificate), -2 * kDaySeconds);
  ::X509_gmtime_adj(X509_getm_notAfter(certificate), expired ? -kDaySeconds : kDaySeconds);
  ::X509_set_pubkey(certificate, key);
  ::X509_NAME_add_entry_by_txt(::X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
                               reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
  return certificate;
}

}  // namespace

Authority::Authority(const std::string& directory, const std::string& name, const Authority* signer)
    : directory_(directory), file_(directory + "/" + name + ".crt"), list_(directory + "/" + name + ".crl") {
  key_ = ::EVP_EC_gen("P-256");
  REQUIRE(key_ != nullptr);
  certificate_ = NewCertificate(name, key_, 1, false);
  const Authority& by = signer == nullptr ? *this : *signer;
  ::X509_set_issuer_name(certificate_, ::X509_get_subject_name(by.certificate_));
  AddExtension(certificate_, by.certificate_, NID_basic_constraints, "critical,CA:TRUE");
  AddExtension(certificate_, by.certificate_, NID_key_usage, "critical,keyCertSign,cRLSign");
  REQUIRE(::X509_sign(certificate_, by.key_, ::EVP_sha256()) != 0);
  WritePem(file_, [this](BIO* bio) { return ::PEM_write_bio_X509(bio, certificate_); });
}

Authority::~Authority() {
  ::X509_free(certificate_);
  ::EVP_PKEY_free(key_);
}

CertificateFiles Authority::Issue(const std::string& name, const CertificateOptions& options) {
  CertificateFiles files{directory_ + "/" + name + ".crt", directory_ + "/" + name + ".key"};
  EVP_PKEY* const key = ::EVP_EC_gen("P-256");
  X509* const certificate = NewCertificate(name, key, ++issued_, options.expired);
  ::X509_set_issuer_name(certificate, ::X509_get_subject_name(certificate_));
  if (!options.hosts.empty()) AddExtension(certificate, certificate_, NID_subject_alt_name, options.hosts);
  REQUIRE(::X509_sign(certificate, key_, ::EVP_sha256()) != 0);
  WritePem(files.certificate, [&](BIO* bio) { return ::PEM_write_bio_X509(bio, certificate); });
  WritePem(files.key,
           [&](BIO* bio) { return ::PEM_write_bio_PrivateKey(bio, key, nullptr, nullptr, 0, nullptr, nullptr); });
  ::X509_free(certificate);
  ::EVP_PKEY_free(key);
  return files;
}

std::string Authority::Revoke(const std::vector<CertificateFiles>& revoked, bool out_of_date) {
  X509_CRL* const list = ::X509_CRL_new();
  ::X509_CRL_set_version(list, 1);
  ::X509_CRL_set_issuer_name(list, ::X509_get_subject_name(certificate_));
  ASN1_TIME* const time = ::X509_gmtime_adj(nullptr, -2 * kDaySeconds);
  ::X509_CRL_set1_lastUpdate(list, time);
  for (const CertificateFiles& files : revoked) {
    BIO* const bio = ::BIO_new_file(files.certificate.c_str(), "r");
    X509* const certificate = ::PEM_read_bio_X509(bio, nullptr, nullptr, nullptr);
    REQUIRE(certificate != nullptr);
    X509_REVOKED* const entry = ::X509_REVOKED_new();
    ::X509_REVOKED_set_serialNumber(entry, ::X509_get_serialNumber(certificate));
    ::X509_REVOKED_set_revocationDate(entry, time);
    REQUIRE(::X509_CRL_add0_revoked(list, entry) == 1);
    ::X509_free(certificate);
    ::BIO_free(bio);
  }
  ::X509_gmtime_adj(time, out_of_date ? -kDaySeconds : kDaySeconds);
  ::X509_CRL_set1_nextUpdate(list, time);
  ::ASN1_TIME_free(time);
  ::X509_CRL_sort(list);
  REQUIRE(::X509_CRL_sign(list, key_, ::EVP_sha256()) != 0);
  WritePem(list_, [list](BIO* bio) { return ::PEM_write_bio_X509_CRL(bio, list); });
  ::X509_CRL_free(list);
  return list_;
}

void ShowCertificate(ssl_ctx_st* context, const CertificateFiles& files) {
  REQUIRE(::SSL_CTX_use_certificate_file(context, files.certificate.c_str(), SSL_FILETYPE_PEM) == 1);
  REQUIRE(::SSL_CTX_use_PrivateKey_file(context, files.key.c_str(), SSL_FILETYPE_PEM) == 1);
}

}  // namespace bandb::test
