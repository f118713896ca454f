#include "cluster/applier.h"

#include <utility>

#include "base/assert.h"
#include "base/status.h"
#include "storage/file/refused_read.h"

namespace bandb::cluster {

namespace {

using absl::StatusCode;

// How often a full disk is looked at, and whatever else may pass is tried again.
constexpr int64_t kStallRetryNanos = 1'000'000'000;
constexpr int64_t kRetryNanos = 100'000'000;
constexpr int kReadTriesMax = 100;
// The engine says that a flush waits after three seconds, and next after as long again.
constexpr int kFlushWaitsTold = 2;

// A descriptor or a moment's patience may help: a refused read.
bool MayReadLater(const absl::Status& status) {
  return status.code() == StatusCode::kInternal || status.code() == StatusCode::kUnavailable;
}

// What passes once somebody gives the process more descriptors, however long that takes.
bool WaitsForOperator(const absl::Status& status) {
  return status.code() == StatusCode::kUnavailable || storage::LacksDescriptors(status);
}

}  // namespace

class Applier::Turns {
 public:
  explicit Turns(const Applier* applier) : post_(applier->parts_.post), alive_(applier->alive_) {}

  template <typename Run>
  base::Task Task(Run run) const {
    return [alive = alive_, run = std::move(run)]() mutable {
      if (!alive.expired()) run();
    };
  }
  template <typename Run>
  void Post(Run run) const {
    post_(Task(std::move(run)));
  }

