// The order of the slots of a tree's node, in one word that is replaced whole.
//
//   word := count:4 bits, then 14 times slot:4 bits
//
// The first `count` of the slots are in use, in the order of their keys; the others are free. All
// 14 numbers are always there, once each. A node is changed by writing a free slot and then storing
// a word that has it in its place: a reader that has the word before sees the node as it was. (The
// permutation of Mao, Kohler and Morris, "Cache Craftiness for Fast Multicore Key-Value Storage",
// 2012.)
#ifndef BANDB_STORAGE_MEMTABLE_NODE_ORDER_H_
#define BANDB_STORAGE_MEMTABLE_NODE_ORDER_H_

#include <cstdint>

#include "base/assert.h"

namespace bandb::storage {

class NodeOrder {
 public:
  static constexpr int kSlots = 14;

  explicit NodeOrder(uint64_t word) : word_(word) {}
  // The first `count` slots are in use, in the order of their numbers.
  static NodeOrder FirstSlots(int count) {
    BANDB_ASSERT(count >= 0);
    BANDB_ASSERT(count <= kSlots);
    return NodeOrder(uint64_t{0xdcba98765432100} | static_cast<uint64_t>(count));
  }

  uint64_t word() const { return word_; }
  int count() const { return static_cast<int>(word_ & 15); }
  bool full() const { return count() == kSlots; }
  // The slot at a position; at position count(), a free one.
  int slot(int position) const { return static_cast<int>(word_ >> ShiftOf(position) & 15); }

  // The free slot at position count() comes into use at `position`.
  NodeOrder WithInserted(int position) const {
    const int in_use = count();
    BANDB_ASSERT(in_use < kSlots);
    BANDB_ASSERT(position >= 0);
    BANDB_ASSERT(position <= in_use);
    const uint64_t free_slot = static_cast<uint64_t>(slot(in_use));
    const uint64_t before = word_ & BitsBelow(ShiftOf(position));
    const uint64_t moved = (word_ & BitsBelow(ShiftOf(in_use))) - before;
    const uint64_t after = word_ & ~BitsBelow(ShiftOf(in_use + 1));
    return NodeOrder((before | free_slot << ShiftOf(position) | moved << 4 | after) + 1);
  }
  // The slots from position `keep` on become free.
  NodeOrder Truncated(int keep) const {
    BANDB_ASSERT(keep >= 0);
    BANDB_ASSERT(keep <= count());
    return NodeOrder((word_ & ~uint64_t{15}) | static_cast<uint64_t>(keep));
  }

 private:
  static int ShiftOf(int position) { return 4 + 4 * position; }
  // Of up to 60 bits.
  static uint64_t BitsBelow(int bit) { return (uint64_t{1} << bit) - 1; }

  uint64_t word_;
};

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_MEMTABLE_NODE_ORDER_H_
