// The flags that say as which user bandb talks to a server.
#ifndef BANDB_TOOLS_BANDB_TARGET_FLAGS_H_
#define BANDB_TOOLS_BANDB_TARGET_FLAGS_H_

#include <CLI/CLI.hpp>
#include <string>

#include "absl/status/statusor.h"
#include "client/target.h"

namespace bandb::cli {

struct TargetFlags {
  std::string user{};
  std::string token_file{};
  bool tls = false;
  std::string tls_ca{};
  std::string tls_certificate{};
  std::string tls_key{};
  std::string token{};  // of the environment, so that no list of processes shows it
};

void DeclareTarget(CLI::App* app, TargetFlags* flags);
// Reads the files that the flags name. Errors: kInvalidArgument they do not go together; and of
// reading a file that others can read, too.
absl::StatusOr<client::Target> TakeTarget(const std::string& address, const TargetFlags& flags);

}  // namespace bandb::cli

#endif  // BANDB_TOOLS_BANDB_TARGET_FLAGS_H_
