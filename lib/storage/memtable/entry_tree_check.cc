// The invariants of the tree, looked at.
#include <vector>

#include "base/assert.h"
#include "storage/key/internal_key.h"
#include "storage/memtable/entry_tree.h"

namespace bandb::storage {

struct EntryTree::Check {
  const EntryTree& tree;
  std::vector<const Leaf*> leaves;
  size_t entries = 0;
  size_t node_bytes = 0;

  // The node's keys are in order, between the separators, and have its prefix and their words.
  void Keys(const Node* node, uint32_t left, uint32_t right, int fewest) {
    const NodeOrder order = OrderOf(node);
    BANDB_ASSERT(order.count() <= kSlots);
    BANDB_ASSERT(order.count() >= fewest);
    uint32_t slots_seen = 0;
    for (int i = 0; i < kSlots; ++i) slots_seen |= uint32_t{1} << order.slot(i);
    BANDB_ASSERT(slots_seen == (uint32_t{1} << kSlots) - 1);
    const uint32_t prefix = PrefixOf(node->state.load(std::memory_order_relaxed));
    BANDB_ASSERT(prefix == 0 || prefix <= tree.SharedPrefix(left, right));
    std::string_view before = left == 0 ? std::string_view() : tree.EntryAt(left)->key();
    bool may_equal = true;  // the separator on the left may be the first key
    for (int i = 0; i < order.count(); ++i) {
      const std::string_view key = tree.EntryIn(node, order.slot(i))->key();
      if (before.data() != nullptr && !(may_equal && key == before)) BANDB_ASSERT(InternalKeyBefore(before, key));
      BANDB_ASSERT(right == 0 || InternalKeyBefore(key, tree.EntryAt(right)->key()));
      BANDB_ASSERT(key.size() - kTrailerBytes >= prefix);
      BANDB_ASSERT(WordIn(node, order.slot(i)) == KeyWord(key, prefix));
      before = key;
      may_equal = false;
    }
  }

  void Subtree(uint32_t offset, int level, uint32_t left, uint32_t right) {
    const Node* node = tree.NodeAt(offset, level);
    const NodeOrder order = OrderOf(node);
    if (level == 0) {
      // Only the last leaf may have few entries.
      Keys(node, left, right, right == 0 ? 0 : kSlots / 2);
      leaves.push_back(static_cast<const Leaf*>(node));
      entries += static_cast<size_t>(order.count());
      node_bytes += sizeof(Leaf);
      return;
    }
    Keys(node, left, right, right == 0 ? 0 : kSlots / 2 - 1);
    node_bytes += sizeof(Inner);
    for (int i = 0; i <= order.count(); ++i) {
      const auto separator = [&](int n) { return node->entries[order.slot(n)].load(std::memory_order_relaxed); };
      Subtree(ChildOf(static_cast<const Inner*>(node), order, i), level - 1, i == 0 ? left : separator(i - 1),
              i == order.count() ? right : separator(i));
    }
  }

  // The links of the leaves are their order in the tree, both ways.
  void Links() const {
    BANDB_ASSERT(leaves.front() == tree.first_leaf_);
    BANDB_ASSERT(tree.OffsetOf(leaves.back()) == tree.last_leaf_.load(std::memory_order_relaxed));
    for (size_t i = 0; i < leaves.size(); ++i) {
      const uint32_t next = i + 1 < leaves.size() ? tree.OffsetOf(leaves[i + 1]) : 0;
      const uint32_t prev = i > 0 ? tree.OffsetOf(leaves[i - 1]) : 0;
      BANDB_ASSERT(leaves[i]->next.load(std::memory_order_relaxed) == next);
      BANDB_ASSERT(leaves[i]->prev.load(std::memory_order_relaxed) == prev);
    }
  }
};

void EntryTree::CheckInvariants() const {
  Check check{.tree = *this, .leaves = {}};
  const uint64_t root = root_.load(std::memory_order_acquire);
  check.Subtree(static_cast<uint32_t>(root), static_cast<int>(root >> 32), 0, 0);
  check.Links();
  BANDB_ASSERT(check.entries == inserted_);
  BANDB_ASSERT(check.node_bytes == node_bytes());
  BANDB_ASSERT(node_bytes() <= NodeBytesMax(inserted_));
}

}  // namespace bandb::storage
