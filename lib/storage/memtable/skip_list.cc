#include "storage/memtable/skip_list.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/assert.h"
#include "storage/key/internal_key.h"

namespace bandb::storage {

namespace {

constexpr size_t kUnitBytes = 8;

size_t RoundUp(size_t bytes) { return (bytes + kUnitBytes - 1) / kUnitBytes * kUnitBytes; }

}  // namespace

SkipList::SkipList(size_t capacity_bytes) : region_(std::max(RoundUp(capacity_bytes), EntryBytesMax(0, 0) * 2)) {
  // Offset 0 means none, so the first unit stays unused.
  used_bytes_.store(kUnitBytes, std::memory_order_relaxed);
  BANDB_ASSERT(region_.size() / kUnitBytes <= UINT32_MAX);
  head_ = AllocateWithHeight(kHeightMax, 0, 0);
  for (int level = 0; level < kHeightMax; ++level) {
    splice_.before[level] = head_;
    splice_.after[level] = nullptr;
  }
}

size_t SkipList::EntryBytesMax(size_t key_bytes, size_t value_bytes) {
  return RoundUp((kHeightMax - 1) * sizeof(uint32_t)) + RoundUp(sizeof(Node) + key_bytes + value_bytes);
}

int SkipList::RandomHeight() {
  // xorshift32 (Marsaglia, 2003); a level up with probability 1/4.
  random_ ^= random_ << 13;
  random_ ^= random_ >> 17;
  random_ ^= random_ << 5;
  return std::min(kHeightMax, 1 + std::countr_zero(random_ | 0x80000000u) / 2);
}

SkipList::Node* SkipList::AllocateWithHeight(int height, size_t key_bytes, size_t value_bytes) {
  const size_t used = used_bytes_.load(std::memory_order_relaxed);
  const size_t links_bytes = RoundUp(static_cast<size_t>(height - 1) * sizeof(uint32_t));
  const size_t node_bytes = RoundUp(sizeof(Node) + key_bytes + value_bytes);
  BANDB_ASSERT(used + links_bytes + node_bytes <= region_.size());
  Node* node = reinterpret_cast<Node*>(region_.data() + used + links_bytes);
  used_bytes_.store(used + links_bytes + node_bytes, std::memory_order_relaxed);
  node->key_bytes_ = static_cast<uint32_t>(key_bytes);
  node->value_bytes_ = static_cast<uint32_t>(value_bytes);
  return node;
}

SkipList::Node* SkipList::Allocate(size_t key_bytes, size_t value_bytes) {
  const int height = RandomHeight();
  Node* node = AllocateWithHeight(height, key_bytes, value_bytes);
  node->prev_.store(static_cast<uint32_t>(height), std::memory_order_relaxed);
  return node;
}

bool SkipList::SpliceFits(std::string_view key) const {
  if (splice_.before[0] != head_ && !InternalKeyBefore(splice_.before[0]->key(), key)) return false;
  return splice_.after[0] == nullptr || InternalKeyBefore(key, splice_.after[0]->key());
}

void SkipList::FindSplice(std::string_view key) {
  Node* before = head_;
  for (int level = height_.load(std::memory_order_relaxed) - 1; level >= 0; --level) {
    Node* after = At(before->Link(level).load(std::memory_order_relaxed));
    while (after != nullptr && InternalKeyBefore(after->key(), key)) {
      before = after;
      after = At(before->Link(level).load(std::memory_order_relaxed));
      __builtin_prefetch(after);
    }
    splice_.before[level] = before;
    splice_.after[level] = after;
  }
}

void SkipList::Insert(Node* node) {
  const int list_height = height_.load(std::memory_order_relaxed);
  const int node_height = node->HeightUntilInserted();
  // No node stands between before[0] and after[0], so a key that belongs there belongs between before[n] and after[n]
  // on every level n.
  if (!SpliceFits(node->key())) FindSplice(node->key());
  if (node_height > list_height) {
    for (int level = list_height; level < node_height; ++level) {
      splice_.before[level] = head_;
      splice_.after[level] = nullptr;
    }
    // A reader that sees the new height early finds null links in the head, and goes down.
    height_.store(node_height, std::memory_order_relaxed);
  }
  BANDB_ASSERT(splice_.after[0] == nullptr || InternalKeyBefore(node->key(), splice_.after[0]->key()));
  const uint32_t offset = OffsetOf(node);
  node->prev_.store(OffsetOf(splice_.before[0]), std::memory_order_relaxed);
  for (int level = 0; level < node_height; ++level) {
    Node* after = splice_.after[level];
    node->Link(level).store(after == nullptr ? 0 : OffsetOf(after), std::memory_order_relaxed);
    splice_.before[level]->Link(level).store(offset, std::memory_order_release);
    splice_.before[level] = node;
  }
  if (splice_.after[0] != nullptr) splice_.after[0]->prev_.store(offset, std::memory_order_release);
}

SkipList::Node* SkipList::FindLastBefore(std::string_view key, Node** after_found) const {
  Node* before = head_;
  Node* known_after = nullptr;
  Node* after = nullptr;
  for (int level = height_.load(std::memory_order_relaxed) - 1; level >= 0; --level) {
    after = At(before->Link(level).load(std::memory_order_acquire));
    // A node that was found to come after the key on one level need not be compared again on the next.
    while (after != nullptr && after != known_after && InternalKeyBefore(after->key(), key)) {
      before = after;
      after = At(before->Link(level).load(std::memory_order_acquire));
      __builtin_prefetch(after);
    }
    known_after = after;
  }
  *after_found = after;
  return before;
}

const SkipList::Node* SkipList::Seek(std::string_view key) const {
  Node* after = nullptr;
  FindLastBefore(key, &after);
  return after;
}

const SkipList::Node* SkipList::SeekBefore(std::string_view key) const {
  Node* after = nullptr;
  const Node* before = FindLastBefore(key, &after);
  return before == head_ ? nullptr : before;
}

const SkipList::Node* SkipList::Last() const {
  const Node* node = head_;
  for (int level = height_.load(std::memory_order_relaxed) - 1; level >= 0; --level) {
    while (const Node* next = At(node->Link(level).load(std::memory_order_acquire))) node = next;
  }
  return node == head_ ? nullptr : node;
}

}  // namespace bandb::storage
