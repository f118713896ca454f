#include "cluster/cluster_feed.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>

#include "base/assert.h"
#include "base/status.h"
#include "changes/change_token.h"
#include "changes/feed_reader.h"
#include "cluster/cursor_lag.h"
#include "cluster/entry_commit_source.h"
#include "storage/file/refused_read.h"

namespace bandb::cluster {

namespace {

using absl::StatusCode;

// What is counted for a list may be let go meanwhile.
constexpr int kListTries = 100;
constexpr int kTimeTries = 10;

absl::Time FromMs(uint64_t ms) { return absl::FromUnixMillis(static_cast<int64_t>(std::min<uint64_t>(ms, INT64_MAX))); }

}  // namespace

changes::ChangePlace ClusterFeed::PlaceAt(uint64_t sequence) const {
  return {.database = parts_.database.bytes, .branch = parts_.cluster, .sequence = sequence};
}

absl::Status ClusterFeed::CheckKept(uint64_t sequence) const {
  BANDB_ASSIGN_OR_RETURN(const ChangeBound oldest, parts_.index->Oldest());
  // A reader that has come to the last commit before it misses nothing.
  return sequence < oldest.user_sequence ? GoneError(*parts_.index, PlaceAt(0)) : absl::OkStatus();
}

absl::Status ClusterFeed::CheckHistory(const changes::ChangePlace& place) const {
  if (place.database != parts_.database.bytes || place.group != 0) {
    return base::Error(StatusCode::kInvalidArgument, "the token is of another database");
  }
  if (place.branch == parts_.cluster && place.epoch == 0) return absl::OkStatus();
  return base::Error(StatusCode::kFailedPrecondition,
                     "the token is of another history of this database: of before a lost quorum was recovered, of "
                     "before it became a cluster, or of a copy");
}

absl::StatusOr<changes::ChangePlace> ClusterFeed::DecodePlace(std::string_view token) const {
  BANDB_ASSIGN_OR_RETURN(const changes::ChangePlace place, changes::DecodeToken(token));
  BANDB_RETURN_IF_ERROR(CheckHistory(place));
  return place;
}

absl::StatusOr<ClusterFeed::Beginning> ClusterFeed::ResolveToken(std::string_view token) const {
  BANDB_ASSIGN_OR_RETURN(const changes::ChangePlace place, DecodePlace(token));
  // What another member has applied may be still to come here.
  BANDB_RETURN_IF_ERROR(CheckKept(place.sequence));
  return Beginning{.place = place};
}

absl::StatusOr<ClusterFeed::Beginning> ClusterFeed::ResolveCursor(std::string_view name) const {
  BANDB_ASSIGN_OR_RETURN(const changes::StoredCursor cursor, parts_.cursors->Find(name));
  const std::string whose = fmt::format("cursor \"{}\"", name);
  BANDB_RETURN_IF_ERROR(base::Annotate(CheckHistory(cursor.place), whose));
  BANDB_RETURN_IF_ERROR(base::Annotate(CheckKept(cursor.place.sequence), whose + " is lost"));
  return Beginning{.place = cursor.place};
}

absl::StatusOr<ClusterFeed::Beginning> ClusterFeed::ResolveTime(absl::Time time) const {
  const auto ms = static_cast<uint64_t>(std::max<int64_t>(absl::ToUnixMillis(time), 0));
  const uint64_t log_ms = parts_.clock->Get().ToLog(ms);
  // Before what comes next is looked at: what goes meanwhile is found out by the reader.
  ChangeBound before = parts_.index->Before(log_ms);
  BANDB_ASSIGN_OR_RETURN(const ChangeBound oldest, parts_.index->Oldest());
  // There may have been some at that time.
  if (log_ms <= oldest.time_ms && oldest.sequence != 0) return GoneError(*parts_.index, PlaceAt(0));
  if (before.index < oldest.index) before = oldest;
  return Beginning{.place = PlaceAt(before.sequence), .not_before_ms = log_ms, .before = before};
}

absl::StatusOr<ClusterFeed::Beginning> ClusterFeed::Resolve(const ChangesFrom& from) const {
  using Place = ChangesFrom::Place;
  switch (from.place()) {
    case Place::kNow:
      return Beginning{.place = PlaceAt(parts_.index->applied().sequence)};
    case Place::kOldest: {
      BANDB_ASSIGN_OR_RETURN(const ChangeBound oldest, parts_.index->Oldest());
      return Beginning{.place = PlaceAt(oldest.sequence)};
    }
    case Place::kTime:
      return ResolveTime(from.time());
    case Place::kToken:
      return ResolveToken(from.text());
    case Place::kSnapshot: {
      BANDB_ASSERT(from.snapshot() != nullptr);
      BANDB_ASSIGN_OR_RETURN(const uint64_t sequence, parts_.replica->SnapshotSequence(*from.snapshot()));
      BANDB_RETURN_IF_ERROR(CheckKept(sequence));
      return Beginning{.place = PlaceAt(sequence)};
    }
    case Place::kCursor:
      return ResolveCursor(from.text());
  }
  BANDB_UNREACHABLE();
}

absl::Status ClusterFeed::Enter() const {
  BANDB_RETURN_IF_ERROR(parts_.check());
  return parts_.replica->engine().Enter() ? absl::OkStatus() : storage::ClosedError();
}

absl::StatusOr<std::unique_ptr<ChangeReader>> ClusterFeed::ReadChanges(const ChangesOptions& options) {
  BANDB_RETURN_IF_ERROR(Enter());
  storage::Engine& engine = parts_.replica->engine();
  const absl::StatusOr<Beginning> beginning = Resolve(options.from);
  engine.Leave();
  BANDB_RETURN_IF_ERROR(beginning.status());
  BANDB_ASSIGN_OR_RETURN(changes::KeyFilter filter, changes::KeyFilter::Make(options));
  auto source = std::make_unique<EntryCommitSource>(engine.feed_gate(), parts_.index, parts_.kept, beginning->place);
  return std::unique_ptr<ChangeReader>(
      std::make_unique<changes::FeedReader>(std::move(source), std::move(filter), beginning->not_before_ms));
}

// ---- Cursors. ----

absl::Status ClusterFeed::Change(const CursorChange& change) {
  std::string changes;
  AppendCursorChange(change, &changes);
  absl::Status changed = parts_.change(std::move(changes));
  if (changed.code() != StatusCode::kAborted) return changed;
  // Of what was repeated, and of which another state has jumped over the first outcome.
  return base::Error(StatusCode::kUnknown, "cursor \"{}\": it was refused, and why is not known here", change.name);
}

absl::StatusOr<bool> ClusterFeed::WalkToTime(uint64_t log_ms, ChangeBound* at, ChangeIndex::Spot* spot) const {
  if (at->index >= parts_.index->applied().index) return true;
  BANDB_ASSIGN_OR_RETURN(const ChangeStretch next, parts_.index->AfterIndex(at->index, spot));
  // It was let go meanwhile, or another state has taken the place of what was there.
  if (next.before.index != at->index) return GoneError(*parts_.index, PlaceAt(0));
  for (const ChangeEntry& entry : next.entries) {
    const bool is_users = entry.end.sequence != at->sequence && entry.end.sequence == entry.end.user_sequence;
    if (is_users && entry.end.time_ms >= log_ms) return true;
    *at = entry.end;
  }
  return false;
}

absl::StatusOr<changes::ChangePlace> ClusterFeed::FindPlace(const ChangesFrom& from) const {
  absl::StatusOr<bool> found = false;
  ChangeBound at;
  for (int tries = 0; tries < kTimeTries; ++tries) {
    BANDB_RETURN_IF_ERROR(Enter());
    const absl::StatusOr<Beginning> beginning = Resolve(from);
    parts_.replica->engine().Leave();
    BANDB_RETURN_IF_ERROR(beginning.status());
    if (beginning->not_before_ms == 0) return beginning->place;
    at = beginning->before;
    found = false;
    ChangeIndex::Spot spot;
    while (found.ok() && !*found) {
      BANDB_RETURN_IF_ERROR(Enter());
      found = WalkToTime(beginning->not_before_ms, &at, &spot);
      parts_.replica->engine().Leave();
    }
    if (!absl::IsOutOfRange(found.status())) break;
  }
  BANDB_RETURN_IF_ERROR(storage::ForReader(found.status()));
  return PlaceAt(at.sequence);
}

absl::Status ClusterFeed::PutCursor(CursorChangeKind kind, std::string_view name, const ChangesFrom& from) {
  BANDB_RETURN_IF_ERROR(changes::CheckCursorName(name));
  BANDB_ASSIGN_OR_RETURN(const changes::ChangePlace place, FindPlace(from));
  BANDB_RETURN_IF_ERROR(Change({.kind = kind, .name = name, .place = place}));
  // What was there may have been let go before the cursor was.
  BANDB_RETURN_IF_ERROR(Enter());
  const absl::Status kept = CheckKept(place.sequence);
  parts_.replica->engine().Leave();
  return base::Annotate(kept, fmt::format("cursor \"{}\" is lost", name));
}

absl::Status ClusterFeed::CreateCursor(std::string_view name, const ChangesFrom& from) {
  return PutCursor(CursorChangeKind::kMake, name, from);
}

absl::Status ClusterFeed::ResetCursor(std::string_view name, const ChangesFrom& from) {
  return PutCursor(CursorChangeKind::kReset, name, from);
}

absl::Status ClusterFeed::DropCursor(std::string_view name) {
  BANDB_RETURN_IF_ERROR(parts_.check());
  BANDB_RETURN_IF_ERROR(changes::CheckCursorName(name));
  return Change({.kind = CursorChangeKind::kDrop, .name = name});
}

absl::Status ClusterFeed::Acknowledge(std::string_view name, std::string_view token) {
  BANDB_RETURN_IF_ERROR(parts_.check());
  BANDB_ASSIGN_OR_RETURN(const changes::StoredCursor cursor, parts_.cursors->Find(name));
  BANDB_ASSIGN_OR_RETURN(const changes::ChangePlace place, DecodePlace(token));
  BANDB_RETURN_IF_ERROR(Enter());
  const auto now_ms = static_cast<uint64_t>(std::max<int64_t>(parts_.replica->engine().env().clock->WallMillis(), 0)) +
                      parts_.clock->ahead_ms();
  const absl::Status kept = CheckKept(cursor.place.sequence);
  parts_.replica->engine().Leave();
  BANDB_RETURN_IF_ERROR(base::Annotate(kept, fmt::format("cursor \"{}\" is lost", name)));
  // Where only what the cluster writes for itself lies between, acknowledgements of it included,
  // nothing is written: else a consumer at the end would never come to rest.
  const ChangeBound applied = parts_.index->applied();
  // It was given by a member that is further, or by nobody: what comes there is not known here.
  if (place.sequence > applied.sequence) {
    return base::Error(StatusCode::kUnavailable, "this member has applied up to sequence {}, and the token is of {}",
                       applied.sequence, place.sequence);
  }
  const bool nothing_between = cursor.place.branch == place.branch && cursor.place.sequence >= applied.user_sequence &&
                               place.sequence <= applied.sequence;
  return nothing_between ? absl::OkStatus() : parts_.cursors->Acknowledge(name, place, now_ms);
}

bool ClusterFeed::IsLost(const changes::StoredCursor& cursor, const ChangeBound& oldest) const {
  return cursor.place.sequence < oldest.user_sequence || !CheckHistory(cursor.place).ok();
}

absl::Status ClusterFeed::FillLags(const CursorMap& cursors, std::vector<CursorInfo>* infos) const {
  BANDB_ASSIGN_OR_RETURN(const ChangeBound oldest, parts_.index->Oldest());
  std::vector<CursorInfo*> present;
  std::vector<CursorLag> lags;
  const LogClock clock = parts_.clock->Get();
  for (const auto& [name, cursor] : cursors) {
    CursorInfo& info = infos->emplace_back();
    info.name = name;
    info.token = changes::EncodeToken(cursor.place);
    info.created = FromMs(clock.ToClock(cursor.created_ms));
    info.acknowledged = FromMs(clock.ToClock(cursor.acknowledged_ms));
    info.lost = IsLost(cursor, oldest);
    if (!info.lost) lags.push_back({.after = cursor.place.sequence});
  }
  for (CursorInfo& info : *infos) {
    if (!info.lost) present.push_back(&info);
  }
  BANDB_RETURN_IF_ERROR(MeasureLags(*parts_.index, absl::MakeSpan(lags)));
  const absl::Time now = absl::FromUnixMillis(parts_.replica->engine().env().clock->WallMillis());
  for (size_t i = 0; i < lags.size(); ++i) {
    present[i]->lag_commits = lags[i].commits;
    present[i]->lag_bytes = lags[i].bytes;
    if (lags[i].commits == 0) continue;
    present[i]->lag_time = std::max(now - FromMs(clock.ToClock(lags[i].oldest_ms)), absl::ZeroDuration());
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<CursorInfo>> ClusterFeed::ListCursors() {
  BANDB_RETURN_IF_ERROR(Enter());
  std::vector<CursorInfo> infos;
  absl::Status filled;
  absl::StatusOr<CursorMap> cursors = parts_.cursors->All();
  for (int tries = 0; tries < kListTries && cursors.ok(); ++tries) {
    infos.clear();
    filled = FillLags(*cursors, &infos);
    if (!absl::IsOutOfRange(filled)) break;
    cursors = parts_.cursors->All();
  }
  parts_.replica->engine().Leave();
  BANDB_RETURN_IF_ERROR(cursors.status());
  BANDB_RETURN_IF_ERROR(storage::ForReader(filled));
  return infos;
}

void ClusterFeed::FillStats(Stats* stats) const {
  if (!Enter().ok()) return;
  stats->changes_kept_logs = parts_.kept->count();
  stats->changes_kept_bytes = parts_.kept->bytes();
  stats->changes_logs_let_go = parts_.kept->let_go();
  const absl::StatusOr<CursorMap> cursors = parts_.cursors->All();
  stats->cursors = parts_.cursors->size();
  stats->lost_cursors = 0;
  stats->oldest_change = 0;
  const absl::StatusOr<ChangeBound> oldest = parts_.index->Oldest();
  if (oldest.ok()) {
    stats->oldest_change = oldest->sequence + 1;
    // As of the last flush one may seem lost that is not.
    for (const auto& named : cursors.ok() ? *cursors : CursorMap()) {
      stats->lost_cursors += IsLost(named.second, *oldest) ? 1 : 0;
    }
  }
  parts_.replica->engine().Leave();
}

}  // namespace bandb::cluster
