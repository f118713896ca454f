// The second half of the driver: what an output of the core says, done in the order that
// raft/core.h demands.
#include <algorithm>
#include <cmath>
#include <utility>

#include "base/assert.h"
#include "sim/node.h"

namespace bandb::sim {
namespace {

// Fetches of the driver's own, for entries to apply that the core no longer had; the core's numbers
// are far below.
constexpr uint64_t kApplyFetch = uint64_t{1} << 62;
constexpr uint64_t kApplyFetchBytes = 64 << 10;

Nanos Exponential(base::Random* random, Nanos mean) {
  return static_cast<Nanos>(-std::log(1.0 - random->Double()) * static_cast<double>(mean));
}

}  // namespace

bool Node::Execute(const raft::Output& output) {
  Note(output);
  if (!DoWrites(output) || !DoMessages(output)) return false;
  if (output.install.has_value()) {
    Install(*output.install);
    if (!Survives()) return false;
  }
  if (!output.committed.empty()) QueueApply(output.committed);
  for (const raft::ReadResult& read : output.reads) {
    ServeRead(read);
    if (!Survives()) return false;
  }
  if (!DoSnapshots(output)) return false;
  DeadlineAt(output.next_deadline);
  return true;
}

bool Node::DoWrites(const raft::Output& output) {
  if (!Survives()) return false;
  if (output.hard_state.has_value()) {
    disk_.WriteHardState(*output.hard_state);
    if (!Survives()) return false;
  }
  if (output.log.has_value()) {
    disk_.WriteLog(*output.log);
    if (!Survives()) return false;
  }
  return true;
}

bool Node::DoMessages(const raft::Output& output) {
  for (const raft::Outgoing& outgoing : output.messages) {
    if (outgoing.immediate()) {
      Leave(outgoing.message);
      if (!Survives()) return false;
    } else if (!failed_) {
      kept_.push_back(outgoing);
    }
  }
  ReleaseMessages();
  return true;
}

void Node::Leave(const raft::Message& message) {
  world_.observer->OnSend(id_, message);
  world_.transport->Send(message);
}

void Node::ReleaseMessages() {
  std::deque<raft::Outgoing> kept;
  for (raft::Outgoing& outgoing : kept_) {
    const bool ready =
        outgoing.after_log_write <= durable_log_write_ && outgoing.after_hard_state_write <= durable_hard_state_write_;
    if (ready && state_ == State::kUp) {
      Leave(outgoing.message);
    } else {
      kept.push_back(std::move(outgoing));
    }
  }
  kept_ = std::move(kept);
}

void Node::Install(const raft::SnapshotMeta& meta) {
  const auto it = received_.find({meta.index, meta.term});
  if (it == received_.end()) {
    Push(raft::SnapshotInstalled{meta.index, meta.term, false});
    return;
  }
  installing_ = it->second;
  // What the core says of the snapshot is what is kept of it.
  installing_.meta = meta;
  received_.clear();
  to_apply_.clear();
  ++apply_epoch_;
  apply_planned_ = false;
  apply_fetching_ = false;
  checkpointing_ = false;
  disk_.Install(installing_);
}

void Node::OnInstalled(raft::Index index, raft::Term term) {
  BANDB_ASSERT(installing_.meta.index == index);
  const bool loaded = machine_->Load(*installing_.data);
  BANDB_ASSERT(loaded);
  world_.trace->Line("node {} installed snapshot {}:{}", id_, term, index);
  world_.trace->Mix(TraceKind::kApply, {id_, index, term});
  applied_ = index;
  applied_since_checkpoint_ = 0;
  // Their entries are inside the snapshot or gone: nobody here can tell.
  proposals_.erase(proposals_.begin(), proposals_.upper_bound(index));
  world_.observer->OnInstalled(id_, installing_);
  Push(raft::SnapshotInstalled{index, term, true});
}

void Node::QueueApply(const raft::Committed& committed) {
  to_apply_.push_back(committed);
  PlanApply();
}

void Node::PlanApply() {
  if (apply_planned_ || apply_fetching_ || to_apply_.empty() || state_ != State::kUp) return;
  if (to_apply_.front().entries.empty()) {
    FetchToApply();
    return;
  }
  apply_planned_ = true;
  world_.scheduler->After(Exponential(&random_, world_.knobs->machine.apply_mean),
                          [this, epoch = apply_epoch_] { ApplyReady(epoch); });
}

void Node::FetchToApply() {
  apply_fetching_ = true;
  raft::Fetch fetch;
  fetch.fetch = kApplyFetch + apply_epoch_;
  fetch.first = to_apply_.front().first;
  fetch.last = to_apply_.front().last;
  fetch.bytes_max = kApplyFetchBytes;
  disk_.Fetch(fetch);
}

void Node::OnFetched(uint64_t fetch, bool ok, raft::Entries entries) {
  if (fetch < kApplyFetch) {
    Push(raft::EntriesFetched{fetch, ok, std::move(entries)});
    return;
  }
  if (fetch != kApplyFetch + apply_epoch_ || to_apply_.empty()) return;
  apply_fetching_ = false;
  BANDB_ASSERT(ok);
  raft::Committed& range = to_apply_.front();
  raft::Committed rest{entries.back().index + 1, range.last, {}};
  range.last = entries.back().index;
  range.entries = std::move(entries);
  if (!rest.empty() && rest.first <= rest.last) to_apply_.insert(to_apply_.begin() + 1, rest);
  PlanApply();
}

void Node::ApplyReady(uint64_t epoch) {
  if (epoch != apply_epoch_) return;
  apply_planned_ = false;
  // Resume() plans it again.
  if (state_ != State::kUp) return;
  while (!to_apply_.empty() && !to_apply_.front().entries.empty()) {
    for (const raft::Entry& entry : to_apply_.front().entries) Apply(entry);
    to_apply_.pop_front();
  }
  ReportApplied(false);
  PlanApply();
}

void Node::Apply(const raft::Entry& entry) {
  world_.observer->OnApply(id_, entry);
  world_.trace->Mix(TraceKind::kApply, {id_, entry.index, entry.term});
  uint64_t found = kAbsent;
  if (entry.kind == raft::EntryKind::kData) found = machine_->Apply(entry.payload.bytes());
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
  Push(raft::Applied{applied_}, [this, index = applied_, data = machine_->Save()](const raft::StepResult&) {
    const std::optional<raft::SnapshotMeta> meta = core_->SnapshotAt(index);
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

void Node::ServeRead(const raft::ReadResult& result) {
  const auto it = reads_.find(result.id);
  if (it == reads_.end()) return;
  const Request request = std::move(it->second);
  reads_.erase(it);
  if (result.code != absl::StatusCode::kOk) {
    request.reply(Reply{Outcome::kNotDone, kAbsent, core_->inspect().leader});
    return;
  }
  // A lease read may take its time; what counts is that the lease holds when it is over.
  const Nanos takes = result.lease ? Exponential(&random_, world_.knobs->core.election_timeout / 4) : 0;
  world_.scheduler->After(takes, [this, request, result, incarnation = incarnation_] {
    if (incarnation != incarnation_ || state_ != State::kUp) return;
    const uint64_t found = machine_->Get(request.command.key);
    if (result.lease && !core_->LeaseValid(clock_.now())) {
      request.reply(Reply{Outcome::kNotDone, kAbsent, raft::kNoNode});
      return;
    }
    world_.trace->Mix(TraceKind::kRead, {id_, result.id, result.index, found});
    world_.observer->OnReadServed(id_, result.id, result.index, applied_);
    request.reply(Reply{Outcome::kDone, found, raft::kNoNode});
  });
}

bool Node::DoSnapshots(const raft::Output& output) {
  for (const raft::SendSnapshot& send : output.send_snapshots) {
    SendSnapshot(send);
    if (!Survives()) return false;
  }
  for (const raft::Fetch& fetch : output.fetches) disk_.Fetch(fetch);
  if (output.take_snapshot) ReportApplied(true);
  if (output.compact_to.has_value()) disk_.Compact(*output.compact_to);
  return true;
}

void Node::SendSnapshot(const raft::SendSnapshot& send) {
  const Checkpoint& checkpoint = disk_.checkpoint();
  const auto ended = [this, to = send.message.to, session = send.message.session, incarnation = incarnation_](bool ok) {
    if (incarnation == incarnation_) Push(raft::SnapshotSent{to, session, ok});
  };
  if (checkpoint.data == nullptr || send.message.snapshot == nullptr ||
      checkpoint.meta.index < send.message.snapshot->index) {
    ended(false);
    return;
  }
  raft::Message message = send.message;
  message.snapshot = std::make_shared<const raft::SnapshotMeta>(checkpoint.meta);
  world_.observer->OnSend(id_, message);
  world_.transport->SendSnapshot(message, checkpoint, ended);
}

}  // namespace bandb::sim
