// The messages of the change feed, byte by byte. All integers little-endian.
//
//   CHANGES      := flags:u8 from:u8 part:u32 parts:u32 waitMs:u32 commitsMax:u32 bytesMax:u32 skip:u32 timeMs:u64
//                   placeLen:u32 beginLen:u32 limitLen:u32 place begin limit
//                   flags: 1 also what power loss may still take back
//                   from: 0 now, 1 oldest, 2 token, 3 time, 4 cursor; a place for 2 and 4 only, a timeMs for 3 only
//   body         := flags:u8 tokenLen:u32 token commitCount:u32 commit*     flags: 1 the last commit goes on
//   commit       := firstSequence:u64 lastSequence:u64 timeMs:u64 changeCount:u32 change*
//   change       := an operation of BATCH, of kind 0, 1, 3 or 4
//   ACKNOWLEDGE  := cursorLen:u32 tokenLen:u32 cursor token
//   CURSORS      := action:u8 from:u8 timeMs:u64 nameLen:u32 placeLen:u32 name place
//                   action: 0 list, 1 create, 2 drop, 3 reset
//                   from, timeMs and place, as above, for 1 and 3 only, name not for 0
//   body of list := count:u32 cursor*
//   cursor       := lost:u8 createdMs:u64 acknowledgedMs:u64 lagCommits:u64 lagBytes:u64 lagMs:u64
//                   nameLen:u32 tokenLen:u32 name token
//
// Decoders are as those of request.h and response.h.
#ifndef BANDB_PROTO_CHANGES_H_
#define BANDB_PROTO_CHANGES_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/coding.h"
#include "proto/request.h"

namespace bandb::proto {

// As bandb::ChangeReader::token has it.
inline constexpr size_t kTokenBytesMax = 100;

enum class FeedFrom : uint8_t { kNow = 0, kOldest = 1, kToken = 2, kTime = 3, kCursor = 4 };
// A place in the feed.
struct FeedPlace {
  FeedFrom from = FeedFrom::kNow;
  uint64_t time_ms = 0;      // of kTime, since 1970
  std::string_view place{};  // of kToken the token, of kCursor the name
};

struct Changes {
  FeedPlace from{};
  bool undurable = false;
  uint32_t part = 0;
  uint32_t parts = 1;
  uint32_t wait_ms = 0;
  uint32_t commits_max = 0;  // 0: as many as the server likes
  uint32_t bytes_max = 0;    // of the reply; 0: as many as the server likes
  uint32_t skip = 0;         // changes of the first commit that are there already
  std::string_view begin{};  // the range is [begin, limit), empty means unbounded
  std::string_view limit{};
};
bool DecodeChanges(std::string_view payload, Changes* changes);
bool DecodeAcknowledge(std::string_view payload, std::string_view* cursor, std::string_view* token);
enum class CursorAction : uint8_t { kList = 0, kCreate = 1, kDrop = 2, kReset = 3 };
struct Cursors {
  CursorAction action = CursorAction::kList;
  FeedPlace from{};
  std::string_view name{};
};
bool DecodeCursors(std::string_view payload, Cursors* cursors);

// Whole frames, for clients.
void AppendChanges(std::string* to, const Changes& changes);
void AppendAcknowledge(std::string* to, std::string_view cursor, std::string_view token);
void AppendCursors(std::string* to, const Cursors& cursors);

// Of the body of the reply to CHANGES; the commits and their changes follow.
void AppendChangesHead(std::string* to, bool cut, std::string_view token, uint32_t commits);
inline constexpr size_t kChangesHeadBytes = 1 + 2 * sizeof(uint32_t);  // without the token
struct CommitHead {
  uint64_t first_sequence = 0;
  uint64_t last_sequence = 0;
  uint64_t time_ms = 0;  // since 1970
  uint32_t changes = 0;
};
inline constexpr size_t kCommitHeadBytes = 3 * sizeof(uint64_t) + sizeof(uint32_t);
void AppendCommitHead(std::string* to, const CommitHead& head);

// Walks the body of the reply to a CHANGES. Usage: while (reader.NextCommit(&head)) while
// (reader.NextChange(&change)) ...; then Complete() tells whether it was well-formed.
class ChangesBodyReader {
 public:
  explicit ChangesBodyReader(std::string_view body);
  // Passes over what is left of the commit before.
  bool NextCommit(CommitHead* head);
  bool NextChange(BatchOperation* change);
  bool Complete() const { return ok_ && commits_left_ == 0 && changes_left_ == 0 && reader_.empty(); }
  // The last commit goes on: ask again from the same place, with its changes so far as `skip`.
  bool cut() const { return cut_; }
  // Where to go on.
  std::string_view token() const { return token_; }

 private:
  base::ByteReader reader_;
  bool ok_ = false;
  bool cut_ = false;
  std::string_view token_;
  uint32_t commits_left_ = 0;
  uint32_t changes_left_ = 0;
};

struct CursorEntry {
  bool lost = false;
  uint64_t created_ms = 0;
  uint64_t acknowledged_ms = 0;
  uint64_t lag_commits = 0;
  uint64_t lag_bytes = 0;
  uint64_t lag_ms = 0;
  std::string_view name{};
  std::string_view token{};
};
void AppendCursorEntry(std::string* to, const CursorEntry& entry);

// Walks the body of the reply to a list of cursors, as ScanBodyReader does.
class CursorsBodyReader {
 public:
  explicit CursorsBodyReader(std::string_view body) : reader_(body) { ok_ = reader_.ReadFixed(&left_); }
  bool Next(CursorEntry* entry);
  bool Complete() const { return ok_ && left_ == 0 && reader_.empty(); }

 private:
  base::ByteReader reader_;
  bool ok_ = false;
  uint32_t left_ = 0;
};

}  // namespace bandb::proto

#endif  // BANDB_PROTO_CHANGES_H_
