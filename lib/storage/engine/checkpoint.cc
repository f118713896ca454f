#include "storage/engine/checkpoint.h"

#include <memory>
#include <utility>
#include <vector>

#include "base/status.h"
#include "storage/file/file_names.h"
#include "storage/file/identity.h"
#include "storage/file/refused_read.h"
#include "storage/log/log_writer.h"

namespace bandb::storage {

namespace {

constexpr size_t kCopyBytes = 1 << 20;

// Copies a file byte by byte, where no link can be made.
absl::Status CopyFile(base::FileSystem* files, const std::string& from, const std::string& to,
                      const std::function<absl::Status()>& go_on) {
  BANDB_ASSIGN_OR_RETURN(const std::unique_ptr<base::RandomAccessFile> source, files->Open(from));
  BANDB_ASSIGN_OR_RETURN(const std::unique_ptr<base::AppendableFile> target,
                         files->Create(to, base::AppendMode::kBuffered));
  std::string buffer(kCopyBytes, '\0');
  for (uint64_t offset = 0; offset < source->Size();) {
    BANDB_RETURN_IF_ERROR(go_on());
    BANDB_ASSIGN_OR_RETURN(const size_t got, source->Read(offset, absl::MakeSpan(buffer)));
    if (got == 0) return base::Error(absl::StatusCode::kDataLoss, "{}: offset {}: the file is cut off", from, offset);
    BANDB_RETURN_IF_ERROR(target->Append(std::string_view(buffer).substr(0, got)));
    offset += got;
  }
  BANDB_RETURN_IF_ERROR(target->Sync());
  return target->Close();
}

// What a copy is called while it is made: one that is made to the same place at the same time has
// another name.
std::string NameWhileMade(const std::string& dir, base::Random* random) {
  return fmt::format("{}.tmp-{}", dir, ToString(RandomUuid(random)));
}

class CheckpointWriter {
 public:
  CheckpointWriter(CheckpointSource source, const std::string& dir)
      : source_(std::move(source)),
        files_(source_.files),
        dir_(dir),
        made_dir_(NameWhileMade(dir, &source_.random)),
        engine_dir_(EngineDir(made_dir_)) {}

  absl::Status Run() {
    BANDB_ASSIGN_OR_RETURN(const bool exists, files_->Exists(dir_));
    if (exists) return base::Error(absl::StatusCode::kAlreadyExists, "{}: exists", dir_);
    // Each folder that is made gets an entry in the one above it.
    for (bool there = false; !there;) {
      outer_dirs_.push_back(base::ParentPath(outer_dirs_.empty() ? dir_ : outer_dirs_.back()));
      BANDB_ASSIGN_OR_RETURN(there, files_->Exists(outer_dirs_.back()));
    }
    absl::Status made = Make();
    if (!made.ok()) RemoveAll();
    return made;
  }

 private:
  absl::Status Make() {
    BANDB_RETURN_IF_ERROR(files_->CreateDirs(engine_dir_));
    BANDB_ASSIGN_OR_RETURN(pinned_, files_->Pin(made_dir_));
    files_ = pinned_.get();
    BANDB_RETURN_IF_ERROR(Write());
    // It is nobody else's to open before it is durable, for it may have to be taken back.
    BANDB_ASSIGN_OR_RETURN(lock_, files_->Lock(LockPath(made_dir_)));
    BANDB_RETURN_IF_ERROR(source_.files->RenameDirectory(made_dir_, dir_));
    absl::Status durable;
    for (const std::string& path : outer_dirs_) {
      if (durable.ok()) durable = files_->SyncDir(path);
    }
    if (!durable.ok()) source_.files->RenameDirectory(dir_, made_dir_).IgnoreError();
    return durable;
  }

