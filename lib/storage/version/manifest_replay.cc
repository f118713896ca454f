#include "storage/version/manifest_replay.h"

#include <vector>

#include "base/status.h"

namespace bandb::storage {

absl::StatusOr<VersionEdit> ManifestReplay::Add(std::string_view payload, uint64_t offset) {
  absl::StatusOr<VersionEdit> edit = DecodeEdit(payload);
  BANDB_RETURN_IF_ERROR(base::Annotate(edit.status(), fmt::format("{}: offset {}", path_, offset)));
  BANDB_RETURN_IF_ERROR(Apply(*edit, offset));
  return edit;
}

absl::Status ManifestReplay::Apply(const VersionEdit& edit, uint64_t offset) {
  const std::string place = fmt::format("{}: offset {}", path_, offset);
  std::vector<TablePtr> added;
  for (const VersionEdit::AddedTable& table : edit.added) {
    added.push_back(std::make_shared<LiveTable>(table.info, tables_));
  }
  BANDB_RETURN_IF_ERROR(base::Annotate(builder_.Apply(edit, added), place));
  BANDB_RETURN_IF_ERROR(base::Annotate(state_.ApplyFields(edit), place));
  if (edits_++ == 0) beginning_edits_ = edit.beginning_edits.value_or(1);
  return absl::OkStatus();
}

absl::Status ManifestReplay::CheckBeginning(uint64_t end) const {
  if (edits_ >= beginning_edits_) return absl::OkStatus();
  return base::Error(absl::StatusCode::kDataLoss, "{}: offset {}: damage in its first edits, {} of {} are whole", path_,
                     end, edits_, beginning_edits_);
}

absl::StatusOr<ManifestState> ManifestReplay::Build() const {
  ManifestState state = state_;
  BANDB_ASSIGN_OR_RETURN(state.version, builder_.Build());
  return state;
}

}  // namespace bandb::storage
