// Any bytes as the payload of a block, a filter, properties, a list of names: refused, or walked
// without harm.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "base/assert.h"
#include "storage/table/block.h"
#include "storage/table/block_cursor.h"
#include "storage/table/bloom_filter.h"
#include "storage/table/table_format.h"
#include "storage/table/table_index.h"

namespace bandb::storage {

namespace {

void WalkBlock(const Block& block) {
  BlockCursor cursor;
  cursor.Reset(block);
  size_t forward = 0, backward = 0;
  for (cursor.SeekToFirst(); cursor.Valid(); cursor.Next()) ++forward;
  for (cursor.SeekToLast(); cursor.Valid(); cursor.Prev()) ++backward;
  BANDB_ASSERT(forward == backward);
  // Every key finds something, or nothing where the keys are out of order, and from there one can
  // go both ways.
  BlockCursor other;
  other.Reset(block);
  size_t sought = 0;
  for (cursor.SeekToFirst(); cursor.Valid() && sought < 50; cursor.Next(), ++sought) {
    other.Seek(cursor.key());
    if (other.Valid()) other.Next();
    other.SeekForPrev(cursor.key());
    if (other.Valid()) other.Prev();
    if (other.Valid()) other.Next();
  }
}

void FindAll(const std::optional<TableIndex>& index) {
  for (size_t i = 0; index && i < index->size(); ++i) {
    BANDB_ASSERT(index->Find(MakeInternalKey(index->Separator(i), 0)) >= i);
  }
}

void TryAll(std::string_view bytes) {
  const std::optional<Block> entries = Block::Parse(bytes, Block::Trailers::kInternalKeys);
  if (entries) WalkBlock(*entries);
  const std::optional<Block> separators = Block::Parse(bytes, Block::Trailers::kSeparators);
  if (separators) {
    const BlockBounds bounds{.begin = 0, .end = uint64_t{1} << 40};
    FindAll(TableIndex::Make(*separators, bounds));
    std::vector<PartitionExtent> extents;
    FindAll(TableIndex::MakeTop(*separators, bounds, &extents));
  }
  const std::optional<BloomFilter> filter = BloomFilter::Parse(bytes);
  for (uint64_t hash = 1; filter && hash != 0; hash *= 16) static_cast<void>(filter->MayContain(hash | hash << 32));
  NamedValues values;
  static_cast<void>(ParseNamedValues(bytes, &values));
  TableProperties properties;
  static_cast<void>(ParseProperties(bytes, &properties));
}

}  // namespace

}  // namespace bandb::storage

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // Memory of the size that the contract asks for, so that a sanitizer sees every read beyond it.
  const std::unique_ptr<char[]> memory(new char[size + bandb::storage::kBlockSlackBytes]);
  if (size > 0) std::memcpy(memory.get(), data, size);
  std::memset(memory.get() + size, 0xff, bandb::storage::kBlockSlackBytes);
  bandb::storage::TryAll(std::string_view(memory.get(), size));
  return 0;
}
