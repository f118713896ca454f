// An ordered list of internal entries in one region of memory: one writer, any number of readers, no locks.
//
// A skip list (Pugh, 1990) whose nodes hold their key and value inline and link by 32-bit offsets, so that a visit
// costs one cache line where it can, and the list can never outgrow its region.
//
//   node := upper links: u32[height - 1], from the top down | prev:u32 next:u32 key_bytes:u32 value_bytes:u32 |
//   internal key | value
//
// Offsets count units of 8 bytes and point at `prev`. Invariants:
//   - a node, once linked, never moves, changes or goes away before the list does; only links change;
//   - a node is complete before the release store that links it, so a reader that sees it sees all of it;
//   - next links of level 0 hold all nodes, in order; each upper level a subset;
//   - a prev link may lag behind by nodes that are being inserted: none that a reader of an earlier sequence could see.
#ifndef BANDB_STORAGE_MEMTABLE_SKIP_LIST_H_
#define BANDB_STORAGE_MEMTABLE_SKIP_LIST_H_

#include <atomic>
#include <cstdint>
#include <string_view>

#include "base/region.h"

namespace bandb::storage {

class SkipList {
 public:
  static constexpr int kHeightMax = 12;

  class Node {
   public:
    std::string_view key() const { return std::string_view(bytes(), key_bytes_); }
    std::string_view value() const { return std::string_view(bytes() + key_bytes_, value_bytes_); }

   private:
    friend class SkipList;
    int HeightUntilInserted() const { return static_cast<int>(prev_.load(std::memory_order_relaxed)); }
    const char* bytes() const { return reinterpret_cast<const char*>(this + 1); }
    char* bytes() { return reinterpret_cast<char*>(this + 1); }
    // Level 0 is next_; level n stands n words in front of prev_.
    std::atomic<uint32_t>& Link(int level) { return level == 0 ? next_ : (&prev_)[-level]; }
    const std::atomic<uint32_t>& Link(int level) const { return level == 0 ? next_ : (&prev_)[-level]; }

    std::atomic<uint32_t> prev_;
    std::atomic<uint32_t> next_;
    uint32_t key_bytes_;
    uint32_t value_bytes_;
  };

  explicit SkipList(size_t capacity_bytes);

  // The most that an entry of this size can take.
  static size_t EntryBytesMax(size_t key_bytes, size_t value_bytes);
  size_t FreeBytes() const { return region_.size() - used_bytes_.load(std::memory_order_relaxed); }
  size_t UsedBytes() const { return used_bytes_.load(std::memory_order_relaxed); }

  // The writer's: makes room for an entry. Its key and value are then filled in (KeyBytes, ValueBytes), and Insert puts
  // it in its place; others may be allocated and inserted before. There must be room (FreeBytes), and no equal key in
  // the list.
  Node* Allocate(size_t key_bytes, size_t value_bytes);
  static char* KeyBytes(Node* node) { return node->bytes(); }
  static char* ValueBytes(Node* node) { return node->bytes() + node->key_bytes_; }
  void Insert(Node* node);

  // Readers'. Null means none.
  const Node* First() const { return At(head_->next_.load(std::memory_order_acquire)); }
  const Node* Last() const;
  // The first node at or after the internal key.
  const Node* Seek(std::string_view internal_key) const;
  // The last node before the internal key.
  const Node* SeekBefore(std::string_view internal_key) const;
  const Node* Next(const Node* node) const { return At(node->next_.load(std::memory_order_acquire)); }
  const Node* Prev(const Node* node) const {
    const Node* prev = At(node->prev_.load(std::memory_order_acquire));
    return prev == head_ ? nullptr : prev;
  }

 private:
  Node* At(uint32_t offset) const {
    return offset == 0 ? nullptr : reinterpret_cast<Node*>(region_.data() + size_t{offset} * 8);
  }
  uint32_t OffsetOf(const Node* node) const {
    return static_cast<uint32_t>((reinterpret_cast<const char*>(node) - region_.data()) / 8);
  }
  int RandomHeight();
  Node* AllocateWithHeight(int height, size_t key_bytes, size_t value_bytes);
  // Sets splice_ to the nodes around the key, on every level.
  void FindSplice(std::string_view internal_key);
  bool SpliceFits(std::string_view internal_key) const;
  Node* FindLastBefore(std::string_view internal_key, Node** after) const;

  base::Region region_;
  std::atomic<size_t> used_bytes_{0};
  Node* head_ = nullptr;
  std::atomic<int> height_{1};

  // The writer's. The nodes around the place of the last insertion, so that keys that come in order cost no search.
  struct Splice {
    Node* before[kHeightMax];
    Node* after[kHeightMax];
  };
  Splice splice_;
  uint32_t random_ = 0x9e3779b9;
};

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_MEMTABLE_SKIP_LIST_H_
