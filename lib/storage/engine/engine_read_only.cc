// The engine over a database that it only reads: how it begins, and what of it is other than where
// it writes. Writes are stopped from the beginning on, so that nothing is ever flushed, compacted
// or sealed; and its files refuse all that would change them (database_files.h).
#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/status.h"
#include "storage/engine/engine.h"
#include "storage/engine/write_buffer.h"
#include "storage/file/file_names.h"
#include "storage/file/refused_read.h"
#include "storage/log/log_reader.h"

namespace bandb::storage {

absl::StatusOr<std::unique_ptr<Engine>> Engine::OpenReadOnly(const base::Env& env, const std::string& dir,
                                                             const Options& options) {
  BANDB_ASSIGN_OR_RETURN(ReadOnlyDatabase database, RecoverToRead(env, dir, options));
  base::Env own_env = env;
  own_env.files = database.recovered.files.get();
  std::unique_ptr<Engine> engine(new Engine(own_env, dir, options, database.recovered.files, false));
  if (const absl::Status started = engine->StartReading(std::move(database)); !started.ok()) {
    // As in Open.
    engine->files_->SetDescriptorSource(nullptr);
    return started;
  }
  return engine;
}

absl::Status Engine::StartReading(ReadOnlyDatabase database) {
  BANDB_ASSERT(lifecycle_.phase() == Lifecycle::Phase::kOpening);
  RecoveredDatabase& recovered = database.recovered;
  BANDB_ASSERT(recovered.tables != nullptr);
  BANDB_ASSERT(recovered.state.version != nullptr);
  read_only_ = true;
  as_of_last_flush_ = database.as_of_last_flush;
  database_id_ = recovered.database_id;
  tables_ = std::move(recovered.tables);
  files_->SetDescriptorSource([tables = tables_]() { return tables->GiveUpFile(); });
  epoch_ = recovered.state.epoch;
  recovered_records_ = recovered.records;
  dropped_log_bytes_ = recovered.dropped_bytes;
  read_manifest_ = std::move(recovered.manifest_name);
  read_manifest_bytes_ = recovered.manifest_bytes;
  last_sequence_ = recovered.last_sequence;
  last_commit_time_ms_ = recovered.last_commit_time_ms;
  latest_ms_ = recovered.last_commit_time_ms;
  versions_.SetNextFileNumber(recovered.state.next_file_number);
  // It stays empty.
  BANDB_ASSIGN_OR_RETURN(std::shared_ptr<Memtable> memtable,
                         Memtable::Make(env_.regions, kMemtableBytesMin, versions_.NewFileNumber()));
  uint64_t memtable_bytes = 0;
  for (const std::shared_ptr<Memtable>& frozen : recovered.memtables) memtable_bytes += frozen->memory_bytes();
  kept_memtable_bytes_ = memtable_bytes - std::min<uint64_t>(memtable_bytes, MemtablesBytesMax(options_));
  kept_memtable_charge_ = tables_->cache()->ChargeTable(kept_memtable_bytes_);
  StartFeedToRead(&recovered);
  versions_.StartReading(std::move(recovered.state));
  ViewHolder::Retired retired;
  {
    base::MutexLock lock(&mutex_);
    memtable_ = std::move(memtable);
    frozen_.assign(recovered.memtables.begin(), recovered.memtables.end());
    InstallView(&retired);
    lifecycle_.RunReadOnly(
        base::Error(absl::StatusCode::kFailedPrecondition, "{}: the database was opened for reading only", dir_));
  }
  SetAside(recovered.damaged_tables, generation_->load(), 0);
  if (!as_of_last_flush_) LoadCursors(recovered.has_system_records);
  env_.logger->Log(dropped_log_bytes_ == 0 ? base::LogLevel::kInfo : base::LogLevel::kWarning,
                   "{}: opened for reading only, {}{} log records replayed, {} bytes of a torn log left out", dir_,
                   as_of_last_flush_ ? "as of the last flush of the process that has it open, " : "",
                   recovered_records_, dropped_log_bytes_);
  return absl::OkStatus();
}

void Engine::StartFeedToRead(RecoveredDatabase* recovered) {
  if (!as_of_last_flush_) {
    for (const KeptLog& log : recovered->kept_logs) logs_.AddRecovered(log, false);
    for (const KeptLog& log : recovered->needed_logs) logs_.AddRecovered(log, true);
  }
  logs_.NoteAppended(last_sequence_.load(std::memory_order_relaxed));
  logs_.NoteDurable(recovered->synced_sequence);
  // The present one is that of the last life of the database: what it has given out is here, or
  // ahead of what is here. A database of before there were epochs gets one that is never written.
  std::vector<Epoch>& epochs = recovered->state.epochs;
  if (epochs.empty()) {
    epochs.push_back({.number = epoch_ + 1, .branch = commit_random_.Next(), .begin = recovered->last_sequence});
  }
  feed_.Start(database_id_, epochs);
  feed_.NoteFlushed({.user = recovered->state.LastUserSequence(), .last = recovered->state.last_sequence});
}

absl::Status Engine::CheckFeed() const {
  if (!as_of_last_flush_) return absl::OkStatus();
  return base::Error(absl::StatusCode::kFailedPrecondition,
                     "{}: the change feed is in the logs, which somebody else has open for writing", dir_);
}

absl::Status Engine::VerifyManifestRead() const {
  const std::string path = base::JoinPath(engine_dir_, read_manifest_);
  const absl::Status verified = VerifyLog(env_.files, path, FileType::kManifest, read_manifest_bytes_);
  // The process that has it open has begun another.
  if (as_of_last_flush_ && verified.code() == absl::StatusCode::kNotFound) return absl::OkStatus();
  return MustBeThere(verified);
}

}  // namespace bandb::storage
