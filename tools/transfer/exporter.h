// Writes the entries of a source into the files of a directory, so that what is there after a crash
// at any moment is whole as far as it goes, and the export can go on.
//
// The idea: chunks are cut by size, so that the same entries always make the same files. Each is
// written beside its place, synced, renamed and the directory synced, before the manifest gets its
// line, which is synced in its turn. What the manifest names is thus durable, and what it does not
// name is made once more, from the key after the last one of the last chunk.
#ifndef BANDB_TOOLS_TRANSFER_EXPORTER_H_
#define BANDB_TOOLS_TRANSFER_EXPORTER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/file_system.h"
#include "transfer/entry.h"
#include "transfer/entry_writer.h"
#include "transfer/export_manifest.h"

namespace bandb::transfer {

// A file for what opens the source, to find the same one once more; removed with the end of the
// export.
inline constexpr std::string_view kSourceName = "export.source";

// Entries in the order of their keys.
class EntrySource {
 public:
  virtual ~EntrySource() = default;
  // The next one; false at the end. Lifetime: its bytes are valid until the next call.
  virtual absl::StatusOr<bool> Next(Entry* entry) = 0;
};

// Begins at the first key at or after `begin`; empty: at the first of all.
// Called when the directory is locked.
using OpenSource = std::function<absl::StatusOr<std::unique_ptr<EntrySource>>(const std::string& begin)>;

struct ExportSummary {
  uint64_t entries = 0;  // written by this run
  uint64_t bytes = 0;    // of keys and values
  uint64_t chunks = 0;
  uint64_t earlier_entries = 0;  // that were there already
};
using TellExport = std::function<void(const ExportSummary&)>;

// Used once, by one thread.
class DirectoryExporter {
 public:
  // `tell` is called after every entry. Lifetime: borrows `files`.
  DirectoryExporter(base::FileSystem* files, std::string directory, ManifestHead head, TellExport tell)
      : files_(files), directory_(std::move(directory)), tell_(std::move(tell)), writer_(head.layout, head.compress) {
    manifest_.head = std::move(head);
  }

  // Makes the directory, unless it is there, and fills it. With `resume` it goes on with an export
  // that was cut short, and makes no file that is there already; one that is complete is left as it
  // is. Durability: all files survive power loss when it returns OK. Errors: kAlreadyExists there
  // is something in the directory and `resume` is false · kFailedPrecondition what is there was
  // asked for otherwise, or is of another state of the store; or another process is at it ·
  // kDataLoss the manifest is damaged, or a file is not as it says · kInvalidArgument what is there
  // is no export; an entry that the format cannot hold · and those of the source and of the file
  // system.
  absl::Status Run(bool resume, const OpenSource& open_source);

  // The place in the change feed that the state is of, in hexadecimal digits: noted by what opens
  // the source, told also by a run that finds the export complete; empty: none is known.
  void NoteToken(std::string token) { manifest_.token = std::move(token); }
  const std::string& token() const { return manifest_.token; }

  const ExportSummary& summary() const { return summary_; }

 private:
  std::string PathOf(std::string_view name) const { return base::JoinPath(directory_, name); }
  // Once the directory is nobody else's.
  absl::Status RunLocked(bool resume, const OpenSource& open_source);
  // Reads what an earlier run left.
  absl::Status TakeUp(bool resume);
  // Errors: kDataLoss a chunk is not there as the manifest has it.
  absl::Status CheckChunks(const Manifest& earlier) const;
  // Writes the manifest as far as it is known, and keeps it open for more lines.
  absl::Status BeginManifest();
  absl::Status AppendLine(std::string_view line);
  absl::Status WriteEntries(EntrySource* source);
  absl::Status FinishChunk();

  base::FileSystem* const files_;
  const std::string directory_;
  const TellExport tell_;
  EntryWriter writer_;
  Manifest manifest_;
  std::unique_ptr<base::AppendableFile> manifest_file_;
  ManifestChunk chunk_;  // the one that is being filled
  std::string content_;
  ExportSummary summary_;
};

// Writes all entries as one stream, with `write`, in pieces.
absl::StatusOr<ExportSummary> ExportToStream(const ManifestHead& head, EntrySource* source,
                                             const std::function<absl::Status(std::string_view)>& write,
                                             const TellExport& tell);

}  // namespace bandb::transfer

#endif  // BANDB_TOOLS_TRANSFER_EXPORTER_H_
