#include "backup/restored_epochs.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "base/env.h"
#include "base/status.h"
#include "storage/file/file_names.h"
#include "storage/table/block_cache.h"
#include "storage/version/live_table.h"
#include "storage/version/manifest.h"

namespace bandb::backup {

namespace {

// Nothing of a table is read.
constexpr uint64_t kCacheBytes = 1 << 20;
constexpr uint64_t kOpenFilesMax = 16;

absl::StatusOr<storage::ManifestState> ReadState(base::FileSystem* files, const std::string& dir,
                                                 const storage::Uuid& database_id) {
  base::Env env;
  env.files = files;
  const std::string engine_dir = storage::EngineDir(dir);
  const auto tables = std::make_shared<storage::TableStore>(
      env, engine_dir, std::make_shared<storage::BlockCache>(kCacheBytes), kOpenFilesMax);
  BANDB_ASSIGN_OR_RETURN(storage::RecoveredManifest manifest,
                         storage::RecoverManifest(files, engine_dir, database_id, tables));
  return std::move(manifest.state);
}

absl::Status WriteState(base::FileSystem* files, const RestoredHistory& history, storage::ManifestState state,
                        base::Random* random) {
  const uint64_t number = state.next_file_number++;
  const storage::FileHeader header{
      .type = storage::FileType::kManifest, .database_id = history.database_id, .file_id = storage::RandomUuid(random)};
  BANDB_ASSIGN_OR_RETURN(
      const std::unique_ptr<storage::Manifest> manifest,
      storage::Manifest::CreateCurrent(files, storage::EngineDir(history.dir), number, header, state));
  return manifest->Close();
}

}  // namespace

absl::Status ForgetTimes(base::FileSystem* files, const RestoredHistory& history, base::Random* random) {
  BANDB_ASSIGN_OR_RETURN(storage::ManifestState state, ReadState(files, history.dir, history.database_id));
  state.clock_sequence = history.last_sequence;
  state.commit_time_ms = 0;
  return WriteState(files, history, std::move(state), random);
}

absl::Status RestoreHistory(base::FileSystem* files, const RestoredHistory& history, base::Random* random) {
  BANDB_ASSIGN_OR_RETURN(storage::ManifestState later, ReadState(files, history.later_dir, history.database_id));
  BANDB_ASSIGN_OR_RETURN(storage::ManifestState state, ReadState(files, history.dir, history.database_id));
  std::vector<storage::Epoch>& epochs = later.epochs;
  while (epochs.size() > 1 && epochs.back().begin >= history.last_sequence) epochs.pop_back();
  if (!epochs.empty() && epochs.back().begin <= history.last_sequence) {
    state.epochs = std::move(epochs);
    state.epoch = std::max(state.epoch, state.epochs.back().number);
  }
  state.clock_sequence = history.last_sequence;
  state.commit_time_ms = history.time_ms;
  return WriteState(files, history, std::move(state), random);
}

}  // namespace bandb::backup
