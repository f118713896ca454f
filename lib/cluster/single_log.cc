#include "cluster/single_log.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/status.h"
#include "cluster/log_fetch.h"
#include "cluster/segment_format.h"
#include "cluster/segment_reader.h"
#include "raft/types/configuration_codec.h"

namespace bandb::cluster {

namespace {

using absl::StatusCode;

// So long after the last write the synced mark is written.
constexpr int64_t kIdleNanos = 50'000'000;
// How often a spare segment is tried for on a full disk.
constexpr int64_t kSpareRetryNanos = 1'000'000'000;

// Those before `first`. Where a truncation has reached into one, entries that it had up to then are
// in later ones.
std::vector<RetiredSegment> RetiredSegments(const std::vector<SegmentSpan>& spans, size_t first) {
  std::vector<RetiredSegment> retired(first);
  raft::Index end = spans[first].previous.index;
  for (size_t i = first; i-- > 0;) {
    const SegmentSpan& span = spans[i];
    retired[i] = {
        .number = span.number, .after = std::min({end, span.previous.index, span.lowest_index - 1}), .end = end};
    end = retired[i].after;
  }
  return retired;
}

}  // namespace

// One sync: what it covers.
struct SingleLog::SyncRound {
  std::vector<Writer> full;
  Writer current;
  uint64_t size = 0;  // of current
  size_t writes = 0;  // of pending_, from the front
  absl::Status status;
};

SingleLog::SingleLog(const SingleLogOptions& options) : options_(options), random_(options.random->Next()) {
  BANDB_ASSERT(options.executor != nullptr);
  BANDB_ASSERT(options.clock != nullptr);
  BANDB_ASSERT(options.logger != nullptr);
  BANDB_ASSERT(options.segment_bytes <= kSegmentBytesMax / 2);
}

SingleLog::~SingleLog() = default;

absl::StatusOr<SingleLog::Writer> SingleLog::MakeSegment(const SingleLogOptions& options, uint64_t number,
                                                         const storage::Uuid& file_id) {
  const LogDirectory& directory = options.directory;
  const storage::FileHeader header{
      .type = storage::FileType::kSegment, .database_id = directory.database_id, .file_id = file_id};
  const std::string path = directory.PathOf(number);
  absl::StatusOr<std::unique_ptr<SegmentWriter>> writer =
      SegmentWriter::Create(directory.files, path, number, header, options.segment_bytes);
  const absl::Status made = writer.ok() ? directory.files->SyncDir(directory.path) : writer.status();
  if (made.ok()) return Writer(*std::move(writer));
  // It takes up room, perhaps, that is needed.
  if (writer.ok()) writer->reset();
  directory.files->Remove(path).IgnoreError();
  return made;
}

absl::Status SingleLog::Create(const SingleLogOptions& options, const raft::HardState& hard_state,
                               const raft::SnapshotMeta& floor) {
  const LogDirectory& directory = options.directory;
  BANDB_RETURN_IF_ERROR(directory.files->CreateDirs(directory.path));
  if (absl::StatusOr<RecoveredLog> found = RecoverLog(directory); found.ok()) {
    return base::Error(StatusCode::kAlreadyExists, "{}: there is a log", directory.path);
  } else if (found.status().code() != StatusCode::kNotFound) {
    return found.status();
  }
  // What a creation that was cut short has left.
  BANDB_RETURN_IF_ERROR(RemoveSegments(directory, {1}));
  SegmentHead head{.number = 1,
                   .reset = true,
                   .previous_term = floor.term,
                   .previous_index = floor.index,
                   .hard_state = hard_state,
                   .configuration = floor.configuration};
  BANDB_ASSIGN_OR_RETURN(const Writer writer, MakeSegment(options, 1, storage::RandomUuid(options.random)));
  std::string payload;
  const storage::RecordHead record = EncodeSegmentHead(head, &payload);
  BANDB_RETURN_IF_ERROR(writer->Append(record, payload));
  BANDB_RETURN_IF_ERROR(writer->Sync());
  BANDB_RETURN_IF_ERROR(writer->Close());
  return directory.files->SyncDir(base::ParentPath(directory.path));
}

absl::StatusOr<std::unique_ptr<SingleLog>> SingleLog::Open(const SingleLogOptions& options,
                                                           const raft::SnapshotMeta& state) {
  std::unique_ptr<SingleLog> log(new SingleLog(options));
  BANDB_RETURN_IF_ERROR(log->Begin(state));
  return log;
}

absl::Status SingleLog::Begin(const raft::SnapshotMeta& state) {
  const LogDirectory& directory = options_.directory;
  BANDB_ASSIGN_OR_RETURN(RecoveredLog found, RecoverLog(directory));
  if (state.index < found.index.floor().index) {
    return base::Error(StatusCode::kDataLoss, "{}: the log begins after {}, but only {} is applied", directory.path,
                       found.index.floor().index, state.index);
  }
  // What is voided here must not come back: first it goes, durably with the name of the next
  // segment, then the log goes on in that.
  BANDB_RETURN_IF_ERROR(RemoveSegments(directory, found.unused));
  BANDB_RETURN_IF_ERROR(MakeDurable(directory, found));
  index_ = std::move(found.index);
  hard_state_ = found.hard_state;
  spans_ = std::move(found.spans);
  dropped_bytes_ = found.dropped_bytes;
  next_number_ = found.number_max + 1;
  keep_after_ = state.index;
  BANDB_RETURN_IF_ERROR(BeginSegment(found.extents.back(), state));
  MakeSpare();
  return absl::OkStatus();
}

// Goes on in a segment of its own: where the last one was torn, bytes are left that a later sync
// must not be taken to vouch for.
absl::Status SingleLog::BeginSegment(const SegmentExtent& before, const raft::SnapshotMeta& state) {
  const LogDirectory& directory = options_.directory;
  const bool reset = index_.TermAt(state.index) != state.term;
  // What was installed was committed.
  if (reset) hard_state_.commit = std::max(hard_state_.commit, state.index);
  SegmentHead head{.number = next_number_++,
                   .previous_number = before.number,
                   .previous_end = before.end,
                   .reset = reset,
                   .hard_state = hard_state_,
                   .configuration = {}};
  if (reset) {
    for (const SegmentSpan& span : spans_) unneeded_.push_back(span.number);
    spans_.clear();
    index_.Reset(state);
  }
  head.previous_index = index_.last();
  head.previous_term = *index_.TermAt(index_.last());
  head.configuration = index_.configuration();
  BANDB_ASSIGN_OR_RETURN(restart_, index_.MakeRestart(hard_state_, state.index));
  BANDB_RETURN_IF_ERROR(restart_.Validate());

  BANDB_ASSIGN_OR_RETURN(current_, MakeSegment(options_, head.number, storage::RandomUuid(&random_)));
  spans_.push_back(
      {.number = head.number,
       .previous = {.index = head.previous_index, .term = head.previous_term, .configuration = head.configuration}});
  payload_.clear();
  const storage::RecordHead record = EncodeSegmentHead(head, &payload_);
  BANDB_RETURN_IF_ERROR(current_->Append(record, payload_));
  BANDB_RETURN_IF_ERROR(current_->Sync());
  current_->SetSynced(current_->size());
  // Says, once it is on the disk, that all before it was.
  payload_.clear();
  const storage::RecordHead mark = EncodeSyncedMark(&payload_);
  BANDB_RETURN_IF_ERROR(current_->Append(mark, payload_));
  BANDB_RETURN_IF_ERROR(current_->Sync());
  current_->SetSynced(current_->size());
  durable_segment_ = head.number;
  BANDB_RETURN_IF_ERROR(RemoveSegments(directory, std::exchange(unneeded_, {})));
  return absl::OkStatus();
}

base::Task SingleLog::Later(std::function<void()> task) const {
  return [alive = std::weak_ptr<const bool>(alive_), task = std::move(task)] {
    if (!alive.expired()) task();
  };
}

void SingleLog::Fail(const absl::Status& status) {
  if (failed_) return;
  failed_ = true;
  options_.logger->Log(base::LogLevel::kError, "the log cannot be written: {}", base::Message(status));
  pending_.clear();
  options_.post(Later([this] { listener_->OnWriteFailed(); }));
}

// Appends a record with payload_ to the present segment.
bool SingleLog::Append(const storage::RecordHead& head) {
  if (failed_) return false;
  if (const absl::Status appended = current_->Append(head, payload_); !appended.ok()) {
    Fail(appended);
    return false;
  }
  return true;
}

// Goes on in the spare segment.
void SingleLog::Rotate(bool reset, const raft::SnapshotMeta& previous) {
  BANDB_ASSERT(spare_ != nullptr);
  const SegmentHead head{.number = spare_->number(),
                         .previous_number = current_->number(),
                         .previous_end = current_->size(),
                         .reset = reset,
                         .previous_term = previous.term,
                         .previous_index = previous.index,
                         .hard_state = hard_state_,
                         .configuration = previous.configuration};
  full_.push_back(std::exchange(current_, std::exchange(spare_, nullptr)));
  spans_.push_back({.number = head.number, .previous = previous});
  payload_.clear();
  const storage::RecordHead record = EncodeSegmentHead(head, &payload_);
  Append(record);
  MakeSpare();
}

void SingleLog::WriteHardState(const raft::HardStateWrite& write) {
  const raft::Index commit = std::max(hard_state_.commit, write.state.commit);
  hard_state_ = write.state;
  hard_state_.commit = commit;
  payload_.clear();
  const storage::RecordHead head = EncodeHardState(hard_state_, &payload_);
  if (!Append(head)) return;
  pending_.push_back({.kind = PendingWrite::Kind::kHardState, .write = write.write});
  StartSync();
}

void SingleLog::WriteLog(const raft::LogWrite& write) {
  BANDB_ASSERT(!write.entries.empty());
  BANDB_ASSERT(!reset_.has_value());
  if (failed_) return;
  hard_state_.commit = std::max(hard_state_.commit, write.commit);
  for (const raft::Entry& entry : write.entries) {
    WriteEntry(entry, write.commit);
    if (failed_) return;
  }
  pending_.push_back(
      {.kind = PendingWrite::Kind::kLog, .write = write.write, .term = write.term, .index = write.index});
  StartSync();
}

void SingleLog::WriteEntry(const raft::Entry& entry, raft::Index commit) {
  BANDB_ASSERT(entry.index > index_.floor().index);
  BANDB_ASSERT(entry.index <= index_.last() + 1);
  index_.TruncateAfter(entry.index - 1);
  if (spare_ != nullptr && !current_->HasRoom(entry.payload.size() + 1)) {
    Rotate(
        /*reset=*/false,
        {.index = entry.index - 1, .term = *index_.TermAt(entry.index - 1), .configuration = index_.configuration()});
  }
  payload_.clear();
  const storage::RecordHead head = EncodeEntry(entry, commit, &payload_);
  if (failed_) return;
  const uint64_t offset = current_->size();
  if (!Append(head)) return;
  index_.Append({.segment = current_->number(),
                 .offset = offset,
                 .record_bytes = static_cast<uint32_t>(current_->size() - offset),
                 .payload_bytes = static_cast<uint32_t>(entry.payload.size()),
                 .term = entry.term});
  spans_.back().lowest_index = std::min(spans_.back().lowest_index, entry.index);
  if (entry.kind != raft::EntryKind::kConfiguration) return;
  raft::Configuration configuration;
  const bool decoded = raft::DecodeConfiguration(entry.payload.bytes(), &configuration);
  BANDB_ASSERT(decoded);
  index_.AppendConfiguration(std::move(configuration));
}

absl::Status SingleLog::MakeRoom(uint64_t entry_bytes) {
  const uint64_t anyway = options_.segment_bytes / 2;
  if (failed_ || entry_bytes == 0) return absl::OkStatus();
  // While the next segment is still being made, what is left of this one may be all that there is.
  // Where none could be made that is known, and only what elections and commits need comes.
  if (entry_bytes <= anyway && (spare_ != nullptr || nearly_full_)) return absl::OkStatus();
  if (current_->HasRoom(entry_bytes + anyway)) return absl::OkStatus();
  // Where it goes, unless there is still room for it in the present segment.
  return (spare_ != nullptr ? spare_ : current_)->MakeRoom(entry_bytes + anyway);
}

// ---- Syncs. ----

void SingleLog::StartSync() {
  if (syncing_ || failed_ || pending_.empty()) return;
  syncing_ = true;
  auto round = std::make_shared<SyncRound>();
  round->full = std::exchange(full_, {});
  round->current = current_;
  round->size = current_->size();
  round->writes = pending_.size();
  base::Task done = Later([this, round] { FinishSync(*round); });
  base::Executor* const executor = options_.sync_executor != nullptr ? options_.sync_executor : options_.executor;
  executor->Post(base::Priority::kHigh, [round, post = options_.post, done = std::move(done)]() mutable {
    // In the order of the log: what a later segment says of having been
    // synced holds for the earlier ones.
    for (const Writer& full : round->full) {
      round->status.Update(full->Sync());
      round->status.Update(full->Close());
    }
    if (round->status.ok()) round->status.Update(round->current->Sync());
    post(std::move(done));
  });
}

void SingleLog::FinishSync(const SyncRound& round) {
  syncing_ = false;
  if (failed_) return;
  if (!round.status.ok()) return Fail(round.status);
  round.current->SetSynced(round.size);
  durable_segment_ = round.current->number();
  Report(round.writes);
  StartSync();
  MarkWhenIdle();
}

void SingleLog::Report(size_t count) {
  BANDB_ASSERT(count <= pending_.size());
  const std::vector<PendingWrite> done(pending_.begin(), pending_.begin() + static_cast<ptrdiff_t>(count));
  pending_.erase(pending_.begin(), pending_.begin() + static_cast<ptrdiff_t>(count));
  for (const PendingWrite& write : done) {
    switch (write.kind) {
      case PendingWrite::Kind::kHardState:
        listener_->OnHardStateDurable(write.write);
        break;
      case PendingWrite::Kind::kLog:
        listener_->OnLogDurable(write.write, write.term, write.index);
        break;
      case PendingWrite::Kind::kReset:
        listener_->OnReset(write.index, write.term);
        DeleteUnneeded();
        break;
    }
  }
}

void SingleLog::MarkWhenIdle() {
  if (mark_due_ || syncing_ || failed_) return;
  mark_due_ = true;
  base::Task mark = Later([this] {
    mark_due_ = false;
    // Too early while something is under way: another sync will end.
    if (syncing_ || failed_ || current_->synced() != current_->size()) return;
    payload_.clear();
    const storage::RecordHead head = EncodeSyncedMark(&payload_);
    Append(head);
  });
  options_.executor->PostAfter(kIdleNanos,
                               [post = options_.post, mark = std::move(mark)]() mutable { post(std::move(mark)); });
}

// ---- Segments. ----

void SingleLog::MakeSpare() {
  if (making_spare_ || spare_ != nullptr || failed_) return;
  making_spare_ = true;
  auto made = std::make_shared<absl::StatusOr<Writer>>(absl::UnknownError("not made"));
  base::Task done = Later([this, made] {
    making_spare_ = false;
    TakeSpare(std::move(*made));
  });
  options_.executor->Post(base::Priority::kNormal,
                          [made, options = options_, number = next_number_++, file_id = storage::RandomUuid(&random_),
                           done = std::move(done)]() mutable {
                            *made = MakeSegment(options, number, file_id);
                            options.post(std::move(done));
                          });
}

void SingleLog::TakeSpare(absl::StatusOr<Writer> spare) {
  if (failed_) return;
  if (!spare.ok() && !nearly_full_) {
    options_.logger->Log(base::LogLevel::kWarning, "no file for the log to go on in: {}; it is tried again",
                         base::Message(spare.status()));
  }
  lacks_space_ = absl::IsResourceExhausted(spare.status());
  SetCapacity(/*nearly_full=*/!spare.ok());
  if (spare.ok()) {
    spare_ = *std::move(spare);
    if (reset_.has_value()) ResetNow();
    return;
  }
  base::Task retry = Later([this] { MakeSpare(); });
  options_.executor->PostAfter(kSpareRetryNanos,
                               [post = options_.post, retry = std::move(retry)]() mutable { post(std::move(retry)); });
}

void SingleLog::SetCapacity(bool nearly_full) {
  if (nearly_full == nearly_full_) return;
  nearly_full_ = nearly_full;
  options_.post(Later([this, nearly_full] { listener_->OnCapacity(nearly_full); }));
}

void SingleLog::Reset(const raft::SnapshotMeta& floor) {
  BANDB_ASSERT(!reset_.has_value());
  BANDB_ASSERT(floor.index > 0);
  if (failed_) return;
  reset_ = floor;
  if (spare_ != nullptr) ResetNow();
}

void SingleLog::ResetNow() {
  const raft::SnapshotMeta floor = *std::exchange(reset_, std::nullopt);
  for (const SegmentSpan& span : spans_) unneeded_.push_back(span.number);
  spans_.clear();
  index_.Reset(floor);
  hard_state_.commit = std::max(hard_state_.commit, floor.index);
  keep_after_ = std::max(keep_after_, floor.index);
  Rotate(/*reset=*/true, floor);
  if (failed_) return;
  pending_.push_back({.kind = PendingWrite::Kind::kReset, .term = floor.term, .index = floor.index});
  StartSync();
}

void SingleLog::Compact(raft::Index index) {
  compact_to_ = std::max(compact_to_, index);
  DeleteUnneeded();
}

void SingleLog::KeepAfter(raft::Index index) {
  keep_after_ = index;
  DeleteUnneeded();
}

void SingleLog::DeleteUnneeded() {
  if (failed_ || reset_.has_value()) return;
  std::vector<uint64_t> unneeded;
  const bool resetting = std::any_of(pending_.begin(), pending_.end(), [](const PendingWrite& write) {
    return write.kind == PendingWrite::Kind::kReset;
  });
  if (!resetting) unneeded = std::exchange(unneeded_, {});
  const raft::Index bound = std::min(compact_to_, keep_after_);
  // The log begins with a segment only once its begin is durable.
  size_t first = FindFirstSegment(spans_, bound);
  if (first == spans_.size() || first == 0 || spans_[first].number > durable_segment_) first = 0;
  if (first > 0) {
    const std::vector<RetiredSegment> retired = RetiredSegments(spans_, first);
    spans_.erase(spans_.begin(), spans_.begin() + static_cast<ptrdiff_t>(first));
    index_.Compact(spans_.front().previous.index);
    if (on_retire_ != nullptr) {
      for (const uint64_t number : on_retire_(retired)) unneeded.push_back(number);
    } else {
      for (const RetiredSegment& segment : retired) unneeded.push_back(segment.number);
    }
  }
  if (unneeded.empty()) return;
  options_.executor->Post(base::Priority::kLow,
                          [directory = options_.directory, logger = options_.logger, unneeded = std::move(unneeded)] {
                            const absl::Status removed = RemoveSegments(directory, unneeded);
                            if (!removed.ok()) logger->Log(base::LogLevel::kWarning, "{}", base::Message(removed));
                          });
}

}  // namespace bandb::cluster
