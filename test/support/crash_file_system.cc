#include "support/crash_file_system.h"

#include <algorithm>
#include <cerrno>

#include "base/assert.h"
#include "support/crash_state.h"

namespace bandb::test {

namespace {

absl::Status PathError(int error_number, FileCall call, std::string_view path) {
  return base::ErrnoStatus(error_number, fmt::format("{}: {}", path, FileCallName(call)));
}

// The error for a place that must hold something.
int MustExist(int found, const CrashDisk::Place& place) { return found == 0 && place.node == nullptr ? ENOENT : found; }

}  // namespace

CrashFileSystem::CrashFileSystem() : CrashFileSystem(CrashDisk()) {}
CrashFileSystem::CrashFileSystem(CrashDisk disk) : CrashFileSystem(std::make_shared<State>(std::move(disk)), {}) {}
CrashFileSystem::CrashFileSystem(std::shared_ptr<State> state, std::vector<PinnedDirectory> pinned)
    : state_(std::move(state)), pinned_(std::move(pinned)) {}
CrashFileSystem::~CrashFileSystem() = default;

const CrashFileSystem::PinnedDirectory* CrashFileSystem::PinnedFor(std::string_view path) const {
  const PinnedDirectory* innermost = nullptr;
  for (const PinnedDirectory& pinned : pinned_) {
    const size_t bytes = pinned.name.size();
    const bool inside = path.starts_with(pinned.name) && (path.size() == bytes || path[bytes] == '/');
    if (inside && (innermost == nullptr || bytes > innermost->name.size())) innermost = &pinned;
  }
  return innermost;
}

int CrashFileSystem::FindLocked(std::string_view path, CrashDisk::Place* place) const {
  state_->mutex.AssertHeld();
  const PinnedDirectory* const pinned = PinnedFor(path);
  if (pinned == nullptr) return state_->disk.Find(path, place);
  return state_->disk.FindFrom(pinned->node, path.substr(pinned->name.size()), place);
}

int CrashFileSystem::FindToMakeLocked(std::string_view path, CrashDisk::Place* place) const {
  state_->mutex.AssertHeld();
  const int error_number = FindLocked(path, place);
  const bool gone = error_number == 0 && place->parent != nullptr && state_->disk.IsGone(place->parent);
  return gone ? ENOENT : error_number;
}

absl::StatusOr<std::unique_ptr<base::FileSystem>> CrashFileSystem::Pin(const std::string& path) {
  base::MutexLock lock(&state_->mutex);
  BANDB_RETURN_IF_ERROR(state_->plan.Begin(FileCall::kPin, path, ""));
  CrashDisk::Place place;
  int error_number = MustExist(FindLocked(path, &place), place);
  if (error_number == 0 && !place.node->directory) error_number = ENOTDIR;
  if (error_number != 0) return PathError(error_number, FileCall::kPin, path);
  std::vector<PinnedDirectory> pinned = pinned_;
  pinned.push_back({path, place.node});
  return std::unique_ptr<base::FileSystem>(new CrashFileSystem(state_, std::move(pinned)));
}

absl::StatusOr<std::unique_ptr<base::AppendableFile>> CrashFileSystem::Create(const std::string& path,
                                                                              base::AppendMode mode) {
  state_->CallHook(FileCall::kCreate);
  base::MutexLock lock(&state_->mutex);
  BANDB_RETURN_IF_ERROR(state_->plan.Begin(FileCall::kCreate, path, ""));
  CrashDisk::Place place;
  int error_number = FindToMakeLocked(path, &place);
  if (error_number == 0 && place.node != nullptr) error_number = EEXIST;
  if (error_number == 0) error_number = state_->TakeSpaceLocked(0);
  if (error_number != 0) return PathError(error_number, FileCall::kCreate, path);
  const auto node = std::make_shared<DiskNode>(false);
  state_->disk.SetEntry(place.parent, place.name, node);
  return std::make_unique<Writer>(state_, node, path, mode);
}

absl::StatusOr<std::unique_ptr<base::RandomAccessFile>> CrashFileSystem::Open(const std::string& path) {
  state_->CallOpenHook();
  CrashDisk::Place place;
  {
    base::MutexLock lock(&state_->mutex);
    BANDB_RETURN_IF_ERROR(state_->plan.Begin(FileCall::kOpen, path, ""));
    int error_number = MustExist(FindLocked(path, &place), place);
    if (error_number == 0 && place.node->directory) error_number = EISDIR;
    if (error_number != 0) return PathError(error_number, FileCall::kOpen, path);
  }
  return std::make_unique<Reader>(state_, place.node, path);
}

absl::StatusOr<std::vector<std::string>> CrashFileSystem::List(const std::string& path) {
  base::MutexLock lock(&state_->mutex);
  BANDB_RETURN_IF_ERROR(state_->plan.Begin(FileCall::kList, path, ""));
  CrashDisk::Place place;
  int error_number = MustExist(FindLocked(path, &place), place);
  if (error_number == 0 && !place.node->directory) error_number = ENOTDIR;
  if (error_number != 0) return PathError(error_number, FileCall::kList, path);
  std::vector<std::string> names;
  for (const auto& [name, node] : place.node->entries) names.push_back(name);
  return names;
}

absl::StatusOr<uint64_t> CrashFileSystem::FileSize(const std::string& path) {
  base::MutexLock lock(&state_->mutex);
  BANDB_RETURN_IF_ERROR(state_->plan.Begin(FileCall::kFileSize, path, ""));
  CrashDisk::Place place;
  const int error_number = MustExist(FindLocked(path, &place), place);
  if (error_number != 0) return PathError(error_number, FileCall::kFileSize, path);
  return place.node->ReadableSize();
}

absl::StatusOr<bool> CrashFileSystem::Exists(const std::string& path) {
  base::MutexLock lock(&state_->mutex);
  BANDB_RETURN_IF_ERROR(state_->plan.Begin(FileCall::kExists, path, ""));
  CrashDisk::Place place;
  return FindLocked(path, &place) == 0 && place.node != nullptr;
}

absl::Status CrashFileSystem::CreateDirs(const std::string& path) {
  state_->CallHook(FileCall::kCreateDirs);
  base::MutexLock lock(&state_->mutex);
  BANDB_RETURN_IF_ERROR(state_->plan.Begin(FileCall::kCreateDirs, path, ""));
  // What a pinned directory lies in need not be there any more.
  const PinnedDirectory* const pinned = PinnedFor(path);
  for (size_t end = path.find('/', pinned == nullptr ? 1 : pinned->name.size());; end = path.find('/', end + 1)) {
    const std::string part = path.substr(0, end);
    CrashDisk::Place place;
    int error_number = FindToMakeLocked(part, &place);
    if (error_number == 0 && place.node == nullptr) {
      state_->disk.SetEntry(place.parent, place.name, std::make_shared<DiskNode>(true));
    } else if (error_number == 0 && !place.node->directory) {
      error_number = EEXIST;
    }
    if (error_number != 0) return PathError(error_number, FileCall::kCreateDirs, part);
    if (end == std::string::npos) return absl::OkStatus();
  }
}

absl::Status CrashFileSystem::Rename(const std::string& from, const std::string& to) {
  state_->CallHook(FileCall::kRename);
  base::MutexLock lock(&state_->mutex);
  BANDB_RETURN_IF_ERROR(state_->plan.Begin(FileCall::kRename, from, to));
  CrashDisk::Place source, target;
  int error_number = MustExist(FindLocked(from, &source), source);
  if (error_number == 0) error_number = FindToMakeLocked(to, &target);
  if (error_number == 0 && target.node != nullptr) {
    if (target.node->directory != source.node->directory) error_number = target.node->directory ? EISDIR : ENOTDIR;
    if (target.node->directory && !target.node->entries.empty()) error_number = ENOTEMPTY;
  }
  if (error_number != 0) return PathError(error_number, FileCall::kRename, from);
  state_->disk.Move(source, target);
  return absl::OkStatus();
}

absl::Status CrashFileSystem::RenameDirectory(const std::string& from, const std::string& to) {
  state_->CallHook(FileCall::kRename);
  base::MutexLock lock(&state_->mutex);
  BANDB_RETURN_IF_ERROR(state_->plan.Begin(FileCall::kRename, from, to));
  CrashDisk::Place source, target;
  int error_number = MustExist(FindLocked(from, &source), source);
  if (error_number == 0 && !source.node->directory) error_number = ENOTDIR;
  if (error_number == 0) error_number = FindToMakeLocked(to, &target);
  if (error_number == 0 && target.node != nullptr) error_number = EEXIST;
  if (error_number != 0) return PathError(error_number, FileCall::kRename, from);
  state_->disk.Move(source, target);
  return absl::OkStatus();
}

absl::Status CrashFileSystem::WriteOver(const std::string& path, uint64_t offset, std::string_view bytes) {
  state_->CallHook(FileCall::kSync);
  base::MutexLock lock(&state_->mutex);
  BANDB_RETURN_IF_ERROR(state_->plan.Begin(FileCall::kSync, path, fmt::format("{} at {}", bytes.size(), offset)));
  CrashDisk::Place place;
  int error_number = MustExist(FindLocked(path, &place), place);
  if (error_number == 0 && place.node->directory) error_number = EISDIR;
  if (error_number != 0) return PathError(error_number, FileCall::kSync, path);
  DiskNode& file = *place.node;
  const uint64_t end = offset + bytes.size();
  // Reserved zeros are written over, too, and are content from then on.
  BANDB_ASSERT(end <= file.ReadableSize());
  if (file.bytes().size() < end) file.MutableBytes()->resize(end, '\0');
  file.visible = std::max(file.visible, end);
  BANDB_ASSERT(std::string_view(file.bytes()).substr(offset, bytes.size()) == bytes);
  if (state_->plan.IgnoresSync(FileCall::kSync, path, file.FileUnsynced())) return absl::OkStatus();
  // What lies before was durable, or the caller would have written it, too.
  file.synced = std::max(file.synced, end);
  file.synced_end = std::max(file.synced_end, end);
  file.unsyncable = file.unsyncable && file.synced < file.bytes().size();
  return absl::OkStatus();
}

absl::Status CrashFileSystem::Link(const std::string& from, const std::string& to) {
  state_->CallHook(FileCall::kLink);
  base::MutexLock lock(&state_->mutex);
  BANDB_RETURN_IF_ERROR(state_->plan.Begin(FileCall::kLink, from, to));
  CrashDisk::Place source, target;
  int error_number = MustExist(FindLocked(from, &source), source);
  // The operating system answers EPERM for a directory, which the seam calls kInternal: no links
  // here.
  if (error_number == 0 && source.node->directory) error_number = EXDEV;
  if (error_number == 0) error_number = FindToMakeLocked(to, &target);
  if (error_number == 0 && target.node != nullptr) error_number = EEXIST;
  if (error_number != 0) return PathError(error_number, FileCall::kLink, from);
  state_->disk.SetEntry(target.parent, target.name, source.node);
  return absl::OkStatus();
}

absl::Status CrashFileSystem::Remove(const std::string& path) {
  state_->CallHook(FileCall::kRemove);
  base::MutexLock lock(&state_->mutex);
  BANDB_RETURN_IF_ERROR(state_->plan.Begin(FileCall::kRemove, path, ""));
  CrashDisk::Place place;
  int error_number = MustExist(FindLocked(path, &place), place);
  if (error_number == 0 && place.node->directory) error_number = EISDIR;
  if (error_number != 0) return PathError(error_number, FileCall::kRemove, path);
  state_->disk.SetEntry(place.parent, place.name, nullptr);
  return absl::OkStatus();
}

absl::Status CrashFileSystem::RemoveDir(const std::string& path) {
  state_->CallHook(FileCall::kRemoveDir);
  base::MutexLock lock(&state_->mutex);
  BANDB_RETURN_IF_ERROR(state_->plan.Begin(FileCall::kRemoveDir, path, ""));
  CrashDisk::Place place;
  int error_number = MustExist(FindLocked(path, &place), place);
  if (error_number == 0 && !place.node->directory) error_number = ENOTDIR;
  if (error_number == 0 && !place.node->entries.empty()) error_number = ENOTEMPTY;
  if (error_number == 0 && place.parent == nullptr) error_number = EBUSY;
  if (error_number != 0) return PathError(error_number, FileCall::kRemoveDir, path);
  state_->disk.SetEntry(place.parent, place.name, nullptr);
  return absl::OkStatus();
}

absl::Status CrashFileSystem::SyncDir(const std::string& path) {
  state_->CallHook(FileCall::kSyncDir);
  base::MutexLock lock(&state_->mutex);
  BANDB_RETURN_IF_ERROR(state_->plan.Begin(FileCall::kSyncDir, path, ""));
  CrashDisk::Place place;
  int error_number = MustExist(FindLocked(path, &place), place);
  if (error_number == 0 && !place.node->directory) error_number = ENOTDIR;
  if (error_number != 0) return PathError(error_number, FileCall::kSyncDir, path);
  const Unsynced unsynced = state_->disk.DirectoryUnsynced(place.node);
  if (!state_->plan.IgnoresSync(FileCall::kSyncDir, path, unsynced)) state_->disk.SyncDirectory(place.node);
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<base::FileLock>> CrashFileSystem::Lock(const std::string& path) {
  state_->CallHook(FileCall::kLock);
  base::MutexLock lock(&state_->mutex);
  BANDB_RETURN_IF_ERROR(state_->plan.Begin(FileCall::kLock, path, ""));
  CrashDisk::Place place;
  const int error_number = FindToMakeLocked(path, &place);
  if (error_number != 0) return PathError(error_number, FileCall::kLock, path);
  if (place.node == nullptr && !place.parent->locked) {
    place.node = std::make_shared<DiskNode>(false);
    state_->disk.SetEntry(place.parent, place.name, place.node);
  }
  if (place.node != nullptr && place.node->directory) return PathError(EISDIR, FileCall::kLock, path);
  if (place.parent->locked || place.node->locked) {
    return base::Error(absl::StatusCode::kFailedPrecondition, "{}: this process holds the lock", path);
  }
  return std::make_unique<HeldLock>(state_, place.node, place.parent);
}

absl::StatusOr<bool> CrashFileSystem::IsLocked(const std::string& path) {
  base::MutexLock lock(&state_->mutex);
  BANDB_RETURN_IF_ERROR(state_->plan.Begin(FileCall::kExists, path, ""));
  CrashDisk::Place place;
  const int error_number = FindLocked(path, &place);
  if (error_number != 0) return PathError(error_number, FileCall::kExists, path);
  return place.parent->locked || (place.node != nullptr && place.node->locked);
}

absl::StatusOr<uint64_t> CrashFileSystem::FreeBytes(const std::string& path) {
  base::MutexLock lock(&state_->mutex);
  BANDB_RETURN_IF_ERROR(state_->plan.Begin(FileCall::kFreeBytes, path, ""));
  CrashDisk::Place place;
  const int error_number = MustExist(FindLocked(path, &place), place);
  if (error_number != 0) return PathError(error_number, FileCall::kFreeBytes, path);
  if (state_->capacity_bytes == State::kUnlimited) return uint64_t{1} << 40;
  const uint64_t used = state_->disk.UsedBytes();
  return state_->capacity_bytes - std::min(used, state_->capacity_bytes);
}

}  // namespace bandb::test
