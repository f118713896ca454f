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
  return std::unique_ptr<TableReader>(new TableReader(std::move(table), std::move(meta), cache, smallest));
}

TableReader::TableReader(TableFile file, TableMeta meta, BlockCache* cache, std::string_view smallest)
    : file_(std::move(file)),
      smallest_(smallest),
      meta_(std::move(meta)),
      cache_(cache),
      cached_(cache, meta_.index().size()),
      memory_bytes_(meta_.memory_bytes() + cached_.memory_bytes()),
      charge_(cache->ChargePinned(memory_bytes_)) {}

absl::StatusOr<BlockRef> TableReader::ReadChecked(size_t i, const ReadaheadBuffer* readahead) const {
  const BlockHandle handle = index().block(i);
  BANDB_ASSIGN_OR_RETURN(BlockRef block, file_.ReadEntries(handle, Block::Trailers::kEntries, cache_, readahead));
  BANDB_RETURN_IF_ERROR(CheckPlace(i, Block::FromParsed(block.payload())));
  return block;
}

absl::Status TableReader::CheckPlace(size_t i, const Block& entries) const {
  const uint64_t offset = index().block(i).offset;
  if (entries.empty()) return file_.Damage(offset, "the block is empty");
  // Within a block the keys increase, and the separators do; so if its ends lie where they must,
  // all keys do.
  if (index().Find(entries.FirstKey()) != i || index().Find(entries.LastKey()) != i) {
    return file_.Damage(offset, "the block holds keys of another block");
  }
  if (i == 0 && !smallest_.empty() && CompareInternalKeys(entries.FirstKey(), smallest_) < 0) {
    return file_.Damage(offset, "the block holds keys before the first that the manifest knows of");
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string_view> TableReader::DataBlockInPlace(size_t i, const ReadaheadBuffer& readahead) const {
  BANDB_ASSIGN_OR_RETURN(const std::string_view payload,
                         file_.EntriesInPlace(index().block(i), Block::Trailers::kEntries, readahead));
  if (!payload.empty()) BANDB_RETURN_IF_ERROR(CheckPlace(i, Block::FromParsed(payload)));
  return payload;
}

absl::StatusOr<BlockRef> TableReader::ReadDataBlock(size_t i, bool fill_cache, const ReadaheadBuffer* readahead) const {
  BANDB_ASSIGN_OR_RETURN(BlockRef block, ReadChecked(i, readahead));
  if (!fill_cache) return block;
  return cached_.Insert(i, std::move(block));
}

absl::Status TableReader::Get(std::string_view internal_key, bool fill_cache, GetResult* result) const {
  result->found = false;
  result->value = {};
  result->block.Reset();
  const size_t i = index().Find(internal_key);
  if (i == index().size()) return absl::OkStatus();
  BlockRef block = FindDataBlock(i);
  if (!block) {
    absl::StatusOr<BlockRef> read = ReadDataBlock(i, fill_cache, nullptr);
    if (!read.ok()) return std::move(read).status();
    block = *std::move(read);
  }
  FindInBlock(std::move(block), internal_key, result);
  return absl::OkStatus();
}

bool TableReader::GetCached(std::string_view internal_key, GetResult* result) const {
  result->found = false;
  result->value = {};
  result->block.Reset();
  const size_t i = index().Find(internal_key);
  if (i == index().size()) return true;
  BlockRef block = FindDataBlock(i);
  if (!block) return false;
  FindInBlock(std::move(block), internal_key, result);
  return true;
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
  const size_t i = index().Find(internal_key);
  if (i < index().size()) return index().block(i).offset;
  return index().size() == 0 ? kFileHeaderBytes : index().block(index().size() - 1).end();
}

absl::Status TableReader::VerifyDataBlock(size_t i, uint64_t* entries) const {
  const BlockHandle handle = index().block(i);
  BANDB_ASSIGN_OR_RETURN(const BlockRef block, ReadChecked(i, nullptr));
  BlockCursor cursor;
  cursor.Reset(Block::FromParsed(block.payload()));
  for (cursor.SeekToFirst(); cursor.Valid(); cursor.Next()) {
    if (!MayContain(FilterHash(SpacedKey(cursor.key())))) {
      return file_.Damage(handle.offset, "the block holds keys that the filter does not");
    }
    ++*entries;
  }
  return absl::OkStatus();
}

absl::Status TableReader::VerifyChecksums() const {
  BANDB_RETURN_IF_ERROR(file_.CheckEnds());
  uint64_t entries = 0;
  for (size_t i = 0; i < index().size(); ++i) BANDB_RETURN_IF_ERROR(VerifyDataBlock(i, &entries));
  // The rest, as Open reads it.
  BANDB_ASSIGN_OR_RETURN(const TableMeta meta, TableMeta::Read(file_, cache_));
  if (entries != meta.properties().entries) {
    return file_.Damage(file_.meta_index().offset, "the properties count another number of entries");
  }
  return absl::OkStatus();
}

}  // namespace bandb::storage
