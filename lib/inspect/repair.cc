#include "inspect/repair.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <set>
#include <utility>

#include "bandb/db.h"
#include "base/status.h"
#include "inspect/found_database.h"
#include "inspect/log_chain.h"
#include "inspect/names.h"
#include "inspect/salvage.h"
#include "kv/limits.h"
#include "kv/options.h"
#include "storage/db.h"
#include "storage/file/file_names.h"
#include "storage/key/entry.h"
#include "storage/read/merging_cursor.h"
#include "storage/table/block_cache.h"
#include "storage/table/open_files.h"
#include "storage/table/table_reader.h"

namespace bandb::inspect {

using storage::Sequence;
using storage::Space;

namespace {

constexpr uint64_t kRepairCacheBytes = 8 << 20;
constexpr uint64_t kRepairOpenFilesMax = 64;
// So much is written at a time.
constexpr size_t kBatchBytes = 1 << 20;
// A value may take a quarter of the memory budget, and the largest must get in, whatever the budget
// was that it was written with.
constexpr uint64_t kBudgetBytes = 4 * uint64_t{kv::kValueBytesMax};

// What is flushed may begin later than with the sequence after the last one that is known, where
// what came first was overwritten at once, but never by so much; an ingest leaves more to others.
constexpr Sequence kSkippedMax = Sequence{1} << 22;

// Without slashes at its end, those that follow one another, and "." in it.
std::string Plain(std::string_view path) {
  std::string plain(path.starts_with('/') ? "/" : "");
  for (size_t begin = 0; begin < path.size();) {
    const size_t end = std::min(path.find('/', begin), path.size());
    const std::string_view part = path.substr(begin, end - begin);
    begin = end + 1;
    if (part.empty() || part == ".") continue;
    if (!plain.empty() && plain.back() != '/') plain += '/';
    plain += part;
  }
  return plain.empty() ? "." : plain;
}

// Of plain paths.
bool IsInside(const std::string& path, const std::string& dir) {
  return path == dir || path.starts_with(dir.ends_with('/') ? dir : dir + "/");
}

bool HasSameFiles(const FoundDatabase& a, const FoundDatabase& b) {
  return a.manifest == b.manifest && a.manifest_bytes == b.manifest_bytes && a.tables == b.tables && a.logs == b.logs &&
         a.manifests == b.manifests;
}

class Repairer {
 public:
  Repairer(const base::Env& env, FoundDatabase found, const std::string& target, Report* report)
      : env_(env),
        files_(env.files),
        found_(std::move(found)),
        target_(target),
        made_dir_(target + ".tmp-" + ToString(storage::RandomUuid(env.random))),
        report_(report),
        cache_(std::make_unique<storage::BlockCache>(kRepairCacheBytes)),
        open_files_(std::make_shared<storage::OpenFiles>(env.files, kRepairOpenFilesMax)) {}

  absl::StatusOr<bool> Run() {
    report_->Field("repair", "source", found_.dir);
    report_->Field("repair", "target", target_);
    report_->Table("lost");
    report_->Table("notes");
    for (const absl::Status& problem : found_.problems) Lose({.why = problem});
    LookAtManifestEnd();
    OpenTables();
    const LogChain logs = ReadLogs();
    OpenOtherTables(logs.last_sequence);
    BANDB_RETURN_IF_ERROR(Write());
    for (const Loss& loss : table_losses_) Lose(loss);
    NoteConsequences();
    report_->Field("repair", "tables read", readers_.size());
    report_->Field("repair", "log records read", logs.records);
    report_->Field("repair", "entries written", written_);
    report_->Field("repair", "lost parts", report_->RowCount("lost"));
    return report_->RowCount("lost") == 0;
  }

 private:
  void Lose(const Loss& loss) {
    report_->AddRow("lost", {{"what", base::Message(loss.why)},
                             {"keys from", SpacedKeyText(loss.begin)},
                             {"keys to", SpacedKeyText(loss.end)}});
  }
  void Note(const std::string& what) { report_->AddRow("notes", {{"what", what}}); }
  std::string PathOf(const std::string& name) const { return base::JoinPath(found_.engine_dir, name); }

  // An edit that is not whole may have been: then it named tables, and those before it are gone.
  void LookAtManifestEnd() {
    if (!found_.manifest_is_whole || found_.manifest_torn_bytes == 0) return;
    Lose({.why = Damage(PathOf(found_.manifest), found_.manifest_bytes,
                        fmt::format("{} bytes at its end that are no edit: one that was cut short, or what it said is "
                                    "lost",
                                    found_.manifest_torn_bytes))});
    may_be_old_ = true;
  }

