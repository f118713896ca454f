#include "raft/output.h"

namespace bandb::raft {

void Output::Clear() {
  role.reset();
  configuration.reset();
  hard_state.reset();
  log.reset();
  messages.clear();
  committed.first = committed.last = 0;
  committed.entries.clear();
  reads.clear();
  install.reset();
  send_snapshots.clear();
  take_snapshot = false;
  compact_to.reset();
  fetches.clear();
  transfer.reset();
  faults.clear();
  next_deadline = 0;
}

}  // namespace bandb::raft
