#include "backup/making.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "backup/archived_log.h"
#include "base/status.h"
#include "storage/table/block_cache.h"
#include "storage/table/table_reader.h"

namespace bandb::backup {

namespace {

// Reads a table back, and verifies all that is in it.
absl::Status VerifyTable(base::FileSystem* files, const std::string& path) {
  BANDB_ASSIGN_OR_RETURN(std::unique_ptr<base::RandomAccessFile> file, files->Open(path));
  constexpr uint64_t kCacheBytes = 1 << 20;
  storage::BlockCache cache(kCacheBytes);
  BANDB_ASSIGN_OR_RETURN(const std::unique_ptr<storage::TableReader> table,
                         storage::TableReader::Open(std::move(file), path, &cache));
  return table->VerifyChecksums();
}

// All files below a folder, as paths within it.
absl::Status ListTree(base::FileSystem* files, const std::string& root, const std::string& inner,
                      std::vector<std::string>* paths) {
  const std::string folder = inner.empty() ? root : base::JoinPath(root, inner);
  BANDB_ASSIGN_OR_RETURN(const std::vector<std::string> names, files->List(folder));
  for (const std::string& name : names) {
    std::string path = inner.empty() ? name : base::JoinPath(inner, name);
    // A folder is what can be listed.
    if (files->List(base::JoinPath(root, path)).ok()) {
      BANDB_RETURN_IF_ERROR(ListTree(files, root, path, paths));
    } else {
      paths->push_back(std::move(path));
    }
  }
  return absl::OkStatus();
}

}  // namespace

Making::Making(base::FileSystem* files, const Layout& layout, const Survey& earlier, const BackupOptions& options,
               uint64_t begun_ms, std::function<absl::Status()> check_cancelled)
    : files_(files),
      layout_(layout),
      earlier_(earlier),
      options_(options),
      check_cancelled_(std::move(check_cancelled)) {
  description_.time_ms = begun_ms;
}

absl::Status Making::Begin(base::FileSystem* files, const internal::CheckpointState& state, const GoOn& go_on) {
  description_.database_id.bytes = state.database_id;
  description_.last_sequence = state.last_sequence;
  for (const auto& [number, head] : earlier_.heads) {
    if (!head.ok() || head->database_id == description_.database_id) continue;
    return base::Error(absl::StatusCode::kFailedPrecondition, "{}: has the backups of database {}, and this is {}",
                       layout_.root(), storage::ToString(head->database_id),
                       storage::ToString(description_.database_id));
  }
  TakeTimes(state);
  // A node has a feed of the whole cluster.
  if (!state.place_at) return absl::OkStatus();
  description_.place = state.place_at(state.last_sequence);
  if (!options_.logs) return absl::OkStatus();
  if (!state.keeps_logs) {
    return base::Error(absl::StatusCode::kFailedPrecondition,
                       "logs are archived of a database that keeps them for a while: set changes_keep_bytes");
  }
  return TakeLogs(files, state, go_on);
}

void Making::TakeTimes(const internal::CheckpointState& state) {
  if (!state.place_at) {
    // What a node has not applied was committed no earlier, whatever its own clock shows.
    description_.complete_ms = state.commit_time_ms;
    return;
  }
  // What the database commits once the checkpoint has begun is of the time of then, or a later one;
  // by the clock of the database, which may have been set back since the time was read here.
  uint64_t complete_ms = std::max<uint64_t>(std::min(description_.time_ms, state.cut_ms), 1) - 1;
  // The time of the tables is not before the last commit, and the log knows it.
  const bool is_exact = !state.logs.empty() && state.logs.back().last_sequence == state.last_sequence;
  description_.commit_ms = is_exact ? state.logs.back().end_ms : state.commit_time_ms;
  if (is_exact) complete_ms = std::max(complete_ms, description_.commit_ms);
  description_.complete_ms = complete_ms;
}

void Making::NoteHole(uint64_t first, uint64_t last, std::string_view why) {
  description_.after = 0;
  description_.logs.clear();
  description_.hole = {.first = first, .last = last};
  hole_ = fmt::format("of the operations {} to {} there is no log: {}", first, last, why);
}

uint64_t Making::FindBefore(const internal::CheckpointState& state) {
  const uint64_t oldest = state.logs.empty() ? state.last_sequence + 1 : state.logs.front().first_sequence;
  for (auto head = earlier_.heads.rbegin(); head != earlier_.heads.rend(); ++head) {
    if (!head->second.ok() || head->second->place.empty()) continue;
    const uint64_t sequence = head->second->last_sequence;
    if (sequence > state.last_sequence || sequence + 1 < oldest) continue;
    if (state.place_at(sequence) == head->second->place) return head->first;
  }
  NoteNoBefore(state);
  return 0;
}

void Making::NoteNoBefore(const internal::CheckpointState& state) {
  if (earlier_.heads.empty() || state.last_sequence == 0) return;
  // The newest that this state may come after.
  auto before = earlier_.heads.rbegin();
  while (before != earlier_.heads.rend() &&
         (!before->second.ok() || before->second->last_sequence > state.last_sequence)) {
    ++before;
  }
  if (before == earlier_.heads.rend()) {
    return NoteHole(1, state.last_sequence,
                    "every backup that can be read is ahead of them, and they were written elsewhere");
  }
  const bool has_place = !before->second->place.empty();
  // With as many operations, and not the same place, it is another history.
  NoteHole(std::min(before->second->last_sequence + 1, state.last_sequence), state.last_sequence,
           has_place ? fmt::format("they were let go, or written elsewhere, after backup {}", before->first)
                     : fmt::format("backup {} does not say of which history it is", before->first));
}

absl::Status Making::TakeLogs(base::FileSystem* files, const internal::CheckpointState& state, const GoOn& go_on) {
  description_.after = FindBefore(state);
  if (description_.after == 0) return absl::OkStatus();
  const uint64_t reached = earlier_.heads.at(description_.after)->last_sequence;
  for (const internal::CheckpointLog& log : state.logs) {
    if (log.last_sequence <= reached) continue;
    const absl::Status taken = TakeLog(files, log, go_on);
    if (taken.ok()) continue;
    // The rest leads to nothing. What is wrong here is no reason to make no backup.
    if (!absl::IsNotFound(taken) && !absl::IsDataLoss(taken)) return taken;
    NoteHole(std::max(log.first_sequence, reached + 1), log.last_sequence, base::Message(taken));
    return absl::OkStatus();
  }
  const uint64_t led_to = description_.logs.empty() ? reached : description_.logs.back().last_sequence;
  if (led_to != state.last_sequence) NoteHole(led_to + 1, state.last_sequence, "they are in none that is kept");
  return absl::OkStatus();
}

absl::Status Making::TakeLog(base::FileSystem* files, const internal::CheckpointLog& log, const GoOn& go_on) {
  BANDB_ASSIGN_OR_RETURN(const storage::FileHeader header, ReadHeader(files, log.path, storage::FileType::kLog));
  LogEntry entry{.first_sequence = log.first_sequence,
                 .last_sequence = log.last_sequence,
                 .end_ms = log.end_ms,
                 .id = header.file_id,
                 .stored = {}};
  const std::string target = layout_.LogPath(entry.id);
  BANDB_ASSIGN_OR_RETURN(const bool is_there, IsThere(earlier_.logs, entry.id, target, log.bytes, &entry.stored));
  if (!is_there) {
    const LogExtent extent{log.bytes, log.first_sequence, log.last_sequence};
    const auto check = [&](const std::string& path) {
      return WalkLog(files_, path, extent, [](const ArchivedCommit& /*commit*/) { return true; });
    };
    BANDB_ASSIGN_OR_RETURN(entry.stored, Copy(files, log.path, log.bytes, target, WithCancel(go_on), check));
  }
  description_.logs.push_back(entry);
  return absl::OkStatus();
}

absl::Status Making::TakeTable(base::FileSystem* files, const std::string& path, uint64_t number, const GoOn& go_on) {
  BANDB_ASSIGN_OR_RETURN(const storage::FileHeader header, ReadHeader(files, path, storage::FileType::kTable));
  TableEntry table{.number = number, .id = header.file_id, .stored = {}};
  const std::string target = layout_.TablePath(table.id);
  BANDB_ASSIGN_OR_RETURN(const uint64_t bytes, files->FileSize(path));
  BANDB_ASSIGN_OR_RETURN(const bool is_there, IsThere(earlier_.tables, table.id, target, bytes, &table.stored));
  const GoOn both = WithCancel(go_on);
  BANDB_RETURN_IF_ERROR(both());
  if (!is_there) {
    // Damage of the source is found now, and not when the backup is needed.
    const auto check = [this](const std::string& copy) { return VerifyTable(files_, copy); };
    BANDB_ASSIGN_OR_RETURN(table.stored, Copy(files, path, UINT64_MAX, target, both, check));
  }
  description_.tables.push_back(table);
  return absl::OkStatus();
}

absl::Status Making::TakeFiles(const std::string& checkpoint, const std::string& folder) {
  std::vector<std::string> paths;
  BANDB_RETURN_IF_ERROR(ListTree(files_, checkpoint, "", &paths));
  std::sort(paths.begin(), paths.end());
  std::set<std::string, std::greater<>> folders;
  for (std::string& path : paths) {
    if (path == kLock) continue;
    const std::string to = base::JoinPath(folder, path);
    for (std::string above = base::ParentPath(to); above.size() >= folder.size(); above = base::ParentPath(above)) {
      folders.insert(above);
    }
    BANDB_RETURN_IF_ERROR(files_->CreateDirs(base::ParentPath(to)));
    BANDB_ASSIGN_OR_RETURN(const StoredBytes stored,
                           CopyFile(files_, base::JoinPath(checkpoint, path), files_, to, GoOnAlways));
    description_.new_bytes += stored.bytes;
    description_.files.push_back({std::move(path), stored});
  }
  for (const std::string& made : folders) BANDB_RETURN_IF_ERROR(files_->SyncDir(made));
  return absl::OkStatus();
}

absl::StatusOr<bool> Making::IsThere(const Survey::StoredById& known, const storage::Uuid& id, const std::string& path,
                                     uint64_t bytes, StoredBytes* stored) const {
  const auto found = known.find(id.bytes);
  if (found == known.end() || found->second.bytes != bytes) return false;
  const absl::StatusOr<uint64_t> there = files_->FileSize(path);
  if (!there.ok() || *there != bytes) return false;
  *stored = found->second;
  return true;
}

GoOn Making::WithCancel(const GoOn& go_on) const {
  return [this, &go_on] {
    BANDB_RETURN_IF_ERROR(check_cancelled_());
    return go_on();
  };
}

absl::StatusOr<StoredBytes> Making::Copy(base::FileSystem* files, const std::string& from, uint64_t bytes_max,
                                         const std::string& target, const GoOn& go_on,
                                         const std::function<absl::Status(const std::string& path)>& check) {
  const std::string temporary = target + std::string(kTemporary);
  const absl::StatusOr<StoredBytes> copied = CopyFile(files, from, files_, temporary, go_on, bytes_max);
  absl::Status good = copied.status();
  if (good.ok()) good = base::Annotate(check(temporary), fmt::format("copy of {}", from));
  if (!good.ok()) {
    files_->Remove(temporary).IgnoreError();
    return good;
  }
  BANDB_RETURN_IF_ERROR(files_->Rename(temporary, target));
  description_.new_bytes += copied->bytes;
  return copied;
}

}  // namespace bandb::backup
