#include "inspect/check.h"

#include <algorithm>
#include <functional>
#include <set>
#include <utility>

#include "base/status.h"
#include "inspect/found_database.h"
#include "storage/engine/log_record.h"
#include "storage/engine/recovery.h"
#include "storage/file/file_names.h"
#include "storage/log/log_reader.h"
#include "storage/table/table_reader.h"

namespace bandb::inspect {

using storage::FileType;
using storage::Identity;
using storage::LogContent;
using storage::RecordType;
using storage::Sequence;

namespace {

class Checker {
 public:
  Checker(const base::Env& env, FoundDatabase found, Report* report)
      : env_(env), files_(env.files), found_(std::move(found)), report_(report) {}

  bool Run() {
    report_->Field("database", "directory", found_.dir);
    if (found_.identity) report_->Field("database", "id", ToString(found_.identity->database_id));
    report_->Field("database", "manifest", found_.manifest);
    report_->Table("problems");
    report_->Table("notes");
    for (const absl::Status& problem : found_.problems) AddProblem(problem);
    CheckTables();
    if (found_.state_is_whole && found_.state.begun_log != 0) CheckLogs();
    CheckOpens();
    NoteTheRest();
    report_->Field("database", "tables", found_.state.version->TableCount());
    report_->Field("database", "entries in tables", entries_);
    report_->Field("database", "log records", records_);
    report_->Field("database", "last sequence", last_sequence_);
    return report_->RowCount("problems") == 0;
  }

 private:
  struct CheckedLog {
    uint64_t number = 0;
    std::string path;
    LogContent content;
    bool known_synced = false;
  };

  void AddProblem(const absl::Status& status) {
    if (status.ok()) return;
    const std::string_view message = base::Message(status);
    problem_places_.emplace(message.substr(0, message.find(": ")));
    report_->AddRow("problems", {{"what", message}});
  }
  void AddNote(const std::string& path, const std::string& what) {
    report_->AddRow("notes", {{"file", path}, {"what", what}});
  }
  std::string PathOf(const std::string& name) const { return base::JoinPath(found_.engine_dir, name); }

  void CheckTables() {
    for (int level = 0; level < storage::kLevels; ++level) {
      for (const storage::TablePtr& table : found_.state.version->level(level)) AddProblem(CheckTable(*table));
    }
  }

  absl::Status CheckTable(const storage::LiveTable& table) {
    const storage::TableInfo& info = table.info();
    const std::string path = PathOf(storage::TableName(info.number));
    const auto there = found_.tables.find(info.number);
    if (there == found_.tables.end()) return Damage(path, 0, "the table is missing");
    if (info.largest_sequence > found_.state.last_sequence) {
      return Damage(path, 0, "holds sequences that the manifest does not know of");
    }
    BANDB_ASSIGN_OR_RETURN(const storage::TableReader* const reader, table.Reader());
    if (found_.identity && !(reader->header().database_id == found_.identity->database_id)) {
      return Damage(path, 0, "belongs to database " + ToString(reader->header().database_id));
    }
    entries_ += reader->properties().entries;
    return reader->VerifyChecksums();
  }

  void CheckLogs() {
    const storage::ManifestState& state = found_.state;
    last_sequence_ = state.last_sequence;
    for (const auto& [number, kept] : state.kept_logs) {
      // The oldest are removed without an edit.
      if (!found_.logs.contains(number)) continue;
      AddProblem(storage::VerifyLog(files_, PathOf(storage::LogName(number)), FileType::kLog, kept.bytes));
    }
    for (const uint64_t needed : {state.log_number, state.begun_log}) {
      if (needed >= state.log_number && !state.log_ends.contains(needed)) CheckIsThere(needed);
    }
    for (const auto& log_end : state.log_ends) CheckIsThere(log_end.first);
    std::vector<CheckedLog> logs;
    for (auto at = found_.logs.lower_bound(state.log_number); at != found_.logs.end(); ++at) {
      // What the last open had found and not kept.
      if (at->first < state.begun_log && !state.log_ends.contains(at->first)) continue;
      if (!AddLog(at->first, &logs)) return;
    }
    for (size_t i = 0; i < logs.size(); ++i) {
      if (!CheckLog(logs, i)) return;
    }
    if (!logs.empty()) NoteEnd(logs);
  }

