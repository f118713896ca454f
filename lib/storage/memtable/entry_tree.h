// Internal entries in order, in memory of a fixed size: a B+-tree with one writer and any number of
// readers, no locks.
//
// A node has 14 slots. Each holds the offset of an entry and the eight bytes of the entry's key
// that most likely tell its place, so that a search compares numbers that lie side by side and
// touches hardly any entry: a visit costs the cache lines of one node, fetched together. Leaves
// hold all entries and are linked both ways; inner nodes hold separators, each the first entry of
// the child right of it at the time when it came. An order of slots in one word is replaced whole
// (node_order.h), as in Masstree (Mao, Kohler, Morris, 2012); links to the right are those of
// Lehman and Yao (1981).
//
//   memory := entry* unused node*     entries from the start up, nodes from the end down
//   entry  := key_bytes:u32 value_bytes:u32 | internal key | value        rounded up to 8 bytes
//   state  := version:u32 prefix:u32
//
// The word of a key in a node is KeyWord(key, prefix). All keys that may come into the node agree
// in that many bytes: it is what the separators left and right of the node have in common, or less.
// A node at the left or right edge of the tree lacks one of them; there it is what all keys of the
// tree have in common, and when a key comes that does not share it, the edges are reworded first.
//
// Nothing ever goes away: no entry, no node, no separator. Nodes only split, the upper half moving
// to a new one on the right. Slots that a split freed are used again, and words may be replaced;
// the version tells readers. Invariants:
//   - an entry is complete before its offset is stored, and a node before any link to it; both by
//     release stores;
//   - in a split, the order of stores is: the new node's content; the leaf's link to it; the
//     separator in the parent (which may split first, up to a new root); then the old node: a new
//     version, the shorter order, the words under another prefix if it changes, again a new
//     version. So at any moment every entry that was published can be reached, in the old node, the
//     new one or both, and a reader that saw the shorter order or a reused slot sees a new version;
//   - while words are being replaced, the prefix of the state is kNoPrefix, and readers compare
//     whole keys;
//   - slots and states are read by acquire loads and written by release stores: a reader that finds
//     in a node the state that it found before the node's content has seen no slot that was reused
//     meanwhile;
//   - a reader takes a child's state before it looks whether the parent is as it was when it chose
//     the child. If it is, the key lies between the child's separators, and has its prefix. If not,
//     it begins again at the root; then the writer has got on, so that readers never wait for it.
// What is inserted while a reader is on its way is newer than all that it may see, so it may find
// it or miss it.
#ifndef BANDB_STORAGE_MEMTABLE_ENTRY_TREE_H_
#define BANDB_STORAGE_MEMTABLE_ENTRY_TREE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "storage/memtable/node_order.h"

namespace bandb::storage {

class EntryTree {
 public:
  class Entry {
   public:
    std::string_view key() const { return std::string_view(bytes(), key_bytes_); }
    std::string_view value() const { return std::string_view(bytes() + key_bytes_, value_bytes_); }

   private:
    friend class EntryTree;
    const char* bytes() const { return reinterpret_cast<const char*>(this + 1); }
    char* bytes() { return reinterpret_cast<char*>(this + 1); }

    uint32_t key_bytes_;
    uint32_t value_bytes_;
  };
  class Walker;

  static constexpr size_t kBytesMin = 256;

  // `memory` is zeroed, starts on a cache line and outlives the tree; kBytesMin at least, and less
  // than 32 GiB.
  EntryTree(char* memory, size_t bytes);
  EntryTree(const EntryTree&) = delete;
  EntryTree& operator=(const EntryTree&) = delete;

  static size_t EntryBytes(size_t key_bytes, size_t value_bytes);
  // The memory that surely suffices for these and nothing else, whatever their keys and the order
  // in which they come. `entry_bytes` is the sum of their EntryBytes.
  static size_t BytesFor(size_t entries, size_t entry_bytes);
  // Whether these surely fit besides what is there.
  bool HasRoomFor(size_t entries, size_t entry_bytes) const;
  size_t UsedBytes() const;
  size_t node_bytes() const { return bytes_ - nodes_begin_.load(std::memory_order_relaxed); }

