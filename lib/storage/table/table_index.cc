#include "storage/table/table_index.h"

#include <algorithm>
#include <cstring>

#include "base/assert.h"
#include "storage/table/block_cursor.h"

namespace bandb::storage {

namespace {

// The first eight bytes as a number that orders like them; zeros take the place of what is missing.
uint64_t Head(std::string_view bytes) {
  uint64_t head = 0;
  std::memcpy(&head, bytes.data(), std::min(bytes.size(), sizeof(head)));
  return __builtin_bswap64(head);
}

// How many of the sorted numbers are less. Written so that it compiles to conditional moves: the
// outcome of each comparison is as good as random.
size_t CountLess(const uint64_t* sorted, size_t count, uint64_t number) {
  if (count == 0) return 0;
  const uint64_t* first = sorted;
  while (count > 1) {
    const size_t half = count / 2;
    first += first[half - 1] < number ? half : 0;
    count -= half;
  }
  return static_cast<size_t>(first - sorted) + (*first < number ? 1 : 0);
}

size_t CommonPrefixOf(std::string_view a, std::string_view b) {
  const size_t shorter = std::min(a.size(), b.size());
  return static_cast<size_t>(std::mismatch(a.begin(), a.begin() + static_cast<ptrdiff_t>(shorter), b.begin()).first -
                             a.begin());
}

}  // namespace

std::string MakeSeparator(std::string_view last, std::string_view next) {
  BANDB_ASSERT(CompareInternalKeys(last, next) < 0);
  const std::string_view last_key = SpacedKey(last);
  const std::string_view next_key = SpacedKey(next);
  const size_t agree = CommonPrefixOf(last_key, next_key);
  if (agree == next_key.size()) return std::string(last);
  return MakeInternalKey(next_key.substr(0, agree + 1), kSeparatorTrailer);
}

std::optional<TableIndex> TableIndex::Make(const Block& block, const BlockBounds& bounds) {
  return Make(block, bounds, nullptr);
}

std::optional<TableIndex> TableIndex::MakeTop(const Block& block, const BlockBounds& bounds,
                                              std::vector<PartitionExtent>* extents) {
  BANDB_ASSERT(extents != nullptr);
  BANDB_ASSERT(extents->empty());
  return Make(block, bounds, extents);
}

std::optional<TableIndex> TableIndex::Make(const Block& block, const BlockBounds& bounds,
                                           std::vector<PartitionExtent>* extents) {
  TableIndex index;
  BlockCursor cursor;
  cursor.Reset(block);
  cursor.SeekToLast();
  if (!cursor.Valid()) return index;
  const std::string last(SpacedKey(cursor.key()));
  cursor.SeekToFirst();
  index.common_prefix_.assign(last, 0, CommonPrefixOf(SpacedKey(cursor.key()), last));

  std::string before;
  for (; cursor.Valid(); cursor.Next()) {
    if (!before.empty() && CompareInternalKeys(before, cursor.key()) >= 0) return std::nullopt;
    before.assign(cursor.key());
    BlockHandle handle;
    if (extents == nullptr) {
      if (!ParseHandle(cursor.value(), bounds.end, &handle)) return std::nullopt;
    } else {
      const uint64_t begin = extents->empty() ? bounds.begin : extents->back().end();
      if (!ParseExtent(cursor.value(), {begin, bounds.end}, &extents->emplace_back())) return std::nullopt;
      handle = extents->back().index;
    }
    if (!index.Add(cursor.key(), handle, bounds)) return std::nullopt;
  }
  for (size_t i = kSampled - 1; i < index.size(); i += kSampled) index.samples_.push_back(index.heads_[i]);
  index.heads_.shrink_to_fit();
  index.samples_.shrink_to_fit();
  index.places_.shrink_to_fit();
  index.rests_.shrink_to_fit();
  return index;
}

bool TableIndex::Add(std::string_view separator, const BlockHandle& handle, const BlockBounds& bounds) {
  // In order between the first and the last one it would begin with what those have in common, but
  // that is not known before all are seen.
  if (SpacedKey(separator).substr(0, common_prefix_.size()) != common_prefix_) return false;
  if (handle.payload_bytes > UINT32_MAX) return false;
  if (handle.offset < (places_.empty() ? bounds.begin : block(places_.size() - 1).end())) return false;
  const std::string_view rest = separator.substr(common_prefix_.size());
  if (rests_.size() + rest.size() > UINT32_MAX) return false;
  rests_.append(rest);
  heads_.push_back(Head(rest.substr(0, rest.size() - kTrailerBytes)));
  places_.push_back({handle.offset, static_cast<uint32_t>(handle.payload_bytes), static_cast<uint32_t>(rests_.size())});
  return true;
}

bool TableIndex::BlockIsBefore(size_t i, std::string_view rest, uint64_t trailer) const {
  const int by_key = Rest(i).compare(rest);
  if (by_key != 0) return by_key < 0;
  const uint64_t separator_trailer = RestTrailer(i);
  // A separator that is no internal key comes before everything with its spaced key, whatever one
  // looks for.
  return separator_trailer == kSeparatorTrailer || separator_trailer > trailer;
}

size_t TableIndex::FindHead(uint64_t head) const {
  const size_t group = CountLess(samples_.data(), samples_.size(), head);
  const size_t first = group * kSampled;
  return first + CountLess(heads_.data() + first, std::min(kSampled, heads_.size() - first), head);
}

size_t TableIndex::Find(std::string_view internal_key) const {
  const std::string_view key = SpacedKey(internal_key);
  const int to_prefix = key.substr(0, common_prefix_.size()).compare(common_prefix_);
  if (to_prefix != 0) return to_prefix < 0 ? 0 : size();
  const std::string_view rest = key.substr(common_prefix_.size());
  const uint64_t head = Head(rest);
  size_t low = FindHead(head);
  if (low == size() || heads_[low] != head) return low;
  // Equal heads: the keys decide.
  size_t high = static_cast<size_t>(std::upper_bound(heads_.begin() + static_cast<ptrdiff_t>(low), heads_.end(), head) -
                                    heads_.begin());
  const uint64_t trailer = Trailer(internal_key);
  while (low < high) {
    const size_t middle = low + (high - low) / 2;
    if (BlockIsBefore(middle, rest, trailer)) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

std::string TableIndex::Separator(size_t i) const {
  std::string separator = common_prefix_;
  separator.append(Rest(i));
  return separator;
}

size_t TableIndex::memory_bytes() const {
  return common_prefix_.capacity() + rests_.capacity() + places_.capacity() * sizeof(Place) +
         (heads_.capacity() + samples_.capacity()) * sizeof(uint64_t);
}

}  // namespace bandb::storage
