// Reads a table (table_format.h): the file, and what is kept of it in memory as long as it is open.
//
// Open reads and verifies everything but the data blocks. Those are read when they are needed,
// through the cache, and verified each time that they come from the file: the checksum, the form,
// the order of the keys, and that they lie where the index says. So whoever walks tables may rely
// on their order, even if somebody made up a table with right checksums.
#ifndef BANDB_STORAGE_TABLE_TABLE_READER_H_
#define BANDB_STORAGE_TABLE_TABLE_READER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/file_system.h"
#include "storage/key/internal_key.h"
#include "storage/key/range_tombstones.h"
#include "storage/table/block_cache.h"
#include "storage/table/table_file.h"
#include "storage/table/table_format.h"
#include "storage/table/table_index.h"
#include "storage/table/table_meta.h"

namespace bandb::storage {

// What a Get found. Reused for many Gets; Find sets all members.
struct GetResult {
  bool found = false;
  Kind kind = Kind::kDelete;
  Sequence sequence = 0;
  std::string_view value;  // lies in `block`
  BlockRef block;          // keeps the value alive; Detach it to hand the value on
};

// Errors of all calls that read: as TableFile.
// Lifetime: the cache must outlive it; cursors must not outlive it, results of Get may.
// Thread safety: const methods from any thread, any number of calls at once.
class TableReader {
 public:
  // Does not check whose database the table belongs to: header() tells. An entry before the
  // internal key `smallest`, if that is given, is damage.
  static absl::StatusOr<std::unique_ptr<TableReader>> Open(std::unique_ptr<base::RandomAccessFile> file,
                                                           std::string path, BlockCache* cache,
                                                           std::string_view smallest = {});
  TableReader(const TableReader&) = delete;
  TableReader& operator=(const TableReader&) = delete;

  // Finds the first entry at or after the internal key if it has the same spaced key. Looks neither
  // at the filter nor at range tombstones: the caller does, once for many tables.
  absl::Status Get(std::string_view internal_key, bool fill_cache, GetResult* result) const;
  // As Get, without reading the file. False, and nothing is known, if that would take a block that
  // is not in the cache.
  bool GetCached(std::string_view internal_key, GetResult* result) const;
  // False: the table holds no entry whose spaced key has this FilterHash.
  bool MayContain(uint64_t filter_hash) const { return meta_.filter().MayContain(filter_hash); }
  void PrefetchFilter(uint64_t filter_hash) const { meta_.filter().Prefetch(filter_hash); }
  const FragmentedTombstones& tombstones() const { return meta_.tombstones(); }

  const FileHeader& header() const { return file_.header(); }
  const TableProperties& properties() const { return meta_.properties(); }
  const std::string& path() const { return file_.path(); }
  const TableIndex& index() const { return meta_.index(); }
  const TableFile& file() const { return file_; }
  // Where in the file an entry with this key would stand.
  uint64_t ApproximateOffset(std::string_view internal_key) const;
  // Of index, filter and range tombstones; also counted by the cache.
  uint64_t memory_bytes() const { return memory_bytes_; }

  // Reads the whole file anew, past the cache, and checks every checksum, the order of all keys and
  // the counts. The message names the offset of the first damage.
  absl::Status VerifyChecksums() const;

  // Reads data block i through the cache; `readahead` may be null.
  absl::StatusOr<BlockRef> ReadDataBlock(size_t i, bool fill_cache, const ReadaheadBuffer* readahead) const;
  // The payload of data block i where it lies in the buffer, checked as any other; empty as of
  // TableFile.
  absl::StatusOr<std::string_view> DataBlockInPlace(size_t i, const ReadaheadBuffer& readahead) const;
  // Counts memory of whoever reads the table against the budget of the cache.
  BlockCache::PinnedCharge ChargePinned(uint64_t bytes) const { return cache_->ChargePinned(bytes); }
  // The block if the cache holds it.
  BlockRef FindDataBlock(size_t i) const { return cached_.Lookup(i); }

 private:
  static void FindInBlock(BlockRef block, std::string_view internal_key, GetResult* result);
  TableReader(TableFile file, TableMeta meta, BlockCache* cache, std::string_view smallest);
  // Reads data block i from the file and checks all that can be checked.
  absl::StatusOr<BlockRef> ReadChecked(size_t i, const ReadaheadBuffer* readahead) const;
  // Whether the entries lie where the index and the manifest say.
  absl::Status CheckPlace(size_t i, const Block& entries) const;
  absl::Status VerifyDataBlock(size_t i, uint64_t* entries) const;

  const TableFile file_;
  const std::string smallest_;
  const TableMeta meta_;
  BlockCache* const cache_;
  const BlockCache::Table cached_;
  const uint64_t memory_bytes_;
  const BlockCache::PinnedCharge charge_;
};

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_TABLE_TABLE_READER_H_
