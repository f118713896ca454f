#include "storage/engine/database_directory.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/status.h"
#include "storage/file/file_names.h"
#include "storage/file/identity.h"
#include "storage/file/refused_read.h"

namespace bandb::storage {

namespace {

absl::Status Missing(std::string_view path, std::string_view though) {
  return base::Error(absl::StatusCode::kDataLoss, "{}: offset 0: missing, though there is {}", path, though);
}

absl::StatusOr<Identity> ReadIdentity(base::FileSystem* files, const std::string& path) {
  BANDB_ASSIGN_OR_RETURN(const std::string bytes, base::ReadFile(files, path, kIdentityBytesMax));
  return DecodeIdentity(bytes, path);
}

class DirectoryOpener {
 public:
  DirectoryOpener(base::FileSystem* files, const std::string& dir, bool create, base::Random* random,
                  const Identity* node)
      : files_(files), dir_(dir), engine_dir_(EngineDir(dir)), create_(create), random_(random), node_(node) {}

  absl::StatusOr<DatabaseDirectory> Run() {
    // Once without the lock, so that what is somebody else's is not touched at all; then again with
    // it.
    BANDB_RETURN_IF_ERROR(MustBeThere(Look()));
    if (state_ != State::kExists && !create_) {
      return base::Error(absl::StatusCode::kNotFound, "{}: holds no database, and create_if_missing is not set", dir_);
    }
    BANDB_RETURN_IF_ERROR(MustBeThere(Prepare()));
    return std::move(directory_);
  }

  // Only to read it.
  absl::StatusOr<DatabaseDirectory> Find() {
    BANDB_ASSIGN_OR_RETURN(const bool there, files_->Exists(dir_));
    if (there) {
      BANDB_ASSIGN_OR_RETURN(directory_.files, DatabaseFiles::ForReading(files_, dir_));
      files_ = directory_.files.get();
      BANDB_RETURN_IF_ERROR(MustBeThere(Look()));
    }
    if (state_ != State::kExists) return base::Error(absl::StatusCode::kNotFound, "{}: holds no database", dir_);
    directory_.exists = true;
    BANDB_RETURN_IF_ERROR(MustBeThere(directory_.files->PinEngineDir()));
    return std::move(directory_);
  }

 private:
  enum class State : uint8_t { kNothing, kBegun, kExists };

  absl::Status Prepare() {
    if (state_ == State::kNothing) BANDB_RETURN_IF_ERROR(CreateDirs());
    BANDB_ASSIGN_OR_RETURN(directory_.files, DatabaseFiles::Lock(files_, dir_));
    files_ = directory_.files.get();
    BANDB_RETURN_IF_ERROR(Look());
    directory_.files->NameOwner();
    if (state_ == State::kExists) {
      // The process that created it may have died between giving the identity its name and making
      // that durable. What is acknowledged from now on must not go with the name.
      BANDB_RETURN_IF_ERROR(files_->SyncDir(dir_));
    } else {
      BANDB_RETURN_IF_ERROR(BeginCreation());
    }
    directory_.exists = state_ == State::kExists;
    return directory_.files->PinEngineDir();
  }

  // Finds out which it is, and changes nothing.
  absl::Status Look() {
    while (true) {
      BANDB_ASSIGN_OR_RETURN(const bool exists, files_->Exists(IdentityPath(dir_)));
      const absl::Status looked = exists ? LookAtDatabase() : LookAtBeginning();
      if (looked.ok() || exists) return looked;
      // Without the lock, somebody may have finished its creation between two looks.
      BANDB_ASSIGN_OR_RETURN(const bool finished, files_->Exists(IdentityPath(dir_)));
      if (!finished) return looked;
    }
  }

  absl::Status LookAtDatabase() {
    state_ = State::kExists;
    BANDB_ASSIGN_OR_RETURN(const Identity identity, ReadIdentity(files_, IdentityPath(dir_)));
    BANDB_RETURN_IF_ERROR(CheckOwner(identity));
    directory_.database_id = identity.database_id;
    BANDB_ASSIGN_OR_RETURN(const bool has_dir, files_->Exists(engine_dir_));
    if (!has_dir) return Missing(engine_dir_, "an IDENTITY");
    BANDB_ASSIGN_OR_RETURN(const bool has_current, files_->Exists(CurrentPath(engine_dir_)));
    return has_current ? absl::OkStatus() : Missing(CurrentPath(engine_dir_), "an IDENTITY");
  }

