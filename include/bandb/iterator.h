// An ordered cursor over the keys of a store.
#ifndef BANDB_ITERATOR_H_
#define BANDB_ITERATOR_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace bandb {

// Where the keys that begin with `prefix` end: [prefix, PrefixLimit(prefix)) is all of them, and
// nothing else. Empty, which means unbounded, if the prefix is empty or all of its bytes are 0xff:
// DeleteRange refuses that.
std::string PrefixLimit(std::string_view prefix);

// Walks keys in unsigned bytewise order, forward or backward, over the state that was current (or
// the snapshot that was given) when it was made. A new iterator is not Valid until a Seek.
//
// An iterator that is not Valid is either past an end of its bounds, and status() is OK, or met an
// error. Check status() when a loop ends, or a damaged file looks like the end of the data:
//
//   for (it->SeekToFirst(); it->Valid(); it->Next()) Use(it->key(), it->value());
//   if (!it->status().ok()) ...
//
// Lifetime: keeps alive what it reads. After the store closed every Seek, Next and Prev answers by
// becoming invalid with status() kFailedPrecondition; key() and value() of before stay readable
// until then. Thread safety: one thread at a time.
class Iterator {
 public:
  Iterator() = default;
  virtual ~Iterator() = default;
  Iterator(const Iterator&) = delete;
  Iterator& operator=(const Iterator&) = delete;

  // True on a key. Where it is not, key() and value() are empty, and Next and Prev do nothing.
  virtual bool Valid() const = 0;

  // To the first key within the bounds.
  virtual void SeekToFirst() = 0;
  // To the last key within the bounds.
  virtual void SeekToLast() = 0;
  // To the first key at or after `target` within the bounds.
  virtual void Seek(std::string_view target) = 0;
  // To the last key at or before `target` within the bounds.
  virtual void SeekForPrev(std::string_view target) = 0;
  // To the key after this one; not Valid if there is none within the bounds.
  virtual void Next() = 0;
  // To the key before this one; not Valid if there is none within the bounds.
  virtual void Prev() = 0;

  // The key that it is at. Lifetime: until the iterator moves or is destroyed.
  virtual std::string_view key() const = 0;
  // The value of that key. Lifetime: until the iterator moves or is destroyed.
  virtual std::string_view value() const = 0;
  // When that value expires; infinite: never. In whole milliseconds.
  virtual absl::Time expiry() const { return absl::InfiniteFuture(); }
  // The version of that value; see Entry::version. 0 where it is not Valid, and where the store
  // tells none.
  virtual uint64_t version() const { return 0; }

  // Where another iterator may go on after this one gave up because of ReadOptions::skips_max: no
  // key between the last one shown and this one shows. Forward, go on at it or after it; backward,
  // at it or before it. Else empty.
  virtual std::string_view resume_key() const { return {}; }

  // OK, or the error that ended the walk: kDataLoss a checksum failed, file and offset in the
  // message · kFailedPrecondition the store is closed · kUnavailable it gave up, see resume_key ·
  // kInvalidArgument the read options did not fit the store · kInternal a read was refused ·
  // kResourceExhausted from the beginning on: the memory budget had no room for it.
  virtual absl::Status status() const = 0;
};

}  // namespace bandb

#endif  // BANDB_ITERATOR_H_
