// Message: everything that one node of a group says to another.
//
// One struct with the fields of all kinds. Which fields a kind uses is said at the kind; the others
// are zero. Every message carries cluster, group, version, from, to and the sender's term.
#ifndef BANDB_RAFT_TYPES_MESSAGE_H_
#define BANDB_RAFT_TYPES_MESSAGE_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "raft/types/durable_state.h"
#include "raft/types/entry.h"
#include "raft/types/ids.h"

namespace bandb::raft {

enum class MessageKind : uint8_t {
  // Would you vote for me? `term` is the term that the sender would stand in, one above its own.
  // `index`, `log_term`: its last entry. `round`: which of its campaigns asks.
  kPreVote = 1,
  // `reject`; `round` as asked. A grant carries the term asked for, a refusal the term of the
  // sender. `hint`, in a refusal: the index of a committed configuration to which the asker does
  // not belong; 0 if the sender knows of none.
  kPreVoteReply = 2,
  // As kPreVote, in the sender's real term. `force`: the leader asked for this election, so leases
  // do not hold against it.
  kVote = 3,
  kVoteReply = 4,
  // Entries after (`index`, `log_term`). `commit`: the leader's. `session`: of this leader with
  // this peer, echoed, so that the answers to a former membership of the peer are not counted.
  // `round`: set only without entries; an answer to it proves that the peer still followed when the
  // round began.
  kAppend = 5,
  // Accepted: `index` is the last index known to match and durable on the sender. Refused
  // (`reject`): `index` is the previous index that did not match; (`hint`, `hint_term`): the
  // highest place where the logs may still agree; after a kSnapshot, that the snapshot at `index`
  // could not be installed. `session` and `round` as received. `log_full`: the sender's log takes
  // no more entries for now. Not sent where it would bring nothing: for an append without entries
  // and without a round, unless that is refused.
  kAppendReply = 6,
  // Take this `snapshot` in place of the log that it covers; `session`. It heads a stream of data:
  // handed to the receiving core only once the data has arrived and was verified. Answered by a
  // kAppendReply.
  kSnapshot = 7,
  // A follower asks for a read index; `round`: its own number for the question.
  kReadIndex = 8,
  // `round` as asked; `index`: serve once applied that far. `reject`: ask again later.
  kReadIndexReply = 9,
  // The leader bids the peer, whose log it knows to end at (`index`, `log_term`), to stand for
  // election at once.
  kTimeoutNow = 10,
  // The peer will not (`reject`): not ready, its log ends at `index`.
  kTimeoutNowReply = 11,
};
inline constexpr uint8_t kMessageKindMax = 11;

struct Message {
  MessageKind kind = MessageKind::kAppend;
  uint8_t version = kProtocolVersion;
  bool reject = false;
  bool force = false;
  bool log_full = false;
  GroupId group = 0;
  ClusterId cluster = 0;
  NodeId from = kNoNode;
  NodeId to = kNoNode;
  Term term = 0;
  Index index = 0;
  Term log_term = 0;
  Index commit = 0;
  Index hint = 0;
  Term hint_term = 0;
  uint64_t session = 0;
  uint64_t round = 0;
  Entries entries;
  // Shared by the copies of a message; never changed once it is in one.
  std::shared_ptr<const SnapshotMeta> snapshot;
};

}  // namespace bandb::raft

#endif  // BANDB_RAFT_TYPES_MESSAGE_H_
