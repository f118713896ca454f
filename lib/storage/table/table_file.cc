#include "storage/table/table_file.h"

#include <algorithm>
#include <cstring>

#include "base/assert.h"
#include "base/checksum.h"
#include "base/status.h"
#include "storage/file/refused_read.h"
#include "storage/table/compression.h"

namespace bandb::storage {

absl::StatusOr<TableFile> TableFile::Open(std::unique_ptr<base::RandomAccessFile> file, std::string path) {
  TableFile table(std::move(file), std::move(path));
  BANDB_ASSIGN_OR_RETURN(table.header_, table.ReadHeader());
  table.checksum_seed_ = table.header_.checksum_seed();
  BANDB_ASSIGN_OR_RETURN(table.meta_index_, table.ReadFooter(table.checksum_seed_));
  return table;
}

absl::Status TableFile::CheckEnds() const {
  BANDB_ASSIGN_OR_RETURN(const FileHeader header, ReadHeader());
  if (header.file_id != header_.file_id) return Damage(0, "the file is another one than when it was opened");
  BANDB_ASSIGN_OR_RETURN(const BlockHandle meta_index, ReadFooter(checksum_seed_));
  if (meta_index != meta_index_) return Damage(blocks_end(), "the footer is another one than when it was read");
  return absl::OkStatus();
}

absl::StatusOr<FileHeader> TableFile::ReadHeader() const {
  char header[kFileHeaderBytes];
  const size_t header_bytes = std::min<uint64_t>(file_->Size(), kFileHeaderBytes);
  BANDB_RETURN_IF_ERROR(ReadExactly(0, absl::MakeSpan(header, header_bytes)));
  return DecodeFileHeader(std::string_view(header, header_bytes), FileType::kTable, path_);
}

absl::StatusOr<BlockHandle> TableFile::ReadFooter(uint64_t checksum_seed) const {
  if (file_->Size() < kFileHeaderBytes + kBlockTrailerBytes + kFooterBytes) {
    return Damage(file_->Size(), "too short for a table");
  }
  char footer[kFooterBytes];
  BANDB_RETURN_IF_ERROR(ReadExactly(blocks_end(), absl::MakeSpan(footer)));
  BANDB_ASSIGN_OR_RETURN(BlockHandle meta_index,
                         DecodeFooter(std::string_view(footer, kFooterBytes), checksum_seed, blocks_end(), path_));
  // Through its encoded form, for the checks of ParseHandle.
  std::string handle;
  AppendHandle(&handle, meta_index);
  if (!ParseHandle(handle, blocks_end(), &meta_index)) {
    return Damage(blocks_end(), "the footer points outside of the file");
  }
  return meta_index;
}

absl::Status TableFile::Damage(uint64_t offset, std::string_view what) const {
  return base::Error(absl::StatusCode::kDataLoss, "{}: offset {}: {}", path_, offset, what);
}

absl::Status TableFile::ReadExactly(uint64_t offset, absl::Span<char> to) const {
  const absl::StatusOr<size_t> got = file_->Read(offset, to);
  if (!got.ok()) return RefusedRead(got.status(), path_, offset);
  if (*got != to.size()) return Damage(offset, "the file ends before the block does");
  return absl::OkStatus();
}

std::string_view TableFile::StoredIn(const BlockHandle& handle, const ReadaheadBuffer& readahead) {
  if (handle.offset < readahead.offset || handle.end() > readahead.offset + readahead.bytes.size()) return {};
  return std::string_view(readahead.bytes.data() + (handle.offset - readahead.offset), handle.end() - handle.offset);
}

absl::Status TableFile::ReadStored(const BlockHandle& handle, const ReadaheadBuffer* readahead, char* to) const {
  const size_t stored_bytes = handle.payload_bytes + kBlockTrailerBytes;
  if (readahead != nullptr) {
    const std::string_view stored = StoredIn(handle, *readahead);
    if (!stored.empty()) {
      std::memcpy(to, stored.data(), stored_bytes);
      return absl::OkStatus();
    }
  }
  return ReadExactly(handle.offset, absl::MakeSpan(to, stored_bytes));
}

absl::Status TableFile::CheckStored(const BlockHandle& handle, std::string_view stored) const {
  const std::string_view checked = stored.substr(0, stored.size() - sizeof(uint64_t));
  if (base::LoadFixed<uint64_t>(stored.data() + checked.size()) !=
      base::BlockChecksum(checksum_seed_, handle.offset, checked)) {
    return Damage(handle.offset, "the checksum of the block does not fit");
  }
  const uint8_t type = static_cast<uint8_t>(checked.back());
  const auto compression = static_cast<Compression>(type & 0xf);
  if (type >> 4 != 0 || !CompressionIsBuiltIn(compression)) {
    return base::Error(absl::StatusCode::kFailedPrecondition,
                       "{}: offset {}: a block of layout {} with {}, which this program was built without", path_,
                       handle.offset, type >> 4, CompressionName(compression));
  }
  return absl::OkStatus();
}

absl::StatusOr<BlockRef> TableFile::ReadBlock(const BlockHandle& handle, BlockCache* cache,
                                              const ReadaheadBuffer* readahead) const {
  // Handles are checked where they are read: no block is longer than the file.
  BANDB_ASSERT(handle.end() <= blocks_end());
  const size_t stored_bytes = handle.payload_bytes + kBlockTrailerBytes;
  static_assert(kBlockTrailerBytes >= kBlockSlackBytes, "a block that is not compressed keeps its trailer after it");
  BlockRef block = cache->Allocate(stored_bytes);
  BANDB_RETURN_IF_ERROR(ReadStored(handle, readahead, block.writable()));
  const std::string_view stored = block.payload();
  BANDB_RETURN_IF_ERROR(CheckStored(handle, stored));
  const auto compression = static_cast<Compression>(stored[handle.payload_bytes]);
  if (compression != Compression::kNone) {
    return ReadCompressed(handle, compression, stored.substr(0, handle.payload_bytes), cache);
  }
  block.ShrinkPayload(handle.payload_bytes);
  return block;
}

absl::StatusOr<BlockRef> TableFile::ReadCompressed(const BlockHandle& handle, Compression compression,
                                                   std::string_view payload, BlockCache* cache) const {
  uint64_t uncompressed_bytes = 0;
  if (!ReadUncompressedBytes(payload, &uncompressed_bytes) || uncompressed_bytes > kDataBlockBytesMax) {
    return Damage(handle.offset, "the block declares an impossible size");
  }
  BlockRef block = cache->Allocate(uncompressed_bytes + kBlockSlackBytes);
  block.ShrinkPayload(uncompressed_bytes);
  if (!Decompress(compression, payload, absl::MakeSpan(block.writable(), uncompressed_bytes))) {
    return Damage(handle.offset, "the block does not decompress");
  }
  return block;
}

absl::StatusOr<BlockRef> TableFile::ReadEntries(const BlockHandle& handle, Block::Trailers trailers, BlockCache* cache,
                                                const ReadaheadBuffer* readahead) const {
  BANDB_ASSIGN_OR_RETURN(BlockRef block, ReadBlock(handle, cache, readahead));
  if (!Block::Parse(block.payload(), trailers)) return Damage(handle.offset, "the block is malformed");
  return block;
}

absl::StatusOr<std::string_view> TableFile::EntriesInPlace(const BlockHandle& handle, Block::Trailers trailers,
                                                           const ReadaheadBuffer& readahead) const {
  const std::string_view stored = StoredIn(handle, readahead);
  if (stored.empty()) return stored;
  BANDB_RETURN_IF_ERROR(CheckStored(handle, stored));
  if (static_cast<Compression>(stored[handle.payload_bytes]) != Compression::kNone) return std::string_view();
  const std::string_view payload = stored.substr(0, handle.payload_bytes);
  if (!Block::Parse(payload, trailers)) return Damage(handle.offset, "the block is malformed");
  return payload;
}

absl::Status TableFile::ReadAhead(uint64_t offset, uint64_t bytes, ReadaheadBuffer* buffer) const {
  BANDB_ASSERT(offset <= blocks_end());
  buffer->offset = offset;
  buffer->bytes.resize(std::min(bytes, blocks_end() - offset));
  absl::Status status = ReadExactly(offset, absl::MakeSpan(buffer->bytes));
  if (!status.ok()) buffer->bytes.clear();
  return status;
}

}  // namespace bandb::storage