  // Those that the manifest names.
  void OpenTables() {
    if (!found_.manifest_is_whole) return;
    for (int level = 0; level < storage::kLevels; ++level) {
      for (const storage::TablePtr& table : found_.state.version->level(level)) OpenTable(*table);
    }
  }

  void OpenTable(const storage::LiveTable& table) {
    const storage::TableInfo& info = table.info();
    Loss loss{.why = {},
              .begin = std::string(storage::SpacedKey(info.smallest)),
              .end = std::string(storage::SpacedKey(info.largest))};
    const std::string path = PathOf(storage::TableName(info.number));
    named_.insert(info.number);
    if (!found_.tables.contains(info.number)) {
      may_be_old_ = true;
      loss.why = Damage(path, 0, "the table is missing");
      return Lose(loss);
    }
    const absl::StatusOr<const storage::TableReader*> described = table.Reader();
    if (described.ok() && IsOurs(**described)) return Take(**described);
    // What does not fit to the manifest may hold something all the same.
    loss.why = described.status();
    if (const absl::Status opened = OpenUndescribed(path); loss.why.ok()) loss.why = opened;
    Lose(loss);
  }

  bool IsOurs(const storage::TableReader& reader) const {
    return !found_.database_id || reader.header().database_id == *found_.database_id;
  }

  // Without regard to what the manifest says of it.
  absl::StatusOr<std::unique_ptr<storage::TableReader>> OpenReader(const std::string& path) {
    BANDB_ASSIGN_OR_RETURN(std::unique_ptr<base::RandomAccessFile> file, open_files_->Open(path));
    BANDB_ASSIGN_OR_RETURN(std::unique_ptr<storage::TableReader> reader,
                           storage::TableReader::Open(std::move(file), path, cache_.get()));
    if (IsOurs(*reader)) return reader;
    return Damage(path, 0, "belongs to database " + ToString(reader->header().database_id));
  }

  absl::Status OpenUndescribed(const std::string& path) {
    BANDB_ASSIGN_OR_RETURN(std::unique_ptr<storage::TableReader> reader, OpenReader(path));
    Keep(std::move(reader));
    return absl::OkStatus();
  }

  void Keep(std::unique_ptr<storage::TableReader> reader) {
    Take(*reader);
    owned_.push_back(std::move(reader));
  }

  void Take(const storage::TableReader& reader) {
    readers_.push_back(&reader);
    const std::vector<storage::RangeTombstone>& more = reader.tombstones().tombstones();
    tombstones_.insert(tombstones_.end(), more.begin(), more.end());
  }

  LogChain ReadLogs() {
    LogChain chain = ReadLogChain(files_, found_);
    for (const Loss& loss : chain.losses) Lose(loss);
    for (const std::string& note : chain.notes) Note(note);
    may_be_old_ |= chain.is_log_missing;
    tombstones_.insert(tombstones_.end(), chain.tombstones.begin(), chain.tombstones.end());
    for (EntryCursor::Entries& entries : std::exchange(chain.entries, {})) {
      logs_.push_back(std::make_unique<EntryCursor>(std::move(entries)));
    }
    return chain;
  }

  // Where it is not known which tables count, all do. Else those that no edit names and none has
  // removed, if the manifest may be older than they are. `last_sequence`: all up to there is
  // accounted for; none: that is not known.
  void OpenOtherTables(std::optional<Sequence> last_sequence) {
    std::set<uint64_t> removed;
    for (const FoundEdit& edit : found_.edits) {
      for (const auto& gone : edit.edit.deleted) removed.insert(gone.number);
    }
    for (const auto& table : found_.tables) {
      if (named_.contains(table.first)) continue;
      const std::string path = PathOf(storage::TableName(table.first));
      if (!found_.state_is_whole) {
        if (const absl::Status opened = OpenUndescribed(path); !opened.ok()) Lose({.why = opened});
      } else if (!removed.contains(table.first)) {
        OpenUnnamedTable(path, last_sequence);
      }
    }
  }

