// The second half of a node: what it is to its driver.
#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "sim/exponential.h"
#include "sim/node.h"

namespace bandb::sim {
void Node::Post(raft::Event event) {
  if (!std::holds_alternative<raft::PersistFailed>(event)) return Push(std::move(event));
  Push(std::move(event), [this](const raft::StepResult&) { world_.observer->OnDiskFailed(id_); });
}

void Node::OnOutput(const raft::Output& output) {
  world_.observer->OnOutput(id_, driver_->core(), output);
  Note(output);
  const raft::Core& core = driver_->core();
  if (output.configuration.has_value() && core.inspect().role == raft::Role::kLeader && core.configuration().joint()) {
    Reach(Moment::kLeadsJoint);
  }
  immediate_messages_ = static_cast<size_t>(
      std::count_if(output.messages.begin(), output.messages.end(), [](const auto& m) { return m.immediate(); }));
  MayCrash();
}

void Node::WriteHardState(const raft::HardStateWrite& write) {
  if (state_ == State::kDown) return;
  disk_.WriteHardState(write);
  MayCrash();
}

void Node::WriteLog(const raft::LogWrite& write) {
  if (state_ == State::kDown) return;
  disk_.WriteLog(write);
  MayCrash();
}

void Node::Fetch(const raft::Fetch& fetch) {
  if (state_ != State::kDown) disk_.Fetch(fetch);
}

void Node::Compact(raft::Index index) {
  if (state_ != State::kDown) disk_.Compact(index);
}

void Node::Send(const raft::Message& message) {
  if (state_ == State::kDown) return;
  world_.observer->OnSend(id_, message);
  world_.network->Send(message);
  if (immediate_messages_ == 0) return;
  --immediate_messages_;
  MayCrash();
}

void Node::Install(const raft::SnapshotMeta& meta) {
  if (state_ == State::kDown) return;
  Reach(Moment::kInstall);
  const auto it = received_.find({meta.index, meta.term});
  if (it == received_.end()) {
    driver_->StateInstalled(false);
  } else {
    // What the core says of the snapshot is what is kept of it.
    installing_ = Checkpoint{meta, it->second.data};
    received_.clear();
    ++apply_epoch_;
    apply_planned_ = false;
    checkpointing_ = false;
    // The device makes the data durable just before it empties the log.
    disk_.Stage(installing_.data);
    driver_->StateInstalled(true);
  }
  MayCrash();
}

void Node::Reset(const raft::SnapshotMeta& floor) {
  if (state_ != State::kDown) disk_.Reset(floor);
}

void Node::OnReset(raft::Index index, raft::Term term) {
  BANDB_ASSERT(installing_.meta.index == index);
  const bool loaded = machine_.Load(*installing_.data);
  BANDB_ASSERT(loaded);
  world_.trace->Line("node {} installed snapshot {}:{}", id_, term, index);
  world_.trace->Mix(TraceKind::kApply, {id_, index, term});
  applied_ = index;
  applied_since_checkpoint_ = 0;
  // Their entries are inside the snapshot or gone: nobody here can tell.
  proposals_.erase(proposals_.begin(), proposals_.upper_bound(index));
  world_.observer->OnInstalled(id_, installing_);
  driver_->LogReset();
}

void Node::ApplyReady() {
  if (apply_planned_ || state_ != State::kUp) return;
  apply_planned_ = true;
  world_.scheduler->After(Exponential(&random_, world_.knobs->machine.apply_mean),
                          [this, epoch = apply_epoch_] { ApplyAll(epoch); });
}

void Node::OnFetched(uint64_t fetch, bool ok, raft::Entries entries) {
  const bool failed_before = failed();
  driver_->Fetched(fetch, ok, std::move(entries));
  // What is committed can always be read.
  BANDB_ASSERT(failed() == failed_before);
}

void Node::ApplyAll(uint64_t epoch) {
  if (epoch != apply_epoch_) return;
  apply_planned_ = false;
  // Resume() plans it again.
  if (state_ != State::kUp) return;
  raft::Entries entries;
  while (driver_->TakeReady(&entries)) {
    for (const raft::Entry& entry : entries) Apply(entry);
  }
  ReportApplied(false);
  driver_->ContinueApply();
}

void Node::Apply(const raft::Entry& entry) {
  world_.observer->OnApply(id_, entry);
  world_.trace->Mix(TraceKind::kApply, {id_, entry.index, entry.term});
  uint64_t found = kAbsent;
  if (entry.kind == raft::EntryKind::kData) found = machine_.Apply(entry.payload.bytes());
  applied_ = entry.index;
  ++applied_since_checkpoint_;
  const auto [first, last] = proposals_.equal_range(entry.index);
  for (auto it = first; it != last; ++it) {
    const bool ours = it->second.term == entry.term;
    it->second.reply(Reply{ours ? Outcome::kDone : Outcome::kNotDone, found, raft::kNoNode});
  }
  proposals_.erase(first, last);
}

void Node::ReportApplied(bool wanted) {
  const bool due = wanted || applied_since_checkpoint_ >= world_.knobs->machine.checkpoint_every;
  const bool have = disk_.checkpoint().data != nullptr && disk_.checkpoint().meta.index >= applied_;
  if (!due || have || checkpointing_ || installing_.meta.index > applied_) {
    Push(raft::Applied{applied_});
    return;
  }
  checkpointing_ = true;
  applied_since_checkpoint_ = 0;
  // The state is the one of now; its description is known to the core once it knows of the
  // application.
  Push(raft::Applied{applied_}, [this, index = applied_, data = machine_.Save()](const raft::StepResult&) {
    const std::optional<raft::SnapshotMeta> meta = driver_->core().SnapshotAt(index);
    if (!meta.has_value()) {
      checkpointing_ = false;
      return;
    }
    Checkpoint checkpoint{*meta, data};
    checkpoint.meta.id = next_checkpoint_id_++;
    disk_.SaveCheckpoint(checkpoint);
  });
}

void Node::OnCheckpointSaved(const Checkpoint& checkpoint) {
  checkpointing_ = false;
  world_.trace->Mix(TraceKind::kPersist, {id_, checkpoint.meta.index, checkpoint.meta.id});
  world_.trace->Line("node {} has a checkpoint at {}", id_, checkpoint.meta.index);
  world_.observer->OnCheckpoint(id_, checkpoint);
  Push(raft::SnapshotTaken{checkpoint.meta.index, checkpoint.meta.id});
}

void Node::TakeSnapshot() {
  if (state_ != State::kDown) ReportApplied(true);
}

void Node::OnRead(const raft::ReadResult& result) {
  if (state_ == State::kDown) return;
  ServeRead(result);
  MayCrash();
}

void Node::ServeRead(const raft::ReadResult& result) {
  const auto it = reads_.find(result.id);
  if (it == reads_.end()) return;
  const Request request = std::move(it->second);
  reads_.erase(it);
  if (result.code != absl::StatusCode::kOk) {
    request.reply(Reply{Outcome::kNotDone, kAbsent, driver_->core().inspect().leader});
    return;
  }
  // A lease read may take its time; what counts is that the lease holds when it is over.
  const Nanos takes = result.lease ? Exponential(&random_, world_.knobs->core.election_timeout / 4) : 0;
  world_.scheduler->After(takes, [this, request, result, incarnation = incarnation_] {
    if (incarnation != incarnation_ || state_ != State::kUp) return;
    const uint64_t found = machine_.Get(request.command.key);
    if (result.lease && !driver_->core().LeaseValid(clock_.now())) {
      request.reply(Reply{Outcome::kNotDone, kAbsent, raft::kNoNode});
      return;
    }
    world_.trace->Mix(TraceKind::kRead, {id_, result.id, result.index, found});
    world_.observer->OnReadServed(id_, result.id, result.index, applied_);
    request.reply(Reply{Outcome::kDone, found, raft::kNoNode});
  });
}

void Node::SendSnapshot(const raft::SendSnapshot& send) {
  if (state_ == State::kDown) return;
  const Checkpoint& checkpoint = disk_.checkpoint();
  const auto ended = [this, to = send.message.to, session = send.message.session, incarnation = incarnation_](bool ok) {
    if (incarnation == incarnation_) Push(raft::SnapshotSent{to, session, ok});
  };
  if (checkpoint.data == nullptr || send.message.snapshot == nullptr ||
      checkpoint.meta.index < send.message.snapshot->index) {
    ended(false);
    return MayCrash();
  }
  raft::Message message = send.message;
  message.snapshot = std::make_shared<const raft::SnapshotMeta>(checkpoint.meta);
  world_.observer->OnSend(id_, message);
  world_.network->SendSnapshot(message, checkpoint, ended);
  Reach(Moment::kSendsSnapshot);
  MayCrash();
}

}  // namespace bandb::sim
