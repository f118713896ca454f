#include "transfer/change_exporter.h"

#include <algorithm>
#include <charconv>
#include <vector>

#include "base/checksum.h"
#include "base/status.h"
#include "transfer/compression.h"
#include "transfer/export_directory.h"
#include "transfer/export_manifest.h"

namespace bandb::transfer {

namespace {

constexpr std::string_view kStagedSuffix = ".tmp";
constexpr std::string_view kFilePrefix = "changes-";

// With what the manifest of every version begins.
constexpr std::string_view kManifestBegin = "{\"bandb_changes\": ";

}  // namespace

std::string ChangeExporter::WithoutSlashes(std::string_view directory) {
  while (directory.size() > 1 && directory.ends_with('/')) directory.remove_suffix(1);
  return std::string(directory);
}

bool ChangeExporter::IsLeftover(std::string_view name) const {
  if (!name.ends_with(kStagedSuffix)) return false;
  name.remove_suffix(kStagedSuffix.size());
  if (name == kManifestName || name == kPlaceName) return true;
  if (!name.starts_with(kFilePrefix)) return false;
  name.remove_prefix(kFilePrefix.size());
  uint64_t first = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), first);
  return error == std::errc() && ChangesFileName(head_, first).substr(kFilePrefix.size()) == name;
}

absl::StatusOr<bool> ChangeExporter::IsFirstLeftover(const std::string& name) const {
  if (name != std::string(kManifestName) + std::string(kStagedSuffix)) return false;
  BANDB_ASSIGN_OR_RETURN(const std::string text, base::ReadFile(files_, PathOf(name), kManifestBytesMax));
  // What power loss makes of one is no text.
  const bool is_text = IsUtf8(text) && text.find('\0') == std::string::npos;
  const std::string_view begin = std::string_view(text).substr(0, kManifestBegin.size());
  return !is_text || kManifestBegin.starts_with(begin);
}

absl::Status ChangeExporter::Note(absl::Status status) {
  if (failure_.ok()) failure_ = std::move(status);
  return failure_;
}

absl::Status ChangeExporter::BeginManifest(const std::string& lines) {
  // An appendable file is a new one: what was there is written once more.
  const std::string path = PathOf(kManifestName);
  const std::string temporary = path + std::string(kStagedSuffix);
  BANDB_ASSIGN_OR_RETURN(const bool leftover, files_->Exists(temporary));
  if (leftover) BANDB_RETURN_IF_ERROR(files_->Remove(temporary));
  BANDB_ASSIGN_OR_RETURN(manifest_, files_->Create(temporary, base::AppendMode::kBuffered));
  BANDB_RETURN_IF_ERROR(manifest_->Append(ChangesHeadLine(head_) + lines));
  BANDB_RETURN_IF_ERROR(manifest_->Sync());
  BANDB_RETURN_IF_ERROR(files_->Rename(temporary, path));
  return files_->SyncDir(directory_);
}

absl::Status ChangeExporter::CheckDirectory() const {
  absl::StatusOr<std::string> text = base::ReadFile(named_files_, PathOf(kPlaceName), kPlaceBytesMax);
  if (absl::IsNotFound(text.status())) text = "";
  BANDB_RETURN_IF_ERROR(text.status());
  if (*text == place_text_) return absl::OkStatus();
  return base::Error(absl::StatusCode::kFailedPrecondition,
                     "{}: was replaced, or somebody else wrote {} in it: what is acknowledged is in the directory that "
                     "had this name before",
                     directory_, kPlaceName);
}

absl::Status ChangeExporter::StagePlace(const ChangesPlace& place) {
  BANDB_RETURN_IF_ERROR(CheckDirectory());
  return base::StageFile(files_, PathOf(kPlaceName), PlaceText(place));
}

absl::Status ChangeExporter::InstallPlace(ChangesPlace place) {
  BANDB_RETURN_IF_ERROR(base::InstallStaged(files_, PathOf(kPlaceName)));
  place_text_ = PlaceText(place);
  place_ = std::move(place);
  return absl::OkStatus();
}

