#include "raft/core.h"

#include <utility>

#include "base/status.h"
#include "raft/replica.h"

namespace bandb::raft {

absl::StatusOr<std::unique_ptr<Core>> Core::Create(const Options& options, const Restart& restart, Nanos now) {
  BANDB_RETURN_IF_ERROR(options.Validate());
  BANDB_RETURN_IF_ERROR(restart.Validate());
  return std::unique_ptr<Core>(new Core(std::make_unique<Replica>(options, restart, now)));
}

Core::Core(std::unique_ptr<Replica> replica) : replica_(std::move(replica)) {}
Core::~Core() = default;

StepResult Core::Step(Nanos now, Event event) { return replica_->Step(now, std::move(event)); }
void Core::TakeOutput(Output* output) { replica_->TakeOutput(output); }
bool Core::LeaseValid(Nanos now) const { return replica_->LeaseValid(now); }
std::optional<SnapshotMeta> Core::SnapshotAt(Index index) const { return replica_->SnapshotAt(index); }
Inspect Core::inspect() const { return replica_->View(); }
const Configuration& Core::configuration() const { return replica_->configuration(); }
const Configuration& Core::committed_configuration() const { return replica_->committed_configuration(); }
std::optional<Term> Core::TermAt(Index index) const { return replica_->log().TermAt(index); }
absl::Status Core::CheckInvariants() const { return replica_->CheckInvariants(); }

std::vector<PeerView> Core::Peers() const {
  std::vector<PeerView> views;
  views.reserve(replica_->peers().size());
  for (const Progress& peer : replica_->peers()) views.push_back(peer.View());
  return views;
}

}  // namespace bandb::raft
