#include "backup_command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <filesystem>
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
#include "processes/piped_command.h"
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
    "With --logs (of a server: storage.backup_logs) the logs since the backup before are in it, too: then each state\n"
    "between the two can be restored, by --to-time or --to-sequence. The list shows from where to where that goes.\n"
    "A restored database is one of its own from there on: places in the change feed of after it are refused. That of "
    "a\n"
    "cluster's node is opened by a server that is standalone, or begins a cluster, which others join.\n"
    "copy runs CMD, a command of the shell, for each file that it has not been run for: BANDB_FILE in its environment "
    "is\n"
    "the path of the file, BANDB_NAME what it is called in the repository. Where it fails, copy ends and says which "
    "file\n"
    "that was; the next one begins again with that backup.\n"
    "\n"
    "Exit codes: 0 done; 1 there is no such backup; 2 usage; 3 damage, or a disk, server or connection error.\n"
    "\n"
    "Examples:\n"
    "  bandb backup create\n"
    "  bandb backup create --data /var/lib/bandb --repo /mnt/backups\n"
    "  bandb backup list --repo /mnt/backups\n"
    "  bandb backup verify --repo /mnt/backups && bandb backup prune --repo /mnt/backups --keep 7\n"
    "  bandb backup restore --repo /mnt/backups --number 12 --into /var/lib/bandb-restored\n"
    "  bandb backup restore --repo /mnt/backups --to-time 2026-11-29T08:30:00Z --dry-run\n"
    "  bandb backup copy --repo /mnt/backups --exec 'rclone copyto \"$BANDB_FILE\" \"s3:bucket/app/$BANDB_NAME\"'";

struct Flags {
  std::string repository;
  std::string data;
  std::string into;
  uint64_t number = 0;
  uint64_t keep = 0;
  std::optional<uint64_t> to_sequence;
  std::string to_time;
  std::string command;
  bool logs = false;
  bool dry_run = false;
  bool json = false;
};

