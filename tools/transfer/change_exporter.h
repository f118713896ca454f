// Writes the changes of the feed into the files of a directory, each change once, whatever kills it
// at whatever moment, and tells the feed what it need not keep.
//
// The idea: the directory knows where it ends, and not the cursor. A file is written and synced
// under a temporary name; then the place (change_manifest.h) is replaced by one that has the file
// as the next, which is the moment at which it counts; then it gets its name, the manifest its
// line, and only then is anything acknowledged. An export that takes the directory up after that
// finishes what counts, and reads on from where the files end, so that a lost acknowledgement, a
// cursor that was put back, and files that were cut elsewhere the last time make no difference.
// Where what comes next is gone the feed says so: there is no gap without an error. All this is in
// the directory that had the name at the beginning: where another has it by now, the export ends.
//
// Invariants: no change is in two files. What is acknowledged is in durable files with their names.
// A file that counts never changes, and may be taken away once the manifest has its line.
#ifndef BANDB_TOOLS_TRANSFER_CHANGE_EXPORTER_H_
#define BANDB_TOOLS_TRANSFER_CHANGE_EXPORTER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/file_system.h"
#include "transfer/change_manifest.h"
#include "transfer/change_writer.h"

namespace bandb::transfer {

// Everything up to the token is durable. Called with the directory locked.
using AcknowledgeChanges = std::function<absl::Status(std::string_view token)>;

struct ChangesSummary {
  uint64_t files = 0;  // by this run, as the rest
  uint64_t commits = 0;
  uint64_t changes = 0;
  uint64_t earlier_files = 0;  // that were there, or counted, already
  uint64_t earlier_changes = 0;
};

// Usage: Begin; read the feed from token(); Add each commit; Passed after each reply; Finish
// whenever what was added shall become a file; Close. After an error nothing more is done: each
// call answers the same. Thread safety: one thread at a time.
class ChangeExporter {
 public:
  // A file is ended at the commit with which it has `chunk_bytes`, uncompressed. Lifetime: borrows
  // `files`.
  ChangeExporter(base::FileSystem* files, std::string_view directory, ChangesHead head, uint64_t chunk_bytes,
                 AcknowledgeChanges acknowledge)
      : named_files_(files),
        files_(files),
        directory_(WithoutSlashes(directory)),
        head_(std::move(head)),
        chunk_bytes_(chunk_bytes),
        acknowledge_(std::move(acknowledge)),
        writer_(head_.layout, head_.compress) {}
  ~ChangeExporter() { Unlock().IgnoreError(); }
  ChangeExporter(const ChangeExporter&) = delete;
  ChangeExporter& operator=(const ChangeExporter&) = delete;

  // Makes the directory, or takes up what is there, finishes what counts, and acknowledges it.
  // Errors: kFailedPrecondition what is there is of other changes, in another format or for another
  // cursor; or another export is at it · kInvalidArgument there is something else · kDataLoss it is
  // damaged · and those of the file system and of acknowledging.
  absl::Status Begin();

  // After which the feed is to be read; empty: from where a new directory begins.
  const std::string& token() const { return token_; }
  // Takes the next commit that is not empty, or passes over one that is in files already. Errors:
  // kInvalidArgument the format cannot hold it · kDataLoss it begins before what is there ends · of
  // ending a file.
  absl::Status Add(const ChangeCommit& commit);
  // All commits up to this token were added.
  absl::Status Passed(std::string_view token);
  // Makes a file of what was added; where there is nothing, notes down how far the feed was read.
  // Durability: when it returns OK, all that was added before survives power loss.
  absl::Status Finish();
  // Finishes and lets the directory go.
  absl::Status Close();

  // Of the file that is being filled.
  uint64_t pending_changes() const { return next_.changes; }
  // The feed was read farther than the directory knows.
  bool has_moved() const { return token_ != place_.token; }
  const ChangesSummary& summary() const { return summary_; }

 private:
  // A pinned directory has a name that ends with none.
  static std::string WithoutSlashes(std::string_view directory);
  std::string PathOf(std::string_view name) const { return base::JoinPath(directory_, name); }
  // `status`, which is the answer from now on if it is an error.
  absl::Status Note(absl::Status status);
  // The directory is let go, and what says that it is not.
  absl::Status Unlock();
  absl::Status TakeUp();
  absl::Status TakeUpPlace(const ChangesManifest& manifest, const absl::Status& damage,
                           const std::vector<std::string>& names);
  // Finishes the file that counts, and is in no line of the manifest.
  absl::Status FinishNext();
  // Whether it has its name; false: it has the temporary one. Errors: kDataLoss it is not as the
  // place has it.
  absl::StatusOr<bool> FindNext() const;
  // What a run that was cut short has left, and no other program, where there is a manifest.
  bool IsLeftover(std::string_view name) const;
  // The same where there is none yet.
  absl::StatusOr<bool> IsFirstLeftover(const std::string& name) const;
  absl::Status RemoveLeftovers(const std::vector<std::string>& names, std::string_view but);
  absl::Status BeginManifest(const std::string& lines);
  absl::Status AddCommit(const ChangeCommit& commit);
  absl::Status WriteFile();
  absl::Status Install();
  // The directory of this name is the one that is written into.
  absl::Status CheckDirectory() const;
  absl::Status StagePlace(const ChangesPlace& place);
  absl::Status InstallPlace(ChangesPlace place);
  absl::Status Acknowledge();

  base::FileSystem* const named_files_;
  std::unique_ptr<base::FileSystem> pinned_;
  base::FileSystem* files_;  // once the directory is there it is that one, whatever becomes of its name
  const std::string directory_;
  const ChangesHead head_;
  const uint64_t chunk_bytes_;
  const AcknowledgeChanges acknowledge_;
  absl::Status failure_;
  std::unique_ptr<base::FileLock> lock_;
  std::unique_ptr<base::AppendableFile> manifest_;
  ChangesPlace place_;      // as it is on disk
  std::string place_text_;  // that is there; empty: none
  std::string token_;       // passed
  uint64_t sequence_ = 0;   // of the last operation that was added, or is in files
  ChangeWriter writer_;
  ChangesFile next_;  // that is being filled
  std::string content_;
  std::string acknowledged_;
  ChangesSummary summary_;
};

}  // namespace bandb::transfer

#endif  // BANDB_TOOLS_TRANSFER_CHANGE_EXPORTER_H_
