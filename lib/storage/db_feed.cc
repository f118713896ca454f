#include "storage/db_feed.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/status.h"
#include "changes/feed_reader.h"
#include "storage/log_commit_source.h"

namespace bandb::storage {

namespace {

constexpr int kCreateTries = 2;
constexpr int kWriteTries = 10;
constexpr int kListTries = 100;
// What is looked through for a time may be let go meanwhile.
constexpr int kTimeTries = 10;

// The place before the first commit of no earlier time, or after all that there is. The engine is
// entered for a piece of a log at a time.
absl::StatusOr<changes::ChangePlace> WalkToTime(changes::CommitSource* source, uint64_t not_before_ms) {
  changes::LoggedCommit commit;
  while (true) {
    const changes::ChangePlace before = source->place();
    BANDB_ASSIGN_OR_RETURN(const bool found, source->Next(&commit));
    if (!found) return source->place();
    if (commit.commit_time_ms >= not_before_ms) return before;
  }
}

}  // namespace

absl::Status DbFeed::Enter() {
  BANDB_RETURN_IF_ERROR(check_());
  BANDB_RETURN_IF_ERROR(engine_->CheckFeed());
  return engine_->Enter() ? absl::OkStatus() : ClosedError();
}

absl::Status DbFeed::EnterToWrite() {
  BANDB_RETURN_IF_ERROR(Enter());
  absl::Status writable = engine_->CheckCursorsWritable();
  if (!writable.ok()) engine_->Leave();
  return writable;
}

absl::StatusOr<std::unique_ptr<ChangeReader>> DbFeed::ReadChanges(const ChangesOptions& options) {
  BANDB_RETURN_IF_ERROR(Enter());
  const absl::StatusOr<EngineFeed::Beginning> beginning = engine_->feed().Resolve(options.from, options.undurable);
  engine_->Leave();
  BANDB_RETURN_IF_ERROR(beginning.status());
  BANDB_ASSIGN_OR_RETURN(changes::KeyFilter filter, changes::KeyFilter::Make(options));
  auto source = std::make_unique<LogCommitSource>(engine_->feed_gate(), beginning->place, options.undurable, spots_);
  return std::unique_ptr<ChangeReader>(
      std::make_unique<changes::FeedReader>(std::move(source), std::move(filter), beginning->not_before_ms));
}

absl::StatusOr<ChangesFrom> DbFeed::FindTime(const ChangesFrom& from) {
  if (from.place() != ChangesFrom::Place::kTime) return from;
  absl::StatusOr<changes::ChangePlace> found;
  for (int tries = 0; tries < kTimeTries; ++tries) {
    BANDB_RETURN_IF_ERROR(Enter());
    const absl::StatusOr<EngineFeed::Beginning> beginning = engine_->feed().Resolve(from, false);
    engine_->Leave();
    BANDB_RETURN_IF_ERROR(beginning.status());
    LogCommitSource source(engine_->feed_gate(), beginning->place, false, spots_);
    found = WalkToTime(&source, beginning->not_before_ms);
    if (!absl::IsOutOfRange(found.status())) break;
  }
  BANDB_RETURN_IF_ERROR(found.status());
  return ChangesFrom::Token(changes::EncodeToken(*found));
}

absl::Status DbFeed::CreateCursor(std::string_view name, const ChangesFrom& from) {
  BANDB_ASSIGN_OR_RETURN(const ChangesFrom place, FindTime(from));
  BANDB_RETURN_IF_ERROR(EnterToWrite());
  absl::Status written;
  for (int tries = 0; tries < kCreateTries; ++tries) {
    std::string value;
    const absl::StatusOr<WriteBatch> batch = engine_->feed().AddCursor(name, place, &value);
    written = batch.status();
    if (!written.ok()) break;
    written = write_(*batch);
    const bool is_written = written.ok();
    // An ingest may have come in between, after which the feed begins again.
    if (is_written) written = engine_->feed().CheckNotLost(name);
    if (written.ok()) break;
    // Meanwhile it may have been dropped and made again, or reset: that one is another's.
    if (is_written && !write_(changes::CursorTable::DropBatch(name, value)).ok()) break;
    engine_->feed().RemoveCursor(name, value);
    if (!is_written) break;
  }
  engine_->Leave();
  return written;
}

absl::Status DbFeed::ResetCursor(std::string_view name, const ChangesFrom& from) {
  BANDB_ASSIGN_OR_RETURN(const ChangesFrom place, FindTime(from));
  BANDB_RETURN_IF_ERROR(Enter());
  absl::Status reset;
  // What was acknowledged for it may be on its way meanwhile: then it is tried again.
  for (int tries = 0; tries < kWriteTries; ++tries) {
    const absl::StatusOr<WriteBatch> batch = engine_->feed().BeginReset(name, place);
    reset = batch.status();
    if (!reset.ok()) break;
    reset = write_(*batch);
    const absl::Status ended = engine_->feed().EndReset(name, reset.ok());
    if (reset.ok()) reset = ended;
    if (reset.code() != absl::StatusCode::kAborted) break;
  }
  if (reset.ok()) engine_->RemoveLogs(engine_->feed().LetGo(0));
  engine_->Leave();
  if (reset.code() != absl::StatusCode::kAborted) return reset;
  return base::Error(absl::StatusCode::kUnavailable, "cursor \"{}\" is being written down", name);
}

absl::Status DbFeed::Acknowledge(std::string_view name, std::string_view token) {
  BANDB_RETURN_IF_ERROR(EnterToWrite());
  const absl::StatusOr<bool> moved = engine_->feed().MoveCursor(name, token);
  if (moved.ok() && *moved) engine_->WriteCursorsSoon();
  engine_->Leave();
  return moved.status();
}

absl::Status DbFeed::DropCursor(std::string_view name) {
  BANDB_RETURN_IF_ERROR(EnterToWrite());
  absl::Status dropped = engine_->feed().CheckCursor(name);
  if (dropped.ok()) dropped = write_(changes::CursorTable::DropBatch(name));
  if (dropped.ok()) {
    engine_->feed().RemoveCursor(name);
    engine_->RemoveLogs(engine_->feed().LetGo(0));
  }
  engine_->Leave();
  if (dropped.code() != absl::StatusCode::kAborted) return dropped;
  return base::Error(absl::StatusCode::kNotFound, "cursor \"{}\" was dropped meanwhile", name);
}

absl::Status DbFeed::FillLags(std::vector<CursorInfo>* infos) {
  std::vector<std::pair<uint64_t, CursorInfo*>> present;
  for (CursorInfo& info : *infos) {
    const absl::StatusOr<changes::ChangePlace> place = changes::DecodeToken(info.token);
    if (!info.lost && place.ok()) present.emplace_back(place->sequence, &info);
  }
  std::sort(present.begin(), present.end());
  std::vector<LogCommitSource::Lag> lags;
  for (const auto& one : present) lags.push_back({.after = one.first});
  BANDB_RETURN_IF_ERROR(LogCommitSource::MeasureLags(engine_, engine_->feed_gate(), absl::MakeSpan(lags)));
  const auto now_ms = static_cast<uint64_t>(std::max<int64_t>(engine_->env().clock->WallMillis(), 0));
  for (size_t i = 0; i < lags.size(); ++i) {
    CursorInfo* const info = present[i].second;
    info->lag_commits = lags[i].commits;
    info->lag_bytes = lags[i].bytes;
    if (lags[i].commits == 0) continue;
    info->lag_time = absl::Milliseconds(static_cast<int64_t>(now_ms - std::min(now_ms, lags[i].oldest_ms)));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<CursorInfo>> DbFeed::ListCursors() {
  BANDB_RETURN_IF_ERROR(Enter());
  absl::StatusOr<std::vector<CursorInfo>> infos = std::vector<CursorInfo>();
  absl::Status filled;
  // Logs may be let go while they are counted, and cursors be lost by that.
  for (int tries = 0; tries < kListTries; ++tries) {
    infos = engine_->feed().Cursors();
    filled = infos.ok() ? FillLags(&*infos) : infos.status();
    if (!absl::IsOutOfRange(filled)) break;
  }
  engine_->Leave();
  BANDB_RETURN_IF_ERROR(filled);
  return infos;
}

void DbFeed::WriteCursors() {
  if (!Enter().ok()) return;
  // Some may be on their way already, and one may be dropped while it is written down: then it is
  // tried again.
  for (int tries = 0; tries < kWriteTries && engine_->feed().AnyMoved(); ++tries) {
    std::vector<changes::CursorTable::Underway> taken;
    const WriteBatch batch = engine_->feed().TakeMoved(&taken);
    const absl::Status written = write_(batch);
    engine_->feed().Written(taken, written.ok());
    if (!written.ok() && written.code() != absl::StatusCode::kAborted) break;
  }
  engine_->Leave();
}

}  // namespace bandb::storage
