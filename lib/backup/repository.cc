#include "backup/repository.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <set>
#include <utility>

#include "backup/stored_file.h"
#include "base/assert.h"
#include "base/status.h"
#include "kv/checkpoint_sink.h"
#include "storage/file/file_header.h"
#include "storage/file/file_names.h"
#include "storage/table/block_cache.h"
#include "storage/table/table_reader.h"

namespace bandb::backup {

namespace {

constexpr std::string_view kTemporary = ".tmp";
constexpr std::string_view kDescription = ".backup";
constexpr std::string_view kTable = ".tbl";
constexpr std::string_view kLock = "LOCK";
// A line for each of ten million tables and more.
constexpr uint64_t kDescriptionBytesMax = uint64_t{1} << 30;
constexpr size_t kComplaintsMax = 10;

std::string NameOf(uint64_t number) { return fmt::format("{:06}", number); }

// Nothing if it is not a name that NameOf gives.
uint64_t NumberOf(std::string_view name) {
  uint64_t number = 0;
  const char* const end = name.data() + name.size();
  const auto [parsed, error] = std::from_chars(name.data(), end, number);
  // As many backups nobody makes: one more must have a number, too.
  constexpr uint64_t kNumberMax = 1'000'000'000'000;
  return error == std::errc() && parsed == end && NameOf(number) == name && number <= kNumberMax ? number : 0;
}

bool IsTemporary(std::string_view name) { return name.find(kTemporary) != std::string_view::npos; }

absl::Status GoOnAlways() { return absl::OkStatus(); }

BackupInfo InfoOf(uint64_t number, const Description& description) {
  return {.number = number,
          .time = absl::FromUnixMillis(static_cast<int64_t>(description.time_ms)),
          .last_sequence = description.last_sequence,
          .tables = description.tables.size(),
          .bytes = description.bytes(),
          .new_bytes = description.new_bytes};
}

absl::Status NoSuchBackup(std::string_view repository, uint64_t number) {
  if (number == 0) return base::Error(absl::StatusCode::kNotFound, "{}: there is no backup", repository);
  return base::Error(absl::StatusCode::kNotFound, "{}: there is no backup {}", repository, number);
}

// For a file that a description names: that it is gone is damage, and not that there is no such
// backup.
absl::Status GoneIsDamage(const absl::Status& status) {
  if (!absl::IsNotFound(status)) return status;
  return base::Error(absl::StatusCode::kDataLoss, "{}", base::Message(status));
}

absl::StatusOr<std::string> ReadDescription(base::FileSystem* files, const std::string& path) {
  {
    // Before it is read whole: it may be as large as anything, and nothing of ours.
    BANDB_ASSIGN_OR_RETURN(const std::unique_ptr<base::RandomAccessFile> file, files->Open(path));
    std::string begin(kDescriptionBegin.size(), '\0');
    BANDB_ASSIGN_OR_RETURN(const size_t got, file->Read(0, absl::MakeSpan(begin)));
    begin.resize(got);
    if (begin != kDescriptionBegin) return begin;
  }
  return base::ReadFile(files, path, kDescriptionBytesMax);
}

// Reads a table back, and verifies all that is in it.
absl::Status VerifyTable(base::FileSystem* files, const std::string& path) {
  BANDB_ASSIGN_OR_RETURN(std::unique_ptr<base::RandomAccessFile> file, files->Open(path));
  constexpr uint64_t kCacheBytes = 1 << 20;
  storage::BlockCache cache(kCacheBytes);
  BANDB_ASSIGN_OR_RETURN(const std::unique_ptr<storage::TableReader> table,
                         storage::TableReader::Open(std::move(file), path, &cache));
  return table->VerifyChecksums();
}

absl::StatusOr<storage::FileHeader> ReadTableHeader(base::FileSystem* files, const std::string& path) {
  BANDB_ASSIGN_OR_RETURN(const std::unique_ptr<base::RandomAccessFile> file, files->Open(path));
  std::string header(storage::kFileHeaderBytes, '\0');
  BANDB_ASSIGN_OR_RETURN(const size_t got, file->Read(0, absl::MakeSpan(header)));
  header.resize(got);
  return storage::DecodeFileHeader(header, storage::FileType::kTable, path);
}

}  // namespace

Repository::Repository(base::FileSystem* files, std::string path, std::function<int64_t()> now_ms, uint64_t seed)
    : files_(files), path_(std::move(path)), now_ms_(std::move(now_ms)), random_(seed) {}

std::string Repository::TablePath(const storage::Uuid& id) const {
  return base::JoinPath(TablesDir(), storage::ToString(id) + std::string(kTable));
}

std::string Repository::DescriptionPath(uint64_t number) const {
  return base::JoinPath(BackupsDir(), NameOf(number) + std::string(kDescription));
}

std::string Repository::FolderOf(uint64_t number) const { return base::JoinPath(BackupsDir(), NameOf(number)); }

absl::Status Repository::MakeFolders() {
  // Each folder that is made gets an entry in the one above it; an earlier call may have been cut
  // short between the two.
  std::vector<std::string> above = {path_, base::ParentPath(path_)};
  while (true) {
    BANDB_ASSIGN_OR_RETURN(const bool exists, files_->Exists(above.back()));
    std::string parent = base::ParentPath(above.back());
    if (exists || parent == above.back()) break;
    above.push_back(std::move(parent));
  }
  BANDB_RETURN_IF_ERROR(files_->CreateDirs(TablesDir()));
  BANDB_RETURN_IF_ERROR(files_->CreateDirs(BackupsDir()));
  for (const std::string& folder : above) BANDB_RETURN_IF_ERROR(files_->SyncDir(folder));
  return absl::OkStatus();
}

absl::Status Repository::CheckThere() {
  BANDB_ASSIGN_OR_RETURN(const bool exists, files_->Exists(BackupsDir()));
  if (exists) return absl::OkStatus();
  return base::Error(absl::StatusCode::kNotFound, "{}: there is no repository of backups", path_);
}

absl::StatusOr<std::unique_ptr<base::FileLock>> Repository::Lock() {
  BANDB_RETURN_IF_ERROR(CheckThere());
  absl::StatusOr<std::unique_ptr<base::FileLock>> lock = files_->Lock(PathOf(kLock));
  if (absl::IsFailedPrecondition(lock.status())) {
    return base::Error(absl::StatusCode::kFailedPrecondition, "{}: another call is at work on this repository", path_);
  }
  return lock;
}

absl::StatusOr<std::unique_ptr<base::FileLock>> Repository::LockToRead() {
  absl::StatusOr<std::unique_ptr<base::FileLock>> lock = Lock();
  // Where nothing can be written nobody prunes.
  if (absl::IsPermissionDenied(lock.status())) return std::unique_ptr<base::FileLock>();
  return lock;
}

absl::StatusOr<Repository::Descriptions> Repository::ReadAll() {
  BANDB_ASSIGN_OR_RETURN(const std::vector<std::string> names, files_->List(BackupsDir()));
  Descriptions descriptions;
  for (const std::string& name : names) {
    if (!name.ends_with(kDescription)) continue;
    const uint64_t number = NumberOf(name.substr(0, name.size() - kDescription.size()));
    if (number == 0) continue;
    const std::string path = DescriptionPath(number);
    const absl::StatusOr<std::string> text = ReadDescription(files_, path);
    if (text.ok()) {
      descriptions.emplace(number, Decode(*text, path));
    } else if (!absl::IsNotFound(text.status())) {
      descriptions.emplace(number, text.status());
    }
  }
  return descriptions;
}

absl::Status Repository::CheckReadable(const Descriptions& descriptions) {
  for (const auto& [number, description] : descriptions) {
    if (description.ok()) return absl::OkStatus();
  }
  // Of which database they are is not known.
  return descriptions.empty() ? absl::OkStatus() : descriptions.begin()->second.status();
}

absl::Status Repository::CheckCancelled() const {
  if (!cancelled_.load(std::memory_order_relaxed)) return absl::OkStatus();
  return base::Error(absl::StatusCode::kCancelled, "{}: the backup was cancelled", path_);
}

absl::StatusOr<Description> Repository::Find(uint64_t* number) {
  BANDB_ASSIGN_OR_RETURN(const Descriptions all, ReadAll());
  const auto found = *number == 0 && !all.empty() ? std::prev(all.end()) : all.find(*number);
  if (found == all.end()) return NoSuchBackup(path_, *number);
  *number = found->first;
  return found->second;
}

absl::Status Repository::RemoveTree(const std::string& path) {
  // A file, or a link, which leads to what is not ours.
  if (files_->Remove(path).ok()) return absl::OkStatus();
  BANDB_ASSIGN_OR_RETURN(const std::vector<std::string> names, files_->List(path));
  for (const std::string& name : names) BANDB_RETURN_IF_ERROR(RemoveTree(base::JoinPath(path, name)));
  return files_->RemoveDir(path);
}

absl::Status Repository::ListTree(const std::string& root, const std::string& inner, std::vector<std::string>* paths) {
  const std::string folder = inner.empty() ? root : base::JoinPath(root, inner);
  BANDB_ASSIGN_OR_RETURN(const std::vector<std::string> names, files_->List(folder));
  for (const std::string& name : names) {
    std::string path = inner.empty() ? name : base::JoinPath(inner, name);
    // A folder is what can be listed.
    if (files_->List(base::JoinPath(root, path)).ok()) {
      BANDB_RETURN_IF_ERROR(ListTree(root, path, paths));
    } else {
      paths->push_back(std::move(path));
    }
  }
  return absl::OkStatus();
}

absl::Status Repository::RemoveLeftovers(const Descriptions& descriptions) {
  // That one is not there may be known to nobody but this process.
  BANDB_RETURN_IF_ERROR(files_->SyncDir(BackupsDir()));
  BANDB_ASSIGN_OR_RETURN(const std::vector<std::string> tables, files_->List(TablesDir()));
  for (const std::string& name : tables) {
    if (IsTemporary(name)) BANDB_RETURN_IF_ERROR(RemoveTree(base::JoinPath(TablesDir(), name)));
  }
  BANDB_ASSIGN_OR_RETURN(const std::vector<std::string> backups, files_->List(BackupsDir()));
  for (const std::string& name : backups) {
    const std::string path = base::JoinPath(BackupsDir(), name);
    if (IsTemporary(name) || (NumberOf(name) != 0 && !descriptions.contains(NumberOf(name)))) {
      BANDB_RETURN_IF_ERROR(RemoveTree(path));
    }
  }
  return RemoveUnneededTables(descriptions);
}

absl::Status Repository::RemoveUnneededTables(const Descriptions& descriptions) {
  std::set<std::string> needed;
  for (const auto& [number, description] : descriptions) {
    // What a damaged one needs is not known.
    if (!description.ok()) return absl::OkStatus();
    for (const TableEntry& table : description->tables) needed.insert(TablePath(table.id));
  }
  BANDB_ASSIGN_OR_RETURN(const std::vector<std::string> tables, files_->List(TablesDir()));
  for (const std::string& name : tables) {
    const std::string path = base::JoinPath(TablesDir(), name);
    if (name.ends_with(kTable) && !needed.contains(path)) BANDB_RETURN_IF_ERROR(files_->Remove(path));
  }
  return absl::OkStatus();
}

// Takes the tables of a checkpoint into the repository.
class Repository::Making final : public internal::CheckpointSink {
 public:
  Making(Repository* repository, const Descriptions& earlier) : repository_(repository) {
    for (const auto& [number, description] : earlier) {
      if (!description.ok()) continue;
      earlier_database_ = description->database_id;
      for (const TableEntry& table : description->tables) known_[table.id.bytes] = table.stored;
    }
  }

