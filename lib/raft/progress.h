// Progress: how a leader sees the log of one peer.
//
//             accepted                  refused, unreachable
//   kProbe ------------> kReplicate -------------------------> kProbe
//      |                                                         ^
//      | what comes next is no longer in the log                 | snapshot failed, or given up
//      +------------------> kSnapshot ---------------------------+--> kReplicate when the peer has it
//
// In kProbe, one message is sent and then none until an answer or a heartbeat; in kReplicate,
// messages are sent ahead of the answers, up to the limits of what may be in flight; in kSnapshot,
// only heartbeats are.
//
// Invariants: match < next; match only grows, within one session. A session is one time of being a
// peer of one leader: a node that was removed and added again is a new session, and what its former
// self acknowledged does not count.
#ifndef BANDB_RAFT_PROGRESS_H_
#define BANDB_RAFT_PROGRESS_H_

#include <cstdint>
#include <limits>

#include "raft/inspect.h"
#include "raft/options.h"
#include "raft/ring.h"
#include "raft/types/ids.h"

namespace bandb::raft {

struct Progress {
  NodeId id = kNoNode;
  uint64_t session = 0;
  // Since when it is a peer of this leader.
  Nanos since = 0;
  PeerState state = PeerState::kProbe;
  Index match = 0;
  Index next = 1;
  // The latest round that the peer has answered.
  uint64_t acknowledged_round = 0;
  // The latest round that was sent to it.
  uint64_t round_sent = 0;
  // When it last answered anything.
  Nanos heard = std::numeric_limits<Nanos>::min() / 2;
  // The highest commit index that was sent to it.
  Index commit_sent = 0;
  bool log_full = false;
  // In kProbe: a message is under way, with entries up to probe_last; 0 if it has none.
  bool probe_sent = false;
  Index probe_last = 0;
  // In kSnapshot: its index, and until when the peer may take to install it once it was sent.
  Index snapshot_index = 0;
  Nanos snapshot_deadline = 0;
  // The number of the fetch that waits for entries to send to this peer, and the first of them; 0
  // if none.
  uint64_t fetch = 0;
  Index fetch_first = 0;

  struct Flight {
    Index last = 0;
    uint64_t bytes = 0;
  };
  Ring<Flight> inflight;
  uint64_t inflight_bytes = 0;

  // Whether the peer answered anything less than `timeout` before `now`.
  bool HeardSince(Nanos now, Nanos timeout) const { return now - timeout < heard; }
  // Whether entries may be sent now.
  bool MaySend(const Options& options) const;
  // Entries up to `last` have been sent.
  void Sent(Index last, uint64_t bytes);
  // The peer's log matches up to `index`, durably. True if that is news.
  bool Acknowledge(Index index);
  // What was sent may be lost: find out again where the peer's log ends, beginning after `match`.
  void Probe(Index from);
  void StartSnapshot(Index index);
  void EnterReplicate();
  PeerView View() const;
};

}  // namespace bandb::raft

#endif  // BANDB_RAFT_PROGRESS_H_
