// The bytes of storage::ReplicaState, as it travels to another node at the head of a snapshot.
//
//   state := layout:u8 (1) database_id:16 bytes index:varint term:varint last_sequence:varint
//            commit_time_ms:varint membership:length-prefixed tables:length-prefixed named*
//   tables := a version edit (storage/version/version_edit.h) with the fields of new tables alone,
//             numbered from 1, and that of the users' last sequence
//   named  := file_id:16 bytes checksum:u64       of each table, in the same order
#ifndef BANDB_CLUSTER_REPLICA_STATE_CODEC_H_
#define BANDB_CLUSTER_REPLICA_STATE_CODEC_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "storage/engine/replica_state.h"

namespace bandb::cluster {

std::string EncodeReplicaState(const storage::ReplicaState& state);
// Whether it makes sense is for EngineReplica::Receive to see. Errors: kDataLoss these bytes are
// none; kFailedPrecondition tables that a newer release wrote.
absl::StatusOr<storage::ReplicaState> DecodeReplicaState(std::string_view bytes);

}  // namespace bandb::cluster

#endif  // BANDB_CLUSTER_REPLICA_STATE_CODEC_H_
