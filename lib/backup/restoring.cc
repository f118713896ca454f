#include "backup/restoring.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/types/span.h"
#include "backup/archived_log.h"
#include "backup/restored_epochs.h"
#include "backup/stored_file.h"
#include "base/assert.h"
#include "base/status.h"
#include "storage/file/file_names.h"
#include "storage/log/log_writer.h"

namespace bandb::backup {

namespace {

// The state that was asked for.
struct Target {
  std::optional<uint64_t> sequence;
  std::optional<uint64_t> ms;

  bool any() const { return sequence.has_value() || ms.has_value(); }
  bool AllowsSequence(uint64_t last_sequence) const { return !sequence || last_sequence <= *sequence; }
  bool AllowsTime(uint64_t commit_ms) const { return !ms || commit_ms <= *ms; }
  // Whether a state with this as its last commit is not after it. So an accepted clock makes good
  // what was committed while it was ahead.
  bool Allows(uint64_t last_sequence, uint64_t commit_ms) const {
    return AllowsSequence(last_sequence) && AllowsTime(commit_ms);
  }
};

std::string TimeText(uint64_t ms) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", absl::FromUnixMillis(static_cast<int64_t>(ms)), absl::UTCTimeZone());
}

// The last commit of a state.
struct LastCommit {
  uint64_t sequence = 0;
  uint64_t ms = 0;
};

LastCommit LastOf(const BackupHead& head) {
  return {.sequence = head.last_sequence, .ms = head.LastCommitMs().value_or(head.time_ms)};
}

class Planning {
 public:
  Planning(base::FileSystem* files, const Layout& layout, const Survey& survey, Target target, uint64_t now_ms)
      : files_(files), layout_(layout), survey_(survey), target_(target), now_ms_(now_ms) {}

  absl::StatusOr<RestorePlan> Run(uint64_t number) {
    const auto newest = survey_.heads.find(number);
    BANDB_ASSERT(newest != survey_.heads.end());
    BANDB_RETURN_IF_ERROR(newest->second.status());
    BANDB_RETURN_IF_ERROR(CheckNotAfter(number, *newest->second));
    RestorePlan plan{.number = number};
    const BackupHead* head = &*newest->second;
    LastCommit last = LastOf(*head);
    while (target_.any() && !target_.Allows(last.sequence, last.ms)) {
      BANDB_ASSIGN_OR_RETURN(const BackupHead* const before, Before(plan.number, *head));
      const LastCommit after = LastOf(*before);
      if (head->logs != 0 && target_.AllowsSequence(after.sequence)) {
        BANDB_RETURN_IF_ERROR(TakeLogs(plan.number, after, &plan));
      }
      plan.number = head->after;
      head = before;
      last = after;
      if (plan.logs.empty()) continue;
      last = {.sequence = plan.last_sequence, .ms = plan.time_ms};
    }
    BANDB_ASSIGN_OR_RETURN(plan.description, ReadDescription(files_, layout_, plan.number));
    plan.last_sequence = last.sequence;
    plan.time_ms = last.ms;
    return plan;
  }

