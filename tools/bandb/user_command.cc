#include "user_command.h"

#include <CLI/CLI.hpp>
#include <optional>
#include <utility>

#include "absl/functional/function_ref.h"
#include "arguments.h"
#include "base/posix_file_system.h"
#include "base/secret_file.h"
#include "base/status.h"
#include "server/users.h"
#include "shell.h"
#include "standard_streams/standard_streams.h"
#include "tls/token.h"

namespace bandb::cli {

namespace {

using standard_streams::Print;

constexpr uint64_t kFileBytesMax = 16 << 20;

constexpr const char* kFooter =
    "A server takes a changed file over when it gets SIGHUP. The token of a new user is printed once; the file has "
    "its\n"
    "SHA-256 alone. Another token for the same name: revoke, and add again.\n"
    "\n"
    "Exit codes: 0 done; 1 there is no such user; 2 usage, or the file cannot be read or written.\n"
    "\n"
    "Examples:\n"
    "  bandb user add app --file /etc/bandb/users.toml --allow read,write:orders/\n"
    "  bandb user add ops --file /etc/bandb/users.toml --allow read,write --allow admin\n"
    "  bandb user list --file /etc/bandb/users.toml\n"
    "  bandb user revoke app --file /etc/bandb/users.toml && pkill -HUP -x bandb_server";

struct Flags {
  std::string name;
  std::string file;
  std::vector<std::string> allows;
};

// Two commands at once come one after the other.
absl::Status ChangeTable(const Flags& flags, bool may_be_absent,
                         absl::FunctionRef<absl::Status(server::UserTable* table)> change) {
  base::PosixFileSystem files;
  return base::ChangeSecretFile(
      &files, flags.file, kFileBytesMax, may_be_absent, [&](std::string_view old) -> absl::StatusOr<std::string> {
        BANDB_ASSIGN_OR_RETURN(server::UserTable table, server::UserTable::Parse(old, flags.file));
        BANDB_RETURN_IF_ERROR(change(&table));
        return table.ToText();
      });
}

absl::Status Add(const Flags& flags) {
  BANDB_RETURN_IF_ERROR(tls::CheckAvailable());
  if (!server::IsUserName(flags.name)) {
    return base::Error(absl::StatusCode::kInvalidArgument, "a name has letters, digits, _ and -, at most 64");
  }
  server::User user;
  user.name = flags.name;
  for (const std::string& allow : flags.allows) BANDB_RETURN_IF_ERROR(user.grants.Add(allow));
  BANDB_ASSIGN_OR_RETURN(const std::string token, tls::NewToken());
  user.digest = tls::DigestOf(token);
  BANDB_RETURN_IF_ERROR(
      ChangeTable(flags, true, [&](server::UserTable* table) { return table->Add(std::move(user)); }));
  Print(stdout, "{}\n", token);
  return absl::OkStatus();
}

absl::Status List(const Flags& flags) {
  BANDB_ASSIGN_OR_RETURN(const std::string text, base::ReadSecretFile(flags.file, kFileBytesMax));
  BANDB_ASSIGN_OR_RETURN(const server::UserTable table, server::UserTable::Parse(text, flags.file));
  for (const auto& [name, user] : table.users()) {
    std::string allows;
    for (const std::string& allow : user->grants.texts()) allows += fmt::format(" {}", allow);
    Print(stdout, "{}{}\n", name, allows.empty() ? " nothing" : allows);
  }
  return absl::OkStatus();
}

// `there`: it was among the users.
absl::Status Revoke(const Flags& flags, bool* there) {
  return ChangeTable(flags, false, [&](server::UserTable* table) {
    *there = table->Remove(flags.name);
    if (*there) return absl::OkStatus();
    return base::Error(absl::StatusCode::kNotFound, "there is no user {}", flags.name);
  });
}

}  // namespace

int RunUser(std::vector<std::string> arguments) {
  CLI::App app("Says who may use a server, and to do what.", "bandb user");
  Flags flags;
  app.require_subcommand(1);
  app.footer(kFooter);
  const auto declare = [&](CLI::App* command, bool named) {
    if (named) command->add_option("NAME", flags.name, "letters, digits, _ and -")->required()->type_name("");
    command->add_option("--file", flags.file, "the file of users, users.file of the server's configuration")
        ->required()
        ->type_name("FILE");
  };
  CLI::App* const add = app.add_subcommand("add", "add a user, and print its token");
  declare(add, true);
  add->add_option("--allow", flags.allows,
                  "read, write or both, of the keys that begin with PREFIX, or of all; or admin; may be repeated")
      ->allow_extra_args(false)
      ->type_name("read,write[:PREFIX]");
  CLI::App* const list = app.add_subcommand("list", "print the users, and what each is allowed");
  declare(list, false);
  CLI::App* const revoke = app.add_subcommand("revoke", "remove a user");
  declare(revoke, true);
  if (const std::optional<int> end = ParseArguments(&app, std::move(arguments)); end.has_value()) return *end;
  bool there = true;
  const absl::Status status = add->parsed() ? Add(flags) : (list->parsed() ? List(flags) : Revoke(flags, &there));
  if (status.ok()) return kDone;
  Print(stderr, "bandb user: {}\n", base::Message(status));
  return there ? kUsage : kNotFound;
}

}  // namespace bandb::cli
