#include "target_flags.h"

#include "base/secret_file.h"
#include "base/status.h"

namespace bandb::cli {

namespace {

constexpr uint64_t kTokenFileBytesMax = 4096;

}  // namespace

void DeclareTarget(CLI::App* app, TargetFlags* flags) {
  app->add_option("--user", flags->user, "the user to log in as, whose token is in --token-file or BANDB_TOKEN")
      ->envname("BANDB_USER")
      ->type_name("NAME");
  app->add_option("--token-file", flags->token_file, "a file that holds the token, which others cannot read")
      ->type_name("FILE");
  app->add_flag("--tls", flags->tls, "speak TLS; the server's certificate must be one that this system trusts");
  app->add_option("--tls-ca", flags->tls_ca,
                  "speak TLS; the server's certificate must be one that those in FILE signed")
      ->type_name("FILE");
  app->add_option("--tls-cert", flags->tls_certificate, "the certificate to show to a server that asks for one")
      ->type_name("FILE");
  app->add_option("--tls-key", flags->tls_key, "its key, in a file that others cannot read")->type_name("FILE");
  // Not to be written on a command line, which other users of the machine see.
  app->add_option("--token-of-environment", flags->token)->envname("BANDB_TOKEN")->group("");
}

absl::StatusOr<client::Target> TakeTarget(const std::string& address, const TargetFlags& flags) {
  client::Target target(address);
  target.user = flags.user;
  target.token = flags.token;
  if (!flags.token_file.empty()) {
    BANDB_ASSIGN_OR_RETURN(target.token, base::ReadSecretFile(flags.token_file, kTokenFileBytesMax));
    while (!target.token.empty() && (target.token.back() == '\n' || target.token.back() == '\r'))
      target.token.pop_back();
  }
  if (target.user.empty() && !flags.token_file.empty()) {
    return base::Error(absl::StatusCode::kInvalidArgument, "--token-file needs --user");
  }
  if (!target.user.empty() && target.token.empty()) {
    return base::Error(absl::StatusCode::kInvalidArgument, "--user needs a token: --token-file FILE, or BANDB_TOKEN");
  }
  if (flags.tls_certificate.empty() != flags.tls_key.empty()) {
    return base::Error(absl::StatusCode::kInvalidArgument, "--tls-cert and --tls-key go together");
  }
  if (flags.tls || !flags.tls_ca.empty() || !flags.tls_certificate.empty()) {
    BANDB_ASSIGN_OR_RETURN(
        target.tls,
        tls::Context::ForClient({.certificate = flags.tls_certificate, .key = flags.tls_key, .ca = flags.tls_ca}));
  }
  return target;
}

}  // namespace bandb::cli