 private:
  // Of later commits it is not known whether the backup has them all.
  absl::Status CheckNotAfter(uint64_t number, const BackupHead& head) const {
    if (target_.sequence && *target_.sequence > head.last_sequence) {
      return base::Error(absl::StatusCode::kOutOfRange, "backup {} ends with sequence {}", number, head.last_sequence);
    }
    if (!target_.ms) return absl::OkStatus();
    // Of two machines that agree on the time.
    constexpr uint64_t kDifferenceMaxMs = 3'600'000;
    if (head.time_ms > now_ms_ + kDifferenceMaxMs) {
      return base::Error(
          absl::StatusCode::kOutOfRange,
          "backup {} was made while the clock was ahead, at {}, so of no time it is known what it lacks: "
          "choose a state by its sequence, or an earlier backup by its number",
          number, TimeText(head.time_ms));
    }
    const std::optional<uint64_t> last_ms = head.LastCommitMs();
    std::optional<uint64_t> complete_ms = head.complete_ms ? head.complete_ms : last_ms;
    if (!complete_ms) {
      return base::Error(absl::StatusCode::kOutOfRange,
                         "backup {} does not say when its last commit was: choose it by its number", number);
    }
    const bool is_last = *target_.ms <= *complete_ms && target_.ms == last_ms;
    // One that lies in the future says nothing of what is committed once the clock was accepted. Of
    // a node the clock of its leader counts, and not the one that its time is by.
    if (!head.place.empty()) complete_ms = std::min(*complete_ms, std::max<uint64_t>(head.time_ms, 1) - 1);
    if (is_last || *target_.ms <= *complete_ms) return absl::OkStatus();
    return base::Error(absl::StatusCode::kOutOfRange,
                       "backup {} has all that was committed up to {}, and may lack what was committed later", number,
                       TimeText(*complete_ms));
  }

  // The backup from which logs lead to this one.
  absl::StatusOr<const BackupHead*> Before(uint64_t number, const BackupHead& head) const {
    if (!survey_.IsReached(head)) {
      const std::string hole = survey_.HoleBefore(number, head);
      return base::Error(absl::StatusCode::kOutOfRange,
                         "no backup and logs lead to that state: the oldest before backup {} is its own, of sequence "
                         "{} and {}{}",
                         number, head.last_sequence, TimeText(LastOf(head).ms),
                         hole.empty() ? "" : fmt::format("; {}, so choose an earlier backup by its number", hole));
    }
    const absl::StatusOr<BackupHead>& before = survey_.heads.at(head.after);
    BANDB_RETURN_IF_ERROR(before.status());
    if (head.after < number && before->last_sequence <= head.last_sequence) return &*before;
    return base::Error(absl::StatusCode::kDataLoss, "{}: is after backup {}, which is not before it",
                       layout_.DescriptionPath(number), head.after);
  }

  // From the newest log on that leads to a backup: the first commit that may be the last, and the
  // logs up to it. No logs: there is none.
  absl::Status TakeLogs(uint64_t number, LastCommit before, RestorePlan* plan) {
    BANDB_ASSIGN_OR_RETURN(Description next, ReadDescription(files_, layout_, number));
    for (size_t i = next.logs.size(); i > 0; --i) {
      const LogEntry& log = next.logs[i - 1];
      const LastCommit after = i > 1 ? LastCommit{next.logs[i - 2].last_sequence, next.logs[i - 2].end_ms} : before;
      BANDB_ASSIGN_OR_RETURN(const std::optional<LastCommit> last, FindLast(log, after));
      if (!last) continue;
      plan->last_sequence = last->sequence;
      plan->time_ms = last->ms;
      next.logs.resize(i);
      plan->logs = std::move(next.logs);
      plan->next = number;
      plan->next_files = std::move(next.files);
      break;
    }
    return absl::OkStatus();
  }

  // The last commit of a log that may be the last of all, if there is one after these. Of a time
  // the ends of logs tell too little: where a clock was accepted times go back, within any of them.
  absl::StatusOr<std::optional<LastCommit>> FindLast(const LogEntry& log, const LastCommit& after) {
    if (log.last_sequence <= after.sequence || !target_.AllowsSequence(after.sequence + 1)) return std::nullopt;
    if (target_.Allows(log.last_sequence, log.end_ms)) return LastCommit{log.last_sequence, log.end_ms};
    const LogExtent extent{log.stored.bytes, log.first_sequence, log.last_sequence};
    std::optional<LastCommit> last;
    const absl::Status walked =
        WalkLog(files_, layout_.LogPath(log.id), extent, [&](const ArchivedCommit& commit) -> absl::StatusOr<bool> {
          if (!target_.AllowsSequence(commit.last_sequence)) return false;
          const uint64_t ms = commit.record.head.commit_time_ms;
          if (commit.last_sequence > after.sequence && target_.AllowsTime(ms)) last = {commit.last_sequence, ms};
          return true;
        });
    BANDB_RETURN_IF_ERROR(GoneIsDamage(walked));
    return last;
  }

