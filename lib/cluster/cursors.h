// Cursors: the named cursors of a cluster's change feed, as the log makes them.
//
// A command of the log says what is to become of some of them:
//
//   changes := change*                                       at least one
//   change  := kind:u8 length:varint name[length] id:varint length:varint token[length]
//   kind    := 1 make | 2 acknowledge | 3 put elsewhere | 4 drop
//
// Only what acknowledges has an id, and what drops has no token. Each cursor has an id, which the
// log gives it when it is made or put elsewhere. What acknowledges names it, so that an
// acknowledgement that comes late never moves another cursor of that name, nor one that was put
// back on purpose. It moves a cursor forward or not at all. So it may come twice, and in any order.
//
// A place after all that was written is refused: every token that a member has given is of what was
// committed before, and one that is made up must not have its cursor pass over what is to come.
//
// The table is replicated, as sessions are: a function of the log alone, which lies in space 0 of
// the state machine (changes/cursor_codec.h), and is durable with the entry. Times are commit
// times.
#ifndef BANDB_CLUSTER_CURSORS_H_
#define BANDB_CLUSTER_CURSORS_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "bandb/iterator.h"
#include "changes/cursor_codec.h"

namespace bandb::cluster {

enum class CursorChangeKind : uint8_t { kMake = 1, kAcknowledge = 2, kReset = 3, kDrop = 4 };

// The name is the encoded bytes' own.
struct CursorChange {
  CursorChangeKind kind = CursorChangeKind::kMake;
  std::string_view name{};
  uint64_t id = 0;
  changes::ChangePlace place{};
};

void AppendCursorChange(const CursorChange& change, std::string* to);
// Whether the bytes are changes that may be in the log.
bool IsCursorChanges(std::string_view bytes);

using CursorMap = std::map<std::string, changes::StoredCursor, std::less<>>;
// What an entry has made of one; none: there is none of that name.
struct CursorUpdate {
  std::string name;
  std::optional<changes::StoredCursor> cursor;
};

// Thread safety: one thread at a time.
class Cursors {
 public:
  // Reads what `system`, over space 0, holds of cursors. Errors: kDataLoss malformed;
  // kFailedPrecondition written by a newer release; what the iterator says.
  static absl::StatusOr<Cursors> Load(Iterator* system);

  // One entry: Begin, then Apply for each of its commands that are to be done, then Finish, or Undo
  // if it is not applied after all. `now_ms`: its commit time. `last_sequence`: of all before it.
  void Begin(uint64_t index, uint64_t now_ms, uint64_t last_sequence);
  // Errors, of the first change that has done nothing: kAlreadyExists, kNotFound;
  // kResourceExhausted there are as many as there may be, or no more ids; kFailedPrecondition a
  // place after all that was written. What acknowledges in vain is no error.
  absl::Status Apply(std::string_view changes);
  // What Finish answers, at most.
  uint64_t OperationsMax() const { return before_.size(); }
  uint64_t BytesMax() const;
  // The encoded operations on space 0 that keep what has changed; replaces `*updates`.
  std::string Finish(std::vector<CursorUpdate>* updates);
  void Undo();

  const CursorMap& all() const { return cursors_; }

 private:
  absl::Status ApplyOne(const CursorChange& change);
  absl::Status CheckPlace(const changes::ChangePlace& place) const;
  void Acknowledge(const CursorChange& change);
  // Puts it at the place of the change, with an id of its own.
  absl::Status SetAt(const CursorChange& change, uint64_t created_ms);
  absl::StatusOr<uint64_t> NextId();
  // Puts, replaces or removes it; keeps what it was before the entry.
  void Set(std::string_view name, const std::optional<changes::StoredCursor>& cursor);
  void Put(const std::string& name, const std::optional<changes::StoredCursor>& cursor);

  CursorMap cursors_;

  // Of the present entry.
  uint64_t index_ = 0;
  uint64_t ids_ = 0;
  uint64_t now_ms_ = 0;
  uint64_t last_sequence_ = 0;
  std::map<std::string, std::optional<changes::StoredCursor>, std::less<>> before_;
};

}  // namespace bandb::cluster

#endif  // BANDB_CLUSTER_CURSORS_H_