  void OpenUnnamedTable(const std::string& path, std::optional<Sequence> last_sequence) {
    absl::StatusOr<std::unique_ptr<storage::TableReader>> reader = OpenReader(path);
    if (!reader.ok()) {
      // As a rule it is what is left of one that was never finished.
      if (may_be_old_) Note(fmt::format("no edit names this table: {}", base::Message(reader.status())));
      return;
    }
    const Sequence known = std::max(last_sequence.value_or(0), found_.state.last_sequence);
    const Sequence largest = (*reader)->properties().largest_sequence;
    if (!may_be_old_ && largest <= known) return;
    const bool is_accounted = !may_be_old_ && last_sequence;
    if (is_accounted && (*reader)->properties().smallest_sequence > known + kSkippedMax) {
      // Its other tables may not be there, so that it would be a part of a batch.
      return Lose(
          {.why = Damage(path, 0, "not read: it is of an ingest that was not acknowledged, or whose edit is lost")});
    }
    if (is_accounted) {
      Lose({.why = Damage(PathOf(found_.manifest), found_.manifest_bytes,
                          fmt::format("an edit is missing: {} has operations up to sequence {}, though manifest and "
                                      "logs know none after {}",
                                      path, largest, known))});
    }
    Note(fmt::format("{} was read, which no edit names: deleted keys and old values may be back", path));
    Keep(*std::move(reader));
  }

  absl::Status Write() {
    const absl::Status written = MakeTarget();
    if (written.ok() || RemoveMade()) return written;
    return base::Annotate(written, fmt::format("{} is left of what was made", made_dir_));
  }

  absl::Status MakeTarget() {
    Options options;
    options.error_if_exists = true;
    options.memory_budget_bytes = std::max(kBudgetBytes, kv::MemoryBudgetBytes(options));
    BANDB_ASSIGN_OR_RETURN(const std::unique_ptr<Db> db, storage::OpenDb(env_, made_dir_, options));
    absl::Status written = WriteEntries(db.get());
    if (written.ok()) written = db->Flush();
    if (written.ok()) written = db->VerifyChecksums();
    const absl::Status closed = db->Close();
    BANDB_RETURN_IF_ERROR(written);
    BANDB_RETURN_IF_ERROR(closed);
    BANDB_RETURN_IF_ERROR(CheckUnchanged());
    BANDB_RETURN_IF_ERROR(files_->RenameDirectory(made_dir_, target_));
    return files_->SyncDir(base::ParentPath(target_));
  }

  // From the inside out, of a directory that has a name of its own. False: something is left.
  bool RemoveMade() {
    for (std::string path = storage::EngineDir(made_dir_); path.size() >= made_dir_.size();
         path = base::ParentPath(path)) {
      const absl::StatusOr<std::vector<std::string>> names = files_->List(path);
      if (names.ok()) {
        for (const std::string& name : *names) files_->Remove(base::JoinPath(path, name)).IgnoreError();
      }
      files_->RemoveDir(path).IgnoreError();
    }
    return !files_->Exists(made_dir_).value_or(true);
  }

  // Somebody who has opened the source meanwhile has moved what was read.
  absl::Status CheckUnchanged() {
    const absl::StatusOr<FoundDatabase> now = FindDatabase(env_, found_.dir);
    if (now.ok()) BANDB_RETURN_IF_ERROR(CheckNotOpen(*now, ", since the repair began"));
    if (now.ok() && HasSameFiles(found_, *now)) return absl::OkStatus();
    return base::Error(absl::StatusCode::kFailedPrecondition, "{}: its files have changed since the repair began: {}",
                       found_.dir, now.ok() ? "somebody had it open" : base::Message(now.status()));
  }

  absl::Status WriteEntries(Db* db) {
    const storage::FragmentedTombstones tombstones(std::move(tombstones_));
    std::vector<std::unique_ptr<storage::Cursor>> cursors;
    for (const auto* reader : readers_) cursors.push_back(std::make_unique<SalvageCursor>(*reader, &table_losses_));
    for (auto& log : logs_) cursors.push_back(std::move(log));
    const std::unique_ptr<storage::Cursor> all = storage::NewMergingCursor(std::move(cursors));
    std::string before;
    for (all->SeekToFirst(); all->Valid(); all->Next()) {
      const std::string_view spaced_key = storage::SpacedKey(all->key());
      // The newest version comes first, and decides.
      if (spaced_key == before) continue;
      before.assign(spaced_key);
      if (static_cast<Space>(spaced_key.front()) != Space::kUser) continue;
      const Sequence sequence = storage::TrailerSequence(storage::Trailer(all->key()));
      if (tombstones.CoveringSequence(spaced_key, storage::kSequenceMax) > sequence) continue;
      BANDB_RETURN_IF_ERROR(WriteEntry(db, all->key(), all->value()));
    }
    BANDB_RETURN_IF_ERROR(all->status());
    return WriteBatched(db);
  }