  // What the last log leaves open.
  void NoteEnd(const std::vector<CheckedLog>& logs) {
    const CheckedLog& last = logs.back();
    if (found_.state.log_ends.contains(last.number)) return;
    if (last.content.end == storage::LogEnd::kEnded) {
      AddNote(last.path,
              "the log was ended for another one to go on, which is not there: it was not durable, or is lost");
    }
    const CheckedLog* const before = logs.size() > 1 ? &logs[logs.size() - 2] : nullptr;
    const bool follows = before != nullptr && before->content.end == storage::LogEnd::kEnded &&
                         last.number != found_.state.log_number && last.number != found_.state.begun_log;
    const bool is_next = last.content.has_header && follows && found_.HasAllBetween(before->number, last.number);
    if (follows && last.content.records == 0 && !is_next) {
      AddNote(before->path,
              fmt::format("the log was ended for another one to go on, and {} follows, which holds nothing: "
                          "what was written meanwhile was not durable, or is lost",
                          last.path));
    }
    const bool is_open = last.content.has_header && last.content.end == storage::LogEnd::kOpen;
    if (is_open && last.content.valid_bytes == found_.logs.at(last.number)) {
      AddNote(last.path, fmt::format("offset {}: the log was not ended, and there is no room after its records: it may "
                                     "have been cut, if anything was written after this",
                                     last.content.valid_bytes));
    }
  }

  void CheckIsThere(uint64_t number) {
    if (!found_.logs.contains(number)) {
      AddProblem(Damage(PathOf(storage::LogName(number)), 0, "the log is missing"));
    }
  }

  // False: it is damaged, and what comes after it cannot be judged.
  bool AddLog(uint64_t number, std::vector<CheckedLog>* logs) {
    CheckedLog log{.number = number, .path = PathOf(storage::LogName(number)), .content = {}};
    const auto recorded = found_.state.log_ends.find(number);
    const bool has_end = recorded != found_.state.log_ends.end();
    absl::StatusOr<LogContent> content =
        storage::CheckLog(files_, log.path, FileType::kLog, has_end ? recorded->second : UINT64_MAX);
    AddProblem(content.status());
    if (!content.ok()) return false;
    log.content = *std::move(content);
    if (has_end && log.content.valid_bytes < recorded->second) {
      AddProblem(Damage(log.path, log.content.valid_bytes,
                        fmt::format("damage in a log that was durable up to offset {}", recorded->second)));
      return false;
    }
    if (found_.identity && log.content.has_header &&
        !(log.content.header.database_id == found_.identity->database_id)) {
      AddProblem(Damage(log.path, 0, "belongs to database " + ToString(log.content.header.database_id)));
    }
    log.known_synced = has_end || log.content.synced_offset != 0;
    logs->push_back(std::move(log));
    return true;
  }

  // False: later logs count no more, or cannot be judged.
  bool CheckLog(const std::vector<CheckedLog>& logs, size_t i) {
    const CheckedLog& log = logs[i];
    const bool synced_after = std::any_of(logs.begin() + static_cast<std::ptrdiff_t>(i) + 1, logs.end(),
                                          [](const CheckedLog& later) { return later.known_synced; });
    if (log.content.records > 0 && log.content.first_sequence > last_sequence_ + 1) {
      const std::string missing =
          fmt::format("the operations from {} to {} are missing", last_sequence_ + 1, log.content.first_sequence - 1);
      if (log.known_synced || synced_after) {
        AddProblem(Damage(log.path, storage::kFileHeaderBytes, missing));
      } else {
        AddNote(log.path, missing + ", and were never promised: it does not count");
      }
      return false;
    }
    const absl::Status walked = WalkRecords(log);
    AddProblem(walked);
    if (!walked.ok()) return false;
    const bool breaks_off = log.content.end == storage::LogEnd::kOpen || log.content.end == storage::LogEnd::kDamaged;
    if (!breaks_off || found_.state.log_ends.contains(log.number)) return true;
    if (log.content.records == 0 && i + 1 < logs.size()) return true;
    if (synced_after) {
      AddProblem(Damage(log.path, log.content.valid_bytes, "the log breaks off, though a later one was synced"));
      return false;
    }
    if (log.content.dropped_bytes != 0) {
      AddNote(log.path, fmt::format("a torn tail of {} bytes from offset {} on, which was never promised",
                                    log.content.dropped_bytes, log.content.valid_bytes));
    }
    if (i + 1 == logs.size()) return true;
    AddNote(log.path,
            fmt::format("offset {}: the log breaks off, and the later ones, which were never promised, do not "
                        "count",
                        log.content.valid_bytes));
    return false;
  }

