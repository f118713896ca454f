#include "transfer/importer.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/checksum.h"
#include "base/status.h"
#include "transfer/decompressor.h"

namespace bandb::transfer {

namespace {

using nlohmann::json;

// After so much the state is saved, which waits until all of it is durable: some tenths of a second
// of an import.
constexpr uint64_t kRecordsPerSave = 1 << 16;
constexpr uint64_t kBytesPerSave = 64 << 20;
constexpr uint64_t kStateBytesMax = 8 << 20;
constexpr size_t kReasonsMax = 100;
constexpr size_t kTextBytesMax = 4096;
constexpr const char* kOtherReasons = "for other reasons";

json ToJson(const std::map<std::string, ImportSummary::Skipped>& skipped) {
  json list = json::array();
  for (const auto& [reason, skip] : skipped) {
    list.push_back({{"reason", reason}, {"count", skip.count}, {"first", skip.first}});
  }
  return list;
}

// False: it is not what ToJson makes.
bool FromJson(const json& list, std::map<std::string, ImportSummary::Skipped>* skipped) {
  if (!list.is_array()) return false;
  for (const json& one : list) {
    const bool whole = one.is_object() && one.contains("reason") && one["reason"].is_string() &&
                       one.contains("count") && one["count"].is_number_unsigned() && one.contains("first") &&
                       one["first"].is_string();
    if (!whole) return false;
    (*skipped)[one["reason"].get<std::string>()] = {one["count"].get<uint64_t>(), one["first"].get<std::string>()};
  }
  return true;
}

}  // namespace

uint64_t ImportSummary::skipped_records() const {
  uint64_t sum = 0;
  for (const auto& [reason, skip] : skipped) sum += skip.count;
  return sum;
}

void ImportSummary::Skip(const std::string& reason, const std::string& where) {
  const bool known = skipped.contains(reason) || skipped.size() < kReasonsMax;
  Skipped& skip = skipped[known ? reason.substr(0, kTextBytesMax) : kOtherReasons];
  if (skip.count++ == 0) skip.first = where.substr(0, kTextBytesMax);
}

absl::Status Importer::ReadState(const std::vector<ImportInput>& inputs) {
  json names = json::array();
  for (const ImportInput& input : inputs) {
    std::string name;
    AppendJsonBytes(Encoding::kUtf8, input.path, &name);
    names.push_back(json::parse(name));
  }
  inputs_ = names.dump();
  if (state_path_.empty()) return absl::OkStatus();
  BANDB_ASSIGN_OR_RETURN(const bool exists, files_->Exists(state_path_));
  if (!exists) return absl::OkStatus();
  BANDB_ASSIGN_OR_RETURN(const std::string text, base::ReadFile(files_, state_path_, kStateBytesMax));
  const json state = json::parse(text, nullptr, /*allow_exceptions=*/false);
  const bool whole = state.is_object() && state.contains("bandb_import") && state.contains("inputs") &&
                     state.contains("records") && state["records"].is_number_unsigned();
  if (!whole || state["bandb_import"] != 1) {
    return base::Error(absl::StatusCode::kDataLoss, "{}: not the state of an import", state_path_);
  }
  if (state["inputs"] != names) {
    return base::Error(absl::StatusCode::kFailedPrecondition, "{}: the state of an import of other files: {}",
                       state_path_, state["inputs"].dump(-1, ' ', true, json::error_handler_t::replace));
  }
  // One that an older release has kept says nothing of what was passed over.
  if (state.contains("skipped") && !FromJson(state["skipped"], &summary_.skipped)) {
    return base::Error(absl::StatusCode::kDataLoss, "{}: not the state of an import", state_path_);
  }
  skipped_so_far_.store(summary_.skipped_records(), std::memory_order_relaxed);
  summary_.earlier = saved_ = state["records"].get<uint64_t>();
  return absl::OkStatus();
}

absl::Status Importer::SaveState() {
  unsaved_bytes_ = 0;
  if (state_path_.empty() || summary_.records <= saved_) return absl::OkStatus();
  BANDB_RETURN_IF_ERROR(base::InstallFile(
      files_, state_path_,
      fmt::format("{{\"bandb_import\": 1, \"inputs\": {}, \"records\": {}, \"skipped\": {}}}\n", inputs_,
                  summary_.records, ToJson(summary_.skipped).dump(-1, ' ', true, json::error_handler_t::replace))));
  saved_ = summary_.records;
  return absl::OkStatus();
}

absl::Status Importer::Take(Record record, const std::string& name) {
  const uint64_t number = summary_.records++;
  if (number < summary_.earlier) return absl::OkStatus();
  std::string where = fmt::format("{}: record {}", name, record.number);
  ImportEntry entry{std::move(record.key), std::move(record.value), 0, {}};
  if (record.complaint.empty() && record.expires_ms != 0) {
    entry.expires_ms = record.expires_ms;
    if (record.expires_ms <= static_cast<uint64_t>(clock_->WallMillis())) record.complaint = "expired meanwhile";
  }
  if (!record.complaint.empty()) {
    summary_.Skip(record.complaint, where);
  } else {
    entry.where = std::move(where);
    unsaved_bytes_ += entry.key.size() + entry.value.size();
    BANDB_RETURN_IF_ERROR(target_->Add(std::move(entry), &summary_));
  }
  skipped_so_far_.store(summary_.skipped_records(), std::memory_order_relaxed);
  const bool much = summary_.records >= saved_ + kRecordsPerSave || unsaved_bytes_ >= kBytesPerSave;
  if (state_path_.empty() || !much) return absl::OkStatus();
  BANDB_RETURN_IF_ERROR(target_->Finish(&summary_));
  return SaveState();
}

absl::Status Importer::ImportRecords(EntryReader* reader, const std::string& name) {
  Record record;
  while (true) {
    BANDB_ASSIGN_OR_RETURN(const bool more, reader->Next(&record));
    if (!more) return absl::OkStatus();
    BANDB_RETURN_IF_ERROR(Take(std::move(record), name));
    tell_(summary_);
  }
}

absl::Status Importer::ImportChunk(const std::string& directory, const ManifestHead& head, const ManifestChunk& chunk) {
  if (summary_.records + chunk.entries <= summary_.earlier) {
    summary_.records += chunk.entries;
    return absl::OkStatus();
  }
  const std::string path = base::JoinPath(directory, chunk.file);
  BANDB_ASSIGN_OR_RETURN(const uint64_t size, files_->FileSize(path));
  if (size != chunk.bytes) {
    return base::Error(absl::StatusCode::kDataLoss, "{}: {} bytes long, and {} in {}", path, size, chunk.bytes,
                       kManifestName);
  }
  // The manifest may say anything, and the file is as long: what is read is bounded by the disk.
  BANDB_ASSIGN_OR_RETURN(std::string content, base::ReadFile(files_, path, size));
  if (base::Hash64(content) != chunk.checksum) {
    return base::Error(absl::StatusCode::kDataLoss, "{}: the checksum is not the one in {}", path, kManifestName);
  }
  auto source = std::make_unique<Decompressor>(std::make_unique<StringSource>(std::move(content)), path, false);
  const std::unique_ptr<EntryReader> reader = MakeEntryReader(head.layout.format, std::move(source), path);
  const uint64_t before = summary_.records;
  BANDB_RETURN_IF_ERROR(ImportRecords(reader.get(), path));
  if (summary_.records - before == chunk.entries) return absl::OkStatus();
  return base::Error(absl::StatusCode::kDataLoss, "{}: {} entries, and {} in {}", path, summary_.records - before,
                     chunk.entries, kManifestName);
}

absl::Status Importer::ImportDirectory(const std::string& path) {
  const std::string manifest_path = base::JoinPath(path, kManifestName);
  BANDB_ASSIGN_OR_RETURN(const std::string text, base::ReadFile(files_, manifest_path, kManifestBytesMax));
  const absl::StatusOr<Manifest> manifest = ParseManifest(text);
  if (!manifest.ok()) return base::Annotate(manifest.status(), path);
  if (!manifest->complete) {
    return base::Error(absl::StatusCode::kFailedPrecondition,
                       "{}: the export is not complete: finish it with bandb export --resume", path);
  }
  for (const ManifestChunk& chunk : manifest->chunks) {
    BANDB_RETURN_IF_ERROR(ImportChunk(path, manifest->head, chunk));
  }
  return absl::OkStatus();
}

absl::Status Importer::Run(const std::vector<ImportInput>& inputs) {
  BANDB_RETURN_IF_ERROR(ReadState(inputs));
  for (const ImportInput& input : inputs) {
    if (input.directory) {
      BANDB_RETURN_IF_ERROR(ImportDirectory(input.path));
      continue;
    }
    const std::string name = input.path == "-" ? "standard input" : input.path;
    BANDB_ASSIGN_OR_RETURN(std::unique_ptr<ByteSource> source, open_(input.path));
    const std::unique_ptr<EntryReader> reader = MakeEntryReader(input.format, std::move(source), name);
    BANDB_RETURN_IF_ERROR(ImportRecords(reader.get(), name));
  }
  if (summary_.records < summary_.earlier) {
    return base::Error(absl::StatusCode::kFailedPrecondition,
                       "{}: {} records were imported, and the files have {}: they are not the same", state_path_,
                       summary_.earlier, summary_.records);
  }
  BANDB_RETURN_IF_ERROR(target_->Finish(&summary_));
  return SaveState();
}

}  // namespace bandb::transfer