absl::Status ChangeExporter::Acknowledge() {
  if (place_.token.empty() || acknowledged_ == place_.token) return absl::OkStatus();
  BANDB_RETURN_IF_ERROR(acknowledge_(place_.token));
  acknowledged_ = place_.token;
  return absl::OkStatus();
}

absl::StatusOr<bool> ChangeExporter::FindNext() const {
  const std::string named = PathOf(place_.next->file);
  for (const std::string& path : {named, named + std::string(kStagedSuffix)}) {
    const absl::StatusOr<std::string> content = base::ReadFile(files_, path, UINT64_MAX);
    if (absl::IsNotFound(content.status())) continue;
    BANDB_RETURN_IF_ERROR(content.status());
    if (content->size() == place_.next->bytes && base::Hash64(*content) == place_.next->checksum) return path == named;
    return base::Error(absl::StatusCode::kDataLoss, "{}: not as {} has it", path, kPlaceName);
  }
  return base::Error(
      absl::StatusCode::kDataLoss,
      "{}: is not there, and {} does not name it yet: who took it away? To go on with it, choose another "
      "directory: it is not acknowledged",
      named, kManifestName);
}

absl::Status ChangeExporter::FinishNext() {
  BANDB_ASSIGN_OR_RETURN(const bool has_name, FindNext());
  // The name it has may not be durable.
  if (has_name) BANDB_RETURN_IF_ERROR(files_->SyncDir(directory_));
  if (!has_name) BANDB_RETURN_IF_ERROR(base::InstallStaged(files_, PathOf(place_.next->file)));
  BANDB_RETURN_IF_ERROR(manifest_->Append(ChangesFileLine(*place_.next)));
  return manifest_->Sync();
}

absl::Status ChangeExporter::TakeUpPlace(const ChangesManifest& manifest, const absl::Status& damage,
                                         const std::vector<std::string>& names) {
  // What it says counts as soon as it is durable, and what is durable of it is not known.
  BANDB_RETURN_IF_ERROR(files_->SyncDir(directory_));
  BANDB_ASSIGN_OR_RETURN(const std::string text, base::ReadFile(files_, PathOf(kPlaceName), kPlaceBytesMax));
  absl::StatusOr<ChangesPlace> place = ParsePlace(head_, text);
  if (!place.ok()) return base::Annotate(place.status(), directory_);
  place_ = *std::move(place);
  place_text_ = text;
  const uint64_t last = manifest.last.has_value() ? manifest.last->last : 0;
  const bool is_named = place_.next.has_value() && manifest.last == place_.next;
  // The one line that may not be durable is that of the next file.
  const bool may_be_torn = place_.next.has_value() && last == place_.sequence;
  if (!damage.ok() && !may_be_torn) return base::Annotate(damage, directory_);
  if (!is_named && last != place_.sequence) {
    return base::Error(absl::StatusCode::kDataLoss,
                       "{}: {} ends at sequence {}, and {} at {}: one of them was changed. To go on after what was "
                       "acknowledged, choose another directory",
                       directory_, kManifestName, last, kPlaceName, place_.sequence);
  }
  summary_.earlier_files = manifest.files;
  summary_.earlier_changes = manifest.changes;
  // Before anything is written: there may be no room besides.
  const bool is_staged = place_.next.has_value() && !is_named;
  const std::string staged = is_staged ? place_.next->file + std::string(kStagedSuffix) : "";
  BANDB_RETURN_IF_ERROR(RemoveLeftovers(names, staged));
  BANDB_RETURN_IF_ERROR(BeginManifest(manifest.lines));
  if (place_.next.has_value()) {
    if (!is_named) {
      BANDB_RETURN_IF_ERROR(FinishNext());
      ++summary_.earlier_files;
      summary_.earlier_changes += place_.next->changes;
    }
    place_ = {.token = place_.next_token, .sequence = place_.next->last};
  }
  token_ = place_.token;
  sequence_ = place_.sequence;
  return Acknowledge();
}

