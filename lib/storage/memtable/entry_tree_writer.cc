// The writer's side: memory, insertion and splits.
#include <algorithm>
#include <new>

#include "base/assert.h"
#include "storage/key/internal_key.h"
#include "storage/memtable/entry_tree.h"

namespace bandb::storage {

namespace {

constexpr size_t kUnitBytes = 8;
constexpr size_t kLineBytes = 64;
// A split leaves at least so many entries, or children, on both sides, unless it is one at the
// right edge.
constexpr int kHalf = NodeOrder::kSlots / 2;

size_t RoundUp(size_t bytes, size_t unit) { return (bytes + unit - 1) / unit * unit; }

}  // namespace

EntryTree::EntryTree(char* memory, size_t bytes) : memory_(memory), bytes_(bytes / kLineBytes * kLineBytes) {
  BANDB_ASSERT(reinterpret_cast<uintptr_t>(memory) % kLineBytes == 0);
  BANDB_ASSERT(bytes_ >= kBytesMin);
  BANDB_ASSERT(bytes_ / kUnitBytes <= UINT32_MAX);
  entries_end_.store(kFirstEntry * kUnitBytes, std::memory_order_relaxed);
  nodes_begin_.store(bytes_, std::memory_order_relaxed);
  Leaf* leaf = NewNode<Leaf>();
  leaf->order.store(NodeOrder::FirstSlots(0).word(), std::memory_order_relaxed);
  first_leaf_ = leaf;
  last_leaf_.store(OffsetOf(leaf), std::memory_order_release);
  root_.store(OffsetOf(leaf), std::memory_order_release);
}

size_t EntryTree::EntryBytes(size_t key_bytes, size_t value_bytes) {
  return RoundUp(sizeof(Entry) + key_bytes + value_bytes, kUnitBytes);
}

size_t EntryTree::NodeBytesMax(size_t entries) {
  // All nodes but the last of each level have kHalf entries, or children, at least.
  const size_t leaves = 1 + entries / kHalf;
  size_t inner = 0;
  for (size_t nodes = leaves; nodes > 1; inner += nodes) nodes = 1 + nodes / kHalf;
  return leaves * sizeof(Leaf) + inner * sizeof(Inner);
}

size_t EntryTree::BytesFor(size_t entries, size_t entry_bytes) {
  return std::max(kBytesMin, RoundUp(kFirstEntry * kUnitBytes + entry_bytes, kLineBytes) + NodeBytesMax(entries));
}

bool EntryTree::HasRoomFor(size_t entries, size_t entry_bytes) const {
  // Few entries split each node on their ways once at most, and the tree grows by two levels at
  // most: a level takes kHalf times as many splits as the one below.
  constexpr size_t kFew = 64;
  const size_t used = entries_end_.load(std::memory_order_relaxed) + entry_bytes;
  const size_t levels = root_.load(std::memory_order_relaxed) >> 32;
  const size_t each = sizeof(Leaf) + (levels + 2) * sizeof(Inner);
  const size_t to_insert = entries_ - inserted_ + entries;
  if (to_insert <= kFew && used + to_insert * each <= nodes_begin_.load(std::memory_order_relaxed)) return true;
  return used + NodeBytesMax(entries_ + entries) <= bytes_;
}

size_t EntryTree::UsedBytes() const { return entries_end_.load(std::memory_order_relaxed) + node_bytes(); }

EntryTree::Entry* EntryTree::Allocate(size_t key_bytes, size_t value_bytes) {
  BANDB_ASSERT(key_bytes >= kTrailerBytes);
  const size_t begin = entries_end_.load(std::memory_order_relaxed);
  const size_t end = begin + EntryBytes(key_bytes, value_bytes);
  BANDB_ASSERT(end <= nodes_begin_.load(std::memory_order_relaxed));
  Entry* entry = reinterpret_cast<Entry*>(memory_ + begin);
  entry->key_bytes_ = static_cast<uint32_t>(key_bytes);
  entry->value_bytes_ = static_cast<uint32_t>(value_bytes);
  entries_end_.store(end, std::memory_order_relaxed);
  ++entries_;
  return entry;
}

template <typename NodeType>
NodeType* EntryTree::NewNode() {
  const size_t begin = nodes_begin_.load(std::memory_order_relaxed) - sizeof(NodeType);
  BANDB_ASSERT(begin >= entries_end_.load(std::memory_order_relaxed));
  BANDB_ASSERT(begin <= bytes_);
  nodes_begin_.store(begin, std::memory_order_relaxed);
  return new (memory_ + begin) NodeType();
}

// Without a key: to the right edge.
void EntryTree::FindPath(std::string_view key, Path* path) const {
  const uint64_t root = root_.load(std::memory_order_relaxed);
  int level = path->levels = static_cast<int>(root >> 32);
  uint32_t left = 0;
  uint32_t right = 0;
  Node* node = NodeAt(static_cast<uint32_t>(root), level);
  while (true) {
    const NodeOrder order = OrderOf(node);
    const int position = key.empty() ? order.count()
                                     : LowerBound({.key = key,
                                                   .node = node,
                                                   .state = node->state.load(std::memory_order_relaxed),
                                                   .left_open = left == 0,
                                                   .right_open = right == 0},
                                                  order);
    path->steps[level] = {node, position, left, right};
    if (level == 0) return;
    if (position > 0) left = node->entries[order.slot(position - 1)].load(std::memory_order_relaxed);
    if (position < order.count()) right = node->entries[order.slot(position)].load(std::memory_order_relaxed);
    node = NodeAt(ChildOf(static_cast<Inner*>(node), order, position), --level);
    PrefetchNode(node, level);
  }
}

void EntryTree::NoteSharedPrefix(std::string_view key) {
  const std::string_view reference = ReferenceKey();
  const size_t most = std::min({shared_prefix_, key.size() - kTrailerBytes, reference.size() - kTrailerBytes});
  const size_t shared = CommonPrefixBytes(key.data(), reference.data(), most);
  if (shared == shared_prefix_) return;
  shared_prefix_ = shared;
  RewordEdge(true);
  RewordEdge(false);
}

void EntryTree::RewordEdge(bool left) {
  const uint64_t root = root_.load(std::memory_order_relaxed);
  auto level = static_cast<int>(root >> 32);
  for (Node* node = NodeAt(static_cast<uint32_t>(root), level);; --level) {
    const NodeOrder order = OrderOf(node);
    if (PrefixOf(node->state.load(std::memory_order_relaxed)) > shared_prefix_) {
      Reshape(node, order, static_cast<uint32_t>(shared_prefix_));
    }
    if (level == 0) return;
    node = NodeAt(ChildOf(static_cast<Inner*>(node), order, left ? 0 : order.count()), level - 1);
  }
}

uint32_t EntryTree::SharedPrefix(uint32_t left, uint32_t right) const {
  size_t shared = shared_prefix_;
  if (left != 0 && right != 0) {
    const std::string_view a = SpacedKey(EntryAt(left)->key());
    const std::string_view b = SpacedKey(EntryAt(right)->key());
    shared = CommonPrefixBytes(a.data(), b.data(), std::min(a.size(), b.size()));
  }
  BANDB_ASSERT(shared < kNoPrefix);
  return static_cast<uint32_t>(shared);
}

// The prefix for the keys at these positions, once they lie between these separators: that of the
// node, as long as it tells them apart, since keeping it touches no entry.
uint32_t EntryTree::ChoosePrefix(const Node* node, NodeOrder order, int begin, int end, uint32_t left,
                                 uint32_t right) const {
  const uint32_t prefix = PrefixOf(node->state.load(std::memory_order_relaxed));
  for (int i = begin + 1; i < end; ++i) {
    if (WordIn(node, order.slot(i)) != WordIn(node, order.slot(i - 1))) continue;
    const uint32_t shared = SharedPrefix(left, right);
    BANDB_ASSERT(shared >= prefix);
    return shared;
  }
  return prefix;
}

// Into a node that nobody sees yet.
void EntryTree::CopySlots(const Node* from, int begin, Node* to, uint32_t prefix) const {
  const NodeOrder order = OrderOf(from);
  BANDB_ASSERT(begin >= 0);
  BANDB_ASSERT(begin <= order.count());
  const bool same_words = prefix == PrefixOf(from->state.load(std::memory_order_relaxed));
  for (int i = begin; i < order.count(); ++i) {
    const int slot = order.slot(i);
    const uint32_t entry = from->entries[slot].load(std::memory_order_relaxed);
    const uint64_t word = same_words ? WordIn(from, slot) : KeyWord(EntryAt(entry)->key(), prefix);
    to->entries[i - begin].store(entry, std::memory_order_relaxed);
    to->words[i - begin].store(word, std::memory_order_relaxed);
  }
  to->state.store(StateOf(0, prefix), std::memory_order_relaxed);
  to->order.store(NodeOrder::FirstSlots(order.count() - begin).word(), std::memory_order_relaxed);
}

void EntryTree::Reshape(Node* node, NodeOrder order, uint32_t prefix) {
  const uint64_t state = node->state.load(std::memory_order_relaxed);
  // Odd while a writer is at work, and there is one.
  BANDB_ASSERT(VersionOf(state) % 2 == 0);
  const bool new_words = prefix != PrefixOf(state);
  node->state.store(StateOf(VersionOf(state) + 1, new_words ? kNoPrefix : prefix), std::memory_order_release);
  node->order.store(order.word(), std::memory_order_release);
  for (int i = 0; new_words && i < order.count(); ++i) {
    const int slot = order.slot(i);
    node->words[slot].store(KeyWord(EntryIn(node, slot)->key(), prefix), std::memory_order_release);
  }
  node->state.store(StateOf(VersionOf(state) + 2, prefix), std::memory_order_release);
}

void EntryTree::PublishInserted(Node* node, NodeOrder order, int position, uint32_t entry) {
  const int slot = order.slot(order.count());
  const uint32_t prefix = PrefixOf(node->state.load(std::memory_order_relaxed));
  node->entries[slot].store(entry, std::memory_order_release);
  node->words[slot].store(KeyWord(EntryAt(entry)->key(), prefix), std::memory_order_release);
  node->order.store(order.WithInserted(position).word(), std::memory_order_release);
}

void EntryTree::InsertAt(Node* node, int position, uint32_t entry) {
  PublishInserted(node, OrderOf(node), position, entry);
}

void EntryTree::InsertAt(Inner* node, int position, uint32_t separator, uint32_t right_child) {
  const NodeOrder order = OrderOf(node);
  node->children[order.slot(order.count())].store(right_child, std::memory_order_release);
  PublishInserted(node, order, position, separator);
}

void EntryTree::Insert(Entry* entry) {
  const std::string_view key = entry->key();
  NoteSharedPrefix(key);
  ++inserted_;
  Leaf* last = LeafAt(last_leaf_.load(std::memory_order_relaxed));
  const NodeOrder last_order = OrderOf(last);
  const int last_count = last_order.count();
  // Keys that come in order need no search: they go to the right edge.
  const bool is_last = last_count == 0 || InternalKeyBefore(EntryIn(last, last_order.slot(last_count - 1))->key(), key);
  if (is_last && !last_order.full()) return InsertAt(last, last_count, OffsetOf(entry));
  Path path;
  FindPath(is_last ? std::string_view() : key, &path);
  Node* leaf = path.steps[0].node;
  const int position = path.steps[0].position;
  const NodeOrder order = OrderOf(leaf);
  BANDB_ASSERT(position == order.count() || InternalKeyBefore(key, EntryIn(leaf, order.slot(position))->key()));
  if (order.full()) return SplitLeaf(path, OffsetOf(entry));
  InsertAt(leaf, position, OffsetOf(entry));
}

void EntryTree::SplitLeaf(const Path& path, uint32_t entry) {
  const Step& step = path.steps[0];
  auto* leaf = static_cast<Leaf*>(step.node);
  const NodeOrder order = OrderOf(leaf);
  BANDB_ASSERT(order.full());
  BANDB_ASSERT(step.position <= kSlots);
  const uint32_t next = leaf->next.load(std::memory_order_relaxed);
  // After the last entry of all, the leaf stays full: keys that come in order fill leaf after leaf.
  const bool append = next == 0 && step.position == kSlots;
  const int keep = append ? kSlots : kHalf;
  Leaf* right = NewNode<Leaf>();
  uint32_t separator = entry;
  if (append) {
    right->state.store(StateOf(0, SharedPrefix(0, 0)), std::memory_order_relaxed);
    right->order.store(NodeOrder::FirstSlots(0).word(), std::memory_order_relaxed);
    InsertAt(right, 0, entry);
  } else {
    separator = leaf->entries[order.slot(keep)].load(std::memory_order_relaxed);
    CopySlots(leaf, keep, right, ChoosePrefix(leaf, order, keep, kSlots, separator, step.right));
  }
  right->next.store(next, std::memory_order_relaxed);
  right->prev.store(OffsetOf(leaf), std::memory_order_relaxed);
  leaf->next.store(OffsetOf(right), std::memory_order_release);
  (next == 0 ? last_leaf_ : LeafAt(next)->prev).store(OffsetOf(right), std::memory_order_release);
  InsertSeparator(path, 1, separator, right);
  Reshape(leaf, order.Truncated(keep), ChoosePrefix(leaf, order, 0, keep, step.left, separator));
  if (append) return;
  if (step.position <= keep) {
    InsertAt(leaf, step.position, entry);
  } else {
    InsertAt(right, step.position - keep, entry);
  }
}

void EntryTree::InsertSeparator(const Path& path, int level, uint32_t separator, const Node* right_child) {
  if (level > path.levels) {
    BANDB_ASSERT(level < kLevelsMax);
    BANDB_ASSERT(level == path.levels + 1);
    Inner* root = NewNode<Inner>();
    root->first_child.store(OffsetOf(path.steps[path.levels].node), std::memory_order_relaxed);
    root->state.store(StateOf(0, SharedPrefix(0, 0)), std::memory_order_relaxed);
    root->order.store(NodeOrder::FirstSlots(0).word(), std::memory_order_relaxed);
    InsertAt(root, 0, separator, OffsetOf(right_child));
    root_.store(static_cast<uint64_t>(level) << 32 | OffsetOf(root), std::memory_order_release);
    return;
  }
  auto* inner = static_cast<Inner*>(path.steps[level].node);
  if (OrderOf(inner).full()) return SplitInner(path, level, separator, right_child);
  InsertAt(inner, path.steps[level].position, separator, OffsetOf(right_child));
}

void EntryTree::SplitInner(const Path& path, int level, uint32_t separator, const Node* right_child) {
  const Step& step = path.steps[level];
  auto* inner = static_cast<Inner*>(step.node);
  const NodeOrder order = OrderOf(inner);
  BANDB_ASSERT(level <= path.levels);
  BANDB_ASSERT(order.full());
  BANDB_ASSERT(step.position <= kSlots);
  // As with leaves; the new node then has one child and no separator.
  const bool append = step.right == 0 && step.position == kSlots;
  const int keep = append ? kSlots : kHalf;
  Inner* right = NewNode<Inner>();
  uint32_t middle = separator;
  if (append) {
    right->first_child.store(OffsetOf(right_child), std::memory_order_relaxed);
    right->state.store(StateOf(0, SharedPrefix(0, 0)), std::memory_order_relaxed);
    right->order.store(NodeOrder::FirstSlots(0).word(), std::memory_order_relaxed);
  } else {
    // The separator in the middle moves up; its child becomes the first one of the new node.
    middle = inner->entries[order.slot(keep)].load(std::memory_order_relaxed);
    CopySlots(inner, keep + 1, right, ChoosePrefix(inner, order, keep + 1, kSlots, middle, step.right));
    right->first_child.store(ChildOf(inner, order, keep + 1), std::memory_order_relaxed);
    for (int i = keep + 1; i < kSlots; ++i) {
      right->children[i - keep - 1].store(ChildOf(inner, order, i + 1), std::memory_order_relaxed);
    }
  }
  InsertSeparator(path, level + 1, middle, right);
  Reshape(inner, order.Truncated(keep), ChoosePrefix(inner, order, 0, keep, step.left, middle));
  if (append) return;
  if (step.position <= keep) {
    InsertAt(inner, step.position, separator, OffsetOf(right_child));
  } else {
    InsertAt(right, step.position - keep - 1, separator, OffsetOf(right_child));
  }
}

}  // namespace bandb::storage