  // The identity comes last: without it, nobody takes the directory for a database.
  absl::Status Write() {
    BANDB_RETURN_IF_ERROR(CopyTables());
    // A log of its own, empty: everything is in tables.
    const uint64_t log_number = source_.log_number;
    const FileHeader log_header = Header(FileType::kLog);
    BANDB_ASSIGN_OR_RETURN(const std::unique_ptr<LogWriter> log,
                           LogWriter::Create(files_, base::JoinPath(engine_dir_, LogName(log_number)), log_header));
    BANDB_RETURN_IF_ERROR(log->Sync());
    BANDB_RETURN_IF_ERROR(log->Close());
    ManifestState& state = source_.state;
    state.log_number = log_number;
    state.begun_log = log_number;
    state.log_ends = {{log_number, log->Size()}};
    state.next_file_number = log_number + 2;
    BANDB_ASSIGN_OR_RETURN(
        const std::unique_ptr<Manifest> manifest,
        Manifest::CreateCurrent(files_, engine_dir_, log_number + 1, Header(FileType::kManifest), source_.state));
    BANDB_RETURN_IF_ERROR(manifest->Close());
    for (std::string path = engine_dir_; path.size() > made_dir_.size();) {
      path = base::ParentPath(path);
      BANDB_RETURN_IF_ERROR(files_->SyncDir(path));
    }
    return base::InstallFile(files_, IdentityPath(made_dir_), EncodeIdentity({.database_id = source_.database_id}));
  }

  absl::Status CopyTables() {
    internal::CheckpointSink* const sink = source_.sink;
    if (sink != nullptr) BANDB_RETURN_IF_ERROR(sink->Begin(files_, StateForSink(), source_.go_on));
    for (int level = 0; level < kLevels; ++level) {
      for (const TablePtr& table : source_.state.version->level(level)) {
        BANDB_RETURN_IF_ERROR(source_.go_on());
        const std::string name = TableName(table->info().number);
        const std::string from = base::JoinPath(source_.engine_dir, name);
        if (sink != nullptr) {
          BANDB_RETURN_IF_ERROR(MustBeThere(sink->TakeTable(files_, from, table->info().number, source_.go_on)));
          continue;
        }
        const std::string to = base::JoinPath(engine_dir_, name);
        if (files_->Link(from, to).ok()) continue;
        BANDB_RETURN_IF_ERROR(MustBeThere(CopyFile(files_, from, to, source_.go_on)));
      }
    }
    return absl::OkStatus();
  }

  internal::CheckpointState StateForSink() const {
    internal::CheckpointState state{.database_id = source_.database_id.bytes,
                                    .last_sequence = source_.state.last_sequence,
                                    .commit_time_ms = source_.state.commit_time_ms,
                                    .cut_ms = source_.cut_ms,
                                    .place_at = source_.place_at,
                                    .keeps_logs = source_.keeps_logs};
    for (const KeptLog& log : source_.kept_logs) {
      state.logs.push_back({.path = base::JoinPath(source_.engine_dir, LogName(log.number)),
                            .bytes = log.bytes,
                            .first_sequence = log.first_sequence,
                            .last_sequence = log.last_sequence,
                            .end_ms = log.end_ms});
    }
    return state;
  }

  FileHeader Header(FileType type) {
    return {.type = type, .database_id = source_.database_id, .file_id = RandomUuid(&source_.random)};
  }

  // From the inside out. What cannot be removed stays, under a name that nobody asked for.
  void RemoveAll() {
    lock_.reset();
    for (std::string path = engine_dir_;; path = base::ParentPath(path)) {
      const absl::StatusOr<std::vector<std::string>> names = files_->List(path);
      if (names.ok()) {
        for (const std::string& name : *names) files_->Remove(base::JoinPath(path, name)).IgnoreError();
      }
      // The outermost goes by its name.
      base::FileSystem* const by_name = path.size() > made_dir_.size() ? files_ : source_.files;
      by_name->RemoveDir(path).IgnoreError();
      if (path.size() <= made_dir_.size()) return;
    }
  }

  CheckpointSource source_;
  // The source's, and once there is a folder, bound to that.
  base::FileSystem* files_;
  std::unique_ptr<base::FileSystem> pinned_;
  const std::string dir_;
  const std::string made_dir_;
  const std::string engine_dir_;
  // Above the copy, up to the first that was there.
  std::vector<std::string> outer_dirs_;
  std::unique_ptr<base::FileLock> lock_;
};

}  // namespace

absl::Status WriteCheckpoint(CheckpointSource source, const std::string& dir) {
  return CheckpointWriter(std::move(source), dir).Run();
}

}  // namespace bandb::storage
