// The engine's administration: waiting for flushes, compacting on demand, checkpoints, verification, statistics.
#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/status.h"
#include "kv/options.h"
#include "storage/engine.h"
#include "storage/file_names.h"
#include "storage/log_reader.h"

namespace bandb::storage {

namespace {

constexpr size_t kCopyBytes = 1 << 20;

// Copies a file byte by byte, where no link can be made.
absl::Status CopyFile(base::FileSystem* files, const std::string& from, const std::string& to) {
  BANDB_ASSIGN_OR_RETURN(const std::unique_ptr<base::RandomAccessFile> source, files->Open(from));
  BANDB_ASSIGN_OR_RETURN(const std::unique_ptr<base::AppendableFile> target,
                         files->Create(to, base::AppendMode::kBuffered));
  std::string buffer(kCopyBytes, '\0');
  for (uint64_t offset = 0; offset < source->Size();) {
    BANDB_ASSIGN_OR_RETURN(const size_t got, source->Read(offset, absl::MakeSpan(buffer)));
    if (got == 0) return base::Error(absl::StatusCode::kDataLoss, "{}: offset {}: the file is cut off", from, offset);
    BANDB_RETURN_IF_ERROR(target->Append(std::string_view(buffer).substr(0, got)));
    offset += got;
  }
  BANDB_RETURN_IF_ERROR(target->Sync());
  return target->Close();
}

}  // namespace

void Engine::WhenFlushed(Done done) {
  absl::Status status;
  {
    base::MutexLock lock(&mutex_);
    status = StopStatusLocked();
    if (status.ok() && !frozen_.empty()) {
      flush_waiters_.push_back({active_->log_number(), std::move(done)});
      return;
    }
  }
  done(status);
}

void Engine::CompactRange(std::string_view begin, std::string_view limit, Done done) {
  auto manual = std::make_shared<ManualCompaction>();
  manual->begin = MakeSpacedKey(Space::kUser, begin);
  manual->end = limit.empty() ? MakeSpacedKey(Space::kDeadLetters, {}) : MakeSpacedKey(Space::kUser, limit);
  manual->done = std::move(done);
  absl::Status stopped;
  {
    base::MutexLock lock(&mutex_);
    stopped = StopStatusLocked();
    if (stopped.ok()) {
      manual_.push_back(manual);
      MaybeScheduleWork();
    }
  }
  if (!stopped.ok()) manual->done(stopped);
}

absl::Status Engine::CreateCheckpoint(const std::string& dir) {
  const ViewRef view = views_.Acquire();
  if (!view) return base::Error(absl::StatusCode::kFailedPrecondition, "the database is closed");
  base::FileSystem* files = env_.files;
  BANDB_ASSIGN_OR_RETURN(const bool exists, files->Exists(dir));
  if (exists) return base::Error(absl::StatusCode::kAlreadyExists, "{}: exists", dir);
  ManifestState state;
  base::Random random(0);
  {
    base::MutexLock lock(&mutex_);
    state = state_;
    random = job_random_.Fork();
  }
  const std::string target_dir = EngineDir(dir);
  BANDB_RETURN_IF_ERROR(files->CreateDirs(target_dir));
  for (int level = 0; level < kLevels; ++level) {
    for (const TablePtr& table : state.version->level(level)) {
      const std::string name = TableName(table->meta().number);
      const std::string from = base::JoinPath(engine_dir_, name);
      const std::string to = base::JoinPath(target_dir, name);
      if (!files->Link(from, to).ok()) BANDB_RETURN_IF_ERROR(CopyFile(files, from, to));
    }
  }
  // An empty log of its own: everything is in tables.
  const uint64_t log_number = next_file_number_.load(std::memory_order_relaxed);
  const FileHeader log_header{.type = FileType::kLog, .database_id = database_id_, .file_id = RandomUuid(&random)};
  BANDB_ASSIGN_OR_RETURN(const std::unique_ptr<LogWriter> log,
                         LogWriter::Create(files, base::JoinPath(target_dir, LogName(log_number)), log_header));
  BANDB_RETURN_IF_ERROR(log->Sync());
  BANDB_RETURN_IF_ERROR(log->Close());
  state.log_number = log_number;
  state.begun_log = log_number;
  state.log_ends = {{log_number, log->Size()}};
  state.next_file_number = log_number + 2;
  BANDB_RETURN_IF_ERROR(base::InstallFile(files, IdentityPath(dir), EncodeIdentity(database_id_)));
  const FileHeader header{.type = FileType::kManifest, .database_id = database_id_, .file_id = RandomUuid(&random)};
  BANDB_ASSIGN_OR_RETURN(const std::unique_ptr<Manifest> manifest,
                         Manifest::Begin(files, target_dir, log_number + 1, header, state));
  BANDB_RETURN_IF_ERROR(manifest->Close());
  for (std::string path = base::ParentPath(target_dir); path.size() >= dir.size(); path = base::ParentPath(path)) {
    BANDB_RETURN_IF_ERROR(files->SyncDir(path));
  }
  return files->SyncDir(base::ParentPath(dir));
}

absl::Status Engine::VerifyChecksums() {
  ViewRef view = views_.Acquire();
  if (!view) return base::Error(absl::StatusCode::kFailedPrecondition, "the database is closed");
  view.Detach();
  // What is appended from now on is not looked at.
  const uint64_t manifest_bytes = manifest_->Size();
  const std::vector<LogSet::Extent> logs = logs_.Extents();
  BANDB_ASSIGN_OR_RETURN(const std::string identity, base::ReadFile(env_.files, IdentityPath(dir_), kCopyBytes));
  BANDB_RETURN_IF_ERROR(DecodeIdentity(identity, IdentityPath(dir_)).status());
  BANDB_ASSIGN_OR_RETURN(const std::string current, base::ReadFile(env_.files, CurrentPath(engine_dir_), kCopyBytes));
  const std::optional<std::string> manifest = DecodeCurrent(current);
  if (!manifest) return base::Error(absl::StatusCode::kDataLoss, "{}: offset 0: damaged", CurrentPath(engine_dir_));
  BANDB_RETURN_IF_ERROR(
      ReadLog(env_.files, base::JoinPath(engine_dir_, *manifest), FileType::kManifest, manifest_bytes).status());
  for (int level = 0; level < kLevels; ++level) {
    for (const TablePtr& table : view->version->level(level)) {
      BANDB_ASSIGN_OR_RETURN(const TableReader* reader, table->Reader());
      BANDB_RETURN_IF_ERROR(reader->VerifyChecksums());
    }
  }
  for (const LogSet::Extent& log : logs) {
    const std::string path = base::JoinPath(engine_dir_, LogName(log.number));
    const absl::Status read = ReadLog(env_.files, path, FileType::kLog, log.bytes).status();
    // One that a flush removed meanwhile is no loss.
    if (!read.ok() && read.code() != absl::StatusCode::kNotFound) return read;
  }
  return absl::OkStatus();
}

Stats Engine::GetStats() const {
  Stats stats;
  {
    base::MutexLock lock(&mutex_);
    const LevelTargets targets = TargetsFor(*state_.version, settings_);
    stats.levels = level_work_;
    for (int level = 0; level < kLevels; ++level) {
      LevelStats& at = stats.levels[static_cast<size_t>(level)];
      at.tables = state_.version->level(level).size();
      at.bytes = state_.version->LevelBytes(level);
      at.target_bytes = targets.bytes[static_cast<size_t>(level)];
      stats.table_bytes += at.bytes;
    }
    stats.memtable_bytes = active_->MemoryBytes();
    for (const std::shared_ptr<Memtable>& memtable : frozen_) stats.memtable_bytes += memtable->MemoryBytes();
    stats.immutable_memtables = frozen_.size();
    stats.flushes = flushes_;
    stats.compactions = compactions_;
    stats.compaction_debt_bytes = CompactionDebtBytes(*state_.version, settings_);
  }
  stats.log_bytes = logs_.TotalBytes();
  stats.operations_written = counters_.operations.load(std::memory_order_relaxed);
  stats.batches_written = counters_.batches.load(std::memory_order_relaxed);
  stats.user_bytes_written = counters_.user_bytes.load(std::memory_order_relaxed);
  stats.log_bytes_written = counters_.log_bytes.load(std::memory_order_relaxed);
  stats.log_syncs = logs_.syncs();
  uint64_t written = stats.log_bytes_written;
  for (const LevelStats& level : stats.levels) written += level.bytes_written;
  if (stats.user_bytes_written != 0) {
    stats.write_amplification = static_cast<double>(written) / static_cast<double>(stats.user_bytes_written);
  }
  stats.stall_count = counters_.stalls.load(std::memory_order_relaxed);
  stats.stall_micros = counters_.stall_micros.load(std::memory_order_relaxed);
  stats.gets = counters_.gets.load(std::memory_order_relaxed);
  stats.tables_probed = counters_.tables_probed.load(std::memory_order_relaxed);
  stats.filter_negatives = counters_.filter_negatives.load(std::memory_order_relaxed);
  const BlockCache::CacheStats cache = tables_->cache()->GetStats();
  stats.cache_hits = cache.hits;
  stats.cache_misses = cache.misses;
  stats.block_reads = cache.misses;
  stats.open_table_files = tables_->open_files();
  stats.cache_bytes = cache.block_bytes;
  stats.pinned_bytes = cache.pinned_charge_bytes;
  stats.memory_bytes = cache.used_bytes() + stats.memtable_bytes;
  stats.memory_budget_bytes = kv::MemoryBudgetBytes(options_);
  stats.recovered_log_records = recovered_records_;
  stats.dropped_log_bytes = dropped_log_bytes_;
  stats.live_snapshots = snapshots_->Count();
  stats.oldest_snapshot_sequence = snapshots_->Oldest();
  stats.last_sequence = last_sequence_.load(std::memory_order_acquire);
  return stats;
}

}  // namespace bandb::storage
