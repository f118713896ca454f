#include "cluster/driver.h"

#include <utility>

#include "base/assert.h"
#include "base/status.h"

namespace bandb::cluster {

Driver::Driver(const Parts& parts, std::unique_ptr<raft::Core> core) : parts_(parts), core_(std::move(core)) {
  BANDB_ASSERT(parts_.host != nullptr);
  BANDB_ASSERT(parts_.log != nullptr);
  BANDB_ASSERT(parts_.machine != nullptr);
  BANDB_ASSERT(parts_.transport != nullptr);
}

absl::StatusOr<std::unique_ptr<Driver>> Driver::Create(const raft::Options& options, const raft::Restart& restart,
                                                       raft::Nanos now, const Parts& parts) {
  BANDB_ASSIGN_OR_RETURN(std::unique_ptr<raft::Core> core, raft::Core::Create(options, restart, now));
  return std::unique_ptr<Driver>(new Driver(parts, std::move(core)));
}

void Driver::Turn() {
  BANDB_ASSERT(!turning_);
  turning_ = true;
  core_->TakeOutput(&output_);
  parts_.host->OnOutput(output_);
  DoWrites(output_);
  DoMessages(&output_);
  if (output_.install.has_value()) DoInstall(*output_.install);
  if (!output_.committed.empty()) {
    apply_.Push(std::move(output_.committed));
    ContinueApply();
  }
  for (const raft::ReadResult& read : output_.reads) parts_.host->OnRead(read);
  DoRest(output_);
  parts_.host->OnDeadline(output_.next_deadline);
  turning_ = false;
}

void Driver::DoWrites(const raft::Output& output) {
  if (output.hard_state.has_value()) parts_.log->WriteHardState(*output.hard_state);
  if (output.log.has_value()) parts_.log->WriteLog(*output.log);
}

void Driver::DoMessages(raft::Output* output) {
  for (raft::Outgoing& outgoing : output->messages) {
    if (outgoing.immediate()) {
      parts_.transport->Send(outgoing.message);
    } else if (!failed_) {
      held_.Hold(std::move(outgoing));
    }
  }
  SendReady();
}

void Driver::SendReady() {
  ready_.clear();
  held_.TakeReady(&ready_);
  for (const raft::Message& message : ready_) parts_.transport->Send(message);
}

void Driver::DoInstall(const raft::SnapshotMeta& meta) {
  BANDB_ASSERT(!installing_.has_value());
  installing_ = meta;
  parts_.machine->Install(meta);
}

void Driver::StateInstalled(bool ok) {
  BANDB_ASSERT(installing_.has_value());
  if (!ok) {
    const raft::SnapshotMeta meta = *std::exchange(installing_, std::nullopt);
    parts_.host->Post(raft::SnapshotInstalled{meta.index, meta.term, false});
    ContinueApply();
    return;
  }
  // The state is durable, and the log that led to another one is not to survive beside it.
  apply_.Clear();
  parts_.log->Reset(*installing_);
}

void Driver::LogReset() {
  BANDB_ASSERT(installing_.has_value());
  const raft::SnapshotMeta meta = *std::exchange(installing_, std::nullopt);
  parts_.host->Post(raft::SnapshotInstalled{meta.index, meta.term, true});
}

void Driver::DoRest(const raft::Output& output) {
  for (const raft::SendSnapshot& send : output.send_snapshots) parts_.transport->SendSnapshot(send);
  for (const raft::Fetch& fetch : output.fetches) {
    BANDB_ASSERT(!ApplyQueue::Owns(fetch.fetch));
    parts_.log->Fetch(fetch);
  }
  if (output.take_snapshot) parts_.machine->TakeSnapshot();
  if (output.compact_to.has_value()) parts_.log->Compact(*output.compact_to);
}

void Driver::HardStateDurable(uint64_t write) {
  if (failed_) return;
  held_.HardStateDurable(write);
  parts_.host->Post(raft::HardStatePersisted{write});
}

void Driver::LogDurable(uint64_t write, raft::Term term, raft::Index index) {
  if (failed_) return;
  held_.LogDurable(write);
  parts_.host->Post(raft::LogPersisted{write, term, index});
}

void Driver::WriteFailed() {
  failed_ = true;
  held_.Drop();
  parts_.host->Post(raft::PersistFailed{});
}

void Driver::Fetched(uint64_t fetch, bool ok, raft::Entries entries, bool lost) {
  if (!ApplyQueue::Owns(fetch)) {
    parts_.host->Post(raft::EntriesFetched{fetch, ok, std::move(entries), lost});
    return;
  }
  // An install has voided the need, perhaps, and the log that was asked.
  if (!apply_.Awaits(fetch)) return;
  // A committed entry that cannot be read back: the log is no log any more.
  if (!ok) return WriteFailed();
  apply_.OnFetched(fetch, std::move(entries));
  ContinueApply();
}

void Driver::LogCapacity(bool nearly_full, bool lacks_space) {
  parts_.host->Post(raft::LogCapacity{nearly_full, lacks_space});
}

bool Driver::TakeReady(raft::Entries* entries) { return !installing_.has_value() && apply_.TakeReady(entries); }

void Driver::ContinueApply() {
  if (installing_.has_value()) return;
  if (apply_.ready()) {
    parts_.machine->ApplyReady();
  } else if (const std::optional<raft::Fetch> fetch = apply_.NextFetch(); fetch.has_value()) {
    parts_.log->Fetch(*fetch);
  }
}

}  // namespace bandb::cluster