  // What opening would refuse is a problem, if none of those that were found is the same one.
  void CheckOpens() {
    Options options;
    options.create_if_missing = false;
    const Identity* const node = found_.identity && found_.identity->IsOfCluster() ? &*found_.identity : nullptr;
    const absl::Status opens =
        storage::RecoverDatabase(env_, found_.dir, options, node, storage::RecoveryMode::kCheck).status();
    if (opens.ok()) return;
    const std::string_view place = base::Message(opens).substr(0, base::Message(opens).find(": "));
    if (!problem_places_.contains(place)) AddProblem(opens);
  }

  absl::Status WalkRecords(const CheckedLog& log) {
    if (!log.content.has_header) return absl::OkStatus();
    BANDB_ASSIGN_OR_RETURN(const auto walk,
                           storage::LogWalk::Begin(files_, log.path, FileType::kLog, log.content.valid_bytes));
    storage::ParsedRecord record;
    while (true) {
      BANDB_ASSIGN_OR_RETURN(const bool more, walk->Next(&record));
      if (!more) return absl::OkStatus();
      ++records_;
      if (record.head.type == RecordType::kEnd || record.head.type == RecordType::kSeal) continue;
      const uint64_t count = storage::HoldsOperations(record.head.type) ? storage::CountOperations(record) : 0;
      if (count == 0) {
        return Damage(log.path, walk->offset(), "a record whose content is malformed");
      }
      if (record.head.first_sequence != last_sequence_ + 1) {
        return Damage(log.path, walk->offset(),
                      fmt::format("sequence {} comes after {}", record.head.first_sequence, last_sequence_));
      }
      last_sequence_ += count;
    }
  }

  void NoteTheRest() {
    if (found_.manifest_torn_bytes != 0) {
      AddNote(PathOf(found_.manifest),
              fmt::format("a torn tail of {} bytes, which was never promised", found_.manifest_torn_bytes));
    }
    if (found_.identity && found_.identity->IsOfCluster()) {
      AddNote(found_.dir, "belongs to a node of a cluster, whose log is not looked at here");
    }
    if (!found_.state_is_whole) return;
    std::vector<uint64_t> live;
    for (int level = 0; level < storage::kLevels; ++level) {
      for (const storage::TablePtr& table : found_.state.version->level(level)) live.push_back(table->info().number);
    }
    for (const auto& table : found_.tables) {
      if (std::find(live.begin(), live.end(), table.first) != live.end()) continue;
      AddNote(PathOf(storage::TableName(table.first)), "nothing needs it, and the next open removes it");
    }
    for (const auto& log : found_.logs) {
      if (log.first >= found_.state.log_number || found_.state.kept_logs.contains(log.first)) continue;
      AddNote(PathOf(storage::LogName(log.first)), "nothing needs it, and the next open removes it");
    }
    for (const std::string& name : found_.other_names) AddNote(PathOf(name), "is not a file of a database");
  }

  const base::Env env_;
  base::FileSystem* const files_;
  const FoundDatabase found_;
  Report* const report_;
  // What the problems so far begin with: a path.
  std::set<std::string, std::less<>> problem_places_;
  uint64_t entries_ = 0;
  uint64_t records_ = 0;
  Sequence last_sequence_ = 0;
};

}  // namespace

absl::StatusOr<bool> CheckDatabase(const base::Env& env, const std::string& dir, Report* report) {
  BANDB_ASSIGN_OR_RETURN(FoundDatabase found, FindDatabase(env, dir));
  BANDB_RETURN_IF_ERROR(CheckNotOpen(found, ", and writes to it meanwhile: check a checkpoint of it, or stop them"));
  return Checker(env, std::move(found), report).Run();
}

}  // namespace bandb::inspect