std::string TimeText(absl::Time time) { return absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", time, absl::UTCTimeZone()); }

std::string TextOf(const BackupInfo& info, bool json) {
  const std::string time = absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", info.time, absl::UTCTimeZone());
  if (json) {
    if (!info.damage.empty()) return fmt::format(R"({{"number": {}, "damaged": true}})", info.number);
    return fmt::format(
        R"({{"number": {}, "time": "{}", "sequence": {}, "tables": {}, "bytes": {}, "new_bytes": {}, "from_sequence": {}, "from_time": "{}", "to_time": "{}", "logs": {}, "hole": {}, "warning": {}}})",
        info.number, time, info.last_sequence, info.tables, info.bytes, info.new_bytes, info.from_sequence,
        TimeText(info.from_time), TimeText(info.to_time), info.logs, !info.hole.empty(), !info.warning.empty());
  }
  if (!info.damage.empty()) return fmt::format("{}  damaged: {}", info.number, info.damage);
  std::string text = fmt::format("{}  {}  sequence {}, {} tables, {} bytes, {} of them new", info.number, time,
                                 info.last_sequence, info.tables, Thousands(info.bytes), Thousands(info.new_bytes));
  if (info.from_sequence != info.last_sequence) {
    text += fmt::format("; each state from sequence {} ({}) to {} ({})", info.from_sequence, TimeText(info.from_time),
                        info.last_sequence, TimeText(info.to_time));
  }
  if (!info.hole.empty()) text += fmt::format("; A HOLE: {}", info.hole);
  if (!info.warning.empty()) text += fmt::format("; BUT {}", info.warning);
  return text;
}

absl::Status CreateFrom(const Flags& flags, Backup* backup) {
  Options options;
  options.create_if_missing = false;
  options.changes_keep_bytes = kKeepAllChanges;
  BANDB_ASSIGN_OR_RETURN(const std::unique_ptr<Db> db, Db::Open(flags.data, options));
  // In which shape its tables are kept is its server's to say.
  BANDB_RETURN_IF_ERROR(db->PauseCompactions());
  BANDB_ASSIGN_OR_RETURN(const BackupInfo made, backup->Create(*db, {.logs = flags.logs}));
  // It is made, whatever becomes of the database.
  Print(stdout, "{}\n", TextOf(made, flags.json));
  return db->Close();
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

// Milliseconds since 1970, or as RFC 3339 has it.
absl::StatusOr<absl::Time> TimeOf(const std::string& typed) {
  int64_t ms = 0;
  const auto [end, error] = std::from_chars(typed.data(), typed.data() + typed.size(), ms);
  if (error == std::errc() && end == typed.data() + typed.size() && ms >= 0) return absl::FromUnixMillis(ms);
  absl::Time time;
  std::string ignored;
  if (absl::ParseTime(absl::RFC3339_full, base::ToAbsl(typed), &time, &ignored)) return time;
  return base::Error(absl::StatusCode::kInvalidArgument, "{}: not a time, as 2026-11-29T08:30:00Z is one", typed);
}

absl::Status Restore(const Flags& flags, Backup* backup) {
  RestoreOptions options{.number = flags.number, .to_sequence = flags.to_sequence, .dry_run = flags.dry_run};
  if (!flags.to_time.empty()) {
    BANDB_ASSIGN_OR_RETURN(options.to_time, TimeOf(flags.to_time));
  }
  BANDB_ASSIGN_OR_RETURN(const RestoreInfo restored, backup->Restore(options, flags.into));
  const char* const what = flags.dry_run ? "would restore" : "restored";
  Print(stdout, "{} sequence {} ({}), from backup {} and {} logs\n", what, restored.last_sequence,
        TimeText(restored.time), restored.number, restored.logs);
  return absl::OkStatus();
}

absl::Status Copy(const Flags& flags, Backup* backup) {
  const auto run = [&](const std::filesystem::path& file, std::string_view name) -> absl::Status {
    BANDB_ASSIGN_OR_RETURN(
        const int code,
        processes::RunPiped(flags.command, "", {{"BANDB_FILE", file.string()}, {"BANDB_NAME", std::string(name)}}));
    if (code == 0) return absl::OkStatus();
    return base::Error(absl::StatusCode::kUnknown, "the command ended with exit code {}", code);
  };
  BANDB_ASSIGN_OR_RETURN(const uint64_t copied, backup->HandOverFiles(run));
  Print(stdout, "{} backups copied\n", copied);
  return absl::OkStatus();
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
  create->add_flag("--logs", flags.logs, "the logs since the backup before, too");
  create->add_flag("--json", flags.json, "print an object");
  CLI::App* const list = declare("list", "print the backups, oldest first");
  list->add_flag("--json", flags.json, "print an object on each line");
  CLI::App* const verify = declare("verify", "read and check every byte");
  CLI::App* const prune = declare("prune", "remove old backups, and what only they need");
  const CLI::Validator number = CLI::Range(1.0, 1e15).description("");
  prune->add_option("--keep", flags.keep, "how many of the newest stay")->required()->check(number)->type_name("N");
  CLI::App* const restore = declare("restore", "make a database of a backup");
  restore->add_option("--into", flags.into, "the directory to make, which must not exist")->type_name("DIR");
  restore->add_option("--to-time", flags.to_time, "the last state with nothing later than this")->type_name("TIME");
  restore->add_option("--to-sequence", flags.to_sequence, "the last state with nothing after this")->type_name("N");
  restore->add_flag("--dry-run", flags.dry_run, "only say what would be restored");
  CLI::App* const copy = declare("copy", "hand each file to a command that puts it elsewhere");
  copy->add_option("--exec", flags.command, "the command of the shell")->required()->type_name("CMD");
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
  if (by_server && flags.logs) {
    Print(stderr, "bandb backup: of a server storage.backup_logs says whether logs are in its backups\n");
    return kUsage;
  }
  if (restore->parsed() && flags.into.empty() && !flags.dry_run) {
    Print(stderr, "bandb backup: say which directory to make, by --into\n");
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
             : copy->parsed()   ? Copy(flags, backup->get())
                                : Restore(flags, backup->get());
  }
  if (status.ok()) return kDone;
  Print(stderr, "(error) {}\n", base::Message(status));
  return absl::IsNotFound(status) ? kNotFound : kServerError;
}

}  // namespace bandb::cli
