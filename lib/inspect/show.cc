#include "inspect/show.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "base/status.h"
#include "inspect/found_database.h"
#include "inspect/names.h"
#include "inspect/salvage.h"
#include "kv/batch_format.h"
#include "storage/file/file_names.h"
#include "storage/log/log_reader.h"
#include "storage/table/block_cache.h"
#include "storage/table/table_reader.h"

namespace bandb::inspect {

using storage::FileType;

namespace {

constexpr uint64_t kShowCacheBytes = 8 << 20;

bool AddProblems(const Problems& problems, Report* report) {
  report->Table("problems");
  for (const absl::Status& problem : problems) report->AddRow("problems", {{"what", base::Message(problem)}});
  return problems.empty();
}

void ShowTables(const storage::Version& version, Report* report) {
  report->Table("tables");
  for (int level = 0; level < storage::kLevels; ++level) {
    for (const storage::TablePtr& table : version.level(level)) {
      const storage::TableInfo& info = table->info();
      report->AddRow("tables", {{"level", level},
                                {"table", info.number},
                                {"bytes", info.file_bytes},
                                {"entries", info.entries},
                                {"deletes", info.deletes},
                                {"range deletes", info.range_tombstones},
                                {"first sequence", info.smallest_sequence},
                                {"last sequence", info.largest_sequence},
                                {"smallest", KeyText(info.smallest)},
                                {"largest", KeyText(info.largest)}});
    }
  }
}

void ShowLogs(const FoundDatabase& found, Report* report) {
  const storage::ManifestState& state = found.state;
  report->Table("logs");
  for (const auto& [number, bytes] : found.logs) {
    const auto end = state.log_ends.find(number);
    const bool kept = state.kept_logs.contains(number);
    const bool needed = number >= state.log_number && (number >= state.begun_log || end != state.log_ends.end());
    report->AddRow("logs", {{"log", number},
                            {"bytes", bytes},
                            {"counts", end == state.log_ends.end() ? std::string() : std::to_string(end->second)},
                            {"for", needed ? "recovery"
                                    : kept ? "the change feed"
                                           : "nothing"}});
  }
}

std::string EditText(const storage::VersionEdit& edit) {
  std::string text;
  const auto add = [&text](std::string_view name, uint64_t number) {
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", name, number);
  };
  for (const auto& [name, value] : {std::pair("oldest log", edit.log_number), std::pair("epoch", edit.epoch),
                                    std::pair("begun log", edit.begun_log), std::pair("kept from", edit.kept_from),
                                    std::pair("last sequence", edit.last_sequence)}) {
    if (value) add(name, *value);
  }
  for (const auto& table : edit.deleted) add(fmt::format("level {} without table", table.level), table.number);
  for (const auto& table : edit.added) add(fmt::format("level {} with table", table.level), table.info.number);
  for (const auto& end : edit.log_ends) add(fmt::format("log {} counts up to", end.number), end.bytes);
  for (const auto& log : edit.kept_logs) add("kept log", log.number);
  if (edit.applied) add("applied entry", edit.applied->index);
  if (edit.clock_accepted) add("clock accepted at", edit.clock_accepted->ms);
  return text;
}

absl::StatusOr<FileType> TypeOf(const std::string& path) {
  const auto parsed = storage::ParseFileName(path.substr(path.rfind('/') + 1));
  if (parsed && parsed->type == storage::NumberedFile::kLog) return FileType::kLog;
  if (parsed && parsed->type == storage::NumberedFile::kManifest) return FileType::kManifest;
  return base::Error(absl::StatusCode::kInvalidArgument,
                     "{}: is not called like a log (000001.log) or a manifest (MANIFEST-000002)", path);
}

void ShowOperations(const storage::ParsedRecord& record, Report* report) {
  kv::OperationReader reader(record.payload);
  kv::Operation operation;
  storage::Sequence sequence = record.head.first_sequence;
  while (reader.Next(&operation)) {
    report->AddRow("operations", {{"sequence", sequence++},
                                  {"kind", KindName(operation.kind)},
                                  {"key", operation.key},
                                  {"value", operation.value},
                                  {"expires ms", operation.expiry_ms}});
  }
}

void ShowRecord(const storage::ParsedRecord& record, uint64_t offset, FileType type, bool operations, Report* report) {
  const bool writes =
      record.head.type == storage::RecordType::kWrite || record.head.type == storage::RecordType::kSystemWrite;
  std::string what;
  if (type == FileType::kManifest) {
    const absl::StatusOr<storage::VersionEdit> edit = storage::DecodeEdit(record.payload);
    what = edit.ok() ? EditText(*edit) : std::string(base::Message(edit.status()));
  }
  report->AddRow("records", {{"offset", offset},
                             {"type", RecordName(record.head.type)},
                             {"bytes", record.record_bytes},
                             {"epoch", record.head.term},
                             {"first sequence", record.head.first_sequence},
                             {"commit ms", record.head.commit_time_ms},
                             {"synced", record.head.synced_offset},
                             {"what", what}});
  if (operations && writes) ShowOperations(record, report);
}

}  // namespace

absl::StatusOr<bool> ShowManifest(const base::Env& env, const std::string& dir, bool edits, Report* report) {
  BANDB_ASSIGN_OR_RETURN(const FoundDatabase found, FindDatabase(env, dir));
  const storage::ManifestState& state = found.state;
  report->Field("manifest", "file", found.manifest);
  if (found.identity) report->Field("manifest", "database", ToString(found.identity->database_id));
  report->Field("manifest", "bytes", found.manifest_bytes);
  report->Field("manifest", "torn bytes", found.manifest_torn_bytes);
  report->Field("manifest", "edits", found.edits.size());
  report->Field("manifest", "epoch", state.epoch);
  report->Field("manifest", "last sequence in tables", state.last_sequence);
  report->Field("manifest", "commit time ms", state.commit_time_ms);
  report->Field("manifest", "oldest log needed", state.log_number);
  report->Field("manifest", "log begun with it", state.begun_log);
  report->Field("manifest", "next file", state.next_file_number);
  if (state.applied) report->Field("manifest", "applied entry", state.applied->index);
  ShowTables(*state.version, report);
  ShowLogs(found, report);
  report->Table("epochs");
  for (const storage::Epoch& epoch : state.epochs) {
    report->AddRow("epochs", {{"epoch", epoch.number}, {"begun after sequence", epoch.begin}});
  }
  if (edits) {
    report->Table("edits");
    for (const FoundEdit& edit : found.edits) {
      report->AddRow("edits", {{"offset", edit.offset}, {"what", EditText(edit.edit)}});
    }
  }
  return AddProblems(found.problems, report);
}

absl::StatusOr<bool> ShowLog(const base::Env& env, const std::string& path, bool operations, Report* report) {
  BANDB_ASSIGN_OR_RETURN(const FileType type, TypeOf(path));
  const absl::StatusOr<storage::LogContent> content = storage::CheckLog(env.files, path, type);
  if (absl::IsNotFound(content.status())) return content.status();
  Problems problems;
  uint64_t bytes = UINT64_MAX;
  if (!content.ok()) {
    problems.push_back(content.status());
  } else {
    bytes = content->valid_bytes;
    report->Field("log", "database", ToString(content->header.database_id));
    report->Field("log", "file id", ToString(content->header.file_id));
    report->Field("log", "ends", EndName(content->end));
    report->Field("log", "whole up to", content->valid_bytes);
    report->Field("log", "synced at least up to", content->synced_offset);
    report->Field("log", "torn bytes", content->dropped_bytes);
  }
  report->Table("records");
  if (operations) report->Table("operations");
  absl::StatusOr<std::unique_ptr<storage::LogWalk>> walk = storage::LogWalk::Begin(env.files, path, type, bytes);
  storage::ParsedRecord record;
  while (walk.ok()) {
    const absl::StatusOr<bool> more = (*walk)->Next(&record);
    if (!more.ok() || !*more) break;
    ShowRecord(record, (*walk)->offset(), type, operations, report);
  }
  return AddProblems(problems, report);
}

absl::StatusOr<bool> ShowTable(const base::Env& env, const std::string& path, bool blocks, bool entries,
                               Report* report) {
  BANDB_ASSIGN_OR_RETURN(std::unique_ptr<base::RandomAccessFile> file, env.files->Open(path));
  storage::BlockCache cache(kShowCacheBytes);
  const auto opened = storage::TableReader::Open(std::move(file), path, &cache);
  if (!opened.ok()) return AddProblems({opened.status()}, report);
  const storage::TableReader& reader = **opened;
  const storage::TableProperties& properties = reader.properties();
  report->Field("table", "database", ToString(reader.header().database_id));
  report->Field("table", "file id", ToString(reader.header().file_id));
  report->Field("table", "format version", uint64_t{reader.header().format_version});
  report->Field("table", "entries", properties.entries);
  report->Field("table", "deletes", properties.deletes);
  report->Field("table", "range deletes", properties.range_tombstones);
  report->Field("table", "first sequence", properties.smallest_sequence);
  report->Field("table", "last sequence", properties.largest_sequence);
  report->Field("table", "key bytes", properties.raw_key_bytes);
  report->Field("table", "value bytes", properties.raw_value_bytes);
  report->Field("table", "data blocks", properties.data_blocks);
  report->Field("table", "data bytes", properties.data_bytes);
  report->Field("table", "partitions", reader.meta().partitions());
  report->Table("range deletes");
  for (const storage::RangeTombstone& tombstone : reader.tombstones().tombstones()) {
    report->AddRow("range deletes", {{"begin", SpacedKeyText(tombstone.begin)},
                                     {"limit", SpacedKeyText(tombstone.limit)},
                                     {"sequence", tombstone.sequence}});
  }
  std::vector<Loss> losses;
  SalvageCursor cursor(reader, &losses);
  if (blocks) {
    cursor.OnBlock([report](const BlockFound& block) {
      report->AddRow("blocks", {{"partition", block.partition},
                                {"block", block.number},
                                {"offset", block.handle.offset},
                                {"bytes", block.handle.payload_bytes},
                                {"not after", SpacedKeyText(block.separator)}});
    });
    report->Table("blocks");
  }
  if (entries) report->Table("contents");
  for (cursor.SeekToFirst(); cursor.Valid(); cursor.Next()) {
    if (!entries) continue;
    const uint64_t trailer = storage::Trailer(cursor.key());
    report->AddRow("contents", {{"key", SpacedKeyText(storage::SpacedKey(cursor.key()))},
                                {"sequence", storage::TrailerSequence(trailer)},
                                {"kind", KindName(storage::TrailerKind(trailer))},
                                {"value", cursor.value()}});
  }
  Problems problems;
  for (const Loss& loss : losses) problems.push_back(loss.why);
  if (const absl::Status verified = reader.VerifyChecksums(); losses.empty() && !verified.ok()) {
    problems.push_back(verified);
  }
  return AddProblems(problems, report);
}

absl::StatusOr<bool> ShowStats(const base::Env& env, const std::string& dir, Report* report) {
  BANDB_ASSIGN_OR_RETURN(const FoundDatabase found, FindDatabase(env, dir));
  const storage::Version& version = *found.state.version;
  report->Field("database", "directory", dir);
  report->Field("database", "open",
                !found.locked.ok() ? base::Message(found.locked.status())
                : *found.locked    ? "by somebody"
                                   : "no");
  uint64_t log_bytes = 0;
  for (const auto& log : found.logs) log_bytes += log.second;
  report->Field("database", "logs", found.logs.size());
  report->Field("database", "log bytes", log_bytes);
  report->Field("database", "tables", version.TableCount());
  report->Field("database", "last sequence in tables", found.state.last_sequence);
  report->Table("levels");
  for (int level = 0; level < storage::kLevels; ++level) {
    uint64_t entries = 0, deletes = 0, range_deletes = 0, hidden = 0;
    for (const storage::TablePtr& table : version.level(level)) {
      entries += table->info().entries;
      deletes += table->info().deletes;
      range_deletes += table->info().range_tombstones;
      hidden += table->info().space.hidden;
    }
    report->AddRow("levels", {{"level", level},
                              {"tables", version.level(level).size()},
                              {"bytes", version.LevelBytes(level)},
                              {"entries", entries},
                              {"deletes", deletes},
                              {"range deletes", range_deletes},
                              {"hidden by newer", hidden}});
  }
  return AddProblems(found.problems, report);
}

}  // namespace bandb::inspect
