#include "cluster/replica_state_codec.h"

#include <algorithm>
#include <utility>

#include "base/coding.h"
#include "base/status.h"
#include "storage/version/version_edit.h"

namespace bandb::cluster {

namespace {

constexpr uint8_t kLayout = 1;
constexpr size_t kUuidBytes = 16;

void PutUuid(std::string* to, const storage::Uuid& id) { to->append(id.bytes.data(), kUuidBytes); }

bool ReadUuid(base::ByteReader* reader, storage::Uuid* id) {
  std::string_view bytes;
  if (!reader->ReadBytes(kUuidBytes, &bytes)) return false;
  std::copy(bytes.begin(), bytes.end(), id->bytes.begin());
  return true;
}

absl::Status Malformed(std::string_view what) {
  return base::Error(absl::StatusCode::kDataLoss, "the state of a snapshot: {}", what);
}

// Whether an edit says nothing but which tables are new.
bool OnlyAdds(const storage::VersionEdit& edit) {
  return !edit.log_number && !edit.next_file_number && !edit.last_sequence && !edit.commit_time_ms && !edit.epoch &&
         edit.deleted.empty() && edit.log_ends.empty() && !edit.applied && !edit.membership && !edit.begun_log;
}

}  // namespace

std::string EncodeReplicaState(const storage::ReplicaState& state) {
  std::string bytes;
  base::PutFixed8(&bytes, kLayout);
  PutUuid(&bytes, state.database_id);
  base::PutVarint(&bytes, state.position.applied.index);
  base::PutVarint(&bytes, state.position.applied.term);
  base::PutVarint(&bytes, state.position.last_sequence);
  base::PutVarint(&bytes, state.position.commit_time_ms);
  base::PutLengthPrefixed(&bytes, state.position.membership);
  storage::VersionEdit edit;
  edit.user_sequence = state.position.user_sequence;
  for (const storage::StateTable& table : state.tables) {
    edit.added.push_back({table.level, table.info});
    edit.added.back().info.number = edit.added.size();
  }
  base::PutLengthPrefixed(&bytes, storage::EncodeEdit(edit));
  for (const storage::StateTable& table : state.tables) {
    PutUuid(&bytes, table.file_id);
    base::PutFixed64(&bytes, table.checksum);
  }
  return bytes;
}

absl::StatusOr<storage::ReplicaState> DecodeReplicaState(std::string_view bytes) {
  storage::ReplicaState state;
  base::ByteReader reader(bytes);
  uint8_t layout = 0;
  std::string_view membership, tables;
  if (!reader.ReadFixed(&layout) || layout != kLayout || !ReadUuid(&reader, &state.database_id) ||
      !reader.ReadVarint(&state.position.applied.index) || !reader.ReadVarint(&state.position.applied.term) ||
      !reader.ReadVarint(&state.position.last_sequence) || !reader.ReadVarint(&state.position.commit_time_ms) ||
      !reader.ReadLengthPrefixed(&membership) || !reader.ReadLengthPrefixed(&tables)) {
    return Malformed("cut short, or of another layout");
  }
  state.position.membership.assign(membership);
  BANDB_ASSIGN_OR_RETURN(storage::VersionEdit edit, storage::DecodeEdit(tables));
  // A node of a release that does not know it says nothing of it.
  state.position.user_sequence = edit.user_sequence.value_or(state.position.last_sequence);
  if (!OnlyAdds(edit)) return Malformed("more than new tables");
  if (reader.remaining() != edit.added.size() * (kUuidBytes + sizeof(uint64_t))) return Malformed("tables and names");
  for (storage::VersionEdit::AddedTable& added : edit.added) {
    storage::StateTable& table = state.tables.emplace_back();
    table.level = added.level;
    table.info = std::move(added.info);
    if (!ReadUuid(&reader, &table.file_id) || !reader.ReadFixed(&table.checksum)) return Malformed("names");
  }
  return state;
}

}  // namespace bandb::cluster