  base::FileSystem* const files_;
  const Layout& layout_;
  const Survey& survey_;
  const Target target_;
  const uint64_t now_ms_;
};

class Restoring {
 public:
  Restoring(const RestoreTools& tools, const Layout& layout, const RestorePlan& plan, std::string dir)
      : tools_(tools),
        files_(tools.files),
        layout_(layout),
        plan_(plan),
        dir_(std::move(dir)),
        engine_dir_(storage::EngineDir(dir_)) {}

  absl::Status CopyBackup() {
    BANDB_RETURN_IF_ERROR(files_->CreateDirs(engine_dir_));
    for (const TableEntry& table : plan_.description.tables) {
      const std::string to = base::JoinPath(engine_dir_, storage::TableName(table.number));
      BANDB_RETURN_IF_ERROR(CopyChecked(layout_.TablePath(table.id), to, table.stored));
    }
    // The identity comes last: without it, nobody takes the directory for a database.
    for (const bool last : {false, true}) {
      for (const FileEntry& file : plan_.description.files) {
        const std::string to = base::JoinPath(dir_, file.path);
        if ((to == storage::IdentityPath(dir_)) != last) continue;
        const std::string from = base::JoinPath(layout_.FolderOf(plan_.number), file.path);
        BANDB_RETURN_IF_ERROR(CopyChecked(from, to, file.stored));
      }
    }
    for (std::string path = engine_dir_; path.size() > dir_.size(); path = base::ParentPath(path)) {
      BANDB_RETURN_IF_ERROR(files_->SyncDir(path));
    }
    return files_->SyncDir(dir_);
  }

  absl::Status Replay() {
    if (plan_.logs.empty()) return absl::OkStatus();
    // Meanwhile nothing expires by a clock that was ahead, when the backup was made or later.
    BANDB_RETURN_IF_ERROR(ForgetTimes(files_, History(), tools_.random));
    uint64_t last = plan_.description.last_sequence;
    for (const LogEntry& log : plan_.logs) {
      const std::string path = layout_.LogPath(log.id);
      const absl::StatusOr<StoredBytes> found = ReadThrough(files_, path);
      if (!found.ok()) return GoneIsDamage(found.status());
      BANDB_RETURN_IF_ERROR(CheckStored(*found, log.stored, path));
      const uint64_t after = std::exchange(last, std::min(log.last_sequence, plan_.last_sequence));
      BANDB_RETURN_IF_ERROR(PutLog(log, path, after, last));
      BANDB_RETURN_IF_ERROR(Flush(last));
    }
    return TakeHistory();
  }

 private:
  absl::Status CopyChecked(const std::string& from, const std::string& to, const StoredBytes& stored) {
    const absl::StatusOr<StoredBytes> copied = CopyFile(files_, from, files_, to, GoOnAlways);
    return copied.ok() ? CheckStored(*copied, stored, from) : GoneIsDamage(copied.status());
  }

  RestoredHistory History() const {
    return {.later_dir = layout_.FolderOf(plan_.next),
            .dir = dir_,
            .database_id = plan_.description.database_id,
            .last_sequence = plan_.last_sequence,
            .time_ms = plan_.time_ms};
  }

  absl::Status TakeHistory() {
    const RestoredHistory history = History();
    for (const FileEntry& file : plan_.next_files) {
      const std::string path = base::JoinPath(history.later_dir, file.path);
      const absl::StatusOr<StoredBytes> found = ReadThrough(files_, path);
      if (!found.ok()) return GoneIsDamage(found.status());
      BANDB_RETURN_IF_ERROR(CheckStored(*found, file.stored, path));
    }
    return RestoreHistory(files_, history, tools_.random);
  }

