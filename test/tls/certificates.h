// Certificates made by the test: an authority of its own, and what it signs.
#ifndef BANDB_TEST_TLS_CERTIFICATES_H_
#define BANDB_TEST_TLS_CERTIFICATES_H_

#include <memory>
#include <string>
#include <vector>

struct evp_pkey_st;
struct ssl_ctx_st;
struct x509_st;

namespace bandb::test {

struct CertificateOptions {
  // As OpenSSL writes them; empty: none.
  std::string hosts = "DNS:localhost,IP:127.0.0.1,DNS:server";
  bool expired = false;
};

// Files of one certificate.
struct CertificateFiles {
  std::string certificate;
  std::string key;
};

class Authority {
 public:
  // Its own certificate is in `directory`/NAME.crt, signed by another one, or by itself.
  Authority(const std::string& directory, const std::string& name, const Authority* signer = nullptr);
  ~Authority();
  Authority(const Authority&) = delete;
  Authority& operator=(const Authority&) = delete;

  const std::string& file() const { return file_; }
  // Writes, or replaces, NAME.crt and NAME.key.
  CertificateFiles Issue(const std::string& name, const CertificateOptions& options = {});
  // Writes, or replaces, its revocation list, which has the certificates of these files, and says
  // where it is.
  std::string Revoke(const std::vector<CertificateFiles>& revoked, bool out_of_date = false);

 private:
  const std::string directory_;
  const std::string file_;
  const std::string list_;
  evp_pkey_st* key_ = nullptr;
  x509_st* certificate_ = nullptr;
  long issued_ = 1;
};

// Has a context show what it would not load itself.
void ShowCertificate(ssl_ctx_st* context, const CertificateFiles& files);

}  // namespace bandb::test

#endif  // BANDB_TEST_TLS_CERTIFICATES_H_
