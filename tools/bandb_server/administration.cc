#include "administration.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <memory>

#include "absl/strings/numbers.h"
#include "admin/cluster_words.h"
#include "admin/figure_lines.h"
#include "admin/stats_json.h"
#include "base/escape.h"
#include "base/posix_file_system.h"
#include "base/status.h"
#include "client_report.h"
#include "cluster_report.h"

namespace bandb::server_program {

namespace {

// Of bandb clients, if nothing is said.
constexpr size_t kClientsShown = 1000;

constexpr std::string_view kCommands =
    "flush; compact BEGIN LIMIT; backup; figures; clients [--json] [--count N]; clients kill ID; slowlog [--json] "
    "[--count N]; slowlog --reset; "
    "clock accept; "
    "status [--json]; member list [--json]; member add MEMBER; member remove "
    "MEMBER; "
    "member replace MEMBER BY; transfer [MEMBER]";

absl::StatusOr<std::string> AcceptClock(DataStore* data) {
  const uint64_t ahead_ms = data->GetStats().expiry_ahead_ms;
  const bool is_of_cluster = data->db() == nullptr;
  BANDB_RETURN_IF_ERROR(is_of_cluster ? data->cluster()->AcceptClock() : data->db()->AcceptClock());
  return fmt::format("times to live go by the clock {}as it is now; it was {}.{:03} s later once",
                     is_of_cluster ? "of the leader " : "", ahead_ms / 1000, ahead_ms % 1000);
}

// What clients and slowlog take: --json and --count N, in any order.
absl::Status TakeOptions(const std::vector<std::string>& words, bool* json, size_t* count) {
  for (size_t i = 1; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (word == "--json") {
      *json = true;
      continue;
    }
    const bool has_number = word == "--count" && i + 1 < words.size() && absl::SimpleAtoi(words[i + 1], count);
    if (!has_number) {
      return base::Error(absl::StatusCode::kInvalidArgument, "{} takes no {}; there are {}", words[0],
                         base::Escape(word, 64), kCommands);
    }
    ++i;
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> AdministerClients(Server* server, const std::vector<std::string>& words) {
  // So that the answer is bounded, and the loops are not held up.
  constexpr size_t kClientsMax = 10'000;
  size_t count = kClientsShown;
  bool json = false;
  uint64_t id = 0;
  if (words.size() == 3 && words[1] == "kill") {
    if (!absl::SimpleAtoi(words[2], &id)) {
      return base::Error(absl::StatusCode::kInvalidArgument, "clients kill takes an id, as bandb clients prints them");
    }
    BANDB_RETURN_IF_ERROR(server->KillClient(id));
    return fmt::format("closed {}", id);
  }
  BANDB_RETURN_IF_ERROR(TakeOptions(words, &json, &count));
  BANDB_ASSIGN_OR_RETURN(const ClientList list, server->Clients(std::min(count, kClientsMax)));
  return json ? ClientsJson(list) : ShowClients(list);
}

absl::StatusOr<std::string> AdministerSlowLog(Server* server, const AdministrationRequest& request) {
  const std::vector<std::string>& words = request.words;
  if (words.size() == 2 && words[1] == "--reset") {
    server->ClearSlowRequests();
    return "forgotten";
  }
  size_t count = SIZE_MAX;
  bool json = false;
  BANDB_RETURN_IF_ERROR(TakeOptions(words, &json, &count));
  const std::vector<SlowRequest> requests = server->SlowRequestsFor(request.user, count);
  return json ? SlowRequestsJson(requests) : ShowSlowRequests(requests);
}

absl::StatusOr<std::string> AdministerMembers(Cluster* cluster, const std::vector<std::string>& words) {
  const std::string& command = words[1];
  const size_t operands = words.size() - 2;
  if (command == "list" && operands == 0) return ShowMembers(cluster->GetStatus());
  if (command == "list" && operands == 1 && words[2] == "--json") return admin::MembersToJson(cluster->GetStatus());
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

// At its end none is under way, also where that throws.
class CompactionEnd {
 public:
  explicit CompactionEnd(std::atomic<bool>* is_compacting) : is_compacting_(is_compacting) {}
  ~CompactionEnd() { is_compacting_->store(false); }
  CompactionEnd(const CompactionEnd&) = delete;
  CompactionEnd& operator=(const CompactionEnd&) = delete;

 private:
  std::atomic<bool>* const is_compacting_;
};

absl::StatusOr<std::string> Compact(const Administered& administered, const std::vector<std::string>& words) {
  // One after the other in any case; those that wait would hold up the commands of others.
  if (administered.is_compacting->exchange(true)) {
    return base::Error(absl::StatusCode::kFailedPrecondition, "a compact is under way: try again once it is done");
  }
  const CompactionEnd end(administered.is_compacting);
  DataStore* const data = administered.data;
  const uint64_t before = data->GetStats().table_bytes;
  BANDB_RETURN_IF_ERROR(data->CompactRange(words[1], words[2]));
  return fmt::format("compacted: {} bytes of tables, {} before", data->GetStats().table_bytes, before);
}

absl::StatusOr<std::string> Run(const Administered& administered, const AdministrationRequest& request) {
  const std::vector<std::string>& words = request.words;
  DataStore* const data = administered.data;
  const std::string command = words.empty() ? "" : words[0];
  const size_t operands = words.empty() ? 0 : words.size() - 1;
  if (command == "flush" && operands == 0) {
    BANDB_RETURN_IF_ERROR(data->Flush());
    return "flushed";
  }
  if (command == "compact" && operands == 2) return Compact(administered, words);
  if (command == "backup" && operands == 0) return administered.backups->Make(data);
  if (command == "figures" && operands == 0) return admin::ToLines(administered.report());
  if (command == "clock" && operands == 1 && words[1] == "accept") return AcceptClock(data);
  if (command == "clients") return AdministerClients(administered.server, words);
  if (command == "slowlog") return AdministerSlowLog(administered.server, request);
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
  if (command == "status") return wants_json ? admin::ToJson(cluster->GetStatus()) : ShowStatus(cluster->GetStatus());
  BANDB_RETURN_IF_ERROR(cluster->TransferLeadership(operands == 0 ? std::string_view() : words[1]));
  return fmt::format("{} leads", admin::LeaderName(cluster->GetStatus()));
}

}  // namespace

// Likewise of backups.
class BackupMaker::Finisher {
 public:
  explicit Finisher(BackupMaker* maker) : maker_(maker) {}
  ~Finisher() { maker_->Finish(); }
  Finisher(const Finisher&) = delete;
  Finisher& operator=(const Finisher&) = delete;

 private:
  BackupMaker* const maker_;
};

absl::StatusOr<BackupInfo> BackupMaker::Create(Backup* backup, DataStore* data) {
  BANDB_RETURN_IF_ERROR(Begin(backup));
  const Finisher finisher(this);
  return data->db() != nullptr ? backup->Create(*data->db(), options_) : backup->Create(*data->cluster(), options_);
}

absl::Status BackupMaker::Begin(Backup* backup) {
  base::MutexLock lock(&mutex_);
  if (ended_) return base::Error(absl::StatusCode::kCancelled, "the server is ending");
  // End must find the one that is under way.
  if (current_ != nullptr) {
    return base::Error(absl::StatusCode::kFailedPrecondition, "a backup is under way: try again once it is done");
  }
  current_ = backup;
  return absl::OkStatus();
}

void BackupMaker::Finish() {
  base::MutexLock lock(&mutex_);
  current_ = nullptr;
}

absl::StatusOr<std::string> BackupMaker::Make(DataStore* data) {
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
  BANDB_ASSIGN_OR_RETURN(const std::unique_ptr<Backup> backup, open_(repository_));
  const absl::StatusOr<BackupInfo> made = Create(backup.get(), data);
  BANDB_RETURN_IF_ERROR(made.status());
  std::string text = fmt::format("backup {}: sequence {}, {} tables, {} bytes, {} of them new", made->number,
                                 made->last_sequence, made->tables, made->bytes, made->new_bytes);
  if (made->logs != 0) text += fmt::format("; {} logs, from sequence {} on", made->logs, made->from_sequence);
  if (!made->hole.empty()) text += fmt::format("; A HOLE: {}", made->hole);
  if (!made->warning.empty()) text += fmt::format("; BUT {}", made->warning);
  return text;
}

void BackupMaker::End() {
  base::MutexLock lock(&mutex_);
  ended_ = true;
  if (current_ != nullptr) current_->Cancel();
}

absl::StatusOr<std::string> Administer(const Administered& administered, const AdministrationRequest& request) {
  absl::StatusOr<std::string> text = Run(administered, request);
  // Which clients take for a key that there is not.
  if (!absl::IsNotFound(text.status())) return text;
  return base::Error(absl::StatusCode::kInvalidArgument, "{}", base::Message(text.status()));
}

}  // namespace bandb::server_program
