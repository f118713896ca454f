// The change feed of a bandb::Cluster: what this node has applied, which every member has in the
// same order, with the same sequences and under the same tokens; and its cursors, which the log
// makes (cursors.h), so that every member has them, too.
//
// Nothing that was applied is ever taken back, unless a lost quorum is recovered; then the cluster
// gets another id. So a place is a sequence on the branch that the cluster's id is, and the epoch
// is 0: nothing tells two members' tokens apart. What is kept is each member's own affair, and so a
// cursor may be lost at one and not at another.
#ifndef BANDB_CLUSTER_CLUSTER_FEED_H_
#define BANDB_CLUSTER_CLUSTER_FEED_H_

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bandb/stats.h"
#include "cluster/change_index.h"
#include "cluster/cursor_desk.h"
#include "cluster/kept_segments.h"
#include "cluster/log_clock.h"
#include "kv/change_feed.h"
#include "raft/types/ids.h"
#include "storage/engine/engine_replica.h"
#include "storage/file/file_header.h"

namespace bandb::cluster {

// Thread safety: any thread.
class ClusterFeed final : public internal::ChangeFeed {
 public:
  struct Parts {
    storage::EngineReplica* replica = nullptr;  // borrowed
    std::shared_ptr<ChangeIndex> index;
    std::shared_ptr<const KeptSegments> kept;
    storage::Uuid database{};
    raft::ClusterId cluster = 0;
    std::shared_ptr<CursorDesk> cursors;
    std::shared_ptr<const SharedLogClock> clock;
    // Has the log change cursors (cursors.h), and waits for what comes of it here.
    std::function<absl::Status(std::string changes)> change;
    // Whether this process has a part in the node.
    std::function<absl::Status()> check;
  };
  explicit ClusterFeed(Parts parts) : parts_(std::move(parts)) {}

  absl::StatusOr<std::unique_ptr<ChangeReader>> ReadChanges(const ChangesOptions& options) override;
  absl::Status CreateCursor(std::string_view name, const ChangesFrom& from) override;
  absl::Status ResetCursor(std::string_view name, const ChangesFrom& from) override;
  absl::Status Acknowledge(std::string_view name, std::string_view token) override;
  absl::Status DropCursor(std::string_view name) override;
  absl::StatusOr<std::vector<CursorInfo>> ListCursors() override;
  // What there is to say of the feed, in place of what the engine says.
  void FillStats(Stats* stats) const;

 private:
  struct Beginning {
    changes::ChangePlace place;
    uint64_t not_before_ms = 0;
    ChangeBound before{};  // of a time: that of the place
  };

  // OK: the engine was entered.
  absl::Status Enter() const;
  absl::StatusOr<Beginning> Resolve(const ChangesFrom& from) const;
  absl::StatusOr<Beginning> ResolveTime(absl::Time time) const;
  absl::StatusOr<Beginning> ResolveToken(std::string_view token) const;
  absl::StatusOr<Beginning> ResolveCursor(std::string_view name) const;
  // Errors: as Store::ReadChanges for a token.
  absl::StatusOr<changes::ChangePlace> DecodePlace(std::string_view token) const;
  absl::Status CheckHistory(const changes::ChangePlace& place) const;
  // Whether what comes next for a cursor is gone, or was of another history.
  bool IsLost(const changes::StoredCursor& cursor, const ChangeBound& oldest) const;
  // The place that a cursor is to have: before the first commit of a user that is not earlier than
  // a time, or after all that was applied. The engine is entered for a stretch of the index at a
  // time.
  absl::StatusOr<changes::ChangePlace> FindPlace(const ChangesFrom& from) const;
  // A stretch on. True: it is there.
  absl::StatusOr<bool> WalkToTime(uint64_t log_ms, ChangeBound* at, ChangeIndex::Spot* spot) const;
  absl::Status PutCursor(CursorChangeKind kind, std::string_view name, const ChangesFrom& from);
  absl::Status Change(const CursorChange& change);
  absl::Status FillLags(const CursorMap& cursors, std::vector<CursorInfo>* infos) const;
  // Errors: kOutOfRange.
  absl::Status CheckKept(uint64_t sequence) const;
  changes::ChangePlace PlaceAt(uint64_t sequence) const;

  const Parts parts_;
};

}  // namespace bandb::cluster

#endif  // BANDB_CLUSTER_CLUSTER_FEED_H_
