#include "inspect/found_database.h"

#include <algorithm>
#include <utility>

#include "base/status.h"
#include "storage/file/file_names.h"
#include "storage/log/log_reader.h"
#include "storage/table/block_cache.h"
#include "storage/version/manifest_replay.h"

namespace bandb::inspect {

using storage::FileType;

namespace {

constexpr uint64_t kCacheBytes = 8 << 20;
constexpr uint64_t kOpenFilesMax = 64;

class Finder {
 public:
  Finder(const base::Env& env, const std::string& dir) : env_(env), files_(env.files) {
    found_.dir = dir;
    found_.engine_dir = storage::EngineDir(dir);
  }

  absl::StatusOr<FoundDatabase> Run() {
    BANDB_ASSIGN_OR_RETURN(const bool there, files_->Exists(found_.dir));
    if (!there) return base::Error(absl::StatusCode::kNotFound, "{}: there is no such directory", found_.dir);
    BANDB_ASSIGN_OR_RETURN(const bool has_identity, files_->Exists(storage::IdentityPath(found_.dir)));
    BANDB_ASSIGN_OR_RETURN(const bool has_engine, files_->Exists(found_.engine_dir));
    if (!has_identity && !has_engine) {
      return base::Error(absl::StatusCode::kNotFound, "{}: holds no database", found_.dir);
    }
    found_.locked = files_->IsLocked(storage::LockPath(found_.dir));
    Note(ReadIdentity());
    if (!has_engine) {
      Note(Damage(found_.engine_dir, 0, "the folder is missing"));
      return std::move(found_);
    }
    BANDB_RETURN_IF_ERROR(ListFiles());
    const absl::Status named = ReadCurrent();
    Note(named);
    if (found_.manifest.empty()) return std::move(found_);
    const absl::Status read = ReadManifest();
    Note(read);
    found_.manifest_is_whole = read.ok();
    found_.state_is_whole = named.ok() && read.ok();
    return std::move(found_);
  }

 private:
  void Note(absl::Status status) {
    if (!status.ok()) found_.problems.push_back(std::move(status));
  }

  absl::Status ReadIdentity() {
    const std::string path = storage::IdentityPath(found_.dir);
    const absl::StatusOr<std::string> bytes = base::ReadFile(files_, path, storage::kIdentityBytesMax);
    if (absl::IsNotFound(bytes.status())) {
      const bool creating = files_->Exists(storage::CreatingPath(found_.dir)).value_or(false);
      return Damage(path, 0, creating ? "missing: the creation of the database was cut short" : "missing");
    }
    BANDB_RETURN_IF_ERROR(bytes.status());
    BANDB_ASSIGN_OR_RETURN(found_.identity, storage::DecodeIdentity(*bytes, path));
    found_.database_id = found_.identity->database_id;
    return absl::OkStatus();
  }

  absl::Status ListFiles() {
    BANDB_ASSIGN_OR_RETURN(const std::vector<std::string> names, files_->List(found_.engine_dir));
    for (const std::string& name : names) {
      const auto parsed = storage::ParseFileName(name);
      if (!parsed) {
        if (name != storage::CurrentName()) found_.other_names.push_back(name);
        continue;
      }
      const std::string path = base::JoinPath(found_.engine_dir, name);
      const absl::StatusOr<uint64_t> bytes = files_->FileSize(path);
      if (!bytes.ok()) {
        // One that went meanwhile is none.
        if (!absl::IsNotFound(bytes.status())) Note(bytes.status());
        continue;
      }
      auto& of_type = parsed->type == storage::NumberedFile::kTable ? found_.tables
                      : parsed->type == storage::NumberedFile::kLog ? found_.logs
                                                                    : found_.manifests;
      of_type[parsed->number] = *bytes;
    }
    return absl::OkStatus();
  }

  absl::Status ReadCurrent() {
    const std::string path = storage::CurrentPath(found_.engine_dir);
    // Without it the newest is most likely the one that counted.
    if (!found_.manifests.empty()) found_.manifest = storage::ManifestName(found_.manifests.rbegin()->first);
    const absl::StatusOr<std::string> name = storage::ReadCurrentName(files_, found_.engine_dir);
    if (absl::IsNotFound(name.status())) return Damage(path, 0, "missing");
    BANDB_RETURN_IF_ERROR(name.status());
    if (!found_.manifests.contains(storage::ParseFileName(*name)->number)) {
      return Damage(base::JoinPath(found_.engine_dir, *name), 0, "the manifest that CURRENT names is missing");
    }
    found_.manifest = *name;
    return absl::OkStatus();
  }

