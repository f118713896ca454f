// The manifest: the log of version edits that says what the database consists of, and the pointer
// to it.
//
// A manifest begins with an edit that describes everything, or with several where tables are many
// and their bounds are long; then the first of them says how many. Each further edit is synced
// before what it describes counts. A new manifest is begun at each open, when the old one has
// grown, and for an edit that is too large to be one record; CURRENT is pointed at it atomically,
// and only then is the old one removed.
#ifndef BANDB_STORAGE_VERSION_MANIFEST_H_
#define BANDB_STORAGE_VERSION_MANIFEST_H_

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/env.h"
#include "storage/file/file_header.h"
#include "storage/log/log_writer.h"
#include "storage/version/live_table.h"
#include "storage/version/version.h"
#include "storage/version/version_edit.h"

namespace bandb::storage {

// The sum of all edits.
struct ManifestState {
  std::shared_ptr<const Version> version = std::make_shared<Version>();
  uint64_t log_number = 0;
  uint64_t next_file_number = 1;
  Sequence last_sequence = 0;
  // No operation of a user in the tables comes after this one; none: it is not known.
  std::optional<Sequence> user_sequence;
  uint64_t commit_time_ms = 0;
  // Commit times in logs up to this sequence count no more.
  Sequence clock_sequence = 0;
  uint64_t epoch = 0;
  // By log number; only logs from log_number on.
  std::map<uint64_t, uint64_t> log_ends;
  uint64_t begun_log = 0;
  // Oldest first. Of the epochs before the first of these nothing can be read any more.
  std::vector<Epoch> epochs;
  // Kept for the change feed, by number. The files of the oldest of them may be gone.
  std::map<uint64_t, KeptLog> kept_logs;
  // Of a cluster node; a program that does not know them keeps them as they are.
  std::optional<AppliedPosition> applied;
  std::optional<std::string> membership;

  // The same, as far as it is known.
  Sequence LastUserSequence() const { return std::min(user_sequence.value_or(last_sequence), last_sequence); }
  // Errors: as Version::Apply.
  absl::Status Apply(const VersionEdit& edit, const std::vector<TablePtr>& added);
  // All of it but tables.
  absl::Status ApplyFields(const VersionEdit& edit);
  // The one edit that makes this state of an empty one.
  VersionEdit Everything() const;
  // The same in edits of about Manifest::kEditBytesMax that are applied one after the other; all
  // but tables are in the first, which says how many there are if it is not the only one.
  std::vector<VersionEdit> Beginning() const;
};

struct RecoveredManifest {
  ManifestState state;
  std::string name;
  uint64_t valid_bytes = 0;    // what was read is up to here
  uint64_t dropped_bytes = 0;  // of a torn tail
};

// The name of the manifest that counts. Errors: kNotFound there is no CURRENT; kDataLoss it names
// no manifest.
absl::StatusOr<std::string> ReadCurrentName(base::FileSystem* files, const std::string& engine_dir);

// Reads the manifest that CURRENT names. Errors: kNotFound there is no CURRENT; kDataLoss;
// kFailedPrecondition newer format.
absl::StatusOr<RecoveredManifest> RecoverManifest(base::FileSystem* files, const std::string& engine_dir,
                                                  const Uuid& database_id, const std::shared_ptr<TableStore>& tables);

// Appends edits to one manifest file.
// Thread safety: one thread at a time.
class Manifest {
 public:
  // What is larger becomes several records, as only the beginning of a manifest may be. Far below
  // what a record holds, since nothing is gained by larger ones.
  static constexpr size_t kEditBytesMax = 8 << 20;

  // Writes a new manifest that holds `state`. The old one still counts.
  // Durability: the file survives power loss when this returns OK.
  static absl::StatusOr<std::unique_ptr<Manifest>> Create(base::FileSystem* files, const std::string& engine_dir,
                                                          uint64_t number, const FileHeader& header,
                                                          const ManifestState& state);
  // Gets ready to point CURRENT at it. On an error nothing has changed.
  absl::Status StageCurrent(base::FileSystem* files, const std::string& engine_dir) const;
  // After that: points CURRENT at it. Durability: it counts after power loss when this returns OK;
  // on an error it is unknown which one does.
  static absl::Status MakeCurrent(base::FileSystem* files, const std::string& engine_dir);
  // Creates one and points CURRENT at it.
  static absl::StatusOr<std::unique_ptr<Manifest>> CreateCurrent(base::FileSystem* files, const std::string& engine_dir,
                                                                 uint64_t number, const FileHeader& header,
                                                                 const ManifestState& state);

  // Durability: the edit survives power loss when this returns OK.
  // Errors: kResourceExhausted the disk is full, or the manifest would become larger than one that
  // can be read, and nothing was changed; anything else: it is unknown whether the edit counts, and
  // nothing may be appended or removed any more.
  absl::Status Append(const VersionEdit& edit) { return AppendEncoded(EncodeEdit(edit)); }
  absl::Status AppendEncoded(std::string_view edit);
  absl::Status Close() { return writer_->Close(); }
  uint64_t Size() const { return writer_->Size(); }
  uint64_t number() const { return number_; }

 private:
  Manifest(std::unique_ptr<LogWriter> writer, uint64_t number) : writer_(std::move(writer)), number_(number) {}

  // As Append without the sync, with the error of the file system; `*reserved` is set once there
  // was room.
  absl::Status Write(std::string_view edit, bool* reserved);

  const std::unique_ptr<LogWriter> writer_;
  const uint64_t number_;
};

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_VERSION_MANIFEST_H_