  absl::Status Begin(const std::array<char, 16>& database_id, uint64_t last_sequence) override {
    description_.database_id.bytes = database_id;
    description_.last_sequence = last_sequence;
    if (!earlier_database_.has_value() || *earlier_database_ == description_.database_id) return absl::OkStatus();
    return base::Error(absl::StatusCode::kFailedPrecondition,
                       "{}: this repository is of the database {}, not of {}: every database needs its own",
                       repository_->path_, storage::ToString(*earlier_database_),
                       storage::ToString(description_.database_id));
  }

  absl::Status TakeTable(base::FileSystem* files, const std::string& path, uint64_t number,
                         const GoOn& go_on) override {
    BANDB_ASSIGN_OR_RETURN(const storage::FileHeader header, ReadTableHeader(files, path));
    TableEntry table{.number = number, .id = header.file_id};
    BANDB_ASSIGN_OR_RETURN(const bool is_there, IsThere(files, path, &table));
    const GoOn both = [&] {
      BANDB_RETURN_IF_ERROR(repository_->CheckCancelled());
      return go_on();
    };
    BANDB_RETURN_IF_ERROR(both());
    if (!is_there) BANDB_RETURN_IF_ERROR(Copy(files, path, both, &table));
    description_.tables.push_back(table);
    return absl::OkStatus();
  }