  absl::Status ReadManifest() {
    const std::string path = base::JoinPath(found_.engine_dir, found_.manifest);
    const absl::StatusOr<storage::LogContent> content = storage::CheckLog(files_, path, FileType::kManifest);
    uint64_t bytes = UINT64_MAX;
    if (content.ok()) {
      if (!content->has_header) return Damage(path, 0, "the file header is gone");
      if (!found_.database_id) found_.database_id = content->header.database_id;
      if (!(content->header.database_id == *found_.database_id)) {
        Note(Damage(path, 0, "belongs to database " + ToString(content->header.database_id)));
      }
      bytes = content->valid_bytes;
      found_.manifest_torn_bytes = content->dropped_bytes;
    }
    const auto cache = std::make_shared<storage::BlockCache>(kCacheBytes);
    tables_ = std::make_shared<storage::TableStore>(env_, found_.engine_dir, cache, kOpenFilesMax);
    storage::ManifestReplay replay(path, tables_);
    absl::Status read = ReadEdits(path, bytes, &replay);
    if (read.ok()) read = replay.CheckBeginning(found_.manifest_bytes);
    BANDB_RETURN_IF_ERROR(BuildState(path));
    // What the log's format says comes first: it knows what had been synced.
    return content.ok() ? read : content.status();
  }

  // Up to `bytes`, or the first that is none.
  absl::Status ReadEdits(const std::string& path, uint64_t bytes, storage::ManifestReplay* replay) {
    found_.manifest_bytes = storage::kFileHeaderBytes;
    BANDB_ASSIGN_OR_RETURN(const auto walk, storage::LogWalk::Begin(files_, path, FileType::kManifest, bytes));
    storage::ParsedRecord record;
    while (true) {
      BANDB_ASSIGN_OR_RETURN(const bool more, walk->Next(&record));
      if (!more) return absl::OkStatus();
      BANDB_ASSIGN_OR_RETURN(storage::VersionEdit edit, replay->Add(record.payload, walk->offset()));
      found_.edits.push_back({walk->offset(), std::move(edit)});
      found_.manifest_bytes = walk->offset() + record.record_bytes;
    }
  }

  // Of the edits that were found to be sound: one that was not may have left a part of it.
  absl::Status BuildState(const std::string& path) {
    storage::ManifestReplay sound(path, tables_);
    for (const FoundEdit& edit : found_.edits) BANDB_RETURN_IF_ERROR(sound.Apply(edit.edit, edit.offset));
    BANDB_ASSIGN_OR_RETURN(found_.state, sound.Build());
    return absl::OkStatus();
  }

  const base::Env env_;
  base::FileSystem* const files_;
  std::shared_ptr<storage::TableStore> tables_;
  FoundDatabase found_;
};

}  // namespace

absl::StatusOr<FoundDatabase> FindDatabase(const base::Env& env, const std::string& dir) {
  return Finder(env, dir).Run();
}

bool FoundDatabase::HasAllBetween(uint64_t first, uint64_t last) const {
  // A table of an ingest has its name only once that is committed.
  const auto is_unnamed = [this](uint64_t number) {
    return std::find(other_names.begin(), other_names.end(), storage::TableName(number) + ".tmp") != other_names.end();
  };
  uint64_t number = first + 1;
  while (number < last &&
         (tables.contains(number) || logs.contains(number) || manifests.contains(number) || is_unnamed(number))) {
    ++number;
  }
  return number >= last;
}

absl::Status CheckNotOpen(const FoundDatabase& found, std::string_view advice) {
  BANDB_RETURN_IF_ERROR(base::Annotate(found.locked.status(), "whether somebody has it open cannot be found out"));
  if (!*found.locked) return absl::OkStatus();
  return base::Error(absl::StatusCode::kFailedPrecondition, "{}: somebody has it open{}", found.dir, advice);
}

absl::Status Damage(std::string_view path, uint64_t offset, std::string_view what) {
  return base::Error(absl::StatusCode::kDataLoss, "{}: offset {}: {}", path, offset, what);
}

}  // namespace bandb::inspect
