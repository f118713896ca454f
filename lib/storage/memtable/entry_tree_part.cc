// Where a key is in the tree, roughly.
#include "storage/memtable/entry_tree.h"

namespace bandb::storage {

// As TryDescend, adding up what is left of the way: the children of a node have equal shares of
// what is below it.
bool EntryTree::TryPartBefore(std::string_view key, double* part) const {
  const uint64_t root = root_.load(std::memory_order_acquire);
  auto levels = static_cast<int>(root >> 32);
  Search search{.key = key, .node = NodeAt(static_cast<uint32_t>(root), levels)};
  search.state = search.node->state.load(std::memory_order_acquire);
  if (root_.load(std::memory_order_acquire) != root) return false;
  double share = 1;
  *part = 0;
  for (; levels > 0; --levels) {
    const auto* inner = static_cast<const Inner*>(search.node);
    const NodeOrder order = OrderOf(inner);
    const int position = LowerBound(search, order);
    share /= order.count() + 1;
    *part += share * position;
    const Node* child = NodeAt(ChildOf(inner, order, position), levels - 1);
    const uint64_t child_state = child->state.load(std::memory_order_acquire);
    if (inner->order.load(std::memory_order_acquire) != order.word() ||
        inner->state.load(std::memory_order_acquire) != search.state) {
      return false;
    }
    search.left_open = search.left_open && position == 0;
    search.right_open = search.right_open && position == order.count();
    search.node = child;
    search.state = child_state;
  }
  const NodeOrder order = OrderOf(search.node);
  if (order.count() != 0) *part += share * LowerBound(search, order) / order.count();
  return search.node->state.load(std::memory_order_acquire) == search.state;
}

double EntryTree::PartBefore(std::string_view key) const {
  double part = 0;
  while (!TryPartBefore(key, &part)) {
  }
  return part;
}

}  // namespace bandb::storage
