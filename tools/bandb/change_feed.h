// The change feed as an export reads it: commits whole, piece by piece, from a server or from a
// directory that none has open.
#ifndef BANDB_TOOLS_BANDB_CHANGE_FEED_H_
#define BANDB_TOOLS_BANDB_CHANGE_FEED_H_

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "bandb/changes.h"
#include "bandb/store.h"
#include "base/clock.h"
#include "base/executor.h"
#include "client/client.h"
#include "feed_place.h"
#include "transfer/change_writer.h"

namespace bandb::cli {

// Which changes are read.
struct FeedSelection {
  std::string begin{};  // the range [begin, limit); empty means unbounded
  std::string limit{};
  uint32_t part = 0;
  uint32_t parts = 1;
};

// A time that a feed begins at, and has not come to. The token of an empty reply may be before it,
// and does not have it with it: what comes after that token has to be looked at.
struct OwedTime {
  uint64_t ms = 0;  // 0: none

  // Whether a commit of that time comes before it. The first that does not ends it.
  bool PassesOver(uint64_t time_ms) {
    if (time_ms < ms) return true;
    ms = 0;
    return false;
  }
};

// The body of the reply. A change that does not fit into a usual one is asked for once more with as
// many bytes as the server sends. Until the requested time is reached, no reply has both commits of
// before it and of after it, and there are more of before it than were asked for.
absl::StatusOr<std::string> AskForChanges(client::Client* client, proto::Changes changes, const OwedTime& owed);

// What one call of Read gave. Lifetime: the commits borrow from the texts.
struct FeedPiece {
  std::deque<std::string> texts{};
  std::vector<transfer::ChangeCommit> commits{};
  // After them. Empty: the feed has not come to the time that it begins at, which no token knows.
  std::string token{};
  bool moved = false;  // the feed is farther than it was
};

class ChangeFeed {
 public:
  virtual ~ChangeFeed() = default;
  // The next commits, at most so many; if there are none, after `wait_ms`, none, and it may have
  // moved. Errors: those of bandb/changes.h.
  virtual absl::Status Read(uint32_t wait_ms, uint32_t commits_max, FeedPiece* piece) = 0;
};

// Goes on where it was after the connection broke, or the server was away.
class ServerFeed final : public ChangeFeed {
 public:
  // Gives up when the server stayed away for `retry_for_nanos`. Lifetime: borrows clock and
  // executor.
  ServerFeed(base::Clock* clock, base::Executor* executor, client::Target target, FeedSelection selection,
             FeedPlaceText place, int64_t retry_for_nanos)
      : clock_(clock),
        executor_(executor),
        target_(std::move(target)),
        selection_(std::move(selection)),
        place_(std::move(place)),
        retry_for_nanos_(retry_for_nanos) {}

  absl::Status Read(uint32_t wait_ms, uint32_t commits_max, FeedPiece* piece) override;

 private:
  absl::Status TryRead(uint32_t wait_ms, uint32_t commits_max, FeedPiece* piece);

  base::Clock* const clock_;
  base::Executor* const executor_;
  const client::Target target_;
  const FeedSelection selection_;
  FeedPlaceText place_;
  OwedTime owed_;
  const int64_t retry_for_nanos_;
  std::unique_ptr<client::Client> client_;
};

// Acknowledges over a connection of its own, so that another thread may while the feed is waited
// for. Thread safety: one thread at a time, but for Hurry.
class CursorClient {
 public:
  // As ServerFeed.
  CursorClient(base::Clock* clock, base::Executor* executor, client::Target target, std::string cursor,
               int64_t retry_for_nanos)
      : clock_(clock),
        executor_(executor),
        target_(std::move(target)),
        cursor_(std::move(cursor)),
        retry_for_nanos_(retry_for_nanos) {}

  // Errors: kNotFound there is no such cursor · kOutOfRange it is lost · kUnavailable the server
  // stayed away.
  absl::Status Acknowledge(std::string_view token);
  // From now on, and in a call that is under way, it does not wait for a server that is away.
  void Hurry() { hurries_ = true; }

 private:
  absl::Status TryAcknowledge(std::string_view token);

  base::Clock* const clock_;
  base::Executor* const executor_;
  const client::Target target_;
  const std::string cursor_;
  const int64_t retry_for_nanos_;
  std::unique_ptr<client::Client> client_;
  std::atomic<bool> hurries_ = false;
};

// From a store of this process.
class StoreFeed final : public ChangeFeed {
 public:
  // Errors: as Store::ReadChanges. Lifetime: borrows the store.
  static absl::StatusOr<std::unique_ptr<StoreFeed>> Open(Store* store, const FeedSelection& selection,
                                                         const FeedPlaceText& place);
  absl::Status Read(uint32_t wait_ms, uint32_t commits_max, FeedPiece* piece) override;

 private:
  StoreFeed(std::unique_ptr<ChangeReader> reader, bool owes_time) : reader_(std::move(reader)), owes_time_(owes_time) {}

  const std::unique_ptr<ChangeReader> reader_;
  bool owes_time_;  // it passes over what comes before that by itself
  std::string token_;
};

}  // namespace bandb::cli

#endif  // BANDB_TOOLS_BANDB_CHANGE_FEED_H_