  // What else is in the checkpoint, byte by byte: of its own files the lengths are not durable.
  absl::Status TakeFiles(const std::string& checkpoint, const std::string& folder) {
    base::FileSystem* const files = repository_->files_;
    std::vector<std::string> paths;
    BANDB_RETURN_IF_ERROR(repository_->ListTree(checkpoint, "", &paths));
    std::sort(paths.begin(), paths.end());
    std::set<std::string, std::greater<>> folders;
    for (std::string& path : paths) {
      if (path == kLock) continue;
      const std::string to = base::JoinPath(folder, path);
      for (std::string above = base::ParentPath(to); above.size() >= folder.size(); above = base::ParentPath(above)) {
        folders.insert(above);
      }
      BANDB_RETURN_IF_ERROR(files->CreateDirs(base::ParentPath(to)));
      BANDB_ASSIGN_OR_RETURN(const StoredBytes stored,
                             CopyFile(files, base::JoinPath(checkpoint, path), files, to, GoOnAlways));
      description_.new_bytes += stored.bytes;
      description_.files.push_back({std::move(path), stored});
    }
    for (const std::string& made : folders) BANDB_RETURN_IF_ERROR(files->SyncDir(made));
    return absl::OkStatus();
  }

  Description* description() { return &description_; }

 private:
  // Whether the repository has the table, in which case the entry says how.
  absl::StatusOr<bool> IsThere(base::FileSystem* files, const std::string& path, TableEntry* table) {
    const auto known = known_.find(table->id.bytes);
    if (known == known_.end()) return false;
    table->stored = known->second;
    const absl::StatusOr<uint64_t> there = repository_->files_->FileSize(repository_->TablePath(table->id));
    if (!there.ok()) return false;
    BANDB_ASSIGN_OR_RETURN(const uint64_t now, files->FileSize(path));
    return *there == now && table->stored.bytes == now;
  }

