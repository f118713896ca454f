#include "administration.h"

#include <fmt/format.h>

#include <memory>

#include "base/escape.h"
#include "base/posix_file_system.h"
#include "base/status.h"
#include "cluster_report.h"

namespace bandb::server_program {

namespace {

constexpr std::string_view kCommands =
    "flush; compact BEGIN LIMIT; backup; status [--json]; member list [--json]; member add MEMBER; member remove "
    "MEMBER; "
    "member replace MEMBER BY; transfer [MEMBER]";

absl::StatusOr<std::string> AdministerMembers(Cluster* cluster, const std::vector<std::string>& words) {
  const std::string& command = words[1];
  const size_t operands = words.size() - 2;
  if (command == "list" && operands == 0) return ShowMembers(cluster->GetStatus());
  if (command == "list" && operands == 1 && words[2] == "--json") return MembersJson(cluster->GetStatus());
  if (command == "add" && operands == 1) {
    BANDB_RETURN_IF_ERROR(cluster->PromoteMember(words[2]));
    return fmt::format("{} votes, or will once it has caught up", words[2]);
  }
  if (command == "remove" && operands == 1) {
    BANDB_RETURN_IF_ERROR(cluster->RemoveMember(words[2]));
    return fmt::format("{} is removed", words[2]);
  }
  if (command == "replace" && operands == 2) {
    BANDB_RETURN_IF_ERROR(cluster->ReplaceMember(words[2], words[3]));
    return fmt::format("{} takes the place of {}, once it has caught up", words[3], words[2]);
  }
  return base::Error(absl::StatusCode::kInvalidArgument, "no such command; there are {}", kCommands);
}

absl::StatusOr<std::string> Run(DataStore* data, BackupMaker* backups, const std::vector<std::string>& words) {
  const std::string command = words.empty() ? "" : words[0];
  const size_t operands = words.empty() ? 0 : words.size() - 1;
  if (command == "flush" && operands == 0) {
    BANDB_RETURN_IF_ERROR(data->Flush());
    return "flushed";
  }
  if (command == "compact" && operands == 2) {
    const uint64_t before = data->GetStats().table_bytes;
    BANDB_RETURN_IF_ERROR(data->CompactRange(words[1], words[2]));
    return fmt::format("compacted: {} bytes of tables, {} before", data->GetStats().table_bytes, before);
  }
  if (command == "backup" && operands == 0) return backups->Make(data->db());
  const bool wants_json = operands == 1 && words[1] == "--json";
  const bool is_of_cluster = (command == "status" && (operands == 0 || wants_json)) ||
                             (command == "member" && operands > 0) || (command == "transfer" && operands <= 1);
  if (!is_of_cluster) {
    return base::Error(absl::StatusCode::kInvalidArgument, "no such command: {} with {} operands; there are {}",
                       base::Escape(command.substr(0, 64)), operands, kCommands);
  }
  Cluster* const cluster = data->cluster();
  if (cluster == nullptr) {
    return base::Error(absl::StatusCode::kFailedPrecondition,
                       "there is no cluster: this server is standalone (server.mode, server.durability)");
  }
  if (command == "member") return AdministerMembers(cluster, words);
  if (command == "status") return wants_json ? StatusJson(cluster->GetStatus()) : ShowStatus(cluster->GetStatus());
  BANDB_RETURN_IF_ERROR(cluster->TransferLeadership(operands == 0 ? std::string_view() : words[1]));
  return fmt::format("{} leads", LeaderName(cluster->GetStatus()));
}

}  // namespace

absl::StatusOr<std::shared_ptr<Backup>> BackupMaker::Begin() {
  BANDB_ASSIGN_OR_RETURN(std::shared_ptr<Backup> backup, Backup::Open(repository_));
  base::MutexLock lock(&mutex_);
  if (ended_) return base::Error(absl::StatusCode::kCancelled, "the server is ending");
  current_ = backup;
  return backup;
}

absl::StatusOr<std::string> BackupMaker::Make(Db* db) {
  if (db == nullptr) {
    return base::Error(absl::StatusCode::kUnimplemented,
                       "a node of a cluster makes no backups yet; a server with server.mode = \"standalone\" does");
  }
  if (repository_.empty()) {
    return base::Error(absl::StatusCode::kFailedPrecondition,
                       "this server has no directory for backups: set storage.backups");
  }
  // One that is not there may be on a disk that is not mounted.
  BANDB_ASSIGN_OR_RETURN(const bool exists, base::PosixFileSystem().Exists(repository_));
  if (!exists) {
    return base::Error(absl::StatusCode::kFailedPrecondition, "{}: the directory for backups is not there: make it",
                       repository_);
  }
  BANDB_ASSIGN_OR_RETURN(const std::shared_ptr<Backup> backup, Begin());
  BANDB_ASSIGN_OR_RETURN(const BackupInfo made, backup->Create(*db));
  return fmt::format("backup {}: sequence {}, {} tables, {} bytes, {} of them new", made.number, made.last_sequence,
                     made.tables, made.bytes, made.new_bytes);
}

void BackupMaker::End() {
  base::MutexLock lock(&mutex_);
  ended_ = true;
  if (current_ != nullptr) current_->Cancel();
}

absl::StatusOr<std::string> Administer(DataStore* data, BackupMaker* backups, const std::vector<std::string>& words) {
  absl::StatusOr<std::string> text = Run(data, backups, words);
  // Which clients take for a key that there is not.
  if (!absl::IsNotFound(text.status())) return text;
  return base::Error(absl::StatusCode::kInvalidArgument, "{}", base::Message(text.status()));
}

}  // namespace bandb::server_program
