// The numbers of Raft, each with one name.
#ifndef BANDB_RAFT_TYPES_IDS_H_
#define BANDB_RAFT_TYPES_IDS_H_

#include <cstdint>

namespace bandb::raft {

// A period with at most one leader. Starts at 1; 0 is "before any term", the term of the empty log.
using Term = uint64_t;

// A place in the log. The first entry has index 1; 0 is "before the first entry".
using Index = uint64_t;

// A member of a group. An id belongs to one data directory forever: a node that lost its disk
// joins under a new id, since votes and acknowledgements given under the old one still count
// somewhere.
using NodeId = uint64_t;
inline constexpr NodeId kNoNode = 0;

// One of several logs that share a process; 0 until there are several.
using GroupId = uint32_t;

// Which cluster a message belongs to. Drawn once when the cluster is made, and drawn again by the
// recovery of a lost quorum, so that what the lost majority still says is not heard.
using ClusterId = uint64_t;

// Monotonic time of the node, in nanoseconds since any fixed point.
using Nanos = int64_t;

// The version of the message and entry layouts that this code speaks.
inline constexpr uint8_t kProtocolVersion = 1;

}  // namespace bandb::raft

#endif  // BANDB_RAFT_TYPES_IDS_H_