  absl::Status WriteEntry(Db* db, std::string_view internal_key, std::string_view stored) {
    const std::string_view spaced_key = storage::SpacedKey(internal_key);
    const std::string_view key = storage::UserKey(spaced_key);
    const storage::Kind kind = storage::TrailerKind(storage::Trailer(internal_key));
    const auto now_ms = static_cast<uint64_t>(std::max<int64_t>(env_.clock->WallMillis(), 0));
    std::string_view value;
    absl::Status malformed;
    if (!storage::ReadEntry(kind, stored, now_ms, &value, &malformed)) {
      if (!malformed.ok()) LoseEntry(malformed, spaced_key);
      return absl::OkStatus();
    }
    ++written_;
    if (batch_.ByteSize() + key.size() + value.size() > kBatchBytes) BANDB_RETURN_IF_ERROR(WriteBatched(db));
    if (kind == storage::Kind::kPutWithExpiry) {
      batch_.PutUntil(key, value, absl::FromUnixMillis(storage::ExpiryMillis(stored)));
      return absl::OkStatus();
    }
    if (value.size() <= kBatchBytes) {
      batch_.Put(key, value);
      return absl::OkStatus();
    }
    // The largest is no batch: there it is too large by its key.
    return db->Put(key, value);
  }

  void LoseEntry(const absl::Status& why, std::string_view spaced_key) {
    Lose({.why = why, .begin = std::string(spaced_key), .end = std::string(spaced_key)});
  }

  absl::Status WriteBatched(Db* db) {
    const WriteBatch batch = std::exchange(batch_, WriteBatch());
    return batch.Count() == 0 ? absl::OkStatus() : db->Write(batch);
  }

  void NoteConsequences() {
    if (!found_.state_is_whole) {
      Note(
          "what the database consisted of is not known: all tables that were there were read, so that deleted keys and "
          "old values may be back");
    }
    if (report_->RowCount("lost") != 0) {
      Note("where a part was lost, a key may have an older value than its last, or be back although it was deleted");
    }
    Note("the change feed begins again, and its cursors are gone");
  }

  const base::Env env_;
  base::FileSystem* const files_;
  const FoundDatabase found_;
  const std::string target_;
  // What it is called while it is made.
  const std::string made_dir_;
  Report* const report_;
  const std::unique_ptr<storage::BlockCache> cache_;
  const std::shared_ptr<storage::OpenFiles> open_files_;
  // Tables may be there, or be gone, of which an edit says so that is missing.
  bool may_be_old_ = false;
  std::set<uint64_t> named_;
  // All that are read; some of them are ours to keep.
  std::vector<const storage::TableReader*> readers_;
  std::vector<std::unique_ptr<storage::TableReader>> owned_;
  std::vector<std::unique_ptr<storage::Cursor>> logs_;
  std::vector<storage::RangeTombstone> tombstones_;
  std::vector<Loss> table_losses_;
  WriteBatch batch_;
  uint64_t written_ = 0;
};

}  // namespace

absl::StatusOr<bool> RepairDatabase(const base::Env& env, const std::string& source, const std::string& target,
                                    Report* report) {
  const std::string from = Plain(source), to = Plain(target);
  if (IsInside(to, from) || IsInside(from, to)) {
    return base::Error(absl::StatusCode::kInvalidArgument, "{} and {}: one is inside the other", source, target);
  }
  BANDB_ASSIGN_OR_RETURN(const bool exists, env.files->Exists(to));
  if (exists) return base::Error(absl::StatusCode::kAlreadyExists, "{}: exists", target);
  BANDB_ASSIGN_OR_RETURN(FoundDatabase found, FindDatabase(env, source));
  BANDB_RETURN_IF_ERROR(CheckNotOpen(found, ""));
  if (found.identity && found.identity->IsOfCluster()) {
    return base::Error(absl::StatusCode::kFailedPrecondition,
                       "{}: belongs to a node of a cluster, which takes its state from the others", source);
  }
  return Repairer(env, std::move(found), to, report).Run();
}

}  // namespace bandb::inspect
