// The index of a table in memory: which data block may hold a key.
//
// An index is read once and searched by every read, so it is taken apart at open. The prefix that
// all separators have in common is kept once. Of what follows, eight bytes of each separator are
// kept as a number in an array of their own, and every sixteenth of those in another: the search
// goes through the small array, which stays in the processor's cache, then through two cache lines
// of the large one, and looks at the separators themselves only where those eight bytes are equal.
#ifndef BANDB_STORAGE_TABLE_TABLE_INDEX_H_
#define BANDB_STORAGE_TABLE_TABLE_INDEX_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "storage/file/file_header.h"
#include "storage/table/block.h"
#include "storage/table/table_format.h"

namespace bandb::storage {

// The separator (table_format.h) between the last internal key of a block and the first one of the
// next.
std::string MakeSeparator(std::string_view last, std::string_view next);

// Immutable. Thread safety: any thread, any number of calls at once.
class TableIndex {
 public:
  // No blocks.
  TableIndex() = default;
  // Nothing if an entry is malformed, or separators or blocks are not in order, or a block does not
  // lie within the bounds.
  static std::optional<TableIndex> Make(const Block& block, const BlockBounds& bounds);
  // The same over the partitions of a table (table_format.h), where the blocks are their indexes.
  // `extents`: all else that the entries say of them.
  static std::optional<TableIndex> MakeTop(const Block& block, const BlockBounds& bounds,
                                           std::vector<PartitionExtent>* extents);

  size_t size() const { return heads_.size(); }
  BlockHandle block(size_t i) const { return {places_[i].offset, places_[i].payload_bytes}; }
  // The block with the first entry at or after the internal key, unless the table has
  // none; else size(). Where no entry lies between the key and the end of the block, that entry is
  // the first one of the next block, and has another spaced key.
  size_t Find(std::string_view internal_key) const;
  // The spaced key of separator i: block i holds nothing beyond it, block i + 1 nothing before it.
  std::string Separator(size_t i) const;
  // The trailer of separator i.
  uint64_t SeparatorTrailer(size_t i) const { return RestTrailer(i); }
  // Asks for what Find will read first.
  void Prefetch() const {
    if (!samples_.empty()) __builtin_prefetch(samples_.data());
    if (!heads_.empty()) __builtin_prefetch(heads_.data());
  }

  size_t memory_bytes() const;

 private:
  // Where a block lies, and where in rests_ its separator ends.
  struct Place {
    uint64_t offset;
    uint32_t payload_bytes;
    uint32_t rest_end;
  };
  static constexpr size_t kSampled = 16;

  // What a separator has after the common prefix, without its trailer.
  std::string_view Rest(size_t i) const {
    const size_t limit = places_[i].rest_end;
    const size_t first = i == 0 ? 0 : places_[i - 1].rest_end;
    return std::string_view(rests_.data() + first, limit - first - kTrailerBytes);
  }
  uint64_t RestTrailer(size_t i) const {
    return base::LoadFixed<uint64_t>(rests_.data() + places_[i].rest_end - kTrailerBytes);
  }
  static std::optional<TableIndex> Make(const Block& block, const BlockBounds& bounds,
                                        std::vector<PartitionExtent>* extents);
  bool Add(std::string_view separator, const BlockHandle& handle, const BlockBounds& bounds);
  // The first separator whose head is not less.
  size_t FindHead(uint64_t head) const;
  // True if everything in block i is before the key: rest is what its spaced key has after the
  // common prefix.
  bool BlockIsBefore(size_t i, std::string_view rest, uint64_t trailer) const;

  std::string common_prefix_;
  std::vector<uint64_t> heads_;    // the first eight bytes of each rest as a big-endian number, zeros appended
  std::vector<uint64_t> samples_;  // heads_[kSampled - 1], heads_[2 * kSampled - 1] ...
  std::vector<Place> places_;
  std::string rests_;  // each rest, then its trailer
};

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_TABLE_TABLE_INDEX_H_
