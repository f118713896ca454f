#include "raft/core.h"

#include <utility>

#include "base/status.h"
#include "raft/core_state.h"

namespace bandb::raft {

absl::StatusOr<std::unique_ptr<Core>> Core::Create(const Options& options, const Restart& restart, Nanos now) {
  BANDB_RETURN_IF_ERROR(options.Validate());
  BANDB_RETURN_IF_ERROR(restart.Validate());
  return std::unique_ptr<Core>(new Core(std::make_unique<CoreState>(options, restart, now)));
}

Core::Core(std::unique_ptr<CoreState> state) : state_(std::move(state)) {}
Core::~Core() = default;

StepResult Core::Step(Nanos now, Event event) { return state_->Step(now, std::move(event)); }
void Core::TakeOutput(Output* output) { state_->TakeOutput(output); }
bool Core::LeaseValid(Nanos now) const { return state_->LeaseValid(now); }
std::optional<SnapshotMeta> Core::SnapshotAt(Index index) const { return state_->SnapshotAt(index); }
Inspect Core::inspect() const { return state_->View(); }
const Configuration& Core::configuration() const { return state_->configuration(); }
const Configuration& Core::committed_configuration() const { return state_->committed_configuration(); }
std::optional<Term> Core::TermAt(Index index) const { return state_->log().TermAt(index); }
absl::Status Core::CheckInvariants() const { return state_->CheckInvariants(); }

std::vector<PeerView> Core::Peers() const {
  std::vector<PeerView> views;
  views.reserve(state_->peers().size());
  for (const Progress& peer : state_->peers()) views.push_back(peer.View());
  return views;
}

}  // namespace bandb::raft
