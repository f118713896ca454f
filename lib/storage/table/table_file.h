// A table as a file: reads its stored blocks (table_format.h) and lets nothing pass that does not
// verify.
#ifndef BANDB_STORAGE_TABLE_TABLE_FILE_H_
#define BANDB_STORAGE_TABLE_TABLE_FILE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "bandb/options.h"
#include "base/file_system.h"
#include "storage/file/file_header.h"
#include "storage/table/block.h"
#include "storage/table/block_cache.h"
#include "storage/table/table_format.h"

namespace bandb::storage {

// A stretch of the file that was read ahead. Thread safety: one thread at a time.
struct ReadaheadBuffer {
  uint64_t offset = 0;
  std::string bytes;
};

// Errors of everything here: kDataLoss for bytes that were read and are wrong; kFailedPrecondition
// for what a newer release, or one that was built otherwise, has written; else as RefusedRead. Each
// message names the path and the offset.
// Thread safety: const methods from any thread.
class TableFile {
 public:
  // Reads and checks the file header and the footer.
  static absl::StatusOr<TableFile> Open(std::unique_ptr<base::RandomAccessFile> file, std::string path);

  const std::string& path() const { return path_; }
  const FileHeader& header() const { return header_; }
  const BlockHandle& meta_index() const { return meta_index_; }
  // Where the footer begins: the end of all blocks.
  uint64_t blocks_end() const { return file_->Size() - kFooterBytes; }
  const base::RandomAccessFile& file() const { return *file_; }

  // Reads a block with checksum verified and compression undone, into memory of the cache's but not
  // into the cache. `readahead` may be null; a block that it holds is not read again.
  absl::StatusOr<BlockRef> ReadBlock(const BlockHandle& handle, BlockCache* cache,
                                     const ReadaheadBuffer* readahead = nullptr) const;
  // As ReadBlock, for a block of entries: its structure is checked too, so that Block::FromParsed
  // may be used on it.
  absl::StatusOr<BlockRef> ReadEntries(const BlockHandle& handle, Block::Trailers trailers, BlockCache* cache,
                                       const ReadaheadBuffer* readahead = nullptr) const;
  // The payload of a block of entries where it lies in the buffer, checked as by ReadEntries;
  // after it there are kBlockSlackBytes. Empty if the buffer does not hold the block, or holds it
  // compressed. Lifetime: of what is in the buffer.
  absl::StatusOr<std::string_view> EntriesInPlace(const BlockHandle& handle, Block::Trailers trailers,
                                                  const ReadaheadBuffer& readahead) const;
  // Reads header and footer again and checks that they are still what they were.
  absl::Status CheckEnds() const;
  // Fills the buffer from `offset`.
  absl::Status ReadAhead(uint64_t offset, uint64_t bytes, ReadaheadBuffer* buffer) const;

  // kDataLoss for damage at `offset`.
  absl::Status Damage(uint64_t offset, std::string_view what) const;

 private:
  TableFile(std::unique_ptr<base::RandomAccessFile> file, std::string path)
      : file_(std::move(file)), path_(std::move(path)) {}
  absl::StatusOr<FileHeader> ReadHeader() const;
  absl::StatusOr<BlockHandle> ReadFooter(uint64_t checksum_seed) const;
  // Fills all of `to` or fails.
  absl::Status ReadExactly(uint64_t offset, absl::Span<char> to) const;
  // The block as it is stored; empty if the buffer does not hold all of it.
  static std::string_view StoredIn(const BlockHandle& handle, const ReadaheadBuffer& readahead);
  absl::Status ReadStored(const BlockHandle& handle, const ReadaheadBuffer* readahead, char* to) const;
  absl::Status CheckStored(const BlockHandle& handle, std::string_view stored) const;
  absl::StatusOr<BlockRef> ReadCompressed(const BlockHandle& handle, Compression compression, std::string_view payload,
                                          BlockCache* cache) const;

  std::unique_ptr<base::RandomAccessFile> file_;
  std::string path_;
  FileHeader header_;
  uint64_t checksum_seed_ = 0;
  BlockHandle meta_index_;
};

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_TABLE_TABLE_FILE_H_
