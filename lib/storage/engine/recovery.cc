#include "storage/engine/recovery.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/checksum.h"
#include "base/coding.h"
#include "base/status.h"
#include "kv/options.h"
#include "storage/engine/database_directory.h"
#include "storage/engine/log_record.h"
#include "storage/engine/write_buffer.h"
#include "storage/file/file_names.h"
#include "storage/file/refused_read.h"
#include "storage/log/log_reader.h"

namespace bandb::storage {

namespace {

// A log of the database, read but not yet replayed.
struct ReadyLog {
  uint64_t number = 0;
  std::string path;
  LogContent content;
};

class Recovery {
 public:
  Recovery(const base::Env& env, const std::string& dir, const Options& options, const Identity* node,
           RecoveryMode mode)
      : env_(env), dir_(dir), engine_dir_(EngineDir(dir)), options_(options), node_(node), mode_(mode) {}

  absl::StatusOr<RecoveredDatabase> Run() {
    BANDB_ASSIGN_OR_RETURN(DatabaseDirectory directory,
                           mode_ == RecoveryMode::kOpen
                               ? OpenDatabaseDirectory(env_.files, dir_, options_.create_if_missing, env_.random, node_)
                               : FindDatabaseDirectory(env_.files, dir_, node_));
    recovered_.files = directory.files;
    recovered_.database_id = directory.database_id;
    recovered_.created = !directory.exists;
    env_.files = directory.files.get();
    recovered_.tables = std::make_shared<TableStore>(
        env_, engine_dir_,
        std::make_shared<BlockCache>(options_.block_cache_bytes, 0, options_.block_bytes, SpareMemory(options_)),
        kv::OpenFilesMax(options_, env_.files->OpenFilesMax()), directory.files);
    if (!directory.exists) {
      recovered_.orphans = std::move(directory.leftovers);
      recovered_.state.next_file_number = directory.next_file_number;
      return std::move(recovered_);
    }
    if (options_.error_if_exists && mode_ == RecoveryMode::kOpen) {
      return base::Error(absl::StatusCode::kAlreadyExists, "{}: holds a database, and error_if_exists is set", dir_);
    }
    BANDB_RETURN_IF_ERROR(MustBeThere(ReadFiles()));
    return std::move(recovered_);
  }

 private:
  absl::Status ReadFiles() {
    BANDB_RETURN_IF_ERROR(ReadManifest());
    BANDB_RETURN_IF_ERROR(ListFiles());
    BANDB_RETURN_IF_ERROR(CheckTables());
    recovered_.synced_sequence = recovered_.last_sequence;
    if (node_ != nullptr && recovered_.state.begun_log == 0) return absl::OkStatus();
    if (mode_ == RecoveryMode::kReadTables) return absl::OkStatus();
    BANDB_RETURN_IF_ERROR(ReadLogs());
    BANDB_RETURN_IF_ERROR(CheckLogChain());
    BANDB_RETURN_IF_ERROR(node_ == nullptr ? ReplayLogs() : LeaveLogs());
    return CheckEpochs();
  }
  absl::Status ReadManifest();
  // Whether there are numbers left to give out: what is written must be read again.
  absl::Status CheckNumbers();
  absl::Status ListFiles();
  // Of the logs below the log number: which are kept, and which are orphans.
  void SortOutKeptLogs(const std::vector<uint64_t>& numbers);
  absl::Status CheckTables();
  absl::Status CheckEpochs() const;
  absl::Status ReadLogs();
  // True for a log that the last open had found and not kept: its removal need not have survived.
  bool IsForgottenLog(uint64_t number) const {
    return number < recovered_.state.begun_log && !recovered_.state.log_ends.contains(number);
  }
  absl::Status CheckTableFile(const std::string& path, const TableInfo& info) const;
  // Whether the database opens without a table that is gone or has another length.
  bool MayDoWithout() const;
  absl::Status CheckRecordedEnd(const ReadyLog& log, uint64_t bytes) const;
  absl::Status CheckListed(uint64_t log) const;
  absl::Status CheckLogChain();
  bool IsKnownSynced(const ReadyLog& log) const {
    return log.content.synced_offset != 0 || recovered_.state.log_ends.contains(log.number);
  }
  // Leaves the logs from number i on, in the order of logs_, out of the database.
  void DropLogsFrom(size_t i);
  absl::Status CheckContinuity(size_t i, bool* continues) const;
  absl::Status ReplayLogs();
  // Of the standalone database that a replica takes over; a replica itself has none.
  absl::Status LeaveLogs();
  // Where the manifest says that the log ends, if it does.
  uint64_t EndOf(uint64_t log, uint64_t otherwise) const {
    const auto recorded = recovered_.state.log_ends.find(log);
    return recorded == recovered_.state.log_ends.end() ? otherwise : recorded->second;
  }
  // How much of a log is known to be durable.
  uint64_t SyncedBytes(const ReadyLog& log) const { return EndOf(log.number, log.content.synced_offset); }
  // Replays the records of a log up to `end`.
  absl::Status ReplayLog(const ReadyLog& log, uint64_t end);
  absl::Status ReplayRecord(const ReadyLog& log, const ParsedRecord& record, uint64_t offset);
  // Puts what it holds into a memtable.
  absl::Status StageRecord(const ReadyLog& log, const ParsedRecord& record, uint64_t operations);
  // A memtable for so much of the log. Errors: kResourceExhausted.
  absl::Status AddMemtable(const ReadyLog& log, uint64_t operations, uint64_t payload_bytes);