  // A log of the restored database, with the commits after the one sequence up to the other.
  absl::Status PutLog(const LogEntry& log, const std::string& from, uint64_t after, uint64_t last) {
    BANDB_ASSIGN_OR_RETURN(storage::FileHeader header, ReadHeader(files_, from, storage::FileType::kLog));
    // It is another file, and what follows in the one may never be taken for a part of the other.
    header.file_id = storage::RandomUuid(tools_.random);
    BANDB_ASSIGN_OR_RETURN(const uint64_t number, NextNumber());
    const std::string to = base::JoinPath(engine_dir_, storage::LogName(number));
    BANDB_ASSIGN_OR_RETURN(const std::unique_ptr<storage::LogWriter> writer,
                           storage::LogWriter::Create(files_, to, header));
    const LogExtent extent{log.stored.bytes, log.first_sequence, log.last_sequence};
    BANDB_RETURN_IF_ERROR(WalkLog(files_, from, extent, [&](const ArchivedCommit& commit) -> absl::StatusOr<bool> {
      if (commit.last_sequence <= after) return true;
      if (commit.last_sequence > last) return false;
      BANDB_RETURN_IF_ERROR(writer->Reserve(commit.record.payload.size()));
      BANDB_RETURN_IF_ERROR(writer->Append(commit.record.head, commit.record.payload));
      return true;
    }));
    BANDB_RETURN_IF_ERROR(writer->Sync());
    BANDB_RETURN_IF_ERROR(writer->Close());
    return files_->SyncDir(engine_dir_);
  }

  absl::StatusOr<uint64_t> NextNumber() {
    BANDB_ASSIGN_OR_RETURN(const std::vector<std::string> names, files_->List(engine_dir_));
    uint64_t number = 0;
    for (const std::string& name : names) {
      if (const auto parsed = storage::ParseFileName(name)) number = std::max(number, parsed->number);
    }
    return number + 1;
  }

  // Has the database put into tables what is in its log, which ends with this sequence.
  absl::Status Flush(uint64_t last_sequence) {
    Options options;
    options.create_if_missing = false;
    BANDB_ASSIGN_OR_RETURN(const std::unique_ptr<Db> db, tools_.open(dir_, options));
    // In which shape its tables are kept is not known here.
    BANDB_RETURN_IF_ERROR(db->PauseCompactions());
    if (const uint64_t found = db->GetStats().last_sequence; found != last_sequence) {
      return base::Error(absl::StatusCode::kInternal, "{}: the logs lead to sequence {} in place of {}", dir_, found,
                         last_sequence);
    }
    BANDB_RETURN_IF_ERROR(db->Flush());
    return db->Close();
  }

  const RestoreTools& tools_;
  base::FileSystem* const files_;
  const Layout& layout_;
  const RestorePlan& plan_;
  const std::string dir_;
  const std::string engine_dir_;
};

}  // namespace

absl::StatusOr<RestorePlan> PlanRestore(base::FileSystem* files, const Layout& layout, const Survey& survey,
                                        const RestoreOptions& options, uint64_t now_ms) {
  uint64_t number = options.number;
  if (number == 0 && !survey.heads.empty()) number = survey.heads.rbegin()->first;
  if (!survey.heads.contains(number)) return NoSuchBackup(layout, options.number);
  Target target{.sequence = options.to_sequence, .ms = {}};
  if (options.to_time) target.ms = static_cast<uint64_t>(std::max<int64_t>(absl::ToUnixMillis(*options.to_time), 0));
  return Planning(files, layout, survey, target, now_ms).Run(number);
}

absl::Status MakeRestored(const RestoreTools& tools, const Layout& layout, const RestorePlan& plan,
                          const std::string& dir) {
  Restoring restoring(tools, layout, plan, dir);
  BANDB_RETURN_IF_ERROR(restoring.CopyBackup());
  return restoring.Replay();
}

}  // namespace bandb::backup
