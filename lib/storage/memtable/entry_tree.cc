// The readers' side: searches and walks.
#include "storage/memtable/entry_tree.h"

#include "base/assert.h"
#include "storage/key/internal_key.h"

namespace bandb::storage {

EntryTree::Node* EntryTree::NodeAt(uint32_t offset, int level) const {
  return level == 0 ? static_cast<Node*>(LeafAt(offset)) : static_cast<Node*>(InnerAt(offset));
}

void EntryTree::PrefetchNode(const Node* node, int level) {
  const char* bytes = reinterpret_cast<const char*>(node);
  __builtin_prefetch(bytes);
  __builtin_prefetch(bytes + 64);
  __builtin_prefetch(bytes + 128);
  if (level > 0) __builtin_prefetch(bytes + 192);
}

bool EntryTree::ComparesByWord(const Search& search) const {
  const size_t prefix = PrefixOf(search.state);
  if (prefix == kNoPrefix) return false;
  if (prefix == 0 || !(search.left_open || search.right_open)) return true;
  // At an edge, the key need not have the node's prefix.
  return search.key.size() - kTrailerBytes >= prefix &&
         CommonPrefixBytes(search.key.data(), ReferenceKey().data(), prefix) == prefix;
}

int EntryTree::LowerBoundByKey(const Search& search, NodeOrder order, int begin, int end) const {
  while (begin < end) {
    const int middle = (begin + end) / 2;
    if (InternalKeyBefore(EntryIn(search.node, order.slot(middle))->key(), search.key)) {
      begin = middle + 1;
    } else {
      end = middle;
    }
  }
  return begin;
}

int EntryTree::LowerBound(const Search& search, NodeOrder order) const {
  const int count = order.count();
  if (!ComparesByWord(search)) return LowerBoundByKey(search, order, 0, count);
  const Node* node = search.node;
  const uint64_t word = KeyWord(search.key, PrefixOf(search.state));
  // Which way a comparison goes is as good as random, so there is no branch on it.
  int begin = 0;
  int left = count;
  while (left > 0) {
    const int half = (left + 1) / 2;
    begin += WordIn(node, order.slot(begin + half - 1)) < word ? half : 0;
    left -= half;
  }
  if (begin == count || WordIn(node, order.slot(begin)) != word) return begin;
  // The newest version of a key is the first, and mostly the one sought.
  if (!InternalKeyBefore(EntryIn(node, order.slot(begin))->key(), search.key)) return begin;
  int end = begin + 1;
  while (end < count && WordIn(node, order.slot(end)) == word) ++end;
  return LowerBoundByKey(search, order, begin + 1, end);
}

bool EntryTree::TryDescend(Search* search) const {
  const uint64_t root = root_.load(std::memory_order_acquire);
  auto levels = static_cast<int>(root >> 32);
  search->left_open = search->right_open = true;
  search->node = NodeAt(static_cast<uint32_t>(root), levels);
  search->state = search->node->state.load(std::memory_order_acquire);
  if (root_.load(std::memory_order_acquire) != root) return false;
  for (; levels > 0; --levels) {
    const auto* inner = static_cast<const Inner*>(search->node);
    const NodeOrder order = OrderOf(inner);
    const int position = LowerBound(*search, order);
    const Node* child = NodeAt(ChildOf(inner, order, position), levels - 1);
    PrefetchNode(child, levels - 1);
    const uint64_t child_state = child->state.load(std::memory_order_acquire);
    if (inner->order.load(std::memory_order_acquire) != order.word() ||
        inner->state.load(std::memory_order_acquire) != search->state) {
      return false;
    }
    search->left_open = search->left_open && position == 0;
    search->right_open = search->right_open && position == order.count();
    search->node = child;
    search->state = child_state;
  }
  return true;
}

EntryTree::Search EntryTree::Descend(std::string_view key) const {
  Search search{.key = key};
  while (!TryDescend(&search)) {
  }
  return search;
}

const EntryTree::Entry* EntryTree::Seek(std::string_view key) const {
  while (true) {
    const Search search = Descend(key);
    const auto* leaf = static_cast<const Leaf*>(search.node);
    const NodeOrder order = OrderOf(leaf);
    const int position = LowerBound(search, order);
    if (position == order.count()) [[unlikely]] {
      Walker walker(*this);
      walker.Seek(key);
      return walker.entry();
    }
    const Entry* entry = EntryIn(leaf, order.slot(position));
    if (leaf->state.load(std::memory_order_acquire) == search.state) return entry;
  }
}

bool EntryTree::Walker::TryTake(const Leaf* leaf, uint64_t state, NodeOrder* order) {
  *order = OrderOf(leaf);
  leaf_ = leaf;
  count_ = order->count();
  for (int i = 0; i < count_; ++i) entries_[i] = leaf->entries[order->slot(i)].load(std::memory_order_acquire);
  next_ = leaf->next.load(std::memory_order_acquire);
  return leaf->state.load(std::memory_order_acquire) == state;
}

void EntryTree::Walker::TakeLeaf(const Leaf* leaf) {
  NodeOrder order(0);
  while (!TryTake(leaf, leaf->state.load(std::memory_order_acquire), &order)) {
  }
  FetchEntries();
}

void EntryTree::Walker::FetchEntries() const {
  if (next_ != 0) PrefetchNode(tree_.LeafAt(next_), 0);
  for (int i = 0; i < count_; ++i) __builtin_prefetch(tree_.EntryAt(entries_[i]));
}

void EntryTree::Walker::FetchLeaf(uint32_t offset) const {
  if (offset == 0) return;
  // Whatever it holds just now: a slot that is not in use yet is a place in the tree's memory, too.
  const Leaf* leaf = tree_.LeafAt(offset);
  const NodeOrder order = OrderOf(leaf);
  for (int i = 0; i < order.count(); ++i) __builtin_prefetch(tree_.EntryIn(leaf, order.slot(i)));
}

void EntryTree::Walker::SeekToFirst() {
  TakeLeaf(tree_.first_leaf_);
  index_ = 0;
}

void EntryTree::Walker::SeekToLast() {
  TakeLeaf(tree_.LeafAt(tree_.last_leaf_.load(std::memory_order_acquire)));
  while (next_ != 0) TakeLeaf(tree_.LeafAt(next_));
  index_ = count_ == 0 ? 0 : count_ - 1;
}

void EntryTree::Walker::Seek(std::string_view key) {
  while (true) {
    const Search search = tree_.Descend(key);
    const auto* leaf = static_cast<const Leaf*>(search.node);
    // The position is found in the order that is taken.
    NodeOrder order(0);
    if (!TryTake(leaf, search.state, &order)) continue;
    index_ = tree_.LowerBound(search, order);
    if (leaf->state.load(std::memory_order_acquire) == search.state) break;
  }
  if (index_ == count_) return MoveRight(key, false);
  FetchEntries();
}

void EntryTree::Walker::SeekForPrev(std::string_view key) {
  Seek(key);
  if (entry() == nullptr) SeekToLast();
  while (entry() != nullptr && InternalKeyBefore(key, entry()->key())) Prev();
}

void EntryTree::Walker::MoveRight(std::string_view key, bool after) {
  while (next_ != 0) {
    TakeLeaf(tree_.LeafAt(next_));
    for (index_ = 0; index_ < count_; ++index_) {
      const std::string_view there = entry()->key();
      if (after ? InternalKeyBefore(key, there) : !InternalKeyBefore(there, key)) return;
    }
  }
  Clear();
}

void EntryTree::Walker::NextLeaf() { MoveRight(tree_.EntryAt(entries_[count_ - 1])->key(), true); }

void EntryTree::Walker::PrevLeaf() {
  const std::string_view key = tree_.EntryAt(entries_[0])->key();
  while (true) {
    const uint32_t right = tree_.OffsetOf(leaf_);
    const uint32_t left = leaf_->prev.load(std::memory_order_acquire);
    if (left == 0) return Clear();
    // The link may lag: then the leaf that came between is right of the one that it leads to.
    TakeLeaf(tree_.LeafAt(left));
    while (next_ != right) TakeLeaf(tree_.LeafAt(next_));
    FetchLeaf(leaf_->prev.load(std::memory_order_acquire));
    // What a split is moving to the right leaf may still be in this one.
    while (count_ > 0 && !InternalKeyBefore(tree_.EntryAt(entries_[count_ - 1])->key(), key)) --count_;
    if (count_ > 0) {
      index_ = count_ - 1;
      return;
    }
  }
}

}  // namespace bandb::storage
