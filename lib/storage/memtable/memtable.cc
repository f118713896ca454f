#include "storage/memtable/memtable.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/assert.h"
#include "base/coding.h"

namespace bandb::storage {

namespace {

// A node to be inserted, and the eight bytes of its key that most likely tell its place: comparing those touches no
// node.
struct PlacedNode {
  uint64_t word;
  SkipList::Node* node;

  bool operator<(const PlacedNode& other) const {
    return word != other.word ? word < other.word : InternalKeyBefore(node->key(), other.node->key());
  }
};

size_t SharedPrefixBytes(const std::vector<SkipList::Node*>& nodes) {
  std::string_view shared = SpacedKey(nodes.front()->key());
  for (const SkipList::Node* node : nodes) {
    const std::string_view key = SpacedKey(node->key());
    shared = shared.substr(0, CommonPrefixBytes(shared.data(), key.data(), std::min(shared.size(), key.size())));
  }
  return shared.size();
}

}  // namespace

Memtable::Memtable(size_t capacity_bytes, uint64_t log_number) : list_(capacity_bytes), log_number_(log_number) {}

size_t Memtable::CapacityFor(size_t operations, size_t payload_bytes) {
  // Besides its key and value, which the payload holds, an entry takes its space, trailer, expiry and node.
  const size_t each = SkipList::EntryBytesMax(kSpaceBytes + kTrailerBytes + sizeof(uint64_t), 0) + 8;
  return operations * each + payload_bytes + SkipList::EntryBytesMax(0, 0) * 2;
}

bool Memtable::HasRoomFor(size_t operations, size_t payload_bytes) const {
  if (tombstones_.count() >= kRangeTombstonesMax) return false;
  return list_.FreeBytes() >= CapacityFor(operations, payload_bytes) + tombstones_.memory_bytes();
}

SkipList::Node* Memtable::MakeEntry(Sequence sequence, Space space, const kv::Operation& operation) {
  BANDB_ASSERT(sequence > largest_sequence_ || empty());
  BANDB_ASSERT(sequence <= kSequenceMax);
  largest_sequence_ = sequence;
  operations_.store(operations_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  if (operation.kind == Kind::kRangeDelete) {
    // An inverted range holds no key.
    if (operation.key >= operation.value) return nullptr;
    tombstones_.Add({MakeSpacedKey(space, operation.key), MakeSpacedKey(space, operation.value), sequence});
    return nullptr;
  }
  const size_t key_bytes = kSpaceBytes + operation.key.size() + kTrailerBytes;
  const size_t expiry_bytes = operation.kind == Kind::kPutWithExpiry ? sizeof(uint64_t) : 0;
  SkipList::Node* node = list_.Allocate(key_bytes, expiry_bytes + operation.value.size());
  char* key = SkipList::KeyBytes(node);
  *key = static_cast<char>(space);
  if (!operation.key.empty()) std::memcpy(key + kSpaceBytes, operation.key.data(), operation.key.size());
  base::StoreFixed<uint64_t>(key + key_bytes - kTrailerBytes, MakeTrailer(sequence, operation.kind));
  char* value = SkipList::ValueBytes(node);
  if (expiry_bytes != 0) base::StoreFixed<uint64_t>(value, operation.expiry_ms);
  if (!operation.value.empty()) std::memcpy(value + expiry_bytes, operation.value.data(), operation.value.size());
  return node;
}

void Memtable::Add(Sequence sequence, Space space, const kv::Operation& operation) {
  SkipList::Node* node = MakeEntry(sequence, space, operation);
  if (node != nullptr) list_.Insert(node);
}

void Memtable::Stage(Sequence sequence, Space space, const kv::Operation& operation) {
  SkipList::Node* node = MakeEntry(sequence, space, operation);
  if (node != nullptr) staged_.push_back(node);
}

void Memtable::InsertStaged() {
  constexpr size_t kNodesAhead = 8;
  const std::vector<SkipList::Node*> nodes = std::exchange(staged_, {});
  if (nodes.empty()) return;
  const size_t shared_bytes = SharedPrefixBytes(nodes);
  std::vector<PlacedNode> placed;
  placed.reserve(nodes.size());
  for (SkipList::Node* node : nodes) placed.push_back({KeyWord(node->key(), shared_bytes), node});
  std::sort(placed.begin(), placed.end());
  for (size_t i = 0; i < placed.size(); ++i) {
    if (i + kNodesAhead < placed.size()) __builtin_prefetch(placed[i + kNodesAhead].node);
    list_.Insert(placed[i].node);
  }
}

MemtableHit Memtable::Get(std::string_view lookup_key) const {
  const SkipList::Node* node = list_.Seek(lookup_key);
  if (node == nullptr || SpacedKey(node->key()) != SpacedKey(lookup_key)) return {};
  const uint64_t trailer = Trailer(node->key());
  return {.found = true, .kind = TrailerKind(trailer), .sequence = TrailerSequence(trailer), .value = node->value()};
}

class Memtable::MemtableCursor final : public Cursor {
 public:
  explicit MemtableCursor(const SkipList& list) : list_(list) {}
  void SeekToFirst() override { StandAtNode(list_.First()); }
  void SeekToLast() override { StandAtNode(list_.Last()); }
  void Seek(std::string_view internal_key) override { StandAtNode(list_.Seek(internal_key)); }
  void SeekForPrev(std::string_view internal_key) override {
    const SkipList::Node* node = list_.Seek(internal_key);
    if (node == nullptr || node->key() != internal_key) node = list_.SeekBefore(internal_key);
    StandAtNode(node);
  }
  void Next() override {
    StandAtNode(list_.Next(node_));
    // Neighbours in the order of keys lie anywhere in memory: have the next one under way while this one is looked at.
    if (node_ != nullptr) __builtin_prefetch(list_.Next(node_));
  }
  void Prev() override {
    StandAtNode(list_.Prev(node_));
    if (node_ != nullptr) __builtin_prefetch(list_.Prev(node_));
  }
  std::string_view value() const override { return node_->value(); }
  absl::Status status() const override { return absl::OkStatus(); }

 private:
  void StandAtNode(const SkipList::Node* node) {
    node_ = node;
    if (node == nullptr) return StandNowhere();
    StandAt(node->key());
  }

  const SkipList& list_;
  const SkipList::Node* node_ = nullptr;
};

std::unique_ptr<Cursor> Memtable::NewCursor() const { return std::make_unique<MemtableCursor>(list_); }

}  // namespace bandb::storage
