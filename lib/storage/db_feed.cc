#include "storage/db_feed.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/status.h"
#include "changes/feed_reader.h"
#include "storage/log_commit_source.h"

namespace bandb::storage {

namespace {

constexpr int kWriteTries = 10;

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
  auto source = std::make_unique<LogCommitSource>(engine_->feed_gate(), beginning->place, options.undurable);
  return std::unique_ptr<ChangeReader>(
      std::make_unique<changes::FeedReader>(std::move(source), std::move(filter), beginning->not_before_ms));
}

absl::Status DbFeed::CreateCursor(std::string_view name, const ChangesFrom& from) {
  BANDB_RETURN_IF_ERROR(EnterToWrite());
  const absl::StatusOr<WriteBatch> batch = engine_->feed().AddCursor(name, from);
  absl::Status written = batch.status();
  if (batch.ok()) {
    written = write_(*batch);
    if (!written.ok()) engine_->feed().RemoveCursor(name);
  }
  engine_->Leave();
  return written;
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

absl::Status DbFeed::FillLag(CursorInfo* info) {
  const absl::StatusOr<EngineFeed::Beginning> beginning =
      engine_->feed().Resolve(ChangesFrom::Cursor(info->name), true);
  if (!beginning.ok()) {
    // Lost or dropped meanwhile.
    info->lost = info->lost || beginning.status().code() == absl::StatusCode::kOutOfRange;
    return absl::OkStatus();
  }
  LogCommitSource source(engine_->feed_gate(), beginning->place, true);
  const absl::StatusOr<LogCommitSource::Lag> lag = source.MeasureLag(engine_);
  if (!lag.ok() && lag.status().code() == absl::StatusCode::kOutOfRange) {
    info->lost = true;
    return absl::OkStatus();
  }
  BANDB_RETURN_IF_ERROR(lag.status());
  info->lag_commits = lag->commits;
  info->lag_bytes = lag->bytes;
  if (lag->oldest_ms != 0) {
    const auto now_ms = static_cast<uint64_t>(std::max<int64_t>(engine_->env().clock->WallMillis(), 0));
    info->lag_time = absl::Milliseconds(static_cast<int64_t>(now_ms - std::min(now_ms, lag->oldest_ms)));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<CursorInfo>> DbFeed::ListCursors() {
  BANDB_RETURN_IF_ERROR(Enter());
  absl::StatusOr<std::vector<CursorInfo>> infos = engine_->feed().Cursors();
  absl::Status filled = infos.status();
  for (size_t i = 0; filled.ok() && i < infos->size(); ++i) filled = FillLag(&(*infos)[i]);
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
