// Any bytes as what the two ends of a snapshot say to each other, its head and the state in that
// included: each is refused, or comes back as it was.
//
//   input := which:u8 payload
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/assert.h"
#include "base/coding.h"
#include "cluster/replica_state_codec.h"
#include "cluster/snapshot_frames.h"
#include "proto/peer_message.h"
#include "storage/engine/incoming_state.h"

namespace bandb::cluster {

namespace {

void TryState(std::string_view bytes) {
  const absl::StatusOr<storage::ReplicaState> state = DecodeReplicaState(bytes);
  if (!state.ok()) {
    BANDB_ASSERT(absl::IsDataLoss(state.status()) || absl::IsFailedPrecondition(state.status()));
    return;
  }
  const absl::Status fits = storage::CheckState(*state);
  BANDB_ASSERT(fits.ok() || absl::IsDataLoss(fits));
  // What does not fit together is refused next, and may be what no encoder makes.
  if (!fits.ok()) return;
  const std::string encoded = EncodeReplicaState(*state);
  const absl::StatusOr<storage::ReplicaState> again = DecodeReplicaState(encoded);
  BANDB_ASSERT(again.ok() && EncodeReplicaState(*again) == encoded);
  BANDB_ASSERT(again->tables.size() == state->tables.size() && storage::CheckState(*again).ok());
}

void TryHead(std::string_view bytes) {
  base::ByteReader reader(bytes);
  std::string_view encoded;
  raft::Message message;
  if (!reader.ReadLengthPrefixed(&encoded) || !proto::DecodePeerMessage(encoded, {}, &message)) return;
  TryState(reader.rest());
}

void TryBegin(uint64_t stream, std::string_view payload, std::string_view rest) {
  uint64_t head_bytes = 0;
  if (!DecodeSnapshotBegin(rest, &head_bytes)) return;
  BANDB_ASSERT(head_bytes <= kSnapshotHeadBytesMax);
  BANDB_ASSERT(EncodeSnapshotBegin(stream, head_bytes) == payload);
}

void TryWanted(uint64_t stream, std::string_view payload, std::string_view rest) {
  std::vector<WantedTable> wanted, again;
  if (!DecodeSnapshotWanted(rest, &wanted)) return;
  std::string encoded = EncodeSnapshotWanted(stream, wanted);
  BANDB_ASSERT(encoded.size() <= payload.size());
  BANDB_ASSERT(encoded.size() < payload.size() || encoded == payload);
  BANDB_ASSERT(DecodeSnapshotWanted(std::string_view(encoded).substr(sizeof(stream)), &again) && again == wanted);
}

void TryChunk(uint64_t stream, std::string_view payload, std::string_view rest) {
  WantedTable at, at_again;
  std::string_view bytes, bytes_again;
  if (!DecodeSnapshotChunk(rest, &at, &bytes)) return;
  const std::string encoded = EncodeSnapshotChunk(stream, at, bytes);
  BANDB_ASSERT(encoded.size() <= payload.size());
  BANDB_ASSERT(encoded.size() < payload.size() || encoded == payload);
  BANDB_ASSERT(DecodeSnapshotChunk(std::string_view(encoded).substr(sizeof(stream)), &at_again, &bytes_again));
  BANDB_ASSERT(at_again == at && bytes_again == bytes);
}

void TryEnd(uint64_t stream, std::string_view payload, std::string_view rest) {
  uint64_t taken = 0;
  if (DecodeSnapshotTaken(rest, &taken)) BANDB_ASSERT(EncodeSnapshotTaken(stream, taken) == payload);
  absl::Status status, again;
  if (!DecodeSnapshotDone(rest, &status)) return;
  // What is escaped, or too long for a text, does not come back as it was.
  std::string_view encoded;
  const std::string done = EncodeSnapshotDone(stream, status);
  encoded = std::string_view(done).substr(sizeof(stream));
  BANDB_ASSERT(DecodeSnapshotDone(encoded, &again) && again.code() == status.code());
}

void TryPayload(std::string_view input) {
  if (input.empty()) return;
  const auto which = static_cast<uint8_t>(input.front());
  // Memory of exactly that size, so that a sanitizer sees every read beyond it.
  const size_t size = input.size() - 1;
  const std::unique_ptr<char[]> copy(new char[size]);
  if (size != 0) std::memcpy(copy.get(), input.data() + 1, size);
  const std::string_view payload(copy.get(), size);
  if (which % 6 == 0) return TryState(payload);
  if (which % 6 == 1) return TryHead(payload);
  uint64_t stream = 0;
  std::string_view rest = payload;
  if (!DecodeStream(&rest, &stream)) return;
  if (which % 6 == 2) return TryBegin(stream, payload, rest);
  if (which % 6 == 3) return TryWanted(stream, payload, rest);
  if (which % 6 == 4) return TryChunk(stream, payload, rest);
  TryEnd(stream, payload, rest);
}

}  // namespace

}  // namespace bandb::cluster

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  bandb::cluster::TryPayload(std::string_view(reinterpret_cast<const char*>(data), size));
  return 0;
}