 private:
  std::function<void(base::Task)> post_;
  std::weak_ptr<const bool> alive_;
};

Applier::Turns Applier::LaterTurn() const { return Turns(this); }

absl::StatusOr<Applier::Kept> Applier::Kept::Load(storage::EngineReplica* replica) {
  const std::unique_ptr<Iterator> system = replica->NewSystemIterator();
  Kept kept;
  BANDB_ASSIGN_OR_RETURN(kept.sessions, Sessions::Load(system.get()));
  BANDB_ASSIGN_OR_RETURN(kept.cursors, Cursors::Load(system.get()));
  BANDB_ASSIGN_OR_RETURN(kept.clock, LogClock::Load(system.get()));
  BANDB_ASSIGN_OR_RETURN(kept.removed_nodes, RemovedNodes::Load(system.get()));
  return kept;
}

Applier::Applier(const Parts& parts, Kept kept)
    : parts_(parts),
      work_(std::make_shared<ApplyWork>(
          EntryApplier(parts.replica, std::move(kept.sessions), std::move(kept.cursors), kept.clock))),
      applied_(parts.replica->applied().applied.index),
      session_count_(work_->applier.sessions().size()),
      removed_nodes_(std::move(kept.removed_nodes)),
      found_cursors_(work_->applier.cursors().all()),
      found_clock_(kept.clock),
      durable_told_(parts.replica->durable().applied.index) {
  BANDB_ASSERT(parts_.executor != nullptr);
  BANDB_ASSERT(parts_.post != nullptr);
  BANDB_ASSERT(parts_.logger != nullptr);
  BANDB_ASSERT(parts_.listener != nullptr);
}

Applier::~Applier() {
  // A job that has it comes to its end.
  work_->give_back.store(true, std::memory_order_release);
  DropReceived();
}

absl::StatusOr<std::unique_ptr<Applier>> Applier::Open(const Parts& parts) {
  BANDB_ASSERT(parts.replica != nullptr);
  BANDB_ASSIGN_OR_RETURN(Kept kept, Kept::Load(parts.replica));
  return std::unique_ptr<Applier>(new Applier(parts, std::move(kept)));
}

// ---- Applying. ----

void Applier::ApplyReady() { Go(); }

void Applier::Go() {
  if (going_ || !failure_.ok()) return;
  going_ = true;
  GoOn();
  going_ = false;
  WatchFlush();
}

void Applier::GoOn() {
  if (writer_ != Writer::kLoop) return;
  if (install_.has_value() && BeginInstall()) return;
  if (!paused_ && snapshot_wanted_ && !room_asked_) FreezeForSnapshot();
  // On a full disk what fits into memory is applied all the same.
  const bool may_apply = !paused_ || (!stalled_.ok() && !front_waits_);
  if (may_apply && !no_room_ && !goes_on_later_) ApplyInTurn();
}

void Applier::ApplyInTurn() {
  BANDB_ASSERT(driver_ != nullptr);
  const raft::Index before = applied_;
  uint64_t left = kTurnBytes;
  auto end = ApplyStretch::End::kDrained;
  while (end == ApplyStretch::End::kDrained && (!work_->queue.empty() || TakeEntries())) {
    const uint64_t backlog_before = backlog_bytes_;
    const ApplyStretch stretch = ApplyFrom(work_.get(), left, /*may_block=*/false);
    Report(stretch);
    end = stretch.end;
    left -= backlog_before - backlog_bytes_;
    HandleEnd(stretch);
  }
  if (applied_ != before) parts_.listener->OnAppliedTo(applied_);
}

bool Applier::TakeEntries() {
  raft::Entries entries;
  if (!driver_->TakeReady(&entries)) return false;
  BANDB_ASSERT(!entries.empty());
  // The core gives out nothing else.
  LogIsDurable(entries.back().index);
  for (raft::Entry& entry : entries) {
    backlog_bytes_ += raft::CostBytes(entry);
    work_->queue.push_back(std::move(entry));
  }
  // What comes next is read from the log meanwhile, if it has to be.
  driver_->ContinueApply();
  return true;
}

void Applier::Report(const ApplyStretch& stretch) {
  flush_unwatched_ |= stretch.froze;
  if (!stretch.records.empty()) NoteRead();
  for (const AppliedRecord& record : stretch.records) {
    BANDB_ASSERT(record.index == applied_ + 1);
    BANDB_ASSERT(record.cost_bytes <= backlog_bytes_);
    applied_ = record.index;
    backlog_bytes_ -= record.cost_bytes;
    removed_nodes_.Add(record.removed);
    parts_.listener->OnRecord(record);
    parts_.listener->OnApplied(record.index, record.term, record.kind, record.results);
  }
  if (stretch.froze) parts_.listener->OnFroze();
}

void Applier::HandleEnd(const ApplyStretch& stretch) {
  BANDB_ASSERT(writer_ == Writer::kLoop);
  session_count_ = work_->applier.sessions().size();
  switch (stretch.end) {
    case ApplyStretch::End::kDrained:
      break;
    case ApplyStretch::End::kEnough:
      goes_on_later_ = true;
      LaterTurn().Post([this] {
        goes_on_later_ = false;
        Go();
      });
      break;
    case ApplyStretch::End::kNoRoom:
      no_room_ = true;
      AwaitRoom();
      break;
    case ApplyStretch::End::kNeedsDisk:
      StartJob();
      break;
    case ApplyStretch::End::kFailed:
      front_waits_ = true;
      HandleError(stretch.status);
      break;
  }
}

void Applier::StartJob() {
  auto use = std::make_shared<const EngineUse>(&parts_.replica->engine());
  if (!use->entered()) return Fail(base::Error(StatusCode::kFailedPrecondition, "the engine is closed"));
  writer_ = Writer::kJob;
  work_->give_back.store(install_.has_value(), std::memory_order_release);
  auto report = [this, turns = LaterTurn()](ApplyStretch stretch, bool is_last) {
    turns.Post([this, stretch = std::move(stretch), is_last] { FinishStretch(stretch, is_last); });
  };
  parts_.executor->Start(base::Priority::kHigh, std::make_unique<ApplyJob>(work_, std::move(use), std::move(report)));
}

void Applier::FinishStretch(const ApplyStretch& stretch, bool is_last) {
  BANDB_ASSERT(writer_ == Writer::kJob);
  Report(stretch);
  if (!stretch.records.empty()) parts_.listener->OnAppliedTo(applied_);
  if (!is_last) return WatchFlush();
  writer_ = Writer::kLoop;
  work_->give_back.store(false, std::memory_order_release);
  if (stretch.end != ApplyStretch::End::kEnough) HandleEnd(stretch);
  Go();
}

void Applier::AwaitRoom() {
  if (std::exchange(room_asked_, true)) return;
  parts_.replica->WhenRoom([this, turns = LaterTurn()] {
    turns.Post([this] {
      room_asked_ = no_room_ = false;
      Go();
    });
  });
}

// ---- What is durable. ----

void Applier::LogIsDurable(raft::Index index) {
  log_durable_ = std::max(log_durable_, index);
  parts_.replica->LogIsDurable(flushable());
}

void Applier::MayFlush(raft::Index index) {
  may_flush_ = index;
  parts_.replica->LogIsDurable(flushable());
}

void Applier::TakeSnapshot() {
  snapshot_wanted_ = true;
  Go();
}

void Applier::FreezeForSnapshot() {
  const absl::StatusOr<bool> frozen = parts_.replica->Freeze();
  if (!frozen.ok()) return HandleError(frozen.status());
  if (!*frozen) return AwaitRoom();
  snapshot_wanted_ = false;
  snapshot_due_ = flush_unwatched_ = true;
  parts_.listener->OnFroze();
}

void Applier::WatchFlush() {
  if (!flush_unwatched_ || flush_watched_ || !stalled_.ok() || !failure_.ok()) return;
  flush_unwatched_ = false;
  flush_watched_ = true;
  parts_.replica->engine().WhenFlushed([this, turns = LaterTurn()](absl::Status status) {
    turns.Post([this, status = std::move(status)] { OnFlushed(status); });
  });
}

void Applier::OnFlushed(const absl::Status& status) {
  flush_watched_ = false;
  if (!status.ok() || writer_ == Writer::kInstall) flush_unwatched_ = true;
  if (status.code() == StatusCode::kResourceExhausted) return Pause(status);
  // No descriptor is free, say: the engine goes on trying, and nothing is lost meanwhile.
  if (status.code() == StatusCode::kUnavailable) {
    NoteFlush(status);
    parts_.executor->PostAfter(kStallRetryNanos, [this, turns = LaterTurn()] { turns.Post([this] { Go(); }); });
    return;
  }
  if (!status.ok()) return Fail(status);
  NoteFlush(status);
  // What an install has made durable is its own to tell.
  if (writer_ == Writer::kInstall) return;
  ReportDurable();
  if (writer_ == Writer::kLoop) WatchFlush();
}

void Applier::NoteFlush(const absl::Status& status) {
  if (status.ok()) {
    flush_waits_ = 0;
    if (!unflushed_.ok()) parts_.logger->Log(base::LogLevel::kInfo, "flushes go on");
    unflushed_ = status;
  } else if (++flush_waits_ == kFlushWaitsTold) {
    parts_.logger->Log(base::LogLevel::kError, "flushes wait: {}", base::Message(status));
    unflushed_ = base::Error(StatusCode::kUnavailable, "flushes wait: {}", base::Message(status));
  }
}

void Applier::ReportDurable() {
  const storage::ReplicaPosition position = parts_.replica->durable();
  BANDB_ASSERT(position.applied.index >= durable_told_);
  if (position.applied.index > applied_) {
    // A job has come further than it has told: when it tells, this is looked at again.
    BANDB_ASSERT(writer_ == Writer::kJob);
    flush_unwatched_ = true;
    return;
  }
  if (position.applied.index == durable_told_ && !snapshot_due_) return;
  snapshot_due_ = false;
  durable_told_ = position.applied.index;
  parts_.listener->OnDurable(position);
}

// ---- Another state. ----

void Applier::TakeReceived(std::unique_ptr<storage::IncomingState> state, const raft::SnapshotMeta& meta) {
  BANDB_ASSERT(state != nullptr);
  DropReceived();
  received_ = std::move(state);
  received_meta_ = meta;
}

void Applier::DropReceived() {
  if (received_ == nullptr) return;
  // Its files are removed with it.
  parts_.executor->Post(base::Priority::kLow, [state = std::move(received_)]() mutable { state.reset(); });
}

void Applier::Install(const raft::SnapshotMeta& meta) {
  BANDB_ASSERT(!install_.has_value());
  install_ = meta;
  if (writer_ == Writer::kJob) work_->give_back.store(true, std::memory_order_release);
  Go();
}

bool Applier::BeginInstall() {
  const bool is_it = received_ != nullptr && received_meta_ == *install_ &&
                     received_->position().applied.index == install_->index &&
                     received_->position().applied.term == install_->term;
  if (!is_it) {
    install_.reset();
    DropReceived();
    driver_->StateInstalled(false);
    return false;
  }
  writer_ = Writer::kInstall;
  parts_.replica->Install(std::move(received_), [this, turns = LaterTurn()](absl::Status status) {
    turns.Post([this, status = std::move(status)] { FinishInstall(status); });
  });
  return true;
}

void Applier::FinishInstall(const absl::Status& status) {
  BANDB_ASSERT(writer_ == Writer::kInstall);
  if (status.ok()) return Reload();
  parts_.logger->Log(base::LogLevel::kWarning, "the state was not installed: {}", base::Message(status));
  writer_ = Writer::kLoop;
  install_.reset();
  if (status.code() == StatusCode::kFailedPrecondition) return Fail(status);
  // The engine may have stopped its writes, too, and no entry might come to find that out.
  if (status.code() == StatusCode::kResourceExhausted) Pause(status);
  driver_->StateInstalled(false);
  Go();
}

void Applier::Reload() {
  auto use = std::make_shared<const EngineUse>(&parts_.replica->engine());
  if (!use->entered()) return Fail(base::Error(StatusCode::kFailedPrecondition, "the engine is closed"));
  parts_.executor->Post(base::Priority::kHigh,
                        [this, replica = parts_.replica, use = std::move(use), turns = LaterTurn()] {
                          absl::StatusOr<Kept> kept = Kept::Load(replica);
                          turns.Post([this, kept = std::move(kept)]() mutable { FinishReload(std::move(kept)); });
                        });
}

void Applier::FinishReload(absl::StatusOr<Kept> kept) {
  if (MayTryAgain(kept.status())) {
    parts_.executor->PostAfter(kRetryNanos, [this, turns = LaterTurn()] { turns.Post([this] { Reload(); }); });
    return;
  }
  if (!kept.ok()) return Fail(kept.status());
  NoteRead();
  work_->applier.SetSessions(std::move(kept->sessions));
  found_cursors_ = kept->cursors.all();
  work_->applier.SetCursors(std::move(kept->cursors));
  found_clock_ = kept->clock;
  work_->applier.SetClock(std::move(kept->clock));
  removed_nodes_ = std::move(kept->removed_nodes);
  work_->queue.clear();
  backlog_bytes_ = 0;
  applied_ = durable_told_ = parts_.replica->applied().applied.index;
  session_count_ = work_->applier.sessions().size();
  no_room_ = snapshot_wanted_ = snapshot_due_ = false;
  writer_ = Writer::kLoop;
  install_.reset();
  parts_.listener->OnInstalled(parts_.replica->applied());
  driver_->StateInstalled(true);
  Go();
}

// ---- Errors. ----

void Applier::HandleError(const absl::Status& status) {
  if (status.code() == StatusCode::kResourceExhausted) return Pause(status);
  if (!MayTryAgain(status)) return Fail(status);
  Pause(status);
}

// While no descriptor is free nothing is known of the disk: that neither counts against it, nor
// does it take back what counts.
bool Applier::MayTryAgain(const absl::Status& status) {
  if (!MayReadLater(status)) return false;
  const bool waits = WaitsForOperator(status);
  ++(waits ? waits_ : read_tries_);
  if (!waits && read_tries_ >= kReadTriesMax) return false;
  if (read_tries_ + waits_ == 1) {
    parts_.logger->Log(base::LogLevel::kWarning, "{}; it is tried again", base::Message(status));
  }
  if (waits_ >= kReadTriesMax && unreadable_.ok()) {
    parts_.logger->Log(base::LogLevel::kError, "applying waits for a read: {}", base::Message(status));
    unreadable_ = base::Error(StatusCode::kUnavailable, "{}", base::Message(status));
  }
  return true;
}

void Applier::NoteRead() {
  read_tries_ = waits_ = 0;
  if (unreadable_.ok()) return;
  parts_.logger->Log(base::LogLevel::kInfo, "applying goes on");
  unreadable_ = absl::OkStatus();
}

void Applier::JudgeEngine(const absl::Status& status) {
  if (status.code() == StatusCode::kFailedPrecondition) return Fail(status);
  if (status.code() == StatusCode::kResourceExhausted && failure_.ok()) Pause(status);
}

void Applier::Pause(const absl::Status& status) {
  const bool is_stall = status.code() == StatusCode::kResourceExhausted;
  if (is_stall && stalled_.ok()) {
    parts_.logger->Log(base::LogLevel::kError, "applying waits for space: {}", base::Message(status));
    stalled_ = status;
  }
  if (std::exchange(paused_, true)) return;
  const bool is_long = is_stall || (!unreadable_.ok() && WaitsForOperator(status));
  parts_.executor->PostAfter(is_long ? kStallRetryNanos : kRetryNanos,
                             [this, turns = LaterTurn()] { turns.Post([this] { Retry(); }); });
}

void Applier::Retry() {
  BANDB_ASSERT(paused_);
  front_waits_ = false;
  if (!stalled_.ok()) return Resume();
  paused_ = false;
  Go();
}

// The engine looks at the disk for it.
void Applier::Resume() {
  auto use = std::make_shared<const EngineUse>(&parts_.replica->engine());
  if (!use->entered()) return Fail(base::Error(StatusCode::kFailedPrecondition, "the engine is closed"));
  parts_.executor->Post(base::Priority::kNormal,
                        [this, replica = parts_.replica, use = std::move(use), turns = LaterTurn()] {
                          absl::Status status = replica->engine().Resume();
                          turns.Post([this, status = std::move(status)] { FinishResume(status); });
                        });
}

void Applier::FinishResume(const absl::Status& status) {
  if (!failure_.ok()) return;
  paused_ = false;
  if (!status.ok()) return HandleError(status);
  parts_.logger->Log(base::LogLevel::kInfo, "applying goes on");
  stalled_ = absl::OkStatus();
  flush_unwatched_ = true;
  Go();
}

void Applier::Fail(const absl::Status& status) {
  BANDB_ASSERT(!status.ok());
  if (!failure_.ok()) return;
  failure_ = status;
  parts_.logger->Log(base::LogLevel::kError, "nothing more is applied: {}", base::Message(status));
  LaterTurn().Post([this] { parts_.listener->OnApplyFailed(failure_); });
}

}  // namespace bandb::cluster