  absl::Status CheckOwner(const Identity& identity) const {
    if (node_ != nullptr && !(identity == *node_)) {
      return base::Error(absl::StatusCode::kFailedPrecondition,
                         "{}: belongs to node {} of cluster {} with database {}, not to node {} of cluster {} with "
                         "database {}",
                         dir_, identity.node_id, ToString(identity.cluster_id), ToString(identity.database_id),
                         node_->node_id, ToString(node_->cluster_id), ToString(node_->database_id));
    }
    // A node of a cluster has another log, and what is written past that would be known to this
    // node alone.
    if (node_ == nullptr && identity.IsOfCluster()) {
      return base::Error(absl::StatusCode::kFailedPrecondition,
                         "{}: belongs to node {} of cluster {}, and cannot be opened without it", dir_,
                         identity.node_id, ToString(identity.cluster_id));
    }
    return absl::OkStatus();
  }

  absl::Status LookAtBeginning() {
    state_ = State::kNothing;
    directory_.leftovers.clear();
    BANDB_ASSIGN_OR_RETURN(const bool has_dir, files_->Exists(engine_dir_));
    std::vector<std::string> names;
    if (has_dir) {
      BANDB_ASSIGN_OR_RETURN(names, files_->List(engine_dir_));
    }
    BANDB_ASSIGN_OR_RETURN(const bool begun, files_->Exists(CreatingPath(dir_)));
    for (const std::string& name : names) {
      const auto parsed = ParseFileName(name);
      if (!begun && (parsed || name == CurrentName())) return Missing(IdentityPath(dir_), "a database");
      if (!parsed || parsed->number > kFileNumbersAhead) continue;
      directory_.leftovers.push_back(name);
      directory_.next_file_number = std::max(directory_.next_file_number, parsed->number + 1);
    }
    if (!begun) return absl::OkStatus();
    state_ = State::kBegun;
    return ReadIdentity(files_, CreatingPath(dir_)).status();
  }

  absl::Status CreateDirs() {
    // Each folder that is missing gets an entry in the one above it.
    for (std::string path = dir_;; path = base::ParentPath(path)) {
      BANDB_ASSIGN_OR_RETURN(const bool there, files_->Exists(path));
      if (there || path == base::ParentPath(path)) break;
      changed_dirs_.push_back(base::ParentPath(path));
    }
    return files_->CreateDirs(dir_);
  }

  absl::Status BeginCreation() {
    BANDB_ASSERT(state_ != State::kExists);
    BANDB_RETURN_IF_ERROR(files_->CreateDirs(engine_dir_));
    Identity begun;
    if (state_ == State::kBegun) {
      BANDB_ASSIGN_OR_RETURN(begun, ReadIdentity(files_, CreatingPath(dir_)));
    }
    // What somebody else had begun is nobody's.
    const bool goes_on = state_ == State::kBegun && (node_ != nullptr ? begun == *node_ : !begun.IsOfCluster());
    if (!goes_on) {
      begun = node_ != nullptr ? *node_ : Identity{.database_id = RandomUuid(random_)};
      BANDB_RETURN_IF_ERROR(base::InstallFile(files_, CreatingPath(dir_), EncodeIdentity(begun)));
    }
    directory_.database_id = begun.database_id;
    // The folders on the way, from the inside out.
    for (std::string path = engine_dir_; path.size() > dir_.size();) {
      path = base::ParentPath(path);
      BANDB_RETURN_IF_ERROR(files_->SyncDir(path));
    }
    for (const std::string& path : changed_dirs_) BANDB_RETURN_IF_ERROR(files_->SyncDir(path));
    BANDB_RETURN_IF_ERROR(files_->SyncDir(base::ParentPath(dir_)));
    // Those farther up may come from a creation that was cut short. One that may not be read was
    // not made by us.
    for (std::string path = base::ParentPath(dir_); path != base::ParentPath(path);) {
      path = base::ParentPath(path);
      files_->SyncDir(path).IgnoreError();
    }
    return absl::OkStatus();
  }

  // Until the directory is locked the caller's, then what is bound to it.
  base::FileSystem* files_;
  const std::string dir_;
  const std::string engine_dir_;
  const bool create_;
  base::Random* const random_;
  const Identity* const node_;
  State state_ = State::kNothing;
  // Above the database, where CreateDirs made folders.
  std::vector<std::string> changed_dirs_;
  DatabaseDirectory directory_;
};

}  // namespace

absl::StatusOr<DatabaseDirectory> OpenDatabaseDirectory(base::FileSystem* files, const std::string& dir, bool create,
                                                        base::Random* random, const Identity* node) {
  return DirectoryOpener(files, dir, create, random, node).Run();
}

absl::StatusOr<DatabaseDirectory> FindDatabaseDirectory(base::FileSystem* files, const std::string& dir,
                                                        const Identity* node) {
  return DirectoryOpener(files, dir, false, nullptr, node).Find();
}

absl::Status FinishCreation(base::FileSystem* files, const std::string& dir) {
  BANDB_RETURN_IF_ERROR(files->Rename(CreatingPath(dir), IdentityPath(dir)));
  return files->SyncDir(dir);
}

}  // namespace bandb::storage
