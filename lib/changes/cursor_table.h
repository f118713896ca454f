// The named cursors of a store.
//
// A cursor moves in memory with each acknowledgement, and is written down now and then, with all
// others that have moved. Logs are held back for what is known to be durable of it: an older place
// than the present one, so that a crash, after which the cursor is there again, finds the logs that
// it needs. What is written of one: cursor_codec.h.
#ifndef BANDB_CHANGES_CURSOR_TABLE_H_
#define BANDB_CHANGES_CURSOR_TABLE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "bandb/write_batch.h"
#include "changes/change_token.h"
#include "changes/cursor_codec.h"

namespace bandb::changes {

struct Cursor {
  uint64_t created_ms = 0;
  uint64_t acknowledged_ms = 0;
  ChangePlace place{};
  bool lost = false;

  // Moved since it was written down.
  bool moved = false;
  // Written down last: up to where, and by which sequence of the store that was in its log.
  uint64_t written = 0;
  uint64_t written_at = 0;
  // Survives power loss: it never goes back before this.
  uint64_t held = 0;
  // What the store has under its name, and what will be there once the write that is on its way is
  // done.
  std::string stored{};
  std::string underway{};
  // While it is being put at another place: that, and its value there.
  bool resetting = false;
  ChangePlace reset_place{};
  std::string reset_value{};
};

// Thread safety: one thread at a time.
class CursorTable {
 public:
  // One that was found in the store. Errors: kDataLoss malformed; kFailedPrecondition written by a
  // newer release.
  absl::Status Load(std::string_view key, std::string_view value);
  // Errors: kInvalidArgument the name; kAlreadyExists; kResourceExhausted.
  absl::Status Add(std::string_view name, const ChangePlace& place, uint64_t now_ms);
  void Remove(std::string_view name);
  // Null: there is none.
  const Cursor* Find(std::string_view name) const;
  const std::map<std::string, Cursor, std::less<>>& all() const { return cursors_; }
  uint64_t lost() const;

  // `nothing_between`: of no operation of a user, so that this need not be written down. True if
  // something has to be.
  bool Move(std::string_view name, const ChangePlace& place, uint64_t now_ms, bool nothing_between);
  // What of a cursor is being written down.
  struct Underway {
    std::string name;
    std::string value;
  };
  // What writes down all that have moved, if none was dropped meanwhile, or dropped and made again;
  // empty if none has moved. Written is told how that ended: done, by no later sequence than this
  // one.
  WriteBatch TakeMoved(std::vector<Underway>* taken, uint64_t durable_sequence);
  void Written(const std::vector<Underway>& taken, bool done, uint64_t sequence);
  // What writes one down as it is, if there is none, or takes one away: whatever its value, or only
  // if it is this one.
  WriteBatch MakeBatch(std::string_view name) const;
  static WriteBatch DropBatch(std::string_view name);
  static WriteBatch DropBatch(std::string_view name, std::string_view value);
  // What writes one down at another place, for which logs are held back, too, until EndReset is
  // told how it ended. Errors: kUnavailable another reset is under way.
  absl::StatusOr<WriteBatch> BeginReset(std::string_view name, const ChangePlace& place, uint64_t now_ms);
  void EndReset(std::string_view name, bool done);

  // The lowest sequence after which a cursor that is not lost may want to read, when all up to
  // `durable_sequence` survives power loss; UINT64_MAX if there is none.
  uint64_t Floor(uint64_t durable_sequence) const;
  // The oldest operation that can be read is this now. Returns the names of those that are lost by
  // that. One that would be, if it went back to what was written down of it, has moved.
  std::vector<std::string> Forget(uint64_t oldest_sequence);

 private:
  Cursor* FindMutable(std::string_view name);

  std::map<std::string, Cursor, std::less<>> cursors_;
};

}  // namespace bandb::changes

#endif  // BANDB_CHANGES_CURSOR_TABLE_H_
