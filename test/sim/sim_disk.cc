#include "sim/sim_disk.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/checksum.h"
#include "base/status.h"
#include "sim/exponential.h"

namespace bandb::sim {
SimDisk::SimDisk(Scheduler* scheduler, const DiskKnobs& knobs, Nanos checkpoint_mean, uint64_t seed)
    : scheduler_(scheduler),
      knobs_(knobs),
      checkpoint_mean_(checkpoint_mean),
      random_(seed),
      one_stream_(random_.OneIn(2)) {}

void SimDisk::Format(const raft::Configuration& configuration) {
  const raft::Restart first = raft::FirstStart(configuration);
  durable_.hard_state = first.hard_state;
  durable_.Reset(first.floor);
  written_ = durable_;
}

absl::StatusOr<Recovered> SimDisk::Open(Listener* listener) {
  BANDB_ASSERT(listener_ == nullptr);
  failed_ = false;
  fail_next_ = false;
  told_full_ = false;
  // A snapshot that is ahead of the log, or not part of it, came by an install that was cut short:
  // the log is void.
  if (checkpoint_.data != nullptr && durable_.TermAt(checkpoint_.meta.index) != checkpoint_.meta.term) {
    durable_.Reset(checkpoint_.meta);
  }
  // Log and hard state are given as they are: the entries of a term may have reached the disk
  // before the hard state of that term did, if those are two streams.
  written_ = durable_;
  absl::StatusOr<Recovered> recovered = Read();
  if (!recovered.ok()) return recovered;
  listener_ = listener;
  scheduler_->After(0, [this, generation = generation_] {
    if (generation == generation_) UpdateCapacity();
  });
  return recovered;
}

absl::StatusOr<Recovered> SimDisk::Read() const {
  // Every entry is durable that is found here: a damaged one was not torn by a crash.
  for (const Damage& d : damaged_) {
    if (d.index <= durable_.floor.index || durable_.TermAt(d.index) != d.term) continue;
    const raft::Entry& entry = durable_.entries[d.index - durable_.floor.index - 1];
    if (base::Hash64(entry.payload.bytes()) != d.checksum) {
      return base::Error(absl::StatusCode::kDataLoss, "entry {} of the log does not match its checksum", d.index);
    }
  }
  Recovered recovered;
  recovered.checkpoint = checkpoint_;
  recovered.restart.hard_state = durable_.hard_state;
  recovered.restart.floor = durable_.floor;
  recovered.restart.applied = checkpoint_.data != nullptr ? checkpoint_.meta.index : durable_.floor.index;
  for (const raft::Entry& entry : durable_.entries) {
    BANDB_RETURN_IF_ERROR(recovered.restart.AddEntry(entry));
    recovered.entries.push_back(entry);
  }
  return recovered;
}

bool SimDisk::Rot() {
  if (durable_.entries.empty()) return false;
  raft::Entry& entry = durable_.entries[random_.Uniform(durable_.entries.size())];
  if (entry.kind != raft::EntryKind::kData) return false;
  std::string bytes(entry.payload.bytes());
  damaged_.push_back({entry.index, entry.term, base::Hash64(bytes)});
  bytes[random_.Uniform(bytes.size())] ^= 1;
  entry.payload = raft::Payload(bytes);
  return true;
}

void SimDisk::Recover(const raft::QuorumRecovery& recovery) {
  BANDB_ASSERT(listener_ == nullptr);
  durable_.hard_state = recovery.hard_state;
  if (recovery.entry.has_value()) durable_.Append({*recovery.entry}, 1);
  written_ = durable_;
}

void SimDisk::Abandon() {
  if (listener_ == nullptr) return;
  listener_ = nullptr;
  staged_.reset();
  ++generation_;
  SettlePrefix(&main_);
  SettlePrefix(&hard_states_);
  if (pending_checkpoint_.has_value() && random_.OneIn(2) && pending_checkpoint_->meta.index > checkpoint_.meta.index) {
    checkpoint_ = *pending_checkpoint_;
  }
  pending_checkpoint_.reset();
  written_ = durable_;
}

void SimDisk::SettlePrefix(Stream* stream) {
  // None, all, or a random part, cut inside a write.
  size_t whole = stream->writes.size();
  const uint64_t dice = random_.Uniform(3);
  if (dice == 0) whole = 0;
  if (dice == 1) whole = random_.Uniform(stream->writes.size() + 1);
  for (size_t i = 0; i < whole; ++i) Settle(stream->writes[i], stream->writes[i].entries.size());
  if (dice == 1 && whole < stream->writes.size()) {
    const Write& torn = stream->writes[whole];
    if (torn.kind == WriteKind::kLog) Settle(torn, random_.Uniform(torn.entries.size() + 1));
    // Of an install, the data may have become durable and the emptying of the log not.
    if (torn.kind == WriteKind::kInstall && random_.OneIn(2)) checkpoint_ = torn.checkpoint;
  }
  stream->writes.clear();
  stream->last_due = 0;
  stream->armed = false;
}

Nanos SimDisk::Latency() {
  Nanos latency = knobs_.write_min + Exponential(&random_, knobs_.write_mean);
  if (random_.Chance(knobs_.stall)) latency += Exponential(&random_, knobs_.stall_mean);
  return latency;
}

SimDisk::Stream& SimDisk::StreamOf(WriteKind kind) {
  return kind == WriteKind::kHardState && !one_stream_ ? hard_states_ : main_;
}

void SimDisk::Enqueue(Write write) {
  if (failed_) return;
  Stream& stream = StreamOf(write.kind);
  write.due = std::max(scheduler_->now() + Latency(), stream.last_due);
  stream.last_due = write.due;
  stream.writes.push_back(std::move(write));
  Arm(&stream);
}

void SimDisk::Arm(Stream* stream) {
  if (stream->armed || stream->writes.empty()) return;
  stream->armed = true;
  scheduler_->At(std::max(stream->writes.front().due, hang_until_),
                 [this, stream, generation = generation_] { Pump(stream, generation); });
}

void SimDisk::Pump(Stream* stream, uint64_t generation) {
  if (generation != generation_) return;
  stream->armed = false;
  if (scheduler_->now() < hang_until_) {
    Arm(stream);
    return;
  }
  if (fail_next_ && !stream->writes.empty()) {
    Fail();
    return;
  }
  // Completions cover what came before: sometimes one is reported for several.
  std::optional<Write> reported;
  while (!stream->writes.empty() && stream->writes.front().due <= scheduler_->now()) {
    Write write = std::move(stream->writes.front());
    stream->writes.pop_front();
    Settle(write, write.entries.size());
    const bool coalesce = reported.has_value() && reported->kind == write.kind && random_.OneIn(2);
    if (reported.has_value() && !coalesce) Report(*reported);
    reported = std::move(write);
  }
  if (reported.has_value()) Report(*reported);
  Arm(stream);
}

void SimDisk::Report(const Write& write) {
  switch (write.kind) {
    case WriteKind::kHardState:
      listener_->OnHardStateDurable(write.number);
      break;
    case WriteKind::kLog:
      listener_->OnLogDurable(write.number, write.entries.back().term, write.entries.back().index);
      break;
    case WriteKind::kInstall:
      listener_->OnReset(write.checkpoint.meta.index, write.checkpoint.meta.term);
      break;
  }
}

void SimDisk::Fail() {
  failed_ = true;
  fail_next_ = false;
  // What was under way may be there or not at the next start; nothing more happens for this
  // process.
  SettlePrefix(&main_);
  SettlePrefix(&hard_states_);
  listener_->OnWriteFailed();
}

void SimDisk::Settle(const Write& write, size_t entries_kept) {
  switch (write.kind) {
    case WriteKind::kHardState:
      durable_.hard_state = write.hard_state;
      break;
    case WriteKind::kLog:
      durable_.Append(write.entries, entries_kept);
      durable_.hard_state.commit = std::max(durable_.hard_state.commit, write.hard_state.commit);
      break;
    case WriteKind::kInstall:
      checkpoint_ = write.checkpoint;
      durable_.Reset(write.checkpoint.meta);
      break;
  }
}

void SimDisk::WriteHardState(const raft::HardStateWrite& write) {
  written_.hard_state = write.state;
  Write pending;
  pending.kind = WriteKind::kHardState;
  pending.number = write.write;
  pending.hard_state = write.state;
  Enqueue(std::move(pending));
}

void SimDisk::WriteLog(const raft::LogWrite& write) {
  BANDB_ASSERT(!write.entries.empty());
  if (no_space_) fail_next_ = true;
  const bool under_way =
      std::any_of(main_.writes.begin(), main_.writes.end(), [](const Write& w) { return w.kind == WriteKind::kLog; });
  if (under_way && write.entries.front().index <= written_.last()) ++truncations_under_way_;
  written_.Append(write.entries, write.entries.size());
  Write pending;
  pending.kind = WriteKind::kLog;
  pending.number = write.write;
  pending.hard_state.commit = write.commit;
  pending.entries = write.entries;
  Enqueue(std::move(pending));
  UpdateCapacity();
}

void SimDisk::Reset(const raft::SnapshotMeta& floor) {
  BANDB_ASSERT(staged_ != nullptr);
  written_.Reset(floor);
  Write pending;
  pending.kind = WriteKind::kInstall;
  pending.checkpoint = Checkpoint{floor, std::exchange(staged_, nullptr)};
  pending_checkpoint_.reset();
  Enqueue(std::move(pending));
  UpdateCapacity();
}

void SimDisk::SaveCheckpoint(const Checkpoint& checkpoint) {
  if (failed_ || pending_checkpoint_.has_value()) return;
  pending_checkpoint_ = checkpoint;
  const Nanos due = scheduler_->now() + Exponential(&random_, checkpoint_mean_);
  scheduler_->At(std::max(due, hang_until_), [this, index = checkpoint.meta.index, generation = generation_] {
    if (generation == generation_) CompleteCheckpoint(index);
  });
}

void SimDisk::CompleteCheckpoint(raft::Index index) {
  if (failed_ || !pending_checkpoint_.has_value() || pending_checkpoint_->meta.index != index) return;
  if (no_space_) {
    scheduler_->After(checkpoint_mean_ + kMilli, [this, index, generation = generation_] {
      if (generation == generation_) CompleteCheckpoint(index);
    });
    return;
  }
  checkpoint_ = *std::exchange(pending_checkpoint_, std::nullopt);
  listener_->OnCheckpointSaved(checkpoint_);
}

void SimDisk::Compact(raft::Index index) {
  durable_.Compact(index);
  written_.Compact(index);
  UpdateCapacity();
}

void SimDisk::Fetch(const raft::Fetch& fetch) {
  const Nanos due = scheduler_->now() + Exponential(&random_, knobs_.read_mean);
  scheduler_->At(std::max(due, hang_until_), [this, fetch, generation = generation_] {
    if (generation != generation_) return;
    raft::Entries entries;
    uint64_t bytes = 0;
    for (raft::Index i = fetch.first; i <= fetch.last && i > written_.floor.index && i <= written_.last(); ++i) {
      const raft::Entry& entry = written_.entries[i - written_.floor.index - 1];
      bytes += raft::CostBytes(entry);
      if (!entries.empty() && bytes > fetch.bytes_max) break;
      entries.push_back(entry);
    }
    const bool ok = !entries.empty();
    listener_->OnFetched(fetch.fetch, ok, std::move(entries));
  });
}

void SimDisk::SetFull(bool full) {
  full_ = full;
  UpdateCapacity();
}

void SimDisk::SetNoSpace(bool none) {
  no_space_ = none;
  SetFull(none);
}

void SimDisk::Heal() {
  hang_until_ = 0;
  fail_next_ = false;
  knobs_.stall = 0;
  for (Stream* stream : {&main_, &hard_states_}) {
    // What waits for the end of a hang is planned for too late; a second event for it finds nothing
    // to do.
    stream->armed = false;
    stream->last_due = 0;
    for (Write& write : stream->writes) write.due = scheduler_->now();
    Arm(stream);
  }
  SetNoSpace(false);
}

void SimDisk::UpdateCapacity() {
  if (listener_ == nullptr) return;
  // With hysteresis, so that the answer does not change at every entry.
  const uint64_t limit = told_full_ ? knobs_.capacity_bytes / 2 : knobs_.capacity_bytes * 3 / 4;
  const bool nearly_full = full_ || (knobs_.capacity_bytes > 0 && written_.bytes > limit);
  if (nearly_full == told_full_) return;
  told_full_ = nearly_full;
  scheduler_->After(0, [this, nearly_full, generation = generation_] {
    if (generation == generation_) listener_->OnCapacity(nearly_full);
  });
}

}  // namespace bandb::sim