  // With the file system that is bound to the directory, once it is locked.
  base::Env env_;
  const std::string dir_;
  const std::string engine_dir_;
  const Options& options_;
  const Identity* const node_;
  const RecoveryMode mode_;
  RecoveredDatabase recovered_;
  std::vector<uint64_t> log_numbers_;
  std::vector<uint64_t> table_numbers_;
  std::vector<ReadyLog> logs_;
};

absl::Status Recovery::ReadManifest() {
  BANDB_ASSIGN_OR_RETURN(RecoveredManifest manifest,
                         RecoverManifest(env_.files, engine_dir_, recovered_.database_id, recovered_.tables));
  recovered_.state = std::move(manifest.state);
  recovered_.manifest_name = std::move(manifest.name);
  recovered_.manifest_bytes = manifest.valid_bytes;
  recovered_.dropped_bytes += manifest.dropped_bytes;
  recovered_.last_sequence = recovered_.state.last_sequence;
  recovered_.last_commit_time_ms = recovered_.state.commit_time_ms;
  return CheckNumbers();
}

absl::Status Recovery::CheckNumbers() {
  uint64_t& next = recovered_.state.next_file_number;
  uint64_t largest = std::max(next, recovered_.state.epoch);
  for (int level = 0; level < kLevels; ++level) {
    for (const TablePtr& table : recovered_.state.version->level(level)) {
      largest = std::max(largest, table->info().number);
      if (table->info().number < kFileNumberMax) next = std::max(next, table->info().number + 1);
    }
  }
  const bool writes = mode_ == RecoveryMode::kOpen || mode_ == RecoveryMode::kCheck;
  if (!writes || largest <= kFoundNumberMax) return absl::OkStatus();
  return base::Error(absl::StatusCode::kDataLoss, "{}: offset {}: the number {}, which no database comes to",
                     base::JoinPath(engine_dir_, recovered_.manifest_name), kFileHeaderBytes, largest);
}

absl::Status Recovery::ListFiles() {
  BANDB_ASSIGN_OR_RETURN(const std::vector<std::string> names, env_.files->List(engine_dir_));
  std::vector<uint64_t> unneeded;
  const uint64_t number_max = recovered_.state.next_file_number + kFileNumbersAhead;
  for (const std::string& name : names) {
    const auto parsed = ParseFileName(name);
    if (!parsed) {
      const std::string_view stem = std::string_view(name).substr(0, name.size() - std::min<size_t>(name.size(), 4));
      // Not CURRENT.tmp: what is left of one goes when the next is staged, and by the time that
      // orphans are removed there may be one that is about to count.
      if (name.ends_with(".tmp") && ParseFileName(stem)) recovered_.orphans.push_back(name);
      continue;
    }
    if (parsed->number > number_max) continue;
    uint64_t& next = recovered_.state.next_file_number;
    next = std::max(next, parsed->number + 1);
    switch (parsed->type) {
      case NumberedFile::kLog:
        if (parsed->number < recovered_.state.log_number) {
          unneeded.push_back(parsed->number);
        } else if (IsForgottenLog(parsed->number)) {
          recovered_.orphans.push_back(name);
        } else {
          log_numbers_.push_back(parsed->number);
        }
        break;
      case NumberedFile::kTable:
        table_numbers_.push_back(parsed->number);
        break;
      case NumberedFile::kManifest:
        // The present one too: by the time that orphans are removed there is a new one.
        recovered_.orphans.push_back(name);
        break;
    }
  }
  std::sort(log_numbers_.begin(), log_numbers_.end());
  std::sort(table_numbers_.begin(), table_numbers_.end());
  std::sort(unneeded.begin(), unneeded.end());
  SortOutKeptLogs(unneeded);
  return absl::OkStatus();
}

void Recovery::SortOutKeptLogs(const std::vector<uint64_t>& numbers) {
  // From the newest on, as far as each is there and goes on where the next one begins: the files of
  // the oldest are removed before the manifest says so.
  const std::map<uint64_t, KeptLog> listed = std::exchange(recovered_.state.kept_logs, {});
  Sequence next = recovered_.state.last_sequence + 1;
  for (auto log = listed.rbegin(); node_ == nullptr && log != listed.rend(); ++log) {
    if (log->second.last_sequence + 1 != next || !std::binary_search(numbers.begin(), numbers.end(), log->first)) break;
    next = log->second.first_sequence;
    recovered_.state.kept_logs.insert(*log);
  }
  for (const auto& numbered : recovered_.state.kept_logs) recovered_.kept_logs.push_back(numbered.second);
  for (const uint64_t number : numbers) {
    if (!recovered_.state.kept_logs.contains(number)) recovered_.orphans.push_back(LogName(number));
  }
}

absl::Status Recovery::CheckTables() {
  std::vector<uint64_t> live;
  for (int level = 0; level < kLevels; ++level) {
    for (const TablePtr& table : recovered_.state.version->level(level)) {
      const TableInfo& info = table->info();
      live.push_back(info.number);
      if (info.largest_sequence > recovered_.state.last_sequence) {
        return base::Error(absl::StatusCode::kDataLoss,
                           "{}: offset 0: the table holds sequence {}, beyond the manifest's last sequence {}",
                           base::JoinPath(engine_dir_, TableName(info.number)), info.largest_sequence,
                           recovered_.state.last_sequence);
      }
      const std::string path = base::JoinPath(engine_dir_, TableName(info.number));
      if (absl::Status there = CheckTableFile(path, info); !there.ok()) {
        if (there.code() != absl::StatusCode::kDataLoss || !MayDoWithout()) return there;
        recovered_.damaged_tables.push_back({.table_number = info.number, .level = level, .status = std::move(there)});
      }
    }
  }
  // They may be what a damaged database is mended from.
  if (!recovered_.damaged_tables.empty()) return absl::OkStatus();
  std::sort(live.begin(), live.end());
  for (const uint64_t number : table_numbers_) {
    if (!std::binary_search(live.begin(), live.end(), number)) recovered_.orphans.push_back(TableName(number));
  }
  return absl::OkStatus();
}

// Each began where all before it had become durable.
absl::Status Recovery::CheckEpochs() const {
  const ManifestState& state = recovered_.state;
  if (state.epochs.empty()) return absl::OkStatus();
  const Epoch& last = state.epochs.back();
  if (last.number <= state.epoch && last.begin <= recovered_.last_sequence) return absl::OkStatus();
  return base::Error(absl::StatusCode::kDataLoss,
                     "{}: the manifest has epoch {} begun after sequence {}, though there are {} and {}", engine_dir_,
                     last.number, last.begin, state.epoch, recovered_.last_sequence);
}

absl::Status Recovery::CheckTableFile(const std::string& path, const TableInfo& info) const {
  if (!std::binary_search(table_numbers_.begin(), table_numbers_.end(), info.number)) {
    return base::Error(absl::StatusCode::kDataLoss, "{}: offset 0: the table is missing", path);
  }
  BANDB_ASSIGN_OR_RETURN(const uint64_t bytes, env_.files->FileSize(path));
  if (bytes == info.file_bytes) return absl::OkStatus();
  return base::Error(absl::StatusCode::kDataLoss, "{}: offset {}: the table has {} bytes, the manifest says {}", path,
                     std::min(bytes, info.file_bytes), bytes, info.file_bytes);
}

bool Recovery::MayDoWithout() const {
  // Of a manifest that ends in damage the last edits may be what is missing: then tables are named
  // that were removed since, and what took their place is not. A node has its peers.
  return node_ == nullptr && recovered_.dropped_bytes == 0;
}

absl::Status Recovery::ReadLogs() {
  // Into those of a node LeaveLogs looks.
  uint64_t room = mode_ == RecoveryMode::kOpen ? HeldLogsRoomBytes(*recovered_.tables->cache(), options_) : 0;
  if (node_ != nullptr) room = UINT64_MAX;
  for (const uint64_t number : log_numbers_) {
    ReadyLog log{.number = number, .path = base::JoinPath(engine_dir_, LogName(number)), .content = {}};
    const uint64_t bytes_max = EndOf(number, UINT64_MAX);
    BANDB_ASSIGN_OR_RETURN(const uint64_t file_bytes, env_.files->FileSize(log.path));
    const auto read = std::min(file_bytes, bytes_max) <= room ? &ReadLog : &CheckLog;
    BANDB_ASSIGN_OR_RETURN(log.content, read(env_.files, log.path, FileType::kLog, bytes_max));
    room -= std::min<uint64_t>(room, log.content.bytes.capacity());
    if (log.content.has_header && !(log.content.header.database_id == recovered_.database_id)) {
      return base::Error(absl::StatusCode::kFailedPrecondition, "{}: belongs to database {}, not to {}", log.path,
                         ToString(log.content.header.database_id), ToString(recovered_.database_id));
    }
    logs_.push_back(std::move(log));
  }
  return absl::OkStatus();
}

// If the manifest recorded a log's end, exactly that many bytes are valid, and all of them durable.
absl::Status Recovery::CheckRecordedEnd(const ReadyLog& log, uint64_t bytes) const {
  if (log.content.valid_bytes < bytes) {
    return base::Error(absl::StatusCode::kDataLoss, "{}: offset {}: damage in a log that was durable up to offset {}",
                       log.path, log.content.valid_bytes, bytes);
  }
  return absl::OkStatus();
}

absl::Status Recovery::CheckListed(uint64_t log) const {
  if (std::binary_search(log_numbers_.begin(), log_numbers_.end(), log)) return absl::OkStatus();
  return base::Error(absl::StatusCode::kDataLoss, "{}: offset 0: the log is missing",
                     base::JoinPath(engine_dir_, LogName(log)));
}

absl::Status Recovery::CheckLogChain() {
  BANDB_ASSERT(logs_.size() == log_numbers_.size());
  const ManifestState& state = recovered_.state;
  for (const uint64_t needed : {state.log_number, state.begun_log}) {
    if (needed >= state.log_number) BANDB_RETURN_IF_ERROR(CheckListed(needed));
  }
  for (const auto& log_end : state.log_ends) BANDB_RETURN_IF_ERROR(CheckListed(log_end.first));
  // A log that breaks off ends the database's history there, unless what comes later shows that it
  // had been synced whole.
  for (size_t i = 0; i < logs_.size(); ++i) {
    const ReadyLog& log = logs_[i];
    const auto recorded = state.log_ends.find(log.number);
    if (recorded != state.log_ends.end()) {
      BANDB_RETURN_IF_ERROR(CheckRecordedEnd(log, recorded->second));
      continue;
    }
    if (log.content.end == LogEnd::kEnded || log.content.end == LogEnd::kSealed) continue;
    // One that could not be begun, or of which all is lost: if anything is missing, the sequences
    // will tell.
    if (log.content.records == 0 && i + 1 < logs_.size()) continue;
    for (size_t later = i + 1; later < logs_.size(); ++later) {
      if (!IsKnownSynced(logs_[later])) continue;
      return base::Error(absl::StatusCode::kDataLoss,
                         "{}: offset {}: the log breaks off, though {} was synced after it", log.path,
                         log.content.valid_bytes, logs_[later].path);
    }
    DropLogsFrom(i + 1);
  }
  return absl::OkStatus();
}

void Recovery::DropLogsFrom(size_t first) {
  BANDB_ASSERT(first <= logs_.size());
  for (size_t i = first; i < logs_.size(); ++i) {
    recovered_.dropped_bytes += logs_[i].content.valid_bytes + logs_[i].content.dropped_bytes;
    recovered_.orphans.push_back(LogName(logs_[i].number));
  }
  logs_.resize(first);
}

// A log whose directory entry was lost leaves a hole in the sequences: what comes after it was
// never durable, or else it is corruption.
absl::Status Recovery::CheckContinuity(size_t i, bool* continues) const {
  *continues = true;
  const LogContent& content = logs_[i].content;
  if (content.records == 0 || content.first_sequence <= recovered_.last_sequence + 1) return absl::OkStatus();
  *continues = false;
  for (size_t later = i; later < logs_.size(); ++later) {
    if (!IsKnownSynced(logs_[later])) continue;
    return base::Error(absl::StatusCode::kDataLoss,
                       "{}: offset {}: the operations from sequence {} to {} are missing, though {} was synced",
                       logs_[i].path, kFileHeaderBytes, recovered_.last_sequence + 1, content.first_sequence - 1,
                       logs_[later].path);
  }
  return absl::OkStatus();
}

absl::Status Recovery::AddMemtable(const ReadyLog& log, uint64_t operations, uint64_t payload_bytes) {
  std::vector<std::shared_ptr<Memtable>>& memtables = recovered_.memtables;
  BANDB_ASSERT(memtables.empty() || memtables.back()->log_number() <= log.number);
  const size_t capacity = std::max<size_t>(Memtable::CapacityFor(operations, payload_bytes), MemtableBytes(options_));
  if (mode_ == RecoveryMode::kRead) {
    uint64_t used = capacity;
    if (!memtables.empty()) memtables.back()->InsertStaged();
    for (const std::shared_ptr<Memtable>& memtable : memtables) used += memtable->memory_bytes();
    if (const uint64_t room = ReplayRoomBytes(*recovered_.tables->cache(), options_); used > room) {
      return base::Error(absl::StatusCode::kResourceExhausted,
                         "{}: {} bytes of the memory budget of {} are for what is in the logs, which is more: raise "
                         "memory_budget_bytes, or open it for writing, so that it is put into tables",
                         dir_, room, kv::MemoryBudgetBytes(options_));
    }
  }
  BANDB_ASSIGN_OR_RETURN(std::shared_ptr<Memtable> memtable, Memtable::Make(env_.regions, capacity, log.number));
  memtables.push_back(std::move(memtable));
  return absl::OkStatus();
}

absl::Status Recovery::StageRecord(const ReadyLog& log, const ParsedRecord& record, uint64_t operations) {
  const std::vector<std::shared_ptr<Memtable>>& memtables = recovered_.memtables;
  if (memtables.empty() || memtables.back()->log_number() != log.number ||
      !memtables.back()->HasRoomFor(operations, record.payload.size())) {
    BANDB_RETURN_IF_ERROR(AddMemtable(log, operations, record.payload.size()));
  }
  kv::OperationReader reader(record.payload);
  kv::Operation operation;
  Sequence sequence = record.head.first_sequence;
  const Space space = record.head.type == RecordType::kSystemWrite ? Space::kSystem : Space::kUser;
  while (reader.Next(&operation)) memtables.back()->Stage(sequence++, space, operation);
  BANDB_ASSERT(sequence == record.head.first_sequence + operations);
  memtables.back()->EndGroup(record.head.commit_time_ms);
  return absl::OkStatus();
}

absl::Status Recovery::ReplayRecord(const ReadyLog& log, const ParsedRecord& record, uint64_t offset) {
  if (record.head.type == RecordType::kEnd || record.head.type == RecordType::kSeal) return absl::OkStatus();
  if (!HoldsOperations(record.head.type)) {
    return base::Error(absl::StatusCode::kDataLoss, "{}: offset {}: a record of another kind of file", log.path,
                       offset);
  }
  const bool system = record.head.type == RecordType::kSystemWrite;
  const uint64_t count = CountOperations(record);
  if (count == 0 || record.head.first_sequence != recovered_.last_sequence + 1) {
    return base::Error(absl::StatusCode::kDataLoss, "{}: offset {}: a record whose content is malformed", log.path,
                       offset);
  }
  if (mode_ != RecoveryMode::kCheck) BANDB_RETURN_IF_ERROR(StageRecord(log, record, count));
  recovered_.last_sequence += count;
  if (offset + record.record_bytes <= SyncedBytes(log)) recovered_.synced_sequence = recovered_.last_sequence;
  if (recovered_.last_sequence > recovered_.state.clock_sequence) {
    recovered_.last_commit_time_ms = std::max(recovered_.last_commit_time_ms, record.head.commit_time_ms);
  }
  ++recovered_.records;
  KeptLog& what = recovered_.needed_logs.back();
  if (what.last_sequence < what.first_sequence) what.begin_ms = record.head.commit_time_ms;
  what.last_sequence = recovered_.last_sequence;
  what.end_ms = record.head.commit_time_ms;
  what.commits += system ? 0 : 1;
  recovered_.has_system_records |= system;
  return absl::OkStatus();
}

absl::Status Recovery::ReplayLog(const ReadyLog& log, uint64_t end) {
  ParsedRecord record;
  if (!log.content.bytes.empty()) {
    LogReader cursor(log.content);
    while (cursor.Next(&record) && cursor.offset() < end) {
      BANDB_RETURN_IF_ERROR(ReplayRecord(log, record, cursor.offset()));
    }
    return absl::OkStatus();
  }
  if (log.content.records == 0) return absl::OkStatus();
  BANDB_ASSIGN_OR_RETURN(const std::unique_ptr<LogWalk> walk,
                         LogWalk::Begin(env_.files, log.path, FileType::kLog, end));
  while (true) {
    BANDB_ASSIGN_OR_RETURN(const bool more, walk->Next(&record));
    if (!more) return absl::OkStatus();
    BANDB_RETURN_IF_ERROR(ReplayRecord(log, record, walk->offset()));
  }
}

absl::Status Recovery::ReplayLogs() {
  for (size_t i = 0; i < logs_.size(); ++i) {
    bool continues = true;
    BANDB_RETURN_IF_ERROR(CheckContinuity(i, &continues));
    if (!continues) {
      DropLogsFrom(i);
      break;
    }
    ReadyLog& log = logs_[i];
    const uint64_t end = EndOf(log.number, log.content.valid_bytes);
    recovered_.needed_logs.push_back({.number = log.number,
                                      .bytes = end,
                                      .first_sequence = recovered_.last_sequence + 1,
                                      .last_sequence = recovered_.last_sequence,
                                      .begin_ms = recovered_.last_commit_time_ms,
                                      .end_ms = recovered_.last_commit_time_ms});
    BANDB_RETURN_IF_ERROR(ReplayLog(log, end));
    if (!recovered_.state.log_ends.contains(log.number)) {
      recovered_.dropped_bytes += log.content.dropped_bytes;
      recovered_.state.log_ends[log.number] = log.content.valid_bytes;
      if (mode_ == RecoveryMode::kOpen) {
        if (!log.content.bytes.empty()) log.content.bytes.resize(end);
        const uint64_t synced_bytes = std::min(log.content.synced_offset, end);
        recovered_.found_logs.push_back({log.number, std::move(log.content.bytes), end, synced_bytes});
      }
    }
    log.content = LogContent();
  }
  BANDB_ASSERT(recovered_.needed_logs.size() == logs_.size());
  for (const std::shared_ptr<Memtable>& memtable : recovered_.memtables) memtable->InsertStaged();
  return absl::OkStatus();
}

absl::Status Recovery::LeaveLogs() {
  for (const ReadyLog& log : logs_) {
    LogReader cursor(log.content);
    ParsedRecord record;
    while (cursor.Next(&record)) {
      if (record.head.type != RecordType::kWrite && record.head.type != RecordType::kSystemWrite) continue;
      return base::Error(absl::StatusCode::kFailedPrecondition,
                         "{}: offset {}: writes of a standalone database that are in no table: flush it first",
                         log.path, cursor.offset());
    }
    recovered_.orphans.push_back(LogName(log.number));
  }
  logs_.clear();
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<RecoveredDatabase> RecoverDatabase(const base::Env& env, const std::string& dir, const Options& options,
                                                  const Identity* node, RecoveryMode mode) {
  return Recovery(env, dir, options, node, mode).Run();
}

}  // namespace bandb::storage
