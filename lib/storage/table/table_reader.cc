#include "storage/table/table_reader.h"

#include <utility>

#include "base/assert.h"
#include "base/status.h"
#include "storage/table/block_cursor.h"

namespace bandb::storage {

absl::StatusOr<std::unique_ptr<TableReader>> TableReader::Open(std::unique_ptr<base::RandomAccessFile> file,
                                                               std::string path, BlockCache* cache,
                                                               std::string_view smallest) {
  BANDB_ASSERT(cache != nullptr);
  BANDB_ASSIGN_OR_RETURN(TableFile table, TableFile::Open(std::move(file), std::move(path)));
  BANDB_ASSIGN_OR_RETURN(TableMeta meta, TableMeta::Read(table, cache));
  std::unique_ptr<TableReader> reader(new TableReader(std::move(table), std::move(meta), cache, smallest));
  const TableIndex& top = reader->meta_.top();
  if (top.size() != 0) {
    reader->last_separator_ = top.Separator(top.size() - 1);
    return reader;
  }
  // One that is not cut is whole from the start.
  BANDB_ASSIGN_OR_RETURN(const PartitionRef whole, reader->Enter(0));
  const TableIndex& index = At(whole).index();
  if (index.size() != 0) reader->last_separator_ = index.Separator(index.size() - 1);
  return reader;
}

TableReader::TableReader(TableFile file, TableMeta meta, BlockCache* cache, std::string_view smallest)
    : file_(std::move(file)),
      smallest_(smallest),
      meta_(std::move(meta)),
      cache_(cache),
      slots_(new PartitionSlot[meta_.partitions()]),
      memory_bytes_(sizeof(TableReader) + meta_.memory_bytes() + meta_.partitions() * sizeof(PartitionSlot)),
      charge_(cache->ChargeTable(memory_bytes_)) {
  BANDB_ASSERT(meta_.partitions() > 0);
}

TableReader::~TableReader() { cache_->partitions()->Empty(slots_.get(), meta_.partitions()); }

absl::StatusOr<PartitionRef> TableReader::Enter(size_t k, bool fill_cache) const {
  BANDB_ASSERT(k < meta_.partitions());
  if (PartitionRef present = EnterCached(k); present) return present;
  BANDB_ASSIGN_OR_RETURN(std::unique_ptr<TablePartition> read, ReadPartition(k));
  if (!fill_cache) return PartitionRef(std::move(read));
  return cache_->InsertPartition(&slots_[k], std::move(read));
}

absl::StatusOr<std::unique_ptr<TablePartition>> TableReader::ReadPartition(size_t k) const {
  const PartitionExtent& extent = meta_.extent(k);
  BANDB_ASSIGN_OR_RETURN(std::unique_ptr<TablePartition> partition,
                         TablePartition::Read(file_, k, extent, meta_.bounds(k), cache_));
  const TableIndex& top = meta_.top();
  if (top.size() == 0) return partition;
  // Separators increase within a partition. If the last is that which the list of partitions has,
  // and the first one comes after that of the partition before, all of the table's do.
  const TableIndex& index = partition->index();
  const size_t last = index.size() - 1;
  if (index.Separator(last) != top.Separator(k) || index.SeparatorTrailer(last) != top.SeparatorTrailer(k)) {
    return file_.Damage(extent.index.offset, "the index ends elsewhere than the list of partitions says");
  }
  if (k > 0) {
    const int order = CompareSpacedKeys(top.Separator(k - 1), index.Separator(0));
    if (order > 0 || (order == 0 && top.SeparatorTrailer(k - 1) <= index.SeparatorTrailer(0))) {
      return file_.Damage(extent.index.offset, "the index begins before the partition does");
    }
  }
  return partition;
}

absl::StatusOr<BlockRef> TableReader::ReadChecked(const TablePartition& partition, size_t i,
                                                  const ReadaheadBuffer* readahead) const {
  const BlockHandle handle = partition.index().block(i);
  BANDB_ASSIGN_OR_RETURN(BlockRef block, file_.ReadEntries(handle, Block::Trailers::kEntries, cache_, readahead));
  BANDB_RETURN_IF_ERROR(CheckPlace(partition, i, Block::FromParsed(block.payload())));
  return block;
}

absl::Status TableReader::CheckPlace(const TablePartition& partition, size_t i, const Block& entries) const {
  const uint64_t offset = partition.index().block(i).offset;
  if (entries.empty()) return file_.Damage(offset, "the block is empty");
  // Within a block the keys increase, and the separators do; so if its ends lie where they must,
  // all keys do.
  const std::string last = entries.LastKey();
  for (const std::string_view key : {entries.FirstKey(), std::string_view(last)}) {
    if (meta_.FindPartition(key) != partition.number() || partition.index().Find(key) != i) {
      return file_.Damage(offset, "the block holds keys of another block");
    }
  }
  if (partition.number() == 0 && i == 0 && !smallest_.empty() &&
      CompareInternalKeys(entries.FirstKey(), smallest_) < 0) {
    return file_.Damage(offset, "the block holds keys before the first that the manifest knows of");
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string_view> TableReader::DataBlockInPlace(const TablePartition& partition, size_t i,
                                                               const ReadaheadBuffer& readahead) const {
  BANDB_ASSIGN_OR_RETURN(const std::string_view payload,
                         file_.EntriesInPlace(partition.index().block(i), Block::Trailers::kEntries, readahead));
  if (!payload.empty()) BANDB_RETURN_IF_ERROR(CheckPlace(partition, i, Block::FromParsed(payload)));
  return payload;
}

absl::StatusOr<BlockRef> TableReader::ReadDataBlock(const TablePartition& partition, size_t i, bool fill_cache,
                                                    const ReadaheadBuffer* readahead) const {
  BANDB_ASSIGN_OR_RETURN(BlockRef block, ReadChecked(partition, i, readahead));
  if (!fill_cache) return block;
  return partition.blocks().Insert(i, std::move(block));
}

bool TableReader::GetIn(const TablePartition& partition, std::string_view internal_key,
                        std::optional<uint64_t> filter_hash, GetResult* result, size_t* block) const {
  if (filter_hash && !partition.MayContain(*filter_hash)) {
    result->filtered = true;
    return true;
  }
  *block = partition.index().Find(internal_key);
  if (*block == partition.index().size()) return true;
  BlockRef cached = partition.blocks().Lookup(*block);
  if (!cached) return false;
  FindInBlock(std::move(cached), internal_key, result);
  return true;
}

absl::Status TableReader::Get(std::string_view internal_key, bool fill_cache, GetResult* result,
                              std::optional<uint64_t> filter_hash, PartitionRef* entered) const {
  result->found = result->filtered = false;
  result->value = {};
  result->block.Reset();
  PartitionRef own;
  if (entered == nullptr) entered = &own;
  if (!*entered) {
    const size_t k = meta_.FindPartition(internal_key);
    if (k == meta_.partitions()) return absl::OkStatus();
    absl::StatusOr<PartitionRef> read = Enter(k);
    if (!read.ok()) return std::move(read).status();
    *entered = *std::move(read);
  }
  size_t i = 0;
  if (GetIn(At(*entered), internal_key, filter_hash, result, &i)) return absl::OkStatus();
  absl::StatusOr<BlockRef> read = ReadDataBlock(At(*entered), i, fill_cache, nullptr);
  if (!read.ok()) return std::move(read).status();
  CountRead(At(*entered).index().block(i));
  FindInBlock(*std::move(read), internal_key, result);
  return absl::OkStatus();
}

bool TableReader::GetCached(std::string_view internal_key, GetResult* result, std::optional<uint64_t> filter_hash,
                            PartitionRef* entered) const {
  result->found = result->filtered = false;
  result->value = {};
  result->block.Reset();
  PartitionRef own;
  if (entered == nullptr) entered = &own;
  if (!*entered) {
    const size_t k = meta_.FindPartition(internal_key);
    if (k == meta_.partitions()) return true;
    *entered = EnterCached(k);
  }
  size_t i = 0;
  return *entered && GetIn(At(*entered), internal_key, filter_hash, result, &i);
}

PartitionRef TableReader::Prepare(std::string_view internal_key, uint64_t filter_hash) const {
  const size_t k = meta_.FindPartition(internal_key);
  if (k == meta_.partitions()) return PartitionRef();
  PartitionRef entered = EnterCached(k);
  if (entered) At(entered).PrefetchFilter(filter_hash);
  return entered;
}

void TableReader::FindInBlock(BlockRef block, std::string_view internal_key, GetResult* result) {
  const Block entries = Block::FromParsed(block.payload());
  const BlockMatch match = SeekInBlock(entries, internal_key);
  if (!match.found || !match.same_key) return;
  const uint64_t trailer = match.entry.trailer();
  result->found = true;
  result->kind = TrailerKind(trailer);
  result->sequence = TrailerSequence(trailer);
  result->value = std::string_view(entries.data() + match.value_at, match.entry.value_bytes);
  result->block = std::move(block);
}

uint64_t TableReader::ApproximateOffset(std::string_view internal_key) const {
  const size_t k = meta_.FindPartition(internal_key);
  if (k == meta_.partitions()) return meta_.extent(k - 1).index.offset;
  const PartitionRef entered = EnterCached(k);
  if (!entered) return meta_.bounds(k).begin;
  const TableIndex& index = At(entered).index();
  const size_t i = index.Find(internal_key);
  if (i < index.size()) return index.block(i).offset;
  return index.size() == 0 ? kFileHeaderBytes : index.block(index.size() - 1).end();
}

absl::Status TableReader::VerifyDataBlock(const TablePartition& partition, size_t i, uint64_t* entries) const {
  const BlockHandle handle = partition.index().block(i);
  BANDB_ASSIGN_OR_RETURN(const BlockRef block, ReadChecked(partition, i, nullptr));
  BlockCursor cursor;
  cursor.Reset(Block::FromParsed(block.payload()));
  for (cursor.SeekToFirst(); cursor.Valid(); cursor.Next()) {
    if (!partition.MayContain(FilterHash(SpacedKey(cursor.key())))) {
      return file_.Damage(handle.offset, "the block holds keys that the filter does not");
    }
    ++*entries;
  }
  return absl::OkStatus();
}

absl::Status TableReader::VerifyPartition(size_t k, uint64_t* entries) const {
  BANDB_ASSIGN_OR_RETURN(const std::unique_ptr<TablePartition> partition, ReadPartition(k));
  for (size_t i = 0; i < partition->index().size(); ++i) {
    BANDB_RETURN_IF_ERROR(VerifyDataBlock(*partition, i, entries));
  }
  return absl::OkStatus();
}

absl::Status TableReader::VerifyChecksums() const {
  BANDB_RETURN_IF_ERROR(file_.CheckEnds());
  uint64_t entries = 0;
  for (size_t k = 0; k < meta_.partitions(); ++k) BANDB_RETURN_IF_ERROR(VerifyPartition(k, &entries));
  // The rest, as Open reads it.
  BANDB_ASSIGN_OR_RETURN(const TableMeta meta, TableMeta::Read(file_, cache_));
  if (entries != meta.properties().entries) {
    return file_.Damage(file_.meta_index().offset, "the properties count another number of entries");
  }
  return absl::OkStatus();
}

}  // namespace bandb::storage
