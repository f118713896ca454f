// The change feed: what was written to a store, commit by commit, in the order in which it was.
//
//   bandb::ChangesOptions options;
//   options.from = bandb::ChangesFrom::Cursor("indexer");
//   auto reader = store->ReadChanges(options);
//   bandb::Commit commit;
//   while ((*reader)->Next(&commit, absl::Seconds(1)).ok()) {
//     for (const bandb::Change& change : commit.changes) ...
//     store->Acknowledge("indexer", (*reader)->token());
//   }
//
// The feed is the log of the store itself. There is no queue and no callback: a reader asks, and
// one that is slow costs no memory. It reads as far back as logs are kept: see
// Options::changes_keep_bytes.
#ifndef BANDB_CHANGES_H_
#define BANDB_CHANGES_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "bandb/snapshot.h"

namespace bandb {

// What one operation of a commit does.
enum class ChangeKind : int {
  kPut = 0,          // sets a key, perhaps until a time
  kDelete = 1,       // removes a key, whether it existed or not
  kDeleteRange = 2,  // removes every key in [key, limit)
};

// One operation, as it was written. An expiry is no operation: the put said when, and when the time
// has come nothing is written.
// Lifetime: the bytes are those of the reader that gave it, until its next call of Next or its end.
struct Change {
  ChangeKind kind = ChangeKind::kPut;
  std::string_view key{};    // the begin of a range
  std::string_view value{};  // of a put
  std::string_view limit{};  // of a range
  // Of a put: from when on there is no such key; infinite if it does not expire.
  absl::Time expiry = absl::InfiniteFuture();
};

// Operations that took effect together: one batch, or several that met and became durable as one.
// Never a part of one.
struct Commit {
  // Those that the reader asked for, in the order in which they took effect. Empty: nothing came.
  std::vector<Change> changes{};
  // The place in the order of all operations of the store: of the first and the last operation,
  // whether the reader asked for them or not.
  uint64_t first_sequence = 0;
  uint64_t last_sequence = 0;
  // When it was committed, in whole milliseconds.
  absl::Time time{};

  // Whether nothing came.
  bool empty() const { return changes.empty(); }
};

// Where a reader begins, or a cursor.
class ChangesFrom {
 public:
  // Which of the functions below it was made by.
  enum class Place : int { kNow, kOldest, kToken, kTime, kSnapshot, kCursor };

  // With what is committed from now on. What power loss could still take back counts as to come.
  static ChangesFrom Now() { return ChangesFrom(Place::kNow); }
  // With the oldest commit that is kept.
  static ChangesFrom Oldest() { return ChangesFrom(Place::kOldest); }
  // After the place that a token of this store names; see ChangeReader::token.
  static ChangesFrom Token(std::string token) {
    ChangesFrom from(Place::kToken);
    from.text_ = std::move(token);
    return from;
  }
  // With the first commit at or after a time.
  static ChangesFrom Time(absl::Time time) {
    ChangesFrom from(Place::kTime);
    from.time_ = time;
    return from;
  }
  // After what a snapshot shows: a reader of the snapshot and then of the changes from it has seen
  // everything, and nothing twice. It holds back no log: a cursor made from it does. Lifetime: the
  // snapshot must live until the call returns.
  static ChangesFrom Snapshot(const bandb::Snapshot& snapshot) {
    ChangesFrom from(Place::kSnapshot);
    from.snapshot_ = &snapshot;
    return from;
  }
  // After what was acknowledged for a cursor.
  static ChangesFrom Cursor(std::string name) {
    ChangesFrom from(Place::kCursor);
    from.text_ = std::move(name);
    return from;
  }

  // What it says.
  Place place() const { return place_; }
  // The token, or the name of the cursor.
  const std::string& text() const { return text_; }
  // Of a place by time.
  absl::Time time() const { return time_; }
  // Of a place by snapshot.
  const bandb::Snapshot* snapshot() const { return snapshot_; }

 private:
  explicit ChangesFrom(Place place) : place_(place) {}

  Place place_;
  std::string text_;
  absl::Time time_ = absl::InfinitePast();
  const bandb::Snapshot* snapshot_ = nullptr;
};

// What a reader asks for.
struct ChangesOptions {
  ChangesFrom from = ChangesFrom::Now();
  // Changes of keys in [lower_bound, upper_bound); empty means unbounded. A range delete is given,
  // as it was written, if it meets the range.
  std::string lower_bound{}, upper_bound{};
  // Of `parts` parts, into which keys are dealt by a hash that never changes, the one of this
  // number, from 0. A range delete concerns all parts. parts: 1 to 65536.
  uint32_t part = 0;
  uint32_t parts = 1;
  // False: gives only what power loss cannot take back. True: gives commits at once, even those
  // that a power loss may still take back; after one, a token beyond what is left is refused.
  bool undurable = false;
};

// Reads commits one by one. A commit none of whose operations the reader asked for is passed over.
//
// Errors, all of them final, but for kUnavailable and kInternal:
//   kOutOfRange          what comes next is not kept any more; the oldest token is in the message, in
//                        hexadecimal digits
//   kFailedPrecondition  the store is closed
//   kDataLoss            a log is damaged; file and offset are in the message
//   kUnavailable, kInternal  the operating system refused; the same call may be tried again
// There never is a gap without an error.
//
// Thread safety: one thread at a time, as an Iterator. Lifetime: may outlive the store, and answers
// kFailedPrecondition then.
class ChangeReader {
 public:
  virtual ~ChangeReader() = default;
  ChangeReader(const ChangeReader&) = delete;
  ChangeReader& operator=(const ChangeReader&) = delete;

  // Fills `commit` with the next one. If there is none, waits for it, as long as `wait`; then
  // `commit` is empty, and the token may be newer all the same. So it is, without a wait, where it
  // has passed over 16 MiB of commits that it was not asked for.
  virtual absl::Status Next(Commit* commit, absl::Duration wait) = 0;
  // Names the place after the commit that Next gave last, or as far as it has looked in vain:
  // opaque bytes, 1 to 100. ChangesFrom::Token goes on there.
  virtual std::string token() const = 0;

 protected:
  ChangeReader() = default;
};

// A named place in the feed that the store remembers, for one consumer.
struct CursorInfo {
  std::string name{};
  // Where it is: what was acknowledged last.
  std::string token{};
  absl::Time created{};
  absl::Time acknowledged{};
  // More had to be kept for it than may be: what comes next for it is gone. It stays until it is
  // dropped or reset, and answers kOutOfRange.
  bool lost = false;
  // How much has been written since: commits, bytes of logs, and the age of the oldest of them; 0
  // of a lost one.
  uint64_t lag_commits = 0;
  uint64_t lag_bytes = 0;
  absl::Duration lag_time = absl::ZeroDuration();
};

}  // namespace bandb

#endif  // BANDB_CHANGES_H_
