// Any bytes as the edits of a manifest: each is refused, or means the same when it is written and
// read again; and so does the state that they add up to.
//
//   input := (bytes:u8 edit[bytes])*
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/assert.h"
#include "storage/version/manifest.h"
#include "storage/version/version_edit.h"

namespace bandb::storage {

namespace {

absl::Status ApplyTo(ManifestState* state, const VersionEdit& edit) {
  std::vector<TablePtr> added;
  // Only looked at, never read, so that they need no store.
  for (const VersionEdit::AddedTable& table : edit.added) {
    added.push_back(std::make_shared<LiveTable>(table.info, nullptr));
  }
  return state->Apply(edit, added);
}

void CheckState(const ManifestState& state) {
  const std::string everything = EncodeEdit(state.Everything());
  const absl::StatusOr<VersionEdit> edit = DecodeEdit(everything);
  BANDB_ASSERT(edit.ok());
  ManifestState again;
  BANDB_ASSERT(ApplyTo(&again, *edit).ok());
  BANDB_ASSERT(EncodeEdit(again.Everything()) == everything);
}

void TryEdits(std::string_view input) {
  ManifestState state;
  while (!input.empty()) {
    const size_t bytes = std::min<size_t>(static_cast<uint8_t>(input[0]), input.size() - 1);
    const absl::StatusOr<VersionEdit> edit = DecodeEdit(input.substr(1, bytes));
    input.remove_prefix(1 + bytes);
    if (!edit.ok()) {
      const absl::StatusCode code = edit.status().code();
      BANDB_ASSERT(code == absl::StatusCode::kDataLoss || code == absl::StatusCode::kFailedPrecondition);
      continue;
    }
    const std::string encoded = EncodeEdit(*edit);
    const absl::StatusOr<VersionEdit> again = DecodeEdit(encoded);
    BANDB_ASSERT(again.ok() && EncodeEdit(*again) == encoded);
    ManifestState next = state;
    const absl::Status applied = ApplyTo(&next, *edit);
    BANDB_ASSERT(applied.ok() || applied.code() == absl::StatusCode::kDataLoss);
    if (applied.ok()) state = std::move(next);
  }
  CheckState(state);
}

}  // namespace

}  // namespace bandb::storage

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  bandb::storage::TryEdits(std::string_view(reinterpret_cast<const char*>(data), size));
  return 0;
}
