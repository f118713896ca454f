#include "transfer/exporter.h"

#include <algorithm>
#include <vector>

#include "base/checksum.h"
#include "base/status.h"
#include "transfer/compression.h"
#include "transfer/export_directory.h"

namespace bandb::transfer {

namespace {

constexpr std::string_view kTemporary = ".tmp";
// Of a stream: pieces, and what zstd makes a frame of.
constexpr size_t kStreamPieceBytes = 1 << 20;

absl::StatusOr<std::string> Packed(const ManifestHead& head, std::string content) {
  if (!head.compress || head.layout.format == Format::kParquet) return content;
  return Compress(content);
}

}  // namespace

absl::Status DirectoryExporter::CheckChunks(const Manifest& earlier) const {
  for (const ManifestChunk& chunk : earlier.chunks) {
    const absl::StatusOr<uint64_t> size = files_->FileSize(PathOf(chunk.file));
    if (!size.ok() && !absl::IsNotFound(size.status())) return size.status();
    if (size.ok() && *size == chunk.bytes) continue;
    return base::Error(absl::StatusCode::kDataLoss, "{}: {} as {} has it", PathOf(chunk.file),
                       size.ok() ? "not as long" : "not there", kManifestName);
  }
  return absl::OkStatus();
}

absl::Status DirectoryExporter::TakeUp(bool resume) {
  BANDB_ASSIGN_OR_RETURN(std::vector<std::string> names, files_->List(directory_));
  std::erase_if(names, [](const std::string& name) {
    return name == kExportLockName || name == kSourceName || name.ends_with(kTemporary);
  });
  if (!resume) {
    if (names.empty()) return absl::OkStatus();
    return base::Error(absl::StatusCode::kAlreadyExists,
                       "{} is not empty ({}): choose another directory, or go on with what is there by --resume",
                       directory_, names.front());
  }
  if (std::find(names.begin(), names.end(), kManifestName) == names.end()) {
    // Cut short before there was a manifest, and so before there was a chunk.
    if (names.empty()) return absl::OkStatus();
    return base::Error(absl::StatusCode::kInvalidArgument, "{}: holds {}, and no {}: this is not an export", directory_,
                       names.front(), kManifestName);
  }
  BANDB_ASSIGN_OR_RETURN(const std::string text, base::ReadFile(files_, PathOf(kManifestName), kManifestBytesMax));
  absl::StatusOr<Manifest> earlier = ParseManifest(text);
  if (!earlier.ok()) return base::Annotate(earlier.status(), directory_);
  ManifestHead wanted = manifest_.head;
  wanted.state = earlier->head.state;
  if (earlier->head != wanted) {
    return base::Error(absl::StatusCode::kFailedPrecondition,
                       "{}: the export there has another format, range or chunk size: give the options that it was "
                       "begun with; they are in {}",
                       directory_, kManifestName);
  }
  BANDB_RETURN_IF_ERROR(CheckChunks(*earlier));
  if (!earlier->complete && earlier->head.state != manifest_.head.state) {
    return base::Error(absl::StatusCode::kFailedPrecondition,
                       "{}: the export there is of another state of the database ({}, now {}): begin it again in "
                       "another directory",
                       directory_, earlier->head.state, manifest_.head.state);
  }
  manifest_ = *std::move(earlier);
  summary_.earlier_entries = manifest_.entries();
  return absl::OkStatus();
}

absl::Status DirectoryExporter::BeginManifest() {
  // A chunk that was whole before its line was. It may not come again, if the source has changed.
  const std::string unnamed = PathOf(ChunkName(manifest_.head, manifest_.chunks.size()));
  BANDB_ASSIGN_OR_RETURN(const bool exists, files_->Exists(unnamed));
  if (exists) BANDB_RETURN_IF_ERROR(files_->Remove(unnamed));
  std::string text = HeadLine(manifest_.head);
  for (const ManifestChunk& chunk : manifest_.chunks) text += ChunkLine(chunk);
  const std::string path = PathOf(kManifestName);
  const std::string temporary = path + std::string(kTemporary);
  BANDB_ASSIGN_OR_RETURN(const bool leftover, files_->Exists(temporary));
  if (leftover) BANDB_RETURN_IF_ERROR(files_->Remove(temporary));
  BANDB_ASSIGN_OR_RETURN(manifest_file_, files_->Create(temporary, base::AppendMode::kBuffered));
  BANDB_RETURN_IF_ERROR(AppendLine(text));
  BANDB_RETURN_IF_ERROR(files_->Rename(temporary, path));
  return files_->SyncDir(directory_);
}

absl::Status DirectoryExporter::AppendLine(std::string_view line) {
  BANDB_RETURN_IF_ERROR(manifest_file_->Append(line));
  return manifest_file_->Sync();
}

absl::Status DirectoryExporter::FinishChunk() {
  BANDB_RETURN_IF_ERROR(writer_.End(&content_));
  BANDB_ASSIGN_OR_RETURN(const std::string packed, Packed(manifest_.head, std::exchange(content_, {})));
  chunk_.file = ChunkName(manifest_.head, manifest_.chunks.size());
  chunk_.bytes = packed.size();
  chunk_.checksum = base::Hash64(packed);
  BANDB_RETURN_IF_ERROR(base::InstallFile(files_, PathOf(chunk_.file), packed));
  BANDB_RETURN_IF_ERROR(AppendLine(ChunkLine(chunk_)));
  manifest_.chunks.push_back(std::exchange(chunk_, {}));
  ++summary_.chunks;
  return absl::OkStatus();
}

absl::Status DirectoryExporter::WriteEntries(EntrySource* source) {
  Entry entry;
  while (true) {
    BANDB_ASSIGN_OR_RETURN(const bool more, source->Next(&entry));
    if (!more) break;
    if (chunk_.entries == 0) {
      writer_.Begin(&content_);
      chunk_.first = entry.key;
    }
    BANDB_RETURN_IF_ERROR(writer_.Append(entry, &content_));
    chunk_.last = entry.key;
    ++chunk_.entries;
    ++summary_.entries;
    summary_.bytes += entry.key.size() + entry.value.size();
    if (writer_.PlainBytes(content_) >= manifest_.head.chunk_bytes) BANDB_RETURN_IF_ERROR(FinishChunk());
    tell_(summary_);
  }
  return chunk_.entries > 0 ? FinishChunk() : absl::OkStatus();
}

absl::Status DirectoryExporter::Run(bool resume, const OpenSource& open_source) {
  BANDB_RETURN_IF_ERROR(MakeExportDirectory(files_, directory_));
  BANDB_ASSIGN_OR_RETURN(const std::unique_ptr<base::FileLock> lock, LockExport(files_, directory_));
  const absl::Status done = RunLocked(resume, open_source);
  const absl::Status removed = files_->Remove(PathOf(kExportLockName));
  return done.ok() ? removed : done;
}

absl::Status DirectoryExporter::RunLocked(bool resume, const OpenSource& open_source) {
  BANDB_RETURN_IF_ERROR(TakeUp(resume));
  if (!manifest_.complete) {
    BANDB_RETURN_IF_ERROR(BeginManifest());
    // The first key after the last one.
    const std::string begin =
        manifest_.chunks.empty() ? manifest_.head.begin : manifest_.chunks.back().last + std::string(1, '\0');
    BANDB_ASSIGN_OR_RETURN(const std::unique_ptr<EntrySource> source, open_source(begin));
    BANDB_RETURN_IF_ERROR(WriteEntries(source.get()));
    BANDB_RETURN_IF_ERROR(AppendLine(TotalLine(manifest_)));
    BANDB_RETURN_IF_ERROR(manifest_file_->Close());
  }
  BANDB_ASSIGN_OR_RETURN(const bool has_source, files_->Exists(PathOf(kSourceName)));
  return has_source ? files_->Remove(PathOf(kSourceName)) : absl::OkStatus();
}

absl::StatusOr<ExportSummary> ExportToStream(const ManifestHead& head, EntrySource* source,
                                             const std::function<absl::Status(std::string_view)>& write,
                                             const TellExport& tell) {
  ExportSummary summary;
  EntryWriter writer(head.layout, head.compress);
  std::string content;
  writer.Begin(&content);
  Entry entry;
  for (bool more = true; more;) {
    BANDB_ASSIGN_OR_RETURN(more, source->Next(&entry));
    if (more) {
      BANDB_RETURN_IF_ERROR(writer.Append(entry, &content));
      ++summary.entries;
      summary.bytes += entry.key.size() + entry.value.size();
      tell(summary);
    } else {
      BANDB_RETURN_IF_ERROR(writer.End(&content));
    }
    if (content.empty() || (more && content.size() < kStreamPieceBytes)) continue;
    BANDB_ASSIGN_OR_RETURN(const std::string packed, Packed(head, std::exchange(content, {})));
    BANDB_RETURN_IF_ERROR(write(packed));
  }
  return summary;
}

}  // namespace bandb::transfer
