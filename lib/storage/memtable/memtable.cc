#include "storage/memtable/memtable.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/assert.h"
#include "base/coding.h"
#include "base/status.h"
#include "storage/key/filter_hash.h"

namespace bandb::storage {

namespace {

// An entry to be inserted, and the eight bytes of its key that most likely tell its place:
// comparing those touches no entry.
struct PlacedEntry {
  uint64_t word;
  EntryTree::Entry* entry;

  bool operator<(const PlacedEntry& other) const {
    return word != other.word ? word < other.word : InternalKeyBefore(entry->key(), other.entry->key());
  }
};

size_t SharedPrefixBytes(const std::vector<EntryTree::Entry*>& entries) {
  std::string_view shared = SpacedKey(entries.front()->key());
  for (const EntryTree::Entry* entry : entries) {
    const std::string_view key = SpacedKey(entry->key());
    shared = shared.substr(0, CommonPrefixBytes(shared.data(), key.data(), std::min(shared.size(), key.size())));
  }
  return shared.size();
}

// The filter's share of a memtable is one line in kFilterShare.
constexpr size_t kFilterShare = 64;

size_t FilterBytes(size_t region_bytes) {
  return std::max<size_t>(1, region_bytes / (kFilterShare * kFilterLineBytes)) * kFilterLineBytes;
}

// What entries take besides their keys and values, which the payload holds: the space, the trailer,
// the expiry, the lengths and what rounding adds.
size_t EntryBytesMax(size_t operations, size_t payload_bytes) {
  return operations * EntryTree::EntryBytes(kSpaceBytes + kTrailerBytes + sizeof(uint64_t), 7) + payload_bytes;
}

}  // namespace

std::unique_ptr<base::Region> Memtable::TakeRegion(base::RegionSource* regions, size_t capacity_bytes) {
  const size_t bytes = std::max(capacity_bytes, EntryTree::kBytesMin + kFilterLineBytes);
  return regions == nullptr ? base::Region::Map(bytes) : regions->Map(bytes);
}

absl::StatusOr<std::shared_ptr<Memtable>> Memtable::Make(base::RegionSource* regions, size_t capacity_bytes,
                                                         uint64_t log_number) {
  std::unique_ptr<base::Region> region = TakeRegion(regions, capacity_bytes);
  if (region != nullptr) return std::make_shared<Memtable>(std::move(region), log_number);
  return base::Error(absl::StatusCode::kResourceExhausted, "no memory for a memtable of {} bytes", capacity_bytes);
}

Memtable::Memtable(std::unique_ptr<base::Region> region, uint64_t log_number)
    : region_(std::move(region)),
      filter_bytes_(FilterBytes(region_->size())),
      filter_(region_->data(), filter_bytes_),
      tree_(region_->data() + filter_bytes_, region_->size() - filter_bytes_),
      log_number_(log_number) {
  BANDB_ASSERT(filter_bytes_ > 0);
  BANDB_ASSERT(filter_bytes_ < region_->size());
}

size_t Memtable::CapacityFor(size_t operations, size_t payload_bytes) {
  const size_t tree_bytes = EntryTree::BytesFor(operations, EntryBytesMax(operations, payload_bytes));
  // Whatever share of the sum the filter takes, the tree's remains; and it loses less than a line
  // to rounding.
  return tree_bytes + tree_bytes / (kFilterShare - 1) + 2 * kFilterLineBytes;
}

bool Memtable::HasRoomFor(size_t operations, size_t payload_bytes) const {
  const size_t range_tombstones_max =
      std::clamp(region_->size() / kBytesOfRangeTombstone, kRangeTombstonesLeast, kRangeTombstonesMost);
  if (tombstones_.count() >= range_tombstones_max) return false;
  return tree_.HasRoomFor(operations,
                          EntryBytesMax(operations, payload_bytes) + tombstones_.memory_bytes() + hollow_bytes_);
}

EntryTree::Entry* Memtable::MakeEntry(Sequence sequence, Space space, const kv::Operation& operation) {
  BANDB_ASSERT(sequence > largest_sequence_ || empty());
  BANDB_ASSERT(sequence <= kSequenceMax);
  largest_sequence_ = sequence;
  if (space != Space::kSystem) largest_user_sequence_ = sequence;
  operations_.store(operations_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  if (operation.kind == Kind::kRangeDelete) {
    // An inverted range holds no key.
    if (operation.key >= operation.value) {
      hollow_bytes_ += EntryBytesMax(1, operation.key.size() + operation.value.size());
      return nullptr;
    }
    tombstones_.Add({MakeSpacedKey(space, operation.key), MakeSpacedKey(space, operation.value), sequence});
    return nullptr;
  }
  if (operation.kind == Kind::kDelete) {
    deletes_.store(deletes_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }
  const size_t key_bytes = kSpaceBytes + operation.key.size() + kTrailerBytes;
  const size_t expiry_bytes = operation.kind == Kind::kPutWithExpiry ? sizeof(uint64_t) : 0;
  EntryTree::Entry* entry = tree_.Allocate(key_bytes, expiry_bytes + operation.value.size());
  char* key = EntryTree::KeyBytes(entry);
  *key = static_cast<char>(space);
  if (!operation.key.empty()) std::memcpy(key + kSpaceBytes, operation.key.data(), operation.key.size());
  base::StoreFixed<uint64_t>(key + key_bytes - kTrailerBytes, MakeTrailer(sequence, operation.kind));
  char* value = EntryTree::ValueBytes(entry);
  if (expiry_bytes != 0) {
    base::StoreFixed<uint64_t>(value, operation.expiry_ms);
    if (operation.expiry_ms > latest_expiry_ms()) {
      latest_expiry_ms_.store(operation.expiry_ms, std::memory_order_relaxed);
    }
  }
  if (!operation.value.empty()) std::memcpy(value + expiry_bytes, operation.value.data(), operation.value.size());
  filter_.Add(FilterHash(SpacedKey(entry->key())));
  return entry;
}

void Memtable::Add(Sequence sequence, Space space, const kv::Operation& operation) {
  EntryTree::Entry* entry = MakeEntry(sequence, space, operation);
  if (entry != nullptr) tree_.Insert(entry);
}

void Memtable::Stage(Sequence sequence, Space space, const kv::Operation& operation) {
  EntryTree::Entry* entry = MakeEntry(sequence, space, operation);
  if (entry != nullptr) staged_.push_back(entry);
}

void Memtable::InsertStaged() {
  constexpr size_t kEntriesAhead = 8;
  const std::vector<EntryTree::Entry*> entries = std::exchange(staged_, {});
  if (entries.empty()) return;
  const size_t shared_bytes = SharedPrefixBytes(entries);
  std::vector<PlacedEntry> placed;
  placed.reserve(entries.size());
  for (EntryTree::Entry* entry : entries) placed.push_back({KeyWord(entry->key(), shared_bytes), entry});
  std::sort(placed.begin(), placed.end());
  for (size_t i = 0; i < placed.size(); ++i) {
    if (i + kEntriesAhead < placed.size()) __builtin_prefetch(placed[i + kEntriesAhead].entry);
    tree_.Insert(placed[i].entry);
  }
}

MemtableHit Memtable::Get(std::string_view lookup_key, uint64_t filter_hash) const {
  // As after an opening: without a look at the memory of the filter, which nothing has written to.
  if (empty()) return {};
  if (!filter_.MayContain(filter_hash)) return {};
  const EntryTree::Entry* entry = tree_.Seek(lookup_key);
  if (entry == nullptr || SpacedKey(entry->key()) != SpacedKey(lookup_key)) return {};
  const uint64_t trailer = Trailer(entry->key());
  return {.found = true, .kind = TrailerKind(trailer), .sequence = TrailerSequence(trailer), .value = entry->value()};
}

class Memtable::MemtableCursor final : public Cursor {
 public:
  explicit MemtableCursor(const EntryTree& tree) : walker_(tree) {}
  void SeekToFirst() override {
    walker_.SeekToFirst();
    Stand();
  }
  void SeekToLast() override {
    walker_.SeekToLast();
    Stand();
  }
  void Seek(std::string_view internal_key) override {
    walker_.Seek(internal_key);
    Stand();
  }
  void SeekForPrev(std::string_view internal_key) override {
    walker_.SeekForPrev(internal_key);
    Stand();
  }
  void Next() override {
    walker_.Next();
    Stand();
  }
  void Prev() override {
    walker_.Prev();
    Stand();
  }
  std::string_view value() const override { return walker_.entry()->value(); }
  absl::Status status() const override { return absl::OkStatus(); }

 private:
  void Stand() {
    const EntryTree::Entry* entry = walker_.entry();
    if (entry == nullptr) return StandNowhere();
    StandAt(entry->key());
  }

  EntryTree::Walker walker_;
};

std::unique_ptr<Cursor> Memtable::NewCursor() const { return std::make_unique<MemtableCursor>(tree_); }

}  // namespace bandb::storage