absl::Status ChangeExporter::RemoveLeftovers(const std::vector<std::string>& names, std::string_view but) {
  for (const std::string& name : names) {
    if (IsLeftover(name) && name != but) BANDB_RETURN_IF_ERROR(files_->Remove(PathOf(name)));
  }
  return absl::OkStatus();
}

absl::Status ChangeExporter::TakeUp() {
  BANDB_ASSIGN_OR_RETURN(const std::vector<std::string> names, files_->List(directory_));
  const auto has = [&names](std::string_view name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  ChangesManifest manifest;
  absl::Status damage;
  if (has(kManifestName)) {
    BANDB_ASSIGN_OR_RETURN(const std::string text, base::ReadFile(files_, PathOf(kManifestName), kManifestBytesMax));
    absl::StatusOr<ChangesManifest> parsed = ParseChangesManifest(text, &damage);
    if (!parsed.ok()) return base::Annotate(parsed.status(), directory_);
    manifest = *std::move(parsed);
    if (manifest.head != head_) {
      return base::Error(absl::StatusCode::kFailedPrecondition,
                         "{}: the changes there are of another range, part or cursor, or in another format: give the "
                         "options that they were begun with, which are in {}, or another directory",
                         directory_, kManifestName);
    }
  } else {
    for (const std::string& name : names) {
      if (name == kExportLockName) continue;
      BANDB_ASSIGN_OR_RETURN(const bool is_ours, IsFirstLeftover(name));
      if (is_ours) continue;
      return base::Error(absl::StatusCode::kInvalidArgument,
                         "{}: holds {}, and no {}: this is not an export of changes", directory_, name, kManifestName);
    }
  }
  if (has(kPlaceName)) return TakeUpPlace(manifest, damage, names);
  BANDB_RETURN_IF_ERROR(base::Annotate(damage, directory_));
  if (manifest.files > 0) {
    return base::Error(absl::StatusCode::kDataLoss, "{}: there is no {}, and {} has files", directory_, kPlaceName,
                       kManifestName);
  }
  BANDB_RETURN_IF_ERROR(RemoveLeftovers(names, ""));
  return BeginManifest("");
}

absl::Status ChangeExporter::Begin() {
  BANDB_RETURN_IF_ERROR(Note(MakeExportDirectory(files_, directory_)));
  absl::StatusOr<std::unique_ptr<base::FileSystem>> pinned = named_files_->Pin(directory_);
  BANDB_RETURN_IF_ERROR(Note(pinned.status()));
  pinned_ = *std::move(pinned);
  files_ = pinned_.get();
  absl::StatusOr<std::unique_ptr<base::FileLock>> lock = LockExport(files_, directory_);
  BANDB_RETURN_IF_ERROR(Note(lock.status()));
  lock_ = *std::move(lock);
  return Note(TakeUp());
}

absl::Status ChangeExporter::Install() {
  const std::string path = PathOf(place_.next->file);
  BANDB_RETURN_IF_ERROR(base::InstallStaged(files_, path));
  BANDB_RETURN_IF_ERROR(manifest_->Append(ChangesFileLine(*place_.next)));
  BANDB_RETURN_IF_ERROR(manifest_->Sync());
  place_ = {.token = place_.next_token, .sequence = place_.next->last};
  return Acknowledge();
}

absl::Status ChangeExporter::WriteFile() {
  BANDB_RETURN_IF_ERROR(writer_.End(&content_));
  const bool compress = head_.compress && head_.layout.format != Format::kParquet;
  std::string packed = std::exchange(content_, {});
  if (compress) {
    BANDB_ASSIGN_OR_RETURN(packed, Compress(packed));
  }
  next_.bytes = packed.size();
  next_.checksum = base::Hash64(packed);
  const std::string path = PathOf(next_.file);
  BANDB_ASSIGN_OR_RETURN(const bool is_there, files_->Exists(path));
  if (is_there) {
    return base::Error(absl::StatusCode::kAlreadyExists, "{}: is there, and was not written by this export", path);
  }
  BANDB_RETURN_IF_ERROR(base::StageFile(files_, path, packed));
  ChangesPlace place{.token = place_.token, .sequence = place_.sequence, .next = next_, .next_token = token_};
  // All of a place needs a token. The first file of a directory begins where nothing was before.
  if (place.token.empty()) place.token = token_;
  // The place that names it must not be durable before its name is.
  absl::Status ready = files_->SyncDir(directory_);
  if (ready.ok()) ready = StagePlace(place);
  if (!ready.ok()) {
    // What could be short is room.
    files_->Remove(path + std::string(kStagedSuffix)).IgnoreError();
    return ready;
  }
  BANDB_RETURN_IF_ERROR(InstallPlace(std::move(place)));
  BANDB_RETURN_IF_ERROR(Install());
  ++summary_.files;
  summary_.commits += next_.commits;
  summary_.changes += next_.changes;
  next_ = {};
  return absl::OkStatus();
}

absl::Status ChangeExporter::AddCommit(const ChangeCommit& commit) {
  if (commit.last_sequence <= sequence_ || commit.changes.empty()) return absl::OkStatus();
  if (commit.first_sequence <= sequence_ || commit.first_sequence > commit.last_sequence) {
    return base::Error(absl::StatusCode::kDataLoss,
                       "the feed gave a commit of sequences {} to {}, and {} is in files already",
                       commit.first_sequence, commit.last_sequence, sequence_);
  }
  if (next_.changes == 0) {
    writer_.Begin(&content_);
    next_.first = commit.first_sequence;
    next_.file = ChangesFileName(head_, commit.first_sequence);
  }
  const absl::Status written = writer_.Append(commit, &content_);
  if (absl::IsInvalidArgument(written)) {
    return base::Error(written.code(), "{}; and another directory: this one keeps its format", base::Message(written));
  }
  BANDB_RETURN_IF_ERROR(written);
  next_.last = sequence_ = commit.last_sequence;
  ++next_.commits;
  next_.changes += commit.changes.size();
  // Without a token there is no place to say where the file begins.
  const bool full = !token_.empty() && writer_.PlainBytes(content_) >= chunk_bytes_;
  return full ? WriteFile() : absl::OkStatus();
}

absl::Status ChangeExporter::Add(const ChangeCommit& commit) {
  BANDB_RETURN_IF_ERROR(failure_);
  return Note(AddCommit(commit));
}

absl::Status ChangeExporter::Passed(std::string_view token) {
  BANDB_RETURN_IF_ERROR(failure_);
  const bool is_first = token_.empty();
  token_ = token;
  if (!is_first) return absl::OkStatus();
  if (next_.changes == 0) return Finish();
  return Note(writer_.PlainBytes(content_) >= chunk_bytes_ ? WriteFile() : absl::OkStatus());
}

absl::Status ChangeExporter::Finish() {
  BANDB_RETURN_IF_ERROR(failure_);
  if (token_.empty()) return absl::OkStatus();
  if (next_.changes > 0) return Note(WriteFile());
  if (!has_moved()) return absl::OkStatus();
  const ChangesPlace place{.token = token_, .sequence = place_.sequence};
  BANDB_RETURN_IF_ERROR(Note(StagePlace(place)));
  BANDB_RETURN_IF_ERROR(Note(InstallPlace(place)));
  return Note(Acknowledge());
}

absl::Status ChangeExporter::Close() {
  BANDB_RETURN_IF_ERROR(Finish());
  if (lock_ == nullptr) return absl::OkStatus();
  BANDB_RETURN_IF_ERROR(Note(manifest_->Close()));
  return Note(Unlock());
}

absl::Status ChangeExporter::Unlock() {
  if (lock_ == nullptr) return absl::OkStatus();
  // Somebody may have swept it away.
  const absl::Status removed = files_->Remove(PathOf(kExportLockName));
  lock_.reset();
  return absl::IsNotFound(removed) ? absl::OkStatus() : removed;
}

}  // namespace bandb::transfer
