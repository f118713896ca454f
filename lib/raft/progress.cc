#include "raft/progress.h"

#include <algorithm>
#include <limits>

#include "base/assert.h"

namespace bandb::raft {

bool Progress::MaySend(const Options& options) const {
  if (fetch != 0) return false;
  if (state == PeerState::kSnapshot) return false;
  if (state == PeerState::kProbe) return !probe_sent;
  return inflight.size() < options.inflight_messages_max && inflight_bytes < options.inflight_bytes_max;
}

void Progress::Sent(Index last, uint64_t bytes) {
  BANDB_ASSERT(state != PeerState::kSnapshot);
  if (state == PeerState::kProbe) {
    probe_sent = true;
    probe_last = last;
    return;
  }
  BANDB_ASSERT(last >= next);
  next = last + 1;
  inflight.push_back({last, bytes});
  inflight_bytes += bytes;
}

bool Progress::Acknowledge(Index index) {
  while (!inflight.empty() && inflight.front().last <= index) {
    inflight_bytes -= inflight.front().bytes;
    inflight.pop_front();
  }
  if (index <= match) return false;
  match = index;
  next = std::max(next, match + 1);
  return true;
}

void Progress::Probe(Index from) {
  BANDB_ASSERT(from > match);
  state = PeerState::kProbe;
  next = from;
  commit_sent = 0;
  probe_sent = false;
  probe_last = 0;
  fetch = 0;
  inflight.clear();
  inflight_bytes = 0;
}

void Progress::StartSnapshot(Index index) {
  Probe(match + 1);
  state = PeerState::kSnapshot;
  snapshot_index = index;
  snapshot_deadline = std::numeric_limits<Nanos>::max();
}

void Progress::EnterReplicate() {
  state = PeerState::kReplicate;
  // What the probe carried is on its way. If it is not, the next message is refused and sets this
  // right.
  next = std::max(next, probe_last + 1);
  probe_sent = false;
  probe_last = 0;
}

PeerView Progress::View() const {
  return {.id = id,
          .state = state,
          .match = match,
          .next = next,
          .inflight_bytes = inflight_bytes,
          .inflight_messages = static_cast<uint32_t>(inflight.size()),
          .session = session,
          .acknowledged_round = acknowledged_round,
          .log_full = log_full};
}

}  // namespace bandb::raft
