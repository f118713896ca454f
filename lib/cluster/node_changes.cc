// What a node notes down for readers of the change feed (change_index.h).
#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/status.h"
#include "cluster/node.h"

namespace bandb::cluster {

namespace {

// Acknowledgements of so long are one command.
constexpr int64_t kCursorsNanos = 1'000'000'000;
// After that its fate is not waited for, and they are in the next one, too.
constexpr int64_t kCursorsPatienceNanos = 10'000'000'000;

ChangeBound BoundOf(const storage::ReplicaPosition& position) {
  return {.index = position.applied.index,
          .sequence = position.last_sequence,
          .user_sequence = position.user_sequence,
          .time_ms = position.commit_time_ms};
}

// The entry after which cursors need the log: those that are not lost, as far back as they may go.
raft::Index NeededAfter(const ChangeIndex& index, const CursorMap& cursors, raft::ClusterId branch) {
  const absl::StatusOr<ChangeBound> oldest = index.Oldest();
  if (!oldest.ok()) return 0;
  const ChangeBound applied = index.applied();
  uint64_t floor = UINT64_MAX;
  for (const auto& [name, cursor] : cursors) {
    const uint64_t sequence = cursor.place.sequence;
    if (cursor.place.branch == branch && sequence >= oldest->user_sequence) floor = std::min(floor, sequence);
  }
  if (floor == UINT64_MAX) return UINT64_MAX;
  if (floor >= applied.user_sequence) return applied.index;
  ChangeIndex::Spot spot;
  const absl::StatusOr<ChangeStretch> next = index.AfterSequence(std::max(floor, oldest->sequence), &spot);
  return next.ok() ? next->before.index : 0;
}

}  // namespace

absl::Status Node::BeginChanges(const storage::ReplicaPosition& durable) {
  const auto write = [this, alive = std::weak_ptr<const bool>(alive_)] {
    if (!alive.expired()) WriteCursors();
  };
  cursors_ = std::make_shared<CursorDesk>([executor = parts_.env.executor, post = LogOptions().post, write] {
    executor->PostAfter(kCursorsNanos, [post, write] { post(write); });
  });
  ChangeIndex::Parts parts{.directory = log_->directory(),
                           .executor = parts_.env.executor,
                           .logger = parts_.env.logger,
                           .post = LogOptions().post,
                           .durable = [this](raft::Index index) { applier_->MayFlush(index); },
                           .let_go = [this](std::string_view why) { LetKeptGo(why); },
                           .waits =
                               [this](const absl::Status& status) {
                                 changes_wait_ = status;
                                 Wake();
                               },
                           .random = parts_.env.random->Fork()};
  const Options& storage = options_.storage;
  const absl::Duration keep_for = std::max(storage.changes_keep_for, absl::ZeroDuration());
  const bool for_ever = keep_for >= absl::Hours(24 * 365 * 1000);
  KeptSegments::Parts kept{
      .directory = parts.directory,
      .executor = parts.executor,
      .logger = parts.logger,
      .post = parts.post,
      .bytes_max = storage.changes_keep_bytes,
      .ms_max = for_ever ? UINT64_MAX : static_cast<uint64_t>(absl::ToInt64Milliseconds(keep_for))};
  BANDB_ASSIGN_OR_RETURN(kept_, KeptSegments::Open(std::move(kept), log_->floor()));
  const raft::Index floor = kept_->floor().value_or(log_->floor());
  BANDB_ASSIGN_OR_RETURN(change_index_, ChangeIndex::Open(std::move(parts), BoundOf(durable), floor));
  kept_->SetOnFloor([index = change_index_.get()](raft::Index gone) { index->SetFloor(gone); });
  log_->SetOnRetire([this](const std::vector<RetiredSegment>& segments) {
    return kept_->Retire(segments, change_index_->applied().time_ms);
  });
  return absl::OkStatus();
}

void Node::OnRecord(const AppliedRecord& record) {
  const EntryPlace* const place = log_->Find(record.index);
  // Nothing is deleted of the log before the engine has it in tables.
  BANDB_ASSERT(place != nullptr && place->term == record.term);
  ChangeEntry entry{.end = {.index = record.index,
                            .sequence = record.last_sequence,
                            .user_sequence = record.user_sequence,
                            .time_ms = record.commit_time_ms},
                    .place = *place,
                    .undone = {}};
  for (size_t i = 0; i < record.results.size(); ++i) {
    if (record.results[i].status.ok() && !record.results[i].duplicate) continue;
    entry.undone.resize(record.results.size() / 8 + 1, '\0');
    entry.undone[i / 8] = static_cast<char>(entry.undone[i / 8] | 1 << (i % 8));
  }
  change_index_->Append(std::move(entry));
  if (record.clock.has_value()) {
    log_clock_->Set(*record.clock);
    commit_clock_.Accepted(record.clock->ahead_ms());
  }
  cursors_->Update(record.cursors);
  if (record.cursors.empty() || !kept_->minds_age()) return;
  // One may be further back than any was before.
  kept_->KeepAfter(0);
  TrimKept();
}

void Node::TrimKept() {
  if (!kept_->minds_age()) return kept_->Trim(change_index_->applied().time_ms);
  if (std::exchange(trimming_, true)) {
    trim_again_ = true;
    return;
  }
  const auto finish = [this, alive = std::weak_ptr<const bool>(alive_)](raft::Index needed_after) {
    if (!alive.expired()) FinishTrim(needed_after);
  };
  // Where a place is in the log says the index, on the disk.
  parts_.env.executor->Post(
      base::Priority::kLow, [index = change_index_, cursors = cursors_->Applied(),
                             branch = ClusterIdOf(directory_->identity()), post = LogOptions().post, finish] {
        post([finish, needed_after = NeededAfter(*index, cursors, branch)] { finish(needed_after); });
      });
}

void Node::FinishTrim(raft::Index needed_after) {
  trimming_ = false;
  if (!health_.ok()) return;
  if (std::exchange(trim_again_, false)) return TrimKept();
  // A cursor that seems lost, as of the last flush, may be none.
  kept_->KeepAfter(cursors_->is_known() ? needed_after : 0);
  kept_->Trim(change_index_->applied().time_ms);
}

void Node::WriteCursors() {
  if (!health_.ok()) return;
  std::string changes = cursors_->TakeMoved();
  if (changes.empty()) return;
  Write(std::make_shared<ClientWrite>(WriteContent{.operations = std::move(changes),
                                                   .kind = CommandKind::kCursors,
                                                   .deadline_nanos = Now() + kCursorsPatienceNanos},
                                      [cursors = cursors_](const absl::Status&) { cursors->Written(); }));
}

void Node::OnCapacity(bool nearly_full) {
  log_full_ = nearly_full;
  Wake();
}

void Node::OnFetched(uint64_t fetch, bool ok, raft::Entries entries) {
  TakeFetched(fetch, ok, std::move(entries), /*lost=*/false);
}

void Node::OnFetchLost(uint64_t fetch) { TakeFetched(fetch, /*ok=*/false, {}, /*lost=*/true); }

void Node::TakeFetched(uint64_t fetch, bool ok, raft::Entries entries, bool lost) {
  driver_->Fetched(fetch, ok, std::move(entries), lost);
  if (driver_->failed() && failure_.ok()) {
    failure_ =
        base::Error(absl::StatusCode::kFailedPrecondition, "the log could not be read; the node has to be restarted");
  }
}

// Whichever of log and tables has met the end of the disk first, another node is to lead, and the
// leader is to know. So it is with a node that cannot apply, or flush, for another reason.
void Node::TellCapacity() {
  const bool lacks_space = DiskIsFull();
  if (lacks_space) LetKeptGo("the disk is full");
  const bool was_told = full_told_;
  const bool same_space = std::exchange(space_told_, lacks_space) == lacks_space;
  full_told_ = IsStalled();
  if (full_told_ == was_told && same_space) return;
  if (full_told_ && !was_told) reads_.ForgetEntries();
  driver_->LogCapacity(full_told_, lacks_space);
}

void Node::LetKeptGo(std::string_view why) {
  if (kept_->count() == 0) return;
  parts_.env.logger->Log(base::LogLevel::kWarning, "{}: what was kept for the change feed is given up", why);
  kept_->DropAll();
}

// Who leads says how far that is.
void Node::AwaitCursors() {
  Read({.deadline_nanos = base::kForever, .done = [this](const absl::Status& status) {
          if (!status.ok()) return;
          cursors_->SetKnown();
          TrimKept();
        }});
}

void Node::EndChanges(const absl::Status& status) {
  if (cursors_ != nullptr) cursors_->End(status);
  if (change_index_ != nullptr) change_index_->End();
  if (kept_ != nullptr) kept_->End();
}

void Node::OnInstalled(const storage::ReplicaPosition& position) {
  change_index_->Restart(BoundOf(position));
  cursors_->Replace(applier_->found_cursors());
  log_clock_->Set(applier_->found_clock());
  kept_->DropAll();
  applier_->MayFlush(position.applied.index);
  // It is in tables, all of it.
  EndFlushes(position.applied.index);
}

}  // namespace bandb::cluster