  absl::Status Copy(base::FileSystem* files, const std::string& path, const GoOn& go_on, TableEntry* table) {
    base::FileSystem* const to_files = repository_->files_;
    const std::string target = repository_->TablePath(table->id);
    const std::string temporary = target + std::string(kTemporary);
    BANDB_ASSIGN_OR_RETURN(table->stored, CopyFile(files, path, to_files, temporary, go_on));
    // Damage of the source is found now, and not when the backup is needed.
    if (absl::Status good = VerifyTable(to_files, temporary); !good.ok()) {
      to_files->Remove(temporary).IgnoreError();
      return base::Annotate(good, fmt::format("copy of {}", path));
    }
    BANDB_RETURN_IF_ERROR(to_files->Rename(temporary, target));
    known_[table->id.bytes] = table->stored;
    description_.new_bytes += table->stored.bytes;
    return absl::OkStatus();
  }

  Repository* const repository_;
  std::optional<storage::Uuid> earlier_database_;
  std::map<std::array<char, 16>, StoredBytes> known_;
  Description description_;
};

absl::StatusOr<BackupInfo> Repository::Create(Db* db) {
  BANDB_RETURN_IF_ERROR(MakeFolders());
  BANDB_ASSIGN_OR_RETURN(const std::unique_ptr<base::FileLock> lock, Lock());
  BANDB_ASSIGN_OR_RETURN(Descriptions earlier, ReadAll());
  BANDB_RETURN_IF_ERROR(CheckReadable(earlier));
  BANDB_RETURN_IF_ERROR(RemoveLeftovers(earlier));
  BANDB_RETURN_IF_ERROR(CheckCancelled());
  const uint64_t number = earlier.empty() ? 1 : earlier.rbegin()->first + 1;
  Making making(this, earlier);
  const absl::Status made = [&] {
    const std::string checkpoint = fmt::format("{}{}-checkpoint", FolderOf(number), kTemporary);
    BANDB_RETURN_IF_ERROR(internal::DbAccess::Checkpoint(db, checkpoint, &making));
    BANDB_RETURN_IF_ERROR(making.TakeFiles(checkpoint, FolderOf(number)));
    BANDB_RETURN_IF_ERROR(files_->SyncDir(TablesDir()));
    // Before the description, which must not be durable without what it names.
    BANDB_RETURN_IF_ERROR(files_->SyncDir(BackupsDir()));
    BANDB_RETURN_IF_ERROR(CheckCancelled());
    making.description()->time_ms = static_cast<uint64_t>(std::max<int64_t>(now_ms_(), 0));
    return base::InstallFile(files_, DescriptionPath(number), Encode(*making.description()));
  }();
  // The disk may be full of what is of no use now. Whether the description came to be is asked.
  Descriptions left = std::move(earlier);
  const absl::StatusOr<bool> is_there = files_->Exists(DescriptionPath(number));
  if (made.ok() || (is_there.ok() && *is_there)) left.emplace(number, *making.description());
  if (is_there.ok()) RemoveLeftovers(left).IgnoreError();
  BANDB_RETURN_IF_ERROR(made);
  return InfoOf(number, *making.description());
}

absl::StatusOr<std::vector<BackupInfo>> Repository::List() {
  BANDB_RETURN_IF_ERROR(CheckThere());
  BANDB_ASSIGN_OR_RETURN(const Descriptions all, ReadAll());
  std::vector<BackupInfo> backups;
  for (const auto& [number, description] : all) {
    if (description.ok()) {
      backups.push_back(InfoOf(number, *description));
    } else {
      backups.push_back({.number = number, .damage = std::string(base::Message(description.status()))});
    }
  }
  return backups;
}

absl::Status Repository::Verify(uint64_t number) {
  BANDB_ASSIGN_OR_RETURN(const std::unique_ptr<base::FileLock> lock, LockToRead());
  BANDB_ASSIGN_OR_RETURN(const Descriptions all, ReadAll());
  if (all.empty() || (number != 0 && !all.contains(number))) return NoSuchBackup(path_, number);
  std::vector<std::string> complaints;
  // Of bytes that are wrong, if there are any; else of a device that cannot read.
  absl::StatusCode code = absl::StatusCode::kDataLoss;
  const auto complain = [&](const absl::Status& status) {
    if (complaints.empty() || absl::IsDataLoss(status)) code = status.code();
    complaints.emplace_back(base::Message(status));
  };
  const auto check = [&](const std::string& path, const StoredBytes& stored) {
    const absl::StatusOr<StoredBytes> found = ReadThrough(files_, path);
    const absl::Status status = found.ok() ? CheckStored(*found, stored, path) : GoneIsDamage(found.status());
    if (!status.ok()) complain(status);
  };
  std::set<std::string> checked;
  for (const auto& [which, description] : all) {
    if (number != 0 && which != number) continue;
    if (!description.ok()) {
      complain(description.status());
      continue;
    }
    for (const FileEntry& file : description->files) check(base::JoinPath(FolderOf(which), file.path), file.stored);
    for (const TableEntry& table : description->tables) {
      if (checked.insert(TablePath(table.id)).second) check(TablePath(table.id), table.stored);
    }
  }
  if (complaints.empty()) return absl::OkStatus();
  std::string message = complaints[0];
  for (size_t i = 1; i < std::min(complaints.size(), kComplaintsMax); i++) message += "; " + complaints[i];
  if (complaints.size() > kComplaintsMax) message += fmt::format("; and {} more", complaints.size() - kComplaintsMax);
  return base::Error(code, "{}", message);
}

absl::Status Repository::Prune(uint64_t keep) {
  if (keep == 0) return base::Error(absl::StatusCode::kInvalidArgument, "at least one backup is to be kept");
  BANDB_ASSIGN_OR_RETURN(const std::unique_ptr<base::FileLock> lock, Lock());
  BANDB_ASSIGN_OR_RETURN(Descriptions all, ReadAll());
  // What a damaged one among those that stay needs is not known.
  const size_t gone = all.size() - std::min<size_t>(all.size(), keep);
  const auto first_kept = std::next(all.begin(), static_cast<ptrdiff_t>(gone));
  for (auto it = first_kept; it != all.end(); ++it) BANDB_RETURN_IF_ERROR(it->second.status());
  for (auto it = all.begin(); it != first_kept; ++it) {
    BANDB_RETURN_IF_ERROR(files_->Remove(DescriptionPath(it->first)));
  }
  // Which makes sure first that no description names them any more.
  all.erase(all.begin(), first_kept);
  return RemoveLeftovers(all);
}

absl::Status Repository::CopyChecked(const std::string& from, const std::string& to, const StoredBytes& stored) {
  const absl::StatusOr<StoredBytes> copied = CopyFile(files_, from, files_, to, GoOnAlways);
  return copied.ok() ? CheckStored(*copied, stored, from) : GoneIsDamage(copied.status());
}

absl::Status Repository::RestoreInto(const Description& description, const std::string& folder,
                                     const std::string& dir) {
  const std::string engine_dir = storage::EngineDir(dir);
  BANDB_RETURN_IF_ERROR(files_->CreateDirs(engine_dir));
  for (const TableEntry& table : description.tables) {
    const std::string to = base::JoinPath(engine_dir, storage::TableName(table.number));
    BANDB_RETURN_IF_ERROR(CopyChecked(TablePath(table.id), to, table.stored));
  }
  // The identity comes last: without it, nobody takes the directory for a database.
  for (const bool last : {false, true}) {
    for (const FileEntry& file : description.files) {
      const std::string to = base::JoinPath(dir, file.path);
      if ((to == storage::IdentityPath(dir)) != last) continue;
      BANDB_RETURN_IF_ERROR(CopyChecked(base::JoinPath(folder, file.path), to, file.stored));
    }
  }
  for (std::string path = engine_dir; path.size() > dir.size(); path = base::ParentPath(path)) {
    BANDB_RETURN_IF_ERROR(files_->SyncDir(path));
  }
  return files_->SyncDir(dir);
}

absl::Status Repository::Restore(uint64_t number, const std::string& dir) {
  BANDB_ASSIGN_OR_RETURN(const std::unique_ptr<base::FileLock> lock, LockToRead());
  BANDB_ASSIGN_OR_RETURN(const Description description, Find(&number));
  if (dir == path_ || dir.starts_with(path_ + "/")) {
    return base::Error(absl::StatusCode::kInvalidArgument, "{}: is in the repository itself", dir);
  }
  BANDB_ASSIGN_OR_RETURN(const bool exists, files_->Exists(dir));
  if (exists) return base::Error(absl::StatusCode::kAlreadyExists, "{}: exists", dir);
  // Each folder that is made gets an entry in the one above it.
  std::vector<std::string> above;
  for (bool there = false; !there;) {
    above.push_back(base::ParentPath(above.empty() ? dir : above.back()));
    BANDB_ASSIGN_OR_RETURN(there, files_->Exists(above.back()));
  }
  BANDB_ASSIGN_OR_RETURN(const uint64_t room, files_->FreeBytes(above.back()));
  if (room < description.bytes()) {
    return base::Error(absl::StatusCode::kResourceExhausted, "{}: the backup takes {} bytes, and {} are free",
                       above.back(), description.bytes(), room);
  }
  const std::string made = fmt::format("{}{}-{}", dir, kTemporary, storage::ToString(storage::RandomUuid(&random_)));
  absl::Status restored = RestoreInto(description, FolderOf(number), made);
  if (restored.ok()) restored = files_->RenameDirectory(made, dir);
  if (!restored.ok()) {
    RemoveTree(made).IgnoreError();
    return restored;
  }
  for (const std::string& path : above) BANDB_RETURN_IF_ERROR(files_->SyncDir(path));
  return absl::OkStatus();
}

}  // namespace bandb::backup
