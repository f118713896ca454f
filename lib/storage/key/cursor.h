// An ordered walk over internal entries: the one interface of memtables, tables, levels and merges
// of them.
#ifndef BANDB_STORAGE_KEY_CURSOR_H_
#define BANDB_STORAGE_KEY_CURSOR_H_

#include <string_view>

#include "absl/status/status.h"

namespace bandb::storage {

// Entries are (internal key, value), in the order of CompareInternalKeys, every internal key at
// most once.
//
// A cursor that is not Valid is past an end (status OK) or has failed (status not OK); it stays
// failed until the next call of a Seek. Lifetime: borrows what it walks; key() and value() last
// until the cursor moves. Thread safety: one thread at a time.
//
// The position of a cursor is held here, and not asked of the derived class: a merge looks at its
// children's keys several times for each step that it takes, and should not pay a virtual call for
// each look.
class Cursor {
 public:
  virtual ~Cursor() = default;

  bool Valid() const { return key_.data() != nullptr; }
  virtual void SeekToFirst() = 0;
  virtual void SeekToLast() = 0;
  // To the first entry at or after this internal key.
  virtual void Seek(std::string_view internal_key) = 0;
  // To the last entry at or before this internal key.
  virtual void SeekForPrev(std::string_view internal_key) = 0;
  // Only while Valid.
  virtual void Next() = 0;
  virtual void Prev() = 0;
  std::string_view key() const { return key_; }
  virtual std::string_view value() const = 0;
  virtual absl::Status status() const = 0;

 protected:
  Cursor() = default;
  Cursor(const Cursor&) = default;
  Cursor& operator=(const Cursor&) = default;

  // For the derived class, at the end of each move.
  void StandAt(std::string_view internal_key) { key_ = internal_key; }
  void StandNowhere() { key_ = {}; }

 private:
  std::string_view key_;
};

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_KEY_CURSOR_H_
