#include "cluster/cluster_feed.h"

#include <algorithm>

#include "base/assert.h"
#include "base/status.h"
#include "changes/change_token.h"
#include "changes/feed_reader.h"
#include "cluster/entry_commit_source.h"

namespace bandb::cluster {

namespace {

using absl::StatusCode;

absl::Status NoCursors() {
  return base::Error(StatusCode::kUnimplemented,
                     "a cluster keeps no named cursors yet; a reader keeps its token by itself");
}

}  // namespace

changes::ChangePlace ClusterFeed::PlaceAt(uint64_t sequence) const {
  return {.database = parts_.database.bytes, .branch = parts_.cluster, .sequence = sequence};
}

absl::Status ClusterFeed::CheckKept(uint64_t sequence) const {
  BANDB_ASSIGN_OR_RETURN(const ChangeBound oldest, parts_.index->Oldest());
  return sequence < oldest.sequence ? GoneError(*parts_.index, PlaceAt(0)) : absl::OkStatus();
}

absl::StatusOr<ClusterFeed::Beginning> ClusterFeed::ResolveToken(std::string_view token) const {
  BANDB_ASSIGN_OR_RETURN(const changes::ChangePlace place, changes::DecodeToken(token));
  if (place.database != parts_.database.bytes || place.group != 0) {
    return base::Error(StatusCode::kInvalidArgument, "the token is of another database");
  }
  if (place.branch != parts_.cluster || place.epoch != 0) {
    return base::Error(StatusCode::kFailedPrecondition,
                       "the token is of another history of this database: of before a lost quorum was recovered, of "
                       "before it became a cluster, or of a copy");
  }
  // What another member has applied may be still to come here.
  BANDB_RETURN_IF_ERROR(CheckKept(place.sequence));
  return Beginning{.place = place};
}

absl::StatusOr<ClusterFeed::Beginning> ClusterFeed::ResolveTime(absl::Time time) const {
  const auto ms = static_cast<uint64_t>(std::max<int64_t>(absl::ToUnixMillis(time), 0));
  // Before what comes next is looked at: what goes meanwhile is found out by the reader.
  ChangeBound before = parts_.index->Before(ms);
  BANDB_ASSIGN_OR_RETURN(const ChangeBound oldest, parts_.index->Oldest());
  // There may have been some at that time.
  if (ms <= oldest.time_ms && oldest.sequence != 0) return GoneError(*parts_.index, PlaceAt(0));
  if (before.index < oldest.index) before = oldest;
  return Beginning{.place = PlaceAt(before.sequence), .not_before_ms = ms};
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
      return NoCursors();
  }
  BANDB_UNREACHABLE();
}

absl::StatusOr<std::unique_ptr<ChangeReader>> ClusterFeed::ReadChanges(const ChangesOptions& options) {
  BANDB_RETURN_IF_ERROR(parts_.check());
  storage::Engine& engine = parts_.replica->engine();
  if (!engine.Enter()) return storage::ClosedError();
  const absl::StatusOr<Beginning> beginning = Resolve(options.from);
  engine.Leave();
  BANDB_RETURN_IF_ERROR(beginning.status());
  BANDB_ASSIGN_OR_RETURN(changes::KeyFilter filter, changes::KeyFilter::Make(options));
  auto source = std::make_unique<EntryCommitSource>(engine.feed_gate(), parts_.index, parts_.kept, beginning->place);
  return std::unique_ptr<ChangeReader>(
      std::make_unique<changes::FeedReader>(std::move(source), std::move(filter), beginning->not_before_ms));
}

absl::Status ClusterFeed::CreateCursor(std::string_view /*name*/, const ChangesFrom& /*from*/) { return NoCursors(); }

absl::Status ClusterFeed::Acknowledge(std::string_view /*name*/, std::string_view /*token*/) { return NoCursors(); }

absl::Status ClusterFeed::DropCursor(std::string_view /*name*/) { return NoCursors(); }

absl::StatusOr<std::vector<CursorInfo>> ClusterFeed::ListCursors() { return NoCursors(); }

}  // namespace bandb::cluster