  // The writer's: makes room for an entry. Its key and value are then filled in (KeyBytes,
  // ValueBytes), and Insert puts it in its place; others may be allocated and inserted before.
  // There must be room, and no equal key in the tree. Entries that come in the order of their keys
  // cost no search and leave no leaf half empty.
  Entry* Allocate(size_t key_bytes, size_t value_bytes);
  static char* KeyBytes(Entry* entry) { return entry->bytes(); }
  static char* ValueBytes(Entry* entry) { return entry->bytes() + entry->key_bytes_; }
  void Insert(Entry* entry);

  // The first entry at or after the internal key; null if there is none.
  const Entry* Seek(std::string_view internal_key) const;

  // About which part of the entries comes before the internal key, 0 to 1, as if nodes of one level
  // had equally many below them.
  double PartBefore(std::string_view internal_key) const;

  // Ends the process if an invariant does not hold. For tests, of a tree that nobody writes to.
  void CheckInvariants() const;

 private:
  static constexpr int kSlots = NodeOrder::kSlots;
  // Nodes that are not at the right edge have seven children at least.
  static constexpr int kLevelsMax = 13;
  static constexpr uint32_t kNoPrefix = UINT32_MAX;
  // The unit before it is nobody's, so that offset 0 can say "none".
  static constexpr uint32_t kFirstEntry = 1;

  struct Node {
    std::atomic<uint64_t> order;
    std::atomic<uint64_t> state;
    std::atomic<uint64_t> words[kSlots];
    std::atomic<uint32_t> entries[kSlots];
  };
  struct alignas(64) Leaf : Node {
    std::atomic<uint32_t> next;
    std::atomic<uint32_t> prev;
  };
  struct alignas(64) Inner : Node {
    std::atomic<uint32_t> first_child;
    std::atomic<uint32_t> children[kSlots];  // child n is right of separator n
  };
  static_assert(sizeof(Leaf) == 192);
  static_assert(sizeof(Inner) == 256);

  // A key on its way from the root down. Open: the node lacks a separator on its left or right.
  struct Search {
    std::string_view key;
    const Node* node = nullptr;
    uint64_t state = 0;
    bool left_open = true;
    bool right_open = true;
  };
  // The writer's way from the root to a leaf: where it went on, and the separators around each
  // node, 0 for none.
  struct Step {
    Node* node;
    int position;
    uint32_t left;
    uint32_t right;
  };
  struct Path {
    int levels = 0;          // of inner nodes
    Step steps[kLevelsMax];  // steps[0] is the leaf, steps[levels] the root
  };

  static uint64_t StateOf(uint32_t version, uint32_t prefix) { return uint64_t{version} << 32 | prefix; }
  static uint32_t VersionOf(uint64_t state) { return static_cast<uint32_t>(state >> 32); }
  static uint32_t PrefixOf(uint64_t state) { return static_cast<uint32_t>(state); }

  // Entries by units of 8 bytes, nodes by units of 64; 0 is neither.
  Entry* EntryAt(uint32_t offset) const { return reinterpret_cast<Entry*>(memory_ + size_t{offset} * 8); }
  Leaf* LeafAt(uint32_t offset) const { return reinterpret_cast<Leaf*>(memory_ + size_t{offset} * 64); }
  Inner* InnerAt(uint32_t offset) const { return reinterpret_cast<Inner*>(memory_ + size_t{offset} * 64); }
  Node* NodeAt(uint32_t offset, int level) const;
  uint32_t OffsetOf(const Entry* entry) const {
    return static_cast<uint32_t>((reinterpret_cast<const char*>(entry) - memory_) / 8);
  }
  uint32_t OffsetOf(const Node* node) const {
    return static_cast<uint32_t>((reinterpret_cast<const char*>(node) - memory_) / 64);
  }
  static NodeOrder OrderOf(const Node* node) { return NodeOrder(node->order.load(std::memory_order_acquire)); }
  static uint64_t WordIn(const Node* node, int slot) { return node->words[slot].load(std::memory_order_acquire); }
  const Entry* EntryIn(const Node* node, int slot) const {
    return EntryAt(node->entries[slot].load(std::memory_order_acquire));
  }
  static uint32_t ChildOf(const Inner* inner, NodeOrder order, int position) {
    const std::atomic<uint32_t>& child = position == 0 ? inner->first_child : inner->children[order.slot(position - 1)];
    return child.load(std::memory_order_acquire);
  }
  static void PrefetchNode(const Node* node, int level);

