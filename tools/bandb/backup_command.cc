#include "backup_command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "absl/types/span.h"
#include "arguments.h"
#include "bandb/backup.h"
#include "bandb/db.h"
#include "base/executor.h"
#include "base/status.h"
#include "client/client.h"
#include "offline_store.h"
#include "progress.h"
#include "shell.h"
#include "standard_streams/standard_streams.h"

namespace bandb::cli {

namespace {

using standard_streams::Print;

constexpr const char* kFooter =
    "A repository is a directory of plain files for one database, in which no table is stored twice: a further backup\n"
    "copies what is new. Copy it wherever you like; tables/ first, backups/ last.\n"
    "A server makes its backups itself, in the directory of its setting storage.backups. With --data, no server may "
    "be\n"
    "running on that directory.\n"
    "A restored database is one of its own from there on: places in the change feed of after the backup are refused.\n"
    "\n"
    "Exit codes: 0 done; 1 there is no such backup; 2 usage; 3 damage, or a disk, server or connection error.\n"
    "\n"
    "Examples:\n"
    "  bandb backup create\n"
    "  bandb backup create --data /var/lib/bandb --repo /mnt/backups\n"
    "  bandb backup list --repo /mnt/backups\n"
    "  bandb backup verify --repo /mnt/backups && bandb backup prune --repo /mnt/backups --keep 7\n"
    "  bandb backup restore --repo /mnt/backups --number 12 --into /var/lib/bandb-restored";

struct Flags {
  std::string repository;
  std::string data;
  std::string into;
  uint64_t number = 0;
  uint64_t keep = 0;
  bool json = false;
};

std::string TextOf(const BackupInfo& info, bool json) {
  const std::string time = absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", info.time, absl::UTCTimeZone());
  if (json) {
    if (!info.damage.empty()) return fmt::format(R"({{"number": {}, "damaged": true}})", info.number);
    return fmt::format(R"({{"number": {}, "time": "{}", "sequence": {}, "tables": {}, "bytes": {}, "new_bytes": {}}})",
                       info.number, time, info.last_sequence, info.tables, info.bytes, info.new_bytes);
  }
  if (!info.damage.empty()) return fmt::format("{}  damaged: {}", info.number, info.damage);
  return fmt::format("{}  {}  sequence {}, {} tables, {} bytes, {} of them new", info.number, time, info.last_sequence,
                     info.tables, Thousands(info.bytes), Thousands(info.new_bytes));
}

absl::Status CreateFrom(const Flags& flags, Backup* backup) {
  Options options;
  options.create_if_missing = false;
  options.changes_keep_bytes = kKeepAllChanges;
  BANDB_ASSIGN_OR_RETURN(const std::unique_ptr<Db> db, Db::Open(flags.data, options));
  BANDB_ASSIGN_OR_RETURN(const BackupInfo made, backup->Create(*db));
  BANDB_RETURN_IF_ERROR(db->Close());
  Print(stdout, "{}\n", TextOf(made, flags.json));
  return absl::OkStatus();
}

absl::Status CreateByServer(const client::Target& target) {
  // It may be silent for as long as it takes.
  BANDB_ASSIGN_OR_RETURN(const std::unique_ptr<client::Client> client,
                         client::Client::Connect(target, {.reply_timeout_nanos = base::kForever}));
  const std::string_view word = "backup";
  BANDB_ASSIGN_OR_RETURN(const std::string text, client->Administer(absl::MakeConstSpan(&word, 1)));
  Print(stdout, "{}\n", text);
  return absl::OkStatus();
}

absl::Status List(const Flags& flags, Backup* backup) {
  BANDB_ASSIGN_OR_RETURN(const std::vector<BackupInfo> list, backup->List());
  bool damaged = false;
  for (const BackupInfo& info : list) {
    damaged = damaged || !info.damage.empty();
    Print(stdout, "{}\n", TextOf(info, flags.json));
  }
  return damaged ? base::Error(absl::StatusCode::kDataLoss, "not all backups can be read") : absl::OkStatus();
}

absl::Status Told(const absl::Status& status, std::string_view text) {
  if (status.ok()) Print(stdout, "{}\n", text);
  return status;
}

}  // namespace

int RunBackup(const client::Target& target, std::vector<std::string> arguments) {
  CLI::App app("Backups of a database.", "bandb backup");
  app.require_subcommand(1);
  app.footer(kFooter);
  Flags flags;
  const auto declare = [&](const char* name, const char* text) {
    CLI::App* const command = app.add_subcommand(name, text);
    command->add_option("--repo", flags.repository, "the directory of the backups")->type_name("DIR");
    return command;
  };
  CLI::App* const create = declare("create", "make a backup: by the server, or of a directory");
  create->add_option("--data", flags.data, "of the database in this directory, without a server")->type_name("DIR");
  create->add_flag("--json", flags.json, "print an object");
  CLI::App* const list = declare("list", "print the backups, oldest first");
  list->add_flag("--json", flags.json, "print an object on each line");
  CLI::App* const verify = declare("verify", "read and check every byte");
  CLI::App* const prune = declare("prune", "remove old backups, and what only they need");
  const CLI::Validator number = CLI::Range(1.0, 1e15).description("");
  prune->add_option("--keep", flags.keep, "how many of the newest stay")->required()->check(number)->type_name("N");
  CLI::App* const restore = declare("restore", "make a database of a backup");
  restore->add_option("--into", flags.into, "the directory to make, which must not exist")
      ->required()
      ->type_name("DIR");
  for (CLI::App* const command : {verify, restore}) {
    const char* const which = command == verify ? "of the backup [all]" : "of the backup [the newest]";
    command->add_option("--number", flags.number, which)->check(number)->type_name("N");
  }
  if (const std::optional<int> end = ParseArguments(&app, std::move(arguments)); end.has_value()) return *end;
  const bool by_server = create->parsed() && flags.repository.empty() && flags.data.empty();
  if (!by_server && (flags.repository.empty() || (create->parsed() && flags.data.empty()))) {
    Print(stderr, "bandb backup: {}\n",
          flags.repository.empty() ? "say which directory the backups are in, by --repo"
                                   : "the server knows where its backups go: say --data and --repo, or neither");
    return kUsage;
  }
  absl::Status status;
  if (by_server) {
    status = CreateByServer(target);
  } else {
    absl::StatusOr<std::unique_ptr<Backup>> backup = Backup::Open(flags.repository);
    status = !backup.ok()       ? backup.status()
             : create->parsed() ? CreateFrom(flags, backup->get())
             : list->parsed()   ? List(flags, backup->get())
             : verify->parsed() ? Told((*backup)->Verify(flags.number), "every byte is as it was stored")
             : prune->parsed()  ? Told((*backup)->Prune(flags.keep), "pruned")
                                : Told((*backup)->Restore(flags.number, flags.into), "restored");
  }
  if (status.ok()) return kDone;
  Print(stderr, "(error) {}\n", base::Message(status));
  return absl::IsNotFound(status) ? kNotFound : kServerError;
}

}  // namespace bandb::cli
