// What sender and receiver of a snapshot say to each other. Payloads of frames over the bulk link,
// each of which begins with stream:u64, the number of the stream, drawn by the sender.
//
//   begin   := head_bytes:u64                                    of the sender
//   head    := bytes                                             of the sender: parts of the head, in order
//   wanted  := count:varint (table:varint offset:varint)*        of the receiver
//   chunk   := table:varint offset:varint bytes                  of the sender: what is wanted, in that order
//   taken   := bytes:u64                                         of the receiver: written, of all chunks
//   done    := code:u8 text                                      of the receiver: 0 installed; else why not
//   stopped := text                                              of the sender: it gives up
//
// All parts of the head are message:length-prefixed state, as proto/peer_message.h and
// replica_state_codec.h have them.
//
// What is wanted leaves out tables that the receiver has, and begins where an earlier stream of the
// same state has ended. `code` is a status code of Abseil's.
#ifndef BANDB_CLUSTER_SNAPSHOT_FRAMES_H_
#define BANDB_CLUSTER_SNAPSHOT_FRAMES_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"

namespace bandb::cluster {

// Of the head: the names and bounds of more tables than fit on a disk.
inline constexpr uint64_t kSnapshotHeadBytesMax = 64 << 20;
// Of one chunk's or part's bytes.
inline constexpr size_t kSnapshotPieceBytesMax = 1 << 20;
// Of chunks that were sent and not taken: no sender has a larger window.
inline constexpr uint64_t kSnapshotBacklogBytesMax = 32 << 20;

// Where the bytes of a table are wanted from.
struct WantedTable {
  uint64_t table = 0;
  uint64_t offset = 0;
  friend bool operator==(const WantedTable&, const WantedTable&) = default;
};

std::string EncodeSnapshotBegin(uint64_t stream, uint64_t head_bytes);
std::string EncodeSnapshotHead(uint64_t stream, std::string_view bytes);
std::string EncodeSnapshotWanted(uint64_t stream, const std::vector<WantedTable>& wanted);
std::string EncodeSnapshotChunk(uint64_t stream, const WantedTable& at, std::string_view bytes);
std::string EncodeSnapshotTaken(uint64_t stream, uint64_t bytes);
// The text is cut.
std::string EncodeSnapshotDone(uint64_t stream, const absl::Status& status);
std::string EncodeSnapshotStopped(uint64_t stream, std::string_view text);

// Takes the stream's number off the front. Like the others: false if the payload is none.
bool DecodeStream(std::string_view* payload, uint64_t* stream);
bool DecodeSnapshotBegin(std::string_view rest, uint64_t* head_bytes);
// In the order of the tables, each once.
bool DecodeSnapshotWanted(std::string_view rest, std::vector<WantedTable>* wanted);
// `*bytes` is a view of it, not empty.
bool DecodeSnapshotChunk(std::string_view rest, WantedTable* at, std::string_view* bytes);
bool DecodeSnapshotTaken(std::string_view rest, uint64_t* bytes);
// The message is escaped: it is for people, and comes from outside.
bool DecodeSnapshotDone(std::string_view rest, absl::Status* status);

}  // namespace bandb::cluster

#endif  // BANDB_CLUSTER_SNAPSHOT_FRAMES_H_