  // entry_tree.cc: the readers' side. The key that all keys are compared with to know what they
  // have in common: the first that was allocated.
  std::string_view ReferenceKey() const { return EntryAt(kFirstEntry)->key(); }
  bool ComparesByWord(const Search& search) const;
  // The number of keys in the node, of which `order` is the order, that are before the key.
  int LowerBound(const Search& search, NodeOrder order) const;
  int LowerBoundByKey(const Search& search, NodeOrder order, int begin, int end) const;
  // To the leaf where the key belongs, with the state in which it belongs there.
  Search Descend(std::string_view key) const;
  bool TryDescend(Search* search) const;
  // entry_tree_part.cc.
  bool TryPartBefore(std::string_view key, double* part) const;

  // entry_tree_writer.cc.
  template <typename NodeType>
  NodeType* NewNode();
  static size_t NodeBytesMax(size_t entries);
  void FindPath(std::string_view key, Path* path) const;
  void NoteSharedPrefix(std::string_view key);
  void RewordEdge(bool left);
  uint32_t SharedPrefix(uint32_t left, uint32_t right) const;
  uint32_t ChoosePrefix(const Node* node, NodeOrder order, int begin, int end, uint32_t left, uint32_t right) const;
  void CopySlots(const Node* from, int begin, Node* to, uint32_t prefix) const;
  void Reshape(Node* node, NodeOrder order, uint32_t prefix);
  void InsertAt(Node* node, int position, uint32_t entry);
  void InsertAt(Inner* node, int position, uint32_t separator, uint32_t right_child);
  void PublishInserted(Node* node, NodeOrder order, int position, uint32_t entry);
  void SplitLeaf(const Path& path, uint32_t entry);
  void InsertSeparator(const Path& path, int level, uint32_t separator, const Node* right_child);
  void SplitInner(const Path& path, int level, uint32_t separator, const Node* right_child);

  // entry_tree_check.cc.
  struct Check;

  char* const memory_;
  const size_t bytes_;
  const Leaf* first_leaf_ = nullptr;
  std::atomic<size_t> entries_end_{0};
  std::atomic<size_t> nodes_begin_{0};
  // levels << 32 | offset of the root; without inner nodes, levels is 0 and the root a leaf.
  std::atomic<uint64_t> root_{0};
  std::atomic<uint32_t> last_leaf_{0};
  // The writer's. Allocated entries are counted, inserted or not.
  size_t entries_ = 0;
  size_t inserted_ = 0;
  size_t shared_prefix_ = SIZE_MAX;
};

// A place in a tree. Holds the entries of one leaf as they were when it came there, all that its
// reader may see among them; what came later it may or may not meet. Lifetime: of the tree. Thread
// safety: one thread at a time.
class EntryTree::Walker {
 public:
  explicit Walker(const EntryTree& tree) : tree_(tree) {}

  // Null: nowhere.
  const Entry* entry() const { return index_ < count_ ? tree_.EntryAt(entries_[index_]) : nullptr; }
  void SeekToFirst();
  void SeekToLast();
  // To the first entry at or after the internal key.
  void Seek(std::string_view internal_key);
  // To the last entry at or before the internal key.
  void SeekForPrev(std::string_view internal_key);
  // Only while there is an entry.
  void Next() {
    if (++index_ < count_) {
      if (index_ == kFetchAheadAt) FetchLeaf(next_);
      return;
    }
    NextLeaf();
  }
  void Prev() {
    if (index_-- > 0) return;
    PrevLeaf();
  }

 private:
  // When so many entries of a leaf are passed, those of the next one are asked for.
  static constexpr int kFetchAheadAt = 3;

  void Clear() { index_ = count_ = 0; }
  // Takes the leaf as it is. The order is taken before the link: what a split moved away since is
  // then right of it, and perhaps in both.
  void TakeLeaf(const Leaf* leaf);
  bool TryTake(const Leaf* leaf, uint64_t state, NodeOrder* order);
  void NextLeaf();
  void PrevLeaf();
  // To the first entry right of this leaf that is not before the key; that is not at it either, if
  // `after`.
  void MoveRight(std::string_view key, bool after);
  void FetchLeaf(uint32_t leaf) const;
  void FetchEntries() const;

  const EntryTree& tree_;
  const Leaf* leaf_ = nullptr;
  uint32_t next_ = 0;
  int count_ = 0;
  int index_ = 0;
  uint32_t entries_[kSlots];
};

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_MEMTABLE_ENTRY_TREE_H_
