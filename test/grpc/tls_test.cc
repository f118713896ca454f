// gRPC over TLS.
#include <grpcpp/security/credentials.h>

#include <memory>
#include <string>

#include "base/posix_file_system.h"
#include "grpc/kv_client.h"
#include "support/catch.h"
#include "support/temp_dir.h"
#include "tls/certificates.h"

namespace bandb::test {
namespace {

std::string TextOf(const std::string& path) {
  if (path.empty()) return "";
  base::PosixFileSystem files;
  const absl::StatusOr<std::string> text = base::ReadFile(&files, path, 1 << 20);
  REQUIRE_OK(text.status());
  return *text;
}

std::shared_ptr<::grpc::ChannelCredentials> Believing(const std::string& ca, const CertificateFiles& own = {}) {
  return ::grpc::SslCredentials({TextOf(ca), TextOf(own.key), TextOf(own.certificate)});
}

}  // namespace

TEST_CASE("calls are answered over TLS, to clients that believe the certificate and speak TLS") {
  TempDir dir;
  Authority authority(dir.path(), "authority");
  Authority foreign(dir.path(), "foreign");
  const CertificateFiles files = authority.Issue("server");
  GrpcFixture fixture;
  auto listener = grpc::Listener::Start(
      fixture.server.get(),
      {.listen = "127.0.0.1:0", .tls_certificate_file = files.certificate, .tls_key_file = files.key});
  REQUIRE_OK(listener.status());
  KvClient client((*listener)->Address(), Believing(authority.file()));
  CHECK(client.Put("k", "v").success);
  CHECK(client.Get("k").value == "v");
  KvClient plain((*listener)->Address());
  CHECK(plain.Get("k").status == ::grpc::StatusCode::UNAVAILABLE);
  KvClient stranger((*listener)->Address(), Believing(foreign.file()));
  CHECK(stranger.Get("k").status == ::grpc::StatusCode::UNAVAILABLE);
  CHECK(client.Get("k").value == "v");
}

TEST_CASE("with an authority for clients, those without a certificate of its are not served") {
  TempDir dir;
  Authority authority(dir.path(), "authority");
  Authority foreign(dir.path(), "foreign");
  const CertificateFiles files = authority.Issue("server");
  GrpcFixture fixture;
  auto listener = grpc::Listener::Start(fixture.server.get(), {.listen = "127.0.0.1:0",
                                                               .tls_certificate_file = files.certificate,
                                                               .tls_key_file = files.key,
                                                               .tls_client_ca_file = authority.file()});
  REQUIRE_OK(listener.status());
  KvClient client((*listener)->Address(), Believing(authority.file(), authority.Issue("client")));
  CHECK(client.Put("k", "v").success);
  KvClient other((*listener)->Address(), Believing(authority.file(), foreign.Issue("other")));
  CHECK(other.Get("k").status == ::grpc::StatusCode::UNAVAILABLE);
  KvClient none((*listener)->Address(), Believing(authority.file()));
  CHECK(none.Get("k").status == ::grpc::StatusCode::UNAVAILABLE);
}

TEST_CASE("a certificate that cannot be used is refused at the start") {
  TempDir dir;
  Authority authority(dir.path(), "authority");
  const CertificateFiles one = authority.Issue("one");
  const CertificateFiles two = authority.Issue("two");
  GrpcFixture fixture;
  CHECK_CODE(
      grpc::Listener::Start(fixture.server.get(),
                            {.listen = "127.0.0.1:0", .tls_certificate_file = one.certificate, .tls_key_file = two.key})
          .status(),
      kInvalidArgument);
}

}  // namespace bandb::test
