// Copies a database, as it is at one moment, into another directory.
//
// Tables never change, so a copy links them where the file system can; what is not in tables must
// have been flushed before. A copy is made beside its place, under a name that no other has, and is
// given its own name once all of it is durable, unless something else has that name by then. So the
// place holds nothing or a whole copy, even if another one is made there, and whenever the power
// fails. A copy that could not be finished is taken away again; of one that a crash has cut short,
// a directory DIR.tmp-... is left, which no Open takes for a database.
#ifndef BANDB_STORAGE_ENGINE_CHECKPOINT_H_
#define BANDB_STORAGE_ENGINE_CHECKPOINT_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "base/file_system.h"
#include "base/random.h"
#include "kv/checkpoint_sink.h"
#include "storage/file/file_header.h"
#include "storage/log/kept_log.h"
#include "storage/version/manifest.h"

namespace bandb::storage {

struct CheckpointSource {
  base::FileSystem* files = nullptr;
  std::string engine_dir;
  Uuid database_id;
  // Its version keeps the tables from being removed meanwhile.
  ManifestState state;
  // Of the log that the copy begins with; larger than any that the state names.
  uint64_t log_number = 0;
  base::Random random{0};
  // Asked between pieces: whether to go on. Answers OK, or why not.
  std::function<absl::Status()> go_on;
  // Takes the tables, which the copy then lacks; null: the copy has them.
  internal::CheckpointSink* sink = nullptr;
  // For the sink: see CheckpointState.
  uint64_t cut_ms = 0;
  std::function<std::string(uint64_t sequence)> place_at;
  bool keeps_logs = false;
  std::vector<KeptLog> kept_logs;
};

// Errors: kAlreadyExists `dir` is there; what go_on says; what the file system says. Durability:
// the copy survives power loss when this returns OK.
absl::Status WriteCheckpoint(CheckpointSource source, const std::string& dir);

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_ENGINE_CHECKPOINT_H_
